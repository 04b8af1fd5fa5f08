//! Repositories.

use super::common::{check_encryption, merge_tags, page, scope_of};
use crate::machine::{create_repository, delete_repository, get_repository};
use crate::model::Repository;
use crate::types::{self, EncryptionConfiguration, ImageScanningConfiguration};
use crate::{mutability, names};
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Call, State, Tx};

/// Ref: DescribeRepositories: 100 a page unless asked otherwise.
const PAGE: usize = 100;

fn shown(scope: &Scope, call: &Call, row: &Repository) -> types::Repository {
    types::Repository {
        repository_arn: Some(names::repository_arn(scope, &row.name)),
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(row.name.clone()),
        repository_uri: Some(names::repository_uri(scope, &call.host, &row.name)),
        created_at: Some(row.created_at.as_epoch_s()),
        image_tag_mutability: Some(row.mutability.name().to_owned()),
        image_tag_mutability_exclusion_filters: mutability::shown(&row.mutability_filters),
        image_scanning_configuration: Some(ImageScanningConfiguration {
            scan_on_push: Some(row.scan_on_push),
        }),
        encryption_configuration: Some(EncryptionConfiguration {
            encryption_type: "AES256".to_owned(),
            kms_key: None,
        }),
    }
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateRepositoryRequest,
) -> Result<types::CreateRepositoryResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let encryption = input.encryption_configuration.as_ref();
    check_encryption(
        encryption.map(|config| config.encryption_type.as_str()),
        encryption.and_then(|config| config.kms_key.as_deref()),
    )?;
    let mut row = Repository::plain(&input.repository_name, tx.now());
    (row.mutability, row.mutability_filters) = mutability::read(
        input.image_tag_mutability.as_deref(),
        input.image_tag_mutability_exclusion_filters,
    )?;
    row.scan_on_push = input
        .image_scanning_configuration
        .and_then(|config| config.scan_on_push)
        .unwrap_or(false);
    merge_tags(&mut row.resource_tags, input.tags.unwrap_or_default())?;
    create_repository(tx, &scope, row)?;
    let row = get_repository(tx, &scope, &input.repository_name)?;
    Ok(types::CreateRepositoryResponse {
        repository: Some(shown(&scope, call, row)),
    })
}

pub(super) fn delete(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteRepositoryRequest,
) -> Result<types::DeleteRepositoryResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let row = delete_repository(tx, &scope, &input.repository_name, input.force.unwrap_or(false))?;
    Ok(types::DeleteRepositoryResponse {
        repository: Some(shown(&scope, call, &row)),
    })
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeRepositoriesRequest,
) -> Result<types::DescribeRepositoriesResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    if let Some(named) = input.repository_names.filter(|named| !named.is_empty()) {
        super::images::refuse_page(input.max_results, input.next_token.as_deref(), "repositoryNames")?;
        let found = named
            .iter()
            .map(|name| Ok(shown(&scope, call, get_repository(state, &scope, name)?)));
        let repositories = Some(found.collect::<Result<Vec<_>, ApiError>>()?);
        return Ok(types::DescribeRepositoriesResponse {
            repositories,
            next_token: None,
        });
    }
    let all = state
        .list::<Repository>(&scope)
        .map(|(name, row)| (name.to_owned(), row));
    let (rows, next_token) = page(all, input.next_token.as_deref(), input.max_results, PAGE)?;
    let repositories = Some(rows.into_iter().map(|row| shown(&scope, call, row)).collect());
    Ok(types::DescribeRepositoriesResponse {
        repositories,
        next_token,
    })
}

pub(super) fn put_mutability(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutImageTagMutabilityRequest,
) -> Result<types::PutImageTagMutabilityResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    get_repository(tx, &scope, &input.repository_name)?;
    let (value, filters) = mutability::read(
        Some(&input.image_tag_mutability),
        input.image_tag_mutability_exclusion_filters,
    )?;
    let shown = mutability::shown(&filters);
    tx.update::<Repository>(&scope, &input.repository_name, |row| {
        row.mutability = value;
        row.mutability_filters = filters;
    });
    Ok(types::PutImageTagMutabilityResponse {
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(input.repository_name),
        image_tag_mutability: Some(value.name().to_owned()),
        image_tag_mutability_exclusion_filters: shown,
    })
}
