//! Whether a tag may move to another image. Ref: ECR user guide, "Preventing image tags from being overwritten".

use crate::model::{Mutability, MutabilityFilter, Repository};
use crate::types::ImageTagMutabilityExclusionFilter;
use crate::{errors, wildcard};
use honmaru_base::ApiError;

/// Ref: ECR: at most five filters, each with at most two wildcards.
const FILTERS_MAX: usize = 5;
const WILDCARDS_MAX: usize = 2;

/// Whether a tag, once set, stays where it is.
pub(crate) fn is_immutable(repository: &Repository, tag: &str) -> bool {
    let excepted = || {
        repository
            .mutability_filters
            .iter()
            .any(|filter| wildcard::matches(&filter.filter, tag))
    };
    match repository.mutability {
        Mutability::Mutable => false,
        Mutability::Immutable => true,
        Mutability::ImmutableWithExclusion => !excepted(),
        Mutability::MutableWithExclusion => excepted(),
    }
}

/// Reads the two members of a request; they must agree.
pub(crate) fn read(
    mutability: Option<&str>,
    filters: Option<Vec<ImageTagMutabilityExclusionFilter>>,
) -> Result<(Mutability, Vec<MutabilityFilter>), ApiError> {
    let mutability = match mutability {
        None => Mutability::Mutable,
        Some(name) => Mutability::parse(name).ok_or_else(|| {
            errors::invalid("Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'Invalid value'")
        })?,
    };
    let filters = filters.unwrap_or_default();
    let with_exclusion = matches!(
        mutability,
        Mutability::ImmutableWithExclusion | Mutability::MutableWithExclusion
    );
    if with_exclusion == filters.is_empty() {
        let problem = if with_exclusion {
            "can't be null"
        } else {
            "are not allowed"
        };
        return Err(errors::invalid(format!(
            "Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: \
             'ImageTagMutabilityExclusionFilters {problem} when imageTagMutability is set as {}'",
            mutability.name()
        )));
    }
    if filters.len() > FILTERS_MAX {
        return Err(errors::invalid(format!(
            "imageTagMutabilityExclusionFilters may have at most {FILTERS_MAX} items"
        )));
    }
    if let Some(filter) = filters
        .iter()
        .find(|filter| filter.filter.matches('*').count() > WILDCARDS_MAX)
    {
        return Err(errors::invalid(format!(
            "the filter '{}' may have at most {WILDCARDS_MAX} wildcards",
            filter.filter
        )));
    }
    if let Some(filter) = filters.iter().find(|filter| filter.filter_type != "WILDCARD") {
        return Err(errors::invalid(format!(
            "the filter type '{}' is not supported",
            filter.filter_type
        )));
    }
    Ok((
        mutability,
        filters
            .into_iter()
            .map(|filter| MutabilityFilter { filter: filter.filter })
            .collect(),
    ))
}

/// The filters as the API shows them.
pub(crate) fn shown(filters: &[MutabilityFilter]) -> Option<Vec<ImageTagMutabilityExclusionFilter>> {
    let shown = |filter: &MutabilityFilter| ImageTagMutabilityExclusionFilter {
        filter_type: "WILDCARD".to_owned(),
        filter: filter.filter.clone(),
    };
    (!filters.is_empty()).then(|| filters.iter().map(shown).collect())
}
