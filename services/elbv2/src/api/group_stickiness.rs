//! Stickiness of a target group beside that of an action over several groups: who keeps clients on a target keeps them on
//! its group. Ref: ALB and NLB guides, "Sticky sessions and weighted target groups".

use crate::error::invalid_configuration;
use crate::model::{Listener, Rule, TargetGroup};
use crate::types;
use honmaru_base::{ApiError, Scope};
use honmaru_machine::State;
use honmaru_wire::tree::Tree;
use serde_json::Value;

/// Checks the groups of an action. The text is in public code and notes of users of Terraform's provider; its code is not
/// there, and is that of [`check_uses`].
pub(super) fn check_groups(groups: &[&TargetGroup], is_sticky: bool) -> Result<(), ApiError> {
    match groups.len() > 1 && !is_sticky && groups.iter().any(|group| group.is_sticky()) {
        true => Err(invalid_configuration(
            "You must enable group stickiness on a rule if you enabled target stickiness on one of its target groups",
        )),
        false => Ok(()),
    }
}

/// Checks the rules that lead to a group which shall become sticky. Seen: kubernetes-sigs/aws-load-balancer-controller
/// issue 2734.
pub(super) fn check_uses(state: &State, scope: &Scope, group: &str) -> Result<(), ApiError> {
    let defaults = state
        .list::<Listener>(scope)
        .map(|(_, row)| (&row.default_rule_arn, &row.default_actions));
    let others = state.list::<Rule>(scope).map(|(_, row)| (&row.arn, &row.actions));
    match defaults.chain(others).find(|(_, actions)| spreads(actions, group)) {
        Some((rule, _)) => Err(invalid_configuration(format!(
            "This target group appears behind a rule with group stickiness disabled ({rule}). You must enable group \
             stickiness before enabling target stickiness"
        ))),
        None => Ok(()),
    }
}

/// Whether an action leads to the group and to others, without keeping clients on one.
fn spreads(actions: &[Value], group: &str) -> bool {
    let configs = actions
        .iter()
        .filter_map(|action| types::Action::from_tree(action.clone()).forward_config);
    for config in configs {
        let tuples = config.target_groups.unwrap_or_default();
        let sticky = config.target_group_stickiness_config.and_then(|it| it.enabled);
        let is_there = tuples
            .iter()
            .any(|tuple| tuple.target_group_arn.as_deref() == Some(group));
        if is_there && tuples.len() > 1 && sticky != Some(true) {
            return true;
        }
    }
    false
}
