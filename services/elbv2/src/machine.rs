//! Changes to target groups and load balancers that other services and the cloud's glue may make.

use crate::attributes::{self, Owner};
use crate::model::{Listener, ListenerFailure, LoadBalancer, Observed, Rule, Target, TargetGroup, target_key};
use crate::{error, names};
use honmaru_base::{ApiError, Scope, Time};
use honmaru_contract::edge::{Applied, TargetHealth};
use honmaru_machine::{State, Tx};
use honmaru_wire::tree::Tree;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The health of a target as DescribeTargetHealth tells it, with what the edge said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedHealth {
    /// `initial`, `healthy`, `unhealthy`, `draining`, `unused`, `unavailable`.
    pub state: String,
    /// For example `Target.Timeout`.
    pub reason: Option<String>,
    /// The reason in words.
    pub description: Option<String>,
    /// Since when the edge sees it in this state; nothing where the edge did not look yet.
    pub since: Option<Time>,
}

/// A target group by ARN, or `TargetGroupNotFound`, or `ValidationError` for what is no such ARN.
pub fn target_group<'a>(state: &'a State, scope: &Scope, arn: &str) -> Result<&'a TargetGroup, ApiError> {
    names::check_arn("targetgroup", "target group", arn)?;
    state
        .get::<TargetGroup>(scope, arn)
        .ok_or_else(error::target_group_not_found)
}

/// Registers a target, or takes a draining one back. `TargetGroupNotFound`, `TooManyTargets`.
pub fn register_target(
    tx: &mut Tx<'_>,
    scope: &Scope,
    group_arn: &str,
    address: Ipv4Addr,
    port: u16,
) -> Result<(), ApiError> {
    register_in_zone(tx, scope, group_arn, address, port, None)
}

/// Ref: ALB quotas, "Targets per target group per Region (instances or IP addresses)".
const TARGETS_PER_GROUP_MAX: usize = 1_000;

pub(crate) fn register_in_zone(
    tx: &mut Tx<'_>,
    scope: &Scope,
    group_arn: &str,
    address: Ipv4Addr,
    port: u16,
    availability_zone: Option<String>,
) -> Result<(), ApiError> {
    target_group(tx, scope, group_arn)?;
    let key = target_key(group_arn, address, port);
    match tx.get::<Target>(scope, &key) {
        Some(target) if target.draining_since.is_none() => return Ok(()),
        Some(_) => {}
        None => {
            if tx.find::<Target>(scope, "group", group_arn).count() >= TARGETS_PER_GROUP_MAX {
                return Err(ApiError::new(
                    "TooManyTargets",
                    format!("The maximum number of targets for target group '{group_arn}' has been reached"),
                ));
            }
        }
    }
    // What was seen of it while it was draining, or of an earlier target at this address, counts no more.
    tx.delete::<Observed>(scope, &key);
    let target = Target {
        group_arn: group_arn.to_owned(),
        address,
        port,
        availability_zone,
        draining_since: None,
    };
    tx.put(scope, &key, target);
    Ok(())
}

/// Deregisters a target: it drains for the group's delay, or goes at once where nothing can be in flight. Does nothing
/// when it is not registered. `TargetGroupNotFound`.
pub fn deregister_target(
    tx: &mut Tx<'_>,
    scope: &Scope,
    group_arn: &str,
    address: Ipv4Addr,
    port: u16,
) -> Result<(), ApiError> {
    let group = target_group(tx, scope, group_arn)?;
    let is_instant = deregistration_delay_s(group) == 0 || load_balancer_arns(tx, scope, group_arn).is_empty();
    let key = target_key(group_arn, address, port);
    let now = tx.now();
    match tx.get::<Target>(scope, &key) {
        Some(target) if target.draining_since.is_some() => {}
        Some(_) if is_instant => remove_target(tx, scope, &key),
        Some(_) => {
            tx.update::<Target>(scope, &key, |target| target.draining_since = Some(now));
        }
        None => {}
    }
    Ok(())
}

