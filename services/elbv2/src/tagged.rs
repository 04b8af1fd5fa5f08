//! The tagged resources of this service, for whoever looks at the tags of all services.

use crate::model::{Listener, LoadBalancer, Rule, TargetGroup};
use honmaru_base::Scope;
use honmaru_machine::State;
use std::collections::BTreeMap;

/// ARN and tags of every load balancer, listener, rule and target group of a scope that has tags.
pub fn tagged(state: &State, scope: &Scope) -> impl Iterator<Item = (String, BTreeMap<String, String>)> {
    let balancers = state.list::<LoadBalancer>(scope).map(|(arn, row)| (arn, &row.tags));
    let listeners = state.list::<Listener>(scope).map(|(arn, row)| (arn, &row.tags));
    let rules = state.list::<Rule>(scope).map(|(arn, row)| (arn, &row.tags));
    let groups = state.list::<TargetGroup>(scope).map(|(arn, row)| (arn, &row.tags));
    let all = balancers.chain(listeners).chain(rules).chain(groups);
    all.filter(|(_, tags)| !tags.is_empty())
        .map(|(arn, tags)| (arn.to_owned(), tags.clone()))
}
