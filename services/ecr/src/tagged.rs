//! The tagged resources of this service, for whoever looks at the tags of all services.

use crate::model::Repository;
use crate::names::repository_arn;
use honmaru_base::Scope;
use honmaru_machine::State;
use std::collections::BTreeMap;

/// ARN and tags of every repository of a scope that has tags.
pub fn tagged(state: &State, scope: &Scope) -> impl Iterator<Item = (String, BTreeMap<String, String>)> {
    let repositories = state
        .list::<Repository>(scope)
        .filter(|(_, row)| !row.resource_tags.is_empty());
    repositories.map(|(name, row)| (repository_arn(scope, name), row.resource_tags.clone()))
}
