//! How many target groups a load balancer leads to, over all its listeners and rules; one that stands in several actions
//! counts once. Ref: ALB guide, "Quotas": target groups per Application Load Balancer.

use super::limits::GROUPS_PER_BALANCER_MAX;
use crate::machine::groups_of_actions;
use crate::model::{Listener, LoadBalancer, Rule};
use honmaru_base::{ApiError, Scope};
use honmaru_machine::State;
use std::collections::BTreeSet;

/// Checks the groups of an action; `instead_of` is the listener or the rule whose actions it replaces. Seen in Terraform's
/// output in notes of a public repository.
pub(super) fn check<'a>(
    state: &State,
    scope: &Scope,
    balancer: &LoadBalancer,
    groups: impl Iterator<Item = &'a str>,
    instead_of: Option<&str>,
) -> Result<(), ApiError> {
    if balancer.kind != "application" {
        return Ok(());
    }
    let mut all: BTreeSet<String> = groups.map(str::to_owned).collect();
    for (arn, listener) in state.find::<Listener>(scope, "load_balancer", &balancer.arn) {
        if instead_of != Some(arn) {
            all.extend(groups_of_actions(&listener.default_actions));
        }
        for (rule_arn, rule) in state.find::<Rule>(scope, "listener", arn) {
            if instead_of != Some(rule_arn) {
                all.extend(groups_of_actions(&rule.actions));
            }
        }
    }
    match all.len() <= GROUPS_PER_BALANCER_MAX {
        true => Ok(()),
        false => Err(ApiError::new(
            "TooManyUniqueTargetGroupsPerLoadBalancer",
            format!(
                "You have reached the maximum number of unique target groups that you can associate with a load balancer of \
                 type '{}': [{GROUPS_PER_BALANCER_MAX}]",
                balancer.kind
            ),
        )),
    }
}
