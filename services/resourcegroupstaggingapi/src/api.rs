//! The operations; those that change tags are in `change`.

use crate::matching::{fits, is_of_type};
use crate::{Source, change, types};
use honmaru_base::ApiError;
use honmaru_machine::{Access, Call, Handler, Operation, State};
use honmaru_wire::page;
use honmaru_wire::tree::Tree;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Ref: GetResources, ResourcesPerPage: 1 to 100, 50 without.
const RESOURCES_PER_PAGE: usize = 50;
const RESOURCES_PER_PAGE_MAX: usize = 100;
/// Ref: GetResources, ResourceTypeFilters: at most 100.
const TYPE_FILTERS_MAX: usize = 100;
/// Keys and values in a page.
const NAMES_PER_PAGE: usize = 1_000;

/// Every operation that this service implements, over the resources of a source.
pub fn operations<S: Source>() -> Vec<Operation> {
    vec![
        Operation {
            name: "GetResources",
            access: |_, _, _| vec![Access::any("tag:GetResources")],
            handler: Handler::Read(|state: &State, call: &Call, input: Value| {
                Ok(resources(S::tagged(state, &call.scope), Tree::from_tree(input))?.into_tree())
            }),
        },
        Operation {
            name: "GetTagKeys",
            access: |_, _, _| vec![Access::any("tag:GetTagKeys")],
            handler: Handler::Read(|state: &State, call: &Call, input: Value| {
                Ok(keys(S::tagged(state, &call.scope), Tree::from_tree(input))?.into_tree())
            }),
        },
        Operation {
            name: "GetTagValues",
            access: |_, _, _| vec![Access::any("tag:GetTagValues")],
            handler: Handler::Read(|state: &State, call: &Call, input: Value| {
                Ok(values(S::tagged(state, &call.scope), Tree::from_tree(input))?.into_tree())
            }),
        },
        Operation {
            name: "TagResources",
            access: |_, _, _| vec![Access::any("tag:TagResources")],
            handler: Handler::Write(|tx, call, input| {
                Ok(change::tag::<S>(tx, call, Tree::from_tree(input))?.into_tree())
            }),
        },
        Operation {
            name: "UntagResources",
            access: |_, _, _| vec![Access::any("tag:UntagResources")],
            handler: Handler::Write(|tx, call, input| {
                Ok(change::untag::<S>(tx, call, Tree::from_tree(input))?.into_tree())
            }),
        },
    ]
}

type Tagged = BTreeMap<String, BTreeMap<String, String>>;

pub(crate) fn invalid(message: &str) -> ApiError {
    ApiError::new("InvalidParameterException", message)
}

/// An empty token is none: that is what the last page gives.
fn token(token: Option<&String>) -> Option<&str> {
    token.map(String::as_str).filter(|token| !token.is_empty())
}

fn bad_token(_: honmaru_wire::BadToken) -> ApiError {
    invalid("The pagination token is not valid.")
}

fn resources(all: Tagged, input: types::GetResourcesInput) -> Result<types::GetResourcesOutput, ApiError> {
    if input.include_compliance_details == Some(true) || input.exclude_compliant_resources == Some(true) {
        return Err(invalid(
            "Tag policies are not implemented: there is no compliance to tell of.",
        ));
    }
    let filters = input.tag_filters.unwrap_or_default();
    if filters
        .iter()
        .any(|filter| filter.key.as_ref().is_none_or(String::is_empty))
    {
        return Err(invalid("A tag filter must have a key."));
    }
    let kinds = input.resource_type_filters.unwrap_or_default();
    if kinds.len() > TYPE_FILTERS_MAX {
        return Err(invalid("ResourceTypeFilters has at most 100 items."));
    }
    let arns: Option<BTreeSet<String>> = input.resource_arn_list.map(|arns| arns.into_iter().collect());
    // Ref: GetResources, ResourceARNList: not together with the parameters below.
    if arns.is_some()
        && (!filters.is_empty()
            || !kinds.is_empty()
            || input.resources_per_page.is_some()
            || input.tags_per_page.is_some())
    {
        return Err(invalid(
            "ResourceARNList cannot be combined with filters or page sizes.",
        ));
    }
    let max = match input.resources_per_page {
        Some(n) => usize::try_from(n)
            .ok()
            .filter(|n| (1..=RESOURCES_PER_PAGE_MAX).contains(n))
            .ok_or_else(|| invalid("ResourcesPerPage must be from 1 to 100."))?,
        None if arns.is_some() => RESOURCES_PER_PAGE_MAX,
        None => RESOURCES_PER_PAGE,
    };
    // Ref: GetResources, TagsPerPage: 100 to 500 in steps of 100; a resource's tags are never parted.
    let max = match input.tags_per_page {
        Some(n) if (100..=500).contains(&n) && n % 100 == 0 => {
            let most = usize::try_from(n).unwrap_or(0) / TAGS_OF_A_RESOURCE_MAX;
            max.min(most)
        }
        Some(_) => return Err(invalid("TagsPerPage must be from 100 to 500, in steps of 100.")),
        None => max,
    };
    let meant = all.into_iter().filter(|(arn, tags)| {
        arns.as_ref().is_none_or(|arns| arns.contains(arn))
            && (kinds.is_empty() || kinds.iter().any(|kind| is_of_type(arn, kind)))
            && filters.iter().all(|filter| fits(tags, filter))
    });
    let page = page(meant, |(arn, _)| arn, token(input.pagination_token.as_ref()), max).map_err(bad_token)?;
    let view = |(arn, tags): (String, BTreeMap<String, String>)| types::ResourceTagMapping {
        resource_arn: Some(arn),
        tags: Some(tags.into_iter().map(|(key, value)| types::Tag { key, value }).collect()),
        compliance_details: None,
    };
    Ok(types::GetResourcesOutput {
        pagination_token: Some(page.next.unwrap_or_default()),
        resource_tag_mapping_list: Some(page.items.into_iter().map(view).collect()),
    })
}

/// No service lets a resource have more tags.
const TAGS_OF_A_RESOURCE_MAX: usize = 50;

fn keys(all: Tagged, input: types::GetTagKeysInput) -> Result<types::GetTagKeysOutput, ApiError> {
    let keys: BTreeSet<String> = all.into_values().flat_map(BTreeMap::into_keys).collect();
    let token = token(input.pagination_token.as_ref());
    let page = page(keys, |key| key, token, NAMES_PER_PAGE).map_err(bad_token)?;
    Ok(types::GetTagKeysOutput {
        pagination_token: Some(page.next.unwrap_or_default()),
        tag_keys: Some(page.items),
    })
}

fn values(all: Tagged, input: types::GetTagValuesInput) -> Result<types::GetTagValuesOutput, ApiError> {
    let values: BTreeSet<String> = all
        .into_values()
        .filter_map(|mut tags| tags.remove(&input.key))
        .collect();
    let token = token(input.pagination_token.as_ref());
    let page = page(values, |value| value, token, NAMES_PER_PAGE).map_err(bad_token)?;
    Ok(types::GetTagValuesOutput {
        pagination_token: Some(page.next.unwrap_or_default()),
        tag_values: Some(page.items),
    })
}