pub(crate) fn remove_target(tx: &mut Tx<'_>, scope: &Scope, key: &str) {
    tx.delete::<Target>(scope, key);
    tx.delete::<Observed>(scope, key);
}

/// How long a deregistered target of this group drains, in seconds.
pub(crate) fn deregistration_delay_s(group: &TargetGroup) -> i64 {
    let all = attributes::all(group_owner(&group.protocol), &group.attributes);
    all.get("deregistration_delay.timeout_seconds")
        .and_then(|value| value.parse().ok())
        .unwrap_or(300)
}

/// Whose attributes a target group of that protocol has.
pub(crate) fn group_owner(protocol: &str) -> Owner {
    match protocol {
        "TCP" | "TLS" => Owner::TcpGroup,
        _ => Owner::HttpGroup,
    }
}

/// Notes what the edge saw. Targets that are not known (any more) are passed over.
pub fn observe_health(tx: &mut Tx<'_>, seen: &[TargetHealth]) {
    for health in seen {
        let Some(scope) = scope_of(&health.target_group) else {
            continue;
        };
        let key = target_key(&health.target_group, health.address, health.port);
        if tx.get::<Target>(&scope, &key).is_none() {
            continue;
        }
        let before = tx.get::<Observed>(&scope, &key);
        let since = match before {
            Some(before) if before.state == health.state => before.since,
            _ => tx.now(),
        };
        let row = Observed {
            state: health.state.clone(),
            reason: health.reason.clone(),
            description: health.description.clone(),
            since,
        };
        if before != Some(&row) {
            tx.put(&scope, &key, row);
        }
    }
}

fn scope_of(arn: &str) -> Option<Scope> {
    let arn: honmaru_base::Arn = arn.parse().ok()?;
    Scope::new(&arn.account, &arn.region).ok()
}

/// Notes what the edge sees of all targets: what was noted of others is forgotten.
pub fn observe_all_health(tx: &mut Tx<'_>, seen: &[TargetHealth]) {
    let keys: std::collections::BTreeSet<String> = seen
        .iter()
        .map(|health| target_key(&health.target_group, health.address, health.port))
        .collect();
    let gone: Vec<(Scope, String)> = tx
        .all::<Observed>()
        .filter(|(_, key, _)| !keys.contains(*key))
        .map(|(scope, key, _)| (scope.clone(), key.to_owned()))
        .collect();
    for (scope, key) in gone {
        tx.delete::<Observed>(&scope, &key);
    }
    observe_health(tx, seen);
}

/// Notes that the edge serves a configuration: load balancers become active, listeners that cannot be served are known.
///
/// A load balancer that was made while the edge applied the configuration becomes active with it, some milliseconds
/// before its own configuration is there.
pub fn observe_applied(tx: &mut Tx<'_>, applied: &Applied) {
    let failed = &applied.failed;
    let waiting: Vec<(Scope, String)> = tx
        .all::<LoadBalancer>()
        .filter(|(_, _, balancer)| !balancer.is_active)
        .map(|(scope, arn, _)| (scope.clone(), arn.to_owned()))
        .collect();
    for (scope, arn) in waiting {
        tx.update::<LoadBalancer>(&scope, &arn, |balancer| balancer.is_active = true);
    }
    let cured: Vec<(Scope, String)> = tx
        .all::<ListenerFailure>()
        .filter(|(_, arn, _)| !failed.iter().any(|(failed, _)| failed == arn))
        .map(|(scope, arn, _)| (scope.clone(), arn.to_owned()))
        .collect();
    for (scope, arn) in cured {
        tx.delete::<ListenerFailure>(&scope, &arn);
    }
    for (arn, cause) in failed {
        let Some(scope) = scope_of(arn) else { continue };
        let row = ListenerFailure { cause: cause.clone() };
        if tx.get::<Listener>(&scope, arn).is_some() && tx.get::<ListenerFailure>(&scope, arn) != Some(&row) {
            tx.put(&scope, arn, row);
        }
    }
}

