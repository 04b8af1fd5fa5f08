//! The tagged resources of this service, for whoever looks at the tags of all services.

use crate::model::{IpSet, Kind, RegexPatternSet, RuleGroup, WebAcl};
use honmaru_base::Scope;
use honmaru_machine::State;
use std::collections::BTreeMap;

fn of<K: Kind>(state: &State, scope: &Scope) -> impl Iterator<Item = (String, BTreeMap<String, String>)> {
    let rows = state.list::<K>(scope).map(|(_, row)| row.entity());
    rows.filter(|entity| !entity.tags.is_empty())
        .map(|entity| (entity.arn.clone(), entity.tags.clone()))
}

/// ARN and tags of every web ACL, rule group and set of a scope that has tags.
pub fn tagged(state: &State, scope: &Scope) -> impl Iterator<Item = (String, BTreeMap<String, String>)> {
    of::<WebAcl>(state, scope)
        .chain(of::<RuleGroup>(state, scope))
        .chain(of::<IpSet>(state, scope))
        .chain(of::<RegexPatternSet>(state, scope))
}
