//! Services: keeps each one at its desired count and moves it from one deployment to the next.
//!
//! Invariants, while nothing but this controller stops tasks:
//! - the tasks that shall run are never more than the maximum percent allows;
//! - a healthy task of an old deployment is stopped only while the healthy ones that remain are at least the minimum;
//! - a deployment that never becomes healthy therefore never takes the one before it down.

use super::earliest;
use super::members::{HealthFn, Member, Members, Serving, members};
use crate::api::{choose_provider, task_tags};
use crate::machine::{Launch, Usage, launch, push_event, rollout, stop_task};
use crate::model::{
    Cluster, Deployment, LastStatus, RolloutState, Service, ServiceStatus, Stop, StopCode, Task, TaskDefinition,
    TaskOverride,
};
use crate::names::{family_and_revision, task_definition_key};
use honmaru_base::{Scope, Time};
use honmaru_machine::{Reconciler, Tx};
use std::collections::BTreeMap;

/// After that many failures in a row the next task waits.
const FAILURES_FREE: u32 = 1;
/// The first wait; each further failure doubles it.
const BACKOFF_MS_FIRST: i64 = 1_000;
/// The longest wait. AWS waits up to 15 minutes; a developer at the machine is less patient.
const BACKOFF_MS_MAX: i64 = 300_000;
/// From that many failures in a row on, an event says so.
const FAILURES_TOLD: u32 = 5;
/// A task that ran that long before it ended was no failure to start.
const RAN_WELL_MS: i64 = 60_000;
/// When no node has room, look again that much later.
const PLACEMENT_RETRY_MS: i64 = 10_000;
/// Tasks that one pass starts for one service. The next pass follows at once.
const STARTS_MAX: u32 = 100;
/// Task ids in one event. Ref: AWS lists at most ten.
const EVENT_TASKS_MAX: usize = 10;

/// The controller.
pub(super) struct Services {
    health: HealthFn,
}

impl Services {
    pub(super) fn new(health: HealthFn) -> Self {
        Self { health }
    }
}

impl Reconciler for Services {
    fn name(&self) -> &'static str {
        "ecs.service"
    }

    fn watches(&self) -> &'static [&'static str] {
        &[
            "ecs.task",
            "ecs.service",
            "ecs.node",
            "elbv2.target_health",
            "elbv2.target_group",
        ]
    }

    fn reconcile(&mut self, tx: &mut Tx<'_>) -> Option<Time> {
        let keys: Vec<(Scope, String)> = tx
            .all::<Service>()
            .filter(|(_, _, service)| service.status != ServiceStatus::Inactive)
            .map(|(scope, key, _)| (scope.clone(), key.to_owned()))
            .collect();
        let mut next = None;
        for (scope, key) in keys {
            let Some(before) = tx.get::<Service>(&scope, &key).cloned() else {
                continue;
            };
            let mut service = before.clone();
            earliest(&mut next, step(tx, &scope, &mut service, self.health));
            if service != before {
                tx.put(&scope, &key, service);
            }
        }
        next
    }
}

/// One look at one service. Returns when to look again.
fn step(tx: &mut Tx<'_>, scope: &Scope, service: &mut Service, health: HealthFn) -> Option<Time> {
    account(tx, scope, service);
    let now = tx.now();
    let mut seen = members(tx, scope, service, now, health);
    let mut next = seen.look_again;

    if service.status == ServiceStatus::Draining {
        let ids: Vec<Member> = seen.wanted.drain(..).collect();
        stop(tx, scope, service, &ids);
        if ids.is_empty() && seen.draining == 0 {
            service.status = ServiceStatus::Inactive;
            service.inactive_at = Some(now);
        }
        return next;
    }

    replace_unhealthy(tx, scope, service, &mut seen.wanted);
    if break_circuit(tx, scope, service, &seen.wanted) {
        // Roles have changed: look again with them.
        return Some(now);
    }
    let Some(primary) = service.primary().cloned() else {
        return next;
    };

    let surplus = surplus(service, &primary, &seen.wanted);
    if !surplus.is_empty() {
        stop(tx, scope, service, &surplus);
        seen.wanted.retain(|m| !surplus.iter().any(|gone| gone.id == m.id));
        seen.draining += surplus.len();
    }
    let started = start(tx, scope, service, &primary, &seen, &mut next);
    conclude(tx, scope, service, &primary, &seen.wanted, seen.draining + started);
    next
}