/// The health of a target; nothing when it is not registered and not draining.
pub fn target_health(
    state: &State,
    scope: &Scope,
    group_arn: &str,
    address: Ipv4Addr,
    port: u16,
) -> Option<ObservedHealth> {
    let key = target_key(group_arn, address, port);
    let target = state.get::<Target>(scope, &key)?;
    let said = |state: &str, reason: &str, description: &str| ObservedHealth {
        state: state.to_owned(),
        reason: Some(reason.to_owned()),
        description: Some(description.to_owned()),
        since: None,
    };
    if target.draining_since.is_some() {
        let health = said(
            "draining",
            "Target.DeregistrationInProgress",
            "Target deregistration is in progress",
        );
        return Some(ObservedHealth {
            since: target.draining_since,
            ..health
        });
    }
    if load_balancer_arns(state, scope, group_arn).is_empty() {
        let description = "Target group is not configured to receive traffic from the load balancer";
        return Some(said("unused", "Target.NotInUse", description));
    }
    match state.get::<Observed>(scope, &key) {
        // The edge has not heard yet that the group is used, or that the target is back.
        Some(seen) if seen.state == "unused" || seen.state == "draining" => Some(said(
            "initial",
            "Elb.RegistrationInProgress",
            "Target registration is in progress",
        )),
        Some(seen) => Some(ObservedHealth {
            state: seen.state.clone(),
            reason: seen.reason.clone(),
            description: seen.description.clone(),
            since: Some(seen.since),
        }),
        None => Some(said(
            "initial",
            "Elb.RegistrationInProgress",
            "Target registration is in progress",
        )),
    }
}

/// A load balancer's listeners.
pub fn load_balancer_listeners<'a>(state: &'a State, scope: &'a Scope, arn: &str) -> Vec<&'a Listener> {
    state
        .find::<Listener>(scope, "load_balancer", arn)
        .map(|(_, listener)| listener)
        .collect()
}

/// A listener's rules by priority, without the default one.
pub(crate) fn rules_by_priority<'a>(state: &'a State, scope: &'a Scope, listener_arn: &str) -> Vec<&'a Rule> {
    let mut rules: Vec<&Rule> = state
        .find::<Rule>(scope, "listener", listener_arn)
        .map(|(_, rule)| rule)
        .collect();
    rules.sort_by_key(|rule| rule.priority);
    rules
}

/// The target groups that actions name.
pub(crate) fn groups_of_actions(actions: &[Value]) -> Vec<String> {
    let mut arns = Vec::new();
    for action in actions {
        let action = crate::types::Action::from_tree(action.clone());
        arns.extend(action.target_group_arn);
        let tuples = action
            .forward_config
            .and_then(|config| config.target_groups)
            .unwrap_or_default();
        arns.extend(tuples.into_iter().filter_map(|tuple| tuple.target_group_arn));
    }
    arns.sort();
    arns.dedup();
    arns
}

/// The load balancers that each used target group gets traffic from.
pub(crate) fn group_users(state: &State, scope: &Scope) -> BTreeMap<String, Vec<String>> {
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (_, listener) in state.list::<Listener>(scope) {
        let mut groups = groups_of_actions(&listener.default_actions);
        for (_, rule) in state.find::<Rule>(scope, "listener", &listener.arn) {
            groups.extend(groups_of_actions(&rule.actions));
        }
        for group in groups {
            let balancers = users.entry(group).or_default();
            if !balancers.contains(&listener.load_balancer_arn) {
                balancers.push(listener.load_balancer_arn.clone());
            }
        }
    }
    users
}

/// The load balancers that a target group gets traffic from.
pub(crate) fn load_balancer_arns(state: &State, scope: &Scope, group_arn: &str) -> Vec<String> {
    group_users(state, scope).remove(group_arn).unwrap_or_default()
}
