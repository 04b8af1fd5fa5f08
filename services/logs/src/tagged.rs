//! The tagged resources of this service, for whoever looks at the tags of all services.

use crate::model::LogGroup;
use crate::names::group_arn;
use honmaru_base::Scope;
use honmaru_machine::State;
use std::collections::BTreeMap;

/// ARN and tags of every log group of a scope that has tags.
pub fn tagged(state: &State, scope: &Scope) -> impl Iterator<Item = (String, BTreeMap<String, String>)> {
    let groups = state.list::<LogGroup>(scope).filter(|(_, row)| !row.tags.is_empty());
    groups.map(|(name, row)| (group_arn(scope, name), row.tags.clone()))
}
