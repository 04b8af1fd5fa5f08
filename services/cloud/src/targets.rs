//! Tasks as targets: ACTIVATING tasks are registered, DEACTIVATING ones deregistered and drained.
//!
//! Invariant: SIGTERM comes after the drain. A task leaves DEACTIVATING only when its deregistration delay is over and
//! the edge has applied a configuration since; requests in flight finish before.

use crate::applied::last_applied;
use honmaru_base::{Scope, Time};
use honmaru_ecs::{LastStatus, TargetState, Task};
use honmaru_elbv2::TargetGroup;
use honmaru_machine::{Reconciler, State, Tx};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The shortest drain, whatever the group's delay: requests that the edge sent off just before finish meanwhile.
const DRAIN_MS_MIN: i64 = 1_000;
/// How much longer a drain waits for an edge that does not answer. It may be gone for good; tasks must stop all the
/// same.
const EDGE_WAIT_MS_MAX: i64 = 5_000;
/// Ref: ELBv2 `deregistration_delay.timeout_seconds`: the default.
const DEREGISTRATION_DELAY_S: i64 = 300;

/// A target's health for ECS's scheduler.
pub(crate) fn health(state: &State, scope: &Scope, group: &str, address: Ipv4Addr, port: u16) -> TargetState {
    let Some(seen) = honmaru_elbv2::target_health(state, scope, group, address, port) else {
        return TargetState::Unknown;
    };
    match seen.state.as_str() {
        // Nobody will ever check a target that no load balancer uses, or whose checks are off.
        "healthy" | "unused" | "unavailable" => TargetState::Healthy,
        "unhealthy" => TargetState::Unhealthy(
            seen.description
                .or(seen.reason)
                .unwrap_or_else(|| "Health checks failed".to_owned()),
        ),
        _ => TargetState::Unknown,
    }
}

/// The controller.
pub(crate) struct Targets;

impl Reconciler for Targets {
    fn name(&self) -> &'static str {
        "cloud.targets"
    }

    fn watches(&self) -> &'static [&'static str] {
        &["ecs.task", "elbv2.target_group", "elbv2.target", "cloud.edge_applied"]
    }

    fn reconcile(&mut self, tx: &mut Tx<'_>) -> Option<Time> {
        let moving: Vec<(Scope, Task)> = tx
            .all::<Task>()
            .filter(|(_, _, task)| {
                let leaving = task.last_status >= LastStatus::Deactivating && task.targets.iter().any(|t| t.registered);
                leaving || matches!(task.last_status, LastStatus::Activating | LastStatus::Deactivating)
            })
            .map(|(scope, _, task)| (scope.clone(), task.clone()))
            .collect();
        let mut next = None;
        let mut events: BTreeMap<(Scope, String, &'static str, String), u32> = BTreeMap::new();
        for (scope, task) in moving {
            let mut note = |what, group: &str| {
                if let Some(service) = &task.service {
                    let key = honmaru_ecs::service_key(&task.cluster, service);
                    *events.entry((scope.clone(), key, what, group.to_owned())).or_default() += 1;
                }
            };
            if task.last_status == LastStatus::Activating {
                register(tx, &scope, &task, &mut note);
            } else {
                deregister(tx, &scope, &task, &mut note);
            }
            if task.last_status == LastStatus::Deactivating {
                match drain_end(tx, &scope, &task.id) {
                    Some(at) if at > tx.now() => next = Some(next.map_or(at, |known: Time| known.min(at))),
                    _ => honmaru_ecs::drained(tx, &scope, &task.id),
                }
            }
        }
        for ((scope, service, what, group), count) in events {
            let message = format!("{what} {count} targets in (target-group {group})");
            honmaru_ecs::service_event(tx, &scope, &service, &message);
        }
        next
    }
}

fn register(tx: &mut Tx<'_>, scope: &Scope, task: &Task, note: &mut dyn FnMut(&'static str, &str)) {
    let Some(interface) = &task.interface else { return };
    for target in task.targets.iter().filter(|target| !target.registered) {
        let group = &target.target_group_arn;
        if honmaru_elbv2::register_target(tx, scope, group, interface.private_ip, target.port).is_err() {
            let reason = format!("Task failed to register in (target-group {group}): the target group is gone or full");
            honmaru_ecs::stop_task(tx, scope, &task.id, honmaru_ecs::StopCode::TaskFailedToStart, &reason);
            return;
        }
        honmaru_ecs::target_registered(tx, scope, &task.id, group);
        note("registered", group);
    }
    honmaru_ecs::activated(tx, scope, &task.id);
}

fn deregister(tx: &mut Tx<'_>, scope: &Scope, task: &Task, note: &mut dyn FnMut(&'static str, &str)) {
    for target in task.targets.iter().filter(|target| target.registered) {
        let group = &target.target_group_arn;
        if let Some(interface) = &task.interface {
            // A group that is gone has no targets: nothing is left to do.
            let _ = honmaru_elbv2::deregister_target(tx, scope, group, interface.private_ip, target.port);
        }
        honmaru_ecs::target_deregistered(tx, scope, &task.id, group);
        note("deregistered", group);
    }
}

/// When the drain of a task is over; nothing when it never was a target.
fn drain_end(state: &State, scope: &Scope, id: &str) -> Option<Time> {
    let task = state.get::<Task>(scope, id)?;
    let applied = last_applied(state);
    let ends = task.targets.iter().filter_map(|target| {
        let since = target.deregistered_at?;
        let end = since.plus_ms(delay_ms(state, scope, &target.target_group_arn).max(DRAIN_MS_MIN));
        let known = applied.is_some_and(|at| at >= since);
        Some(if known { end } else { end.plus_ms(EDGE_WAIT_MS_MAX) })
    });
    ends.max()
}

fn delay_ms(state: &State, scope: &Scope, group: &str) -> i64 {
    let Some(group) = state.get::<TargetGroup>(scope, group) else {
        return 0;
    };
    let given = group.attributes.get("deregistration_delay.timeout_seconds");
    given
        .and_then(|text| text.parse().ok())
        .unwrap_or(DEREGISTRATION_DELAY_S)
        * 1_000
}
