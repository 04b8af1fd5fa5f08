//! Repositories: made, found, removed.

use super::image::remove_image;
use crate::model::{Image, LayerLink, Repository};
use crate::{errors, names};
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{State, Tx};

/// Ref: ECR quota "registered repositories".
const REPOSITORIES_MAX: usize = 100_000;
/// Ref: ECR Public quota "repositories per registry".
const PUBLIC_REPOSITORIES_MAX: usize = 10_000;

/// A repository, or AWS's error for a missing one.
pub fn get_repository<'a>(state: &'a State, scope: &Scope, name: &str) -> Result<&'a Repository, ApiError> {
    state
        .get::<Repository>(scope, name)
        .ok_or_else(|| errors::repository_not_found(scope, name))
}

/// Makes a repository; its time is the transition's.
pub fn create_repository(tx: &mut Tx<'_>, scope: &Scope, mut row: Repository) -> Result<(), ApiError> {
    if !names::is_repository_name(&row.name) {
        return Err(errors::invalid(
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression \
             '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*''",
        ));
    }
    if tx.get::<Repository>(scope, &row.name).is_some() {
        return Err(errors::repository_exists(scope, &row.name));
    }
    let repositories_max = match *scope == scope.global() {
        true => PUBLIC_REPOSITORIES_MAX,
        false => REPOSITORIES_MAX,
    };
    if tx.count::<Repository>(scope) >= repositories_max {
        return Err(errors::limit(format!(
            "The maximum number of repositories ({repositories_max}) is reached in the registry with id '{}'",
            scope.account
        )));
    }
    row.created_at = tx.now();
    let name = row.name.clone();
    tx.put(scope, &name, row);
    Ok(())
}

/// Removes a repository, with its images when `force` is given, and returns it.
pub fn delete_repository(tx: &mut Tx<'_>, scope: &Scope, name: &str, force: bool) -> Result<Repository, ApiError> {
    let row = get_repository(tx, scope, name)?.clone();
    let prefix = Image::prefix(name);
    let digests: Vec<String> = tx
        .prefixed::<Image>(scope, &prefix)
        .map(|(_, image)| image.digest.clone())
        .collect();
    if !digests.is_empty() && !force {
        return Err(errors::repository_not_empty(scope, name));
    }
    for digest in digests {
        let _ = remove_image(tx, scope, name, &digest);
    }
    let links: Vec<String> = tx
        .prefixed::<LayerLink>(scope, &prefix)
        .map(|(key, _)| key.to_owned())
        .collect();
    for key in links {
        tx.delete::<LayerLink>(scope, &key);
    }
    tx.delete::<Repository>(scope, name);
    Ok(row)
}