/// Counts each task that ended by itself, once: for the circuit breaker and for the back-off.
fn account(tx: &mut Tx<'_>, scope: &Scope, service: &mut Service) {
    let key = service.key();
    let ended: Vec<Task> = tx
        .find::<Task>(scope, "service", &key)
        .filter(|(_, task)| !task.accounted && has_ended(task))
        .map(|(_, task)| task.clone())
        .collect();
    for task in ended {
        tx.update::<Task>(scope, &task.id, |task| task.accounted = true);
        let Some(stopped) = &task.stop else { continue };
        service.steady = false;
        match stopped.code {
            StopCode::EssentialContainerExited | StopCode::TaskFailedToStart => {}
            StopCode::UserInitiated | StopCode::ServiceSchedulerInitiated | StopCode::TerminationNotice => continue,
        }
        let ran_well = task.started_at.is_some_and(|at| stopped.at.since_ms(at) >= RAN_WELL_MS);
        count_failure(tx, scope, service, task.started_by.as_deref(), ran_well);
    }
}

/// Whether it is known why a task ended. A termination notice is provisional until the task is gone.
fn has_ended(task: &Task) -> bool {
    let provisional = |stop: &Stop| stop.code == StopCode::TerminationNotice;
    task.stop
        .as_ref()
        .is_some_and(|stop| !provisional(stop) || task.last_status >= LastStatus::Deprovisioning)
}

fn count_failure(tx: &mut Tx<'_>, scope: &Scope, service: &mut Service, deployment: Option<&str>, ran_well: bool) {
    let now = tx.now();
    let of = service
        .deployments
        .iter_mut()
        .find(|d| Some(d.id.as_str()) == deployment);
    if let Some(d) = of.filter(|d| d.rollout_state == RolloutState::InProgress) {
        d.failed_tasks += 1;
        d.updated_at = now;
    }
    service.failures = if ran_well {
        1
    } else {
        service.failures.saturating_add(1)
    };
    let doublings = service.failures.saturating_sub(FAILURES_FREE + 1).min(20);
    let wait = if service.failures > FAILURES_FREE {
        BACKOFF_MS_FIRST << doublings
    } else {
        0
    };
    service.start_after = Some(now.plus_ms(wait.min(BACKOFF_MS_MAX)));
    if service.failures == FAILURES_TOLD {
        let message = "is unable to consistently start tasks successfully. For more information, see the \
                       Troubleshooting section of the Amazon ECS Developer Guide.";
        push_event(tx, scope, service, message);
    }
}

/// Stops unhealthy tasks. While a deployment is in progress its unhealthy tasks go at once: they prove that it is bad
/// and serve nobody. Afterwards a replacement comes first, as long as the maximum has room for one.
fn replace_unhealthy(tx: &mut Tx<'_>, scope: &Scope, service: &mut Service, wanted: &mut Vec<Member>) {
    let Some(primary) = service.primary().cloned() else {
        return;
    };
    let desired = service.desired_count as usize;
    let ready = wanted.iter().filter(|m| m.serving == Serving::Ready).count();
    let coming = wanted
        .iter()
        .any(|m| matches!(m.serving, Serving::Starting | Serving::Unknown));
    let room = (service.tasks_max() as usize).saturating_sub(wanted.len());
    let mut gone = Vec::new();
    for member in wanted.iter().filter(|m| m.deployment == primary.id) {
        let Serving::Unhealthy(why) = &member.serving else {
            continue;
        };
        let at_once = primary.rollout_state != RolloutState::Completed;
        let replaced = ready >= desired;
        let blocked = room == 0 && !coming && gone.is_empty();
        if at_once || replaced || blocked {
            gone.push((member.id.clone(), why.clone()));
        }
    }
    for (id, why) in &gone {
        push_event(tx, scope, service, &why.event(id));
        push_event(
            tx,
            scope,
            service,
            &format!("has stopped 1 running tasks: (task {id})."),
        );
        stop_task(
            tx,
            scope,
            id,
            StopCode::ServiceSchedulerInitiated,
            &why.stopped_reason(),
        );
        tx.update::<Task>(scope, id, |task| task.accounted = true);
        count_failure(tx, scope, service, Some(&primary.id), false);
        service.steady = false;
    }
    wanted.retain(|m| !gone.iter().any(|(id, _)| *id == m.id));
}

