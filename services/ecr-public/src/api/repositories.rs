//! Repositories.

use super::{catalog, registry_of};
use crate::model::CatalogData;
use crate::place::{registry_uri, scope_of};
use crate::types;
use honmaru_base::{ApiError, Scope};
use honmaru_ecr::shared::{merge_tags, page, refuse_page};
use honmaru_ecr::{Repository, create_repository, delete_repository, get_repository, repository_arn};
use honmaru_machine::{Call, State, Tx};

/// Ref: DescribeRepositories: 100 a page unless asked otherwise.
const PAGE: usize = 100;

fn shown(scope: &Scope, call: &Call, row: &Repository) -> types::Repository {
    types::Repository {
        repository_arn: Some(repository_arn(scope, &row.name)),
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(row.name.clone()),
        repository_uri: Some(format!("{}/{}", registry_uri(&scope.account, &call.host), row.name)),
        created_at: Some(row.created_at.as_epoch_s()),
    }
}

/// Tags as `ecr` takes them.
pub(super) fn tags(tags: Vec<types::Tag>) -> Vec<honmaru_ecr::types::Tag> {
    let tag = |types::Tag { key, value }| honmaru_ecr::types::Tag {
        key: key.unwrap_or_default(),
        value: value.unwrap_or_default(),
    };
    tags.into_iter().map(tag).collect()
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateRepositoryRequest,
) -> Result<types::CreateRepositoryResponse, ApiError> {
    let scope = scope_of(call.scope.account.clone());
    let name = input.repository_name;
    let mut row = Repository::plain(&name, tx.now());
    merge_tags(&mut row.resource_tags, tags(input.tags.unwrap_or_default()))?;
    create_repository(tx, &scope, row)?;
    let data = input.catalog_data.map(|data| catalog::write(tx, &scope, &name, data));
    // A repository without any shows an empty structure, as the aws CLI's example of this call has it.
    let catalog_data = Some(data.transpose()?.unwrap_or_default());
    Ok(types::CreateRepositoryResponse {
        repository: Some(shown(&scope, call, get_repository(tx, &scope, &name)?)),
        catalog_data,
    })
}

pub(super) fn delete(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteRepositoryRequest,
) -> Result<types::DeleteRepositoryResponse, ApiError> {
    let scope = registry_of(call, input.registry_id.as_deref())?;
    let row = delete_repository(tx, &scope, &input.repository_name, input.force.unwrap_or(false))?;
    tx.delete::<CatalogData>(&scope, &input.repository_name);
    Ok(types::DeleteRepositoryResponse {
        repository: Some(shown(&scope, call, &row)),
    })
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeRepositoriesRequest,
) -> Result<types::DescribeRepositoriesResponse, ApiError> {
    let scope = registry_of(call, input.registry_id.as_deref())?;
    if let Some(named) = input.repository_names.filter(|named| !named.is_empty()) {
        refuse_page(input.max_results, input.next_token.as_deref(), "repositoryNames")?;
        let found = named
            .iter()
            .map(|name| Ok(shown(&scope, call, get_repository(state, &scope, name)?)));
        return Ok(types::DescribeRepositoriesResponse {
            repositories: Some(found.collect::<Result<_, ApiError>>()?),
            next_token: None,
        });
    }
    let all = state
        .list::<Repository>(&scope)
        .map(|(name, row)| (name.to_owned(), row));
    let (rows, next_token) = page(all, input.next_token.as_deref(), input.max_results, PAGE)?;
    Ok(types::DescribeRepositoriesResponse {
        repositories: Some(rows.into_iter().map(|row| shown(&scope, call, row)).collect()),
        next_token,
    })
}