/// Gives the PRIMARY deployment up when too many of its tasks failed. Ref: ECS developer guide, "deployment circuit
/// breaker": a healthy task sets the count back, and a deployment that was rolled back to is not given up again.
fn break_circuit(tx: &mut Tx<'_>, scope: &Scope, service: &mut Service, wanted: &[Member]) -> bool {
    let breaker = service.deployment_configuration.deployment_circuit_breaker.clone();
    let desired = service.desired_count;
    let Some(primary) = service.deployments.first_mut() else {
        return false;
    };
    let healthy = wanted
        .iter()
        .any(|m| m.deployment == primary.id && m.serving == Serving::Ready);
    if healthy && primary.failed_tasks > 0 && breaker.reset_on_healthy_task != Some(false) {
        primary.failed_tasks = 0;
    }
    let given_up = breaker.enable
        && primary.rollout_state == RolloutState::InProgress
        && !primary.was_completed
        && primary.failed_tasks >= breaker.threshold(desired);
    given_up && rollout::fail(tx, scope, service, &rollout::BREAKER, breaker.rollback)
}

/// The tasks to stop now: those of old deployments that the new one can spare, and those above the desired count.
fn surplus(service: &Service, primary: &Deployment, wanted: &[Member]) -> Vec<Member> {
    let mut gone = Vec::new();
    let desired = service.desired_count as usize;
    let (own, old): (Vec<&Member>, Vec<&Member>) = wanted.iter().partition(|m| m.deployment == primary.id);
    let mut ready = wanted.iter().filter(|m| m.serving == Serving::Ready).count();

    let good: Vec<&Member> = own
        .iter()
        .copied()
        .filter(|m| !matches!(m.serving, Serving::Unhealthy(_)))
        .collect();
    let mut excess: Vec<&Member> = good.iter().copied().filter(|m| !m.protected).collect();
    excess.sort_by_key(|m| (rank(&m.serving), std::cmp::Reverse(m.created_at), m.id.clone()));
    for member in excess.into_iter().take(good.len().saturating_sub(desired)) {
        ready -= usize::from(member.serving == Serving::Ready);
        gone.push(member.clone());
    }

    if primary.rollout_state == RolloutState::Failed {
        return gone;
    }
    let healthy_min = service.healthy_min() as usize;
    let missing = good.len() < desired;
    let full = wanted.len() - gone.len() >= service.tasks_max() as usize;
    let mut old: Vec<&Member> = old.into_iter().filter(|m| !m.protected).collect();
    old.sort_by_key(|m| (rank(&m.serving), m.created_at, m.id.clone()));
    let mut cleared = false;
    for member in old {
        let may = match &member.serving {
            Serving::Starting => true,
            Serving::Ready => ready > healthy_min,
            Serving::Unknown => ready >= healthy_min,
            // One that is broken makes room, one by one, when nothing else does.
            Serving::Unhealthy(_) => ready >= healthy_min || (missing && full && !cleared),
        };
        if may {
            ready -= usize::from(member.serving == Serving::Ready);
            cleared = true;
            gone.push(member.clone());
        }
    }
    gone
}

/// Whose loss hurts least goes first.
fn rank(serving: &Serving) -> u8 {
    match serving {
        Serving::Starting => 0,
        Serving::Unhealthy(_) => 1,
        Serving::Unknown => 2,
        Serving::Ready => 3,
    }
}

fn stop(tx: &mut Tx<'_>, scope: &Scope, service: &mut Service, gone: &[Member]) {
    if gone.is_empty() {
        return;
    }
    let initiator = service.primary().map(|d| d.id.clone()).unwrap_or_default();
    let reason = format!("Scaling activity initiated by (deployment {initiator})");
    for member in gone {
        stop_task(tx, scope, &member.id, StopCode::ServiceSchedulerInitiated, &reason);
        tx.update::<Task>(scope, &member.id, |task| task.accounted = true);
    }
    let draining = gone
        .iter()
        .filter(|m| m.balanced && m.serving != Serving::Starting)
        .count();
    if draining > 0 {
        push_event(
            tx,
            scope,
            service,
            &format!("has begun draining connections on {draining} tasks."),
        );
    }
    for some in gone.chunks(EVENT_TASKS_MAX) {
        let ids: Vec<&str> = some.iter().map(|m| m.id.as_str()).collect();
        push_event(
            tx,
            scope,
            service,
            &format!("has stopped {} running tasks: {}.", ids.len(), tasks_text(&ids)),
        );
    }
    service.steady = false;
}

/// `(task a) (task b)`.
fn tasks_text(ids: &[&str]) -> String {
    ids.iter()
        .map(|id| format!("(task {id})"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Starts what is missing, as far as the maximum, the back-off and the nodes allow. Returns how many were started.
fn start(
    tx: &mut Tx<'_>,
    scope: &Scope,
    service: &mut Service,
    primary: &Deployment,
    seen: &Members,
    next: &mut Option<Time>,
) -> usize {
    let wanted = &seen.wanted;
    let own = wanted
        .iter()
        .filter(|m| m.deployment == primary.id && !matches!(m.serving, Serving::Unhealthy(_)));
    // A task that ends for a reason not known yet is replaced when it is known: then the back-off is, too.
    let missing = service
        .desired_count
        .saturating_sub((own.count() + seen.unexplained) as u32);
    if missing == 0 || primary.rollout_state == RolloutState::Failed {
        return 0;
    }
    let now = tx.now();
    if service.start_after.is_some_and(|at| at > now) {
        earliest(next, service.start_after);
        return 0;
    }
    let room = service.tasks_max().saturating_sub(wanted.len() as u32);
    let count = missing.min(room);
    if count == 0 {
        let stuck = wanted.iter().all(|m| m.serving == Serving::Ready);
        if stuck {
            complain(
                tx,
                scope,
                service,
                "was unable to stop or start tasks during a deployment because of the service deployment \
                 configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
            );
        }
        return 0;
    }
    let (family, revision) = family_and_revision(&primary.task_definition);
    let revision = revision.and_then(|r| r.parse().ok()).unwrap_or(0);
    let Some(definition) = tx
        .get::<TaskDefinition>(scope, &task_definition_key(family, revision))
        .cloned()
    else {
        complain(
            tx,
            scope,
            service,
            "was unable to start a task: its task definition does not exist.",
        );
        return 0;
    };
    if tx
        .get::<Cluster>(scope, &service.cluster)
        .is_none_or(|cluster| !cluster.active)
    {
        return 0;
    }

    let mut used: BTreeMap<String, u32> = BTreeMap::new();
    for provider in wanted.iter().filter_map(|m| m.capacity_provider.clone()) {
        *used.entry(provider).or_default() += 1;
    }
    let reserved = crate::machine::reservation(&definition, &TaskOverride::default());
    let mut usage = Usage::of(tx);
    let mut started: Vec<String> = Vec::new();
    for _ in 0..count.min(STARTS_MAX) {
        let node = match usage.place(reserved) {
            Ok(node) => node,
            Err(shortage) => {
                let message = format!(
                    "was unable to place a task because no container instance met all of its requirements. The \
                     closest matching container-instance has insufficient {} available. For more information, see \
                     the Troubleshooting section of the Amazon ECS Developer Guide.",
                    shortage.word()
                );
                complain(tx, scope, service, &message);
                earliest(next, Some(now.plus_ms(PLACEMENT_RETRY_MS)));
                break;
            }
        };
        let provider = choose_provider(&primary.capacity_provider_strategy, |name| {
            used.get(name).copied().unwrap_or(0)
        });
        if let Some(provider) = &provider {
            *used.entry(provider.clone()).or_default() += 1;
        }
        started.push(launch(
            tx,
            scope,
            launch_of(service, primary, &definition, provider, node),
        ));
    }
    for some in started.chunks(EVENT_TASKS_MAX) {
        let ids: Vec<&str> = some.iter().map(String::as_str).collect();
        push_event(
            tx,
            scope,
            service,
            &format!("has started {} tasks: {}.", ids.len(), tasks_text(&ids)),
        );
    }
    if !started.is_empty() {
        service.steady = false;
        service.complaint = None;
    }
    if started.len() as u32 == STARTS_MAX && count > STARTS_MAX {
        earliest(next, Some(now));
    }
    started.len()
}

/// Says something once, until it changes.
fn complain(tx: &mut Tx<'_>, scope: &Scope, service: &mut Service, message: &str) {
    if service.complaint.as_deref() != Some(message) {
        service.complaint = Some(message.to_owned());
        push_event(tx, scope, service, message);
    }
}

fn launch_of(
    service: &Service,
    primary: &Deployment,
    definition: &TaskDefinition,
    capacity_provider: Option<String>,
    node: Option<String>,
) -> Launch {
    let propagated = match service.propagate_tags.as_str() {
        "SERVICE" => service.tags.clone(),
        "TASK_DEFINITION" => definition.tags.clone(),
        _ => Vec::new(),
    };
    let managed: &[(&str, &str)] = if service.enable_ecs_managed_tags {
        &[
            ("aws:ecs:clusterName", &service.cluster),
            ("aws:ecs:serviceName", &service.name),
        ]
    } else {
        &[]
    };
    let network = primary
        .network_configuration
        .clone()
        .and_then(|n| n.awsvpc_configuration);
    Launch {
        cluster: service.cluster.clone(),
        definition: definition.clone(),
        overrides: TaskOverride::default(),
        launch_type: primary.launch_type.clone().unwrap_or_else(|| "FARGATE".to_owned()),
        capacity_provider,
        network: network.filter(|_| definition.is_awsvpc()),
        group: format!("service:{}", service.name),
        service: Some(service.name.clone()),
        started_by: Some(primary.id.clone()),
        enable_execute_command: service.enable_execute_command,
        tags: task_tags(&[], &propagated, managed),
        targets: primary
            .load_balancers
            .iter()
            .filter_map(|b| Some((b.target_group_arn.clone()?, b.container_name.clone(), b.container_port)))
            .collect(),
        node,
    }
}

/// Notes that the deployment is complete and the service steady, once they are.
fn conclude(
    tx: &mut Tx<'_>,
    scope: &Scope,
    service: &mut Service,
    primary: &Deployment,
    wanted: &[Member],
    moving: usize,
) {
    let ready = wanted
        .iter()
        .filter(|m| m.deployment == primary.id && m.serving == Serving::Ready)
        .count();
    let settled = moving == 0 && wanted.len() == ready && ready == service.desired_count as usize;
    if !settled {
        return;
    }
    service.complaint = None;
    if primary.rollout_state == RolloutState::InProgress {
        rollout::complete(tx, scope, service);
        service.steady = false;
    }
    if service.failures > 0 && service.start_after.is_none_or(|at| at <= tx.now()) {
        service.failures = 0;
        service.start_after = None;
    }
    if !service.steady {
        service.steady = true;
        push_event(tx, scope, service, "has reached a steady state.");
    }
}
