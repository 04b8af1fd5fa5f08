//! How each task of a service serves: what the scheduler knows before it decides.

use super::earliest;
use crate::model::{LastStatus, Service, Task};
use honmaru_base::{Scope, Time};
use honmaru_contract::node::Health;
use honmaru_machine::State;
use std::net::Ipv4Addr;

/// A task without any health check counts as healthy once it has run that long. AWS waits 40 s; a task that will
/// crash at its start does so within the first few.
const UNCHECKED_SETTLE_MS: i64 = 5_000;

/// The health of a target as its load balancer knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetState {
    /// Not known yet: `initial`.
    Unknown,
    /// Gets requests, or is not checked at all.
    Healthy,
    /// `unhealthy`, with the description of the last failure.
    Unhealthy(String),
}

/// Tells a target's health: state, scope, target group ARN, address, port.
pub type HealthFn = fn(&State, &Scope, &str, Ipv4Addr, u16) -> TargetState;

/// How a task serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Serving {
    /// It is on its way to RUNNING.
    Starting,
    /// It runs, and its checks have not said anything yet.
    Unknown,
    /// It runs and all of its checks passed.
    Ready,
    /// It runs and a check failed.
    Unhealthy(Unhealthy),
}

/// Which check failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unhealthy {
    /// A container's own.
    Container,
    /// A target group's: ARN, port, description.
    Target(String, u16, String),
}

impl Unhealthy {
    /// `stoppedReason` of the task. Ref: ECS developer guide, "Stopped tasks error messages".
    pub(super) fn stopped_reason(&self) -> String {
        match self {
            Self::Container => "Task failed container health checks".to_owned(),
            Self::Target(arn, _, _) => format!("Task failed ELB health checks in (target-group {arn})"),
        }
    }

    /// The service's event. Ref: ECS developer guide, "Service event messages".
    pub(super) fn event(&self, task: &str) -> String {
        match self {
            Self::Container => format!("(task {task}) failed container health checks."),
            Self::Target(arn, port, why) => {
                format!("(port {port}) is unhealthy in (target-group {arn}) due to (reason {why}).")
            }
        }
    }
}

/// One task whose desired status is RUNNING.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// The task's id.
    pub id: String,
    /// The deployment's id.
    pub deployment: String,
    /// How it serves.
    pub serving: Serving,
    /// When it was created.
    pub created_at: Time,
    /// Whether scale-in and deployments must spare it now.
    pub protected: bool,
    /// Its capacity provider.
    pub capacity_provider: Option<String>,
    /// Whether it has target groups.
    pub balanced: bool,
}

/// Everything about a service's tasks.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Tasks that shall run.
    pub wanted: Vec<Member>,
    /// How many tasks shall stop and still finish their requests.
    pub draining: usize,
    /// How many tasks end for a reason that is not known yet.
    pub unexplained: usize,
    /// When something will change by itself.
    pub look_again: Option<Time>,
}

/// Looks at all tasks of a service.
pub(super) fn members(state: &State, scope: &Scope, service: &Service, now: Time, health: HealthFn) -> Members {
    let mut all = Members::default();
    let key = service.key();
    for (id, task) in state.find::<Task>(scope, "service", &key) {
        if !task.is_wanted() {
            all.draining += usize::from(task.last_status < LastStatus::Stopping);
            all.unexplained += usize::from(!task.accounted);
            continue;
        }
        let protected = task.protected_until.is_some_and(|until| until > now);
        if protected {
            earliest(&mut all.look_again, task.protected_until);
        }
        let (serving, at) = serving(state, scope, service, task, now, health);
        earliest(&mut all.look_again, at);
        all.wanted.push(Member {
            id: id.to_owned(),
            deployment: task.started_by.clone().unwrap_or_default(),
            serving,
            created_at: task.created_at,
            protected,
            capacity_provider: task.capacity_provider.clone(),
            balanced: !task.targets.is_empty(),
        });
    }
    all
}

/// How a task serves, and when that will change by itself.
fn serving(
    state: &State,
    scope: &Scope,
    service: &Service,
    task: &Task,
    now: Time,
    health: HealthFn,
) -> (Serving, Option<Time>) {
    let Some(started_at) = task.started_at.filter(|_| task.last_status == LastStatus::Running) else {
        return (Serving::Starting, None);
    };
    let grace_end = started_at.plus_s(i64::from(service.health_check_grace_period_s.unwrap_or(0)));
    let forgiven = now < grace_end;
    let mut unknown = false;
    let mut unhealthy = None;
    if task.is_checked() {
        match task.health() {
            Health::Healthy => {}
            Health::Unknown => unknown = true,
            Health::Unhealthy => unhealthy = Some(Unhealthy::Container),
        }
    }
    let address = task.interface.as_ref().map(|i| i.private_ip);
    for target in &task.targets {
        let found = address.map_or(TargetState::Unknown, |address| {
            health(state, scope, &target.target_group_arn, address, target.port)
        });
        match found {
            TargetState::Healthy => {}
            TargetState::Unknown => unknown = true,
            TargetState::Unhealthy(why) => {
                unhealthy = unhealthy.or(Some(Unhealthy::Target(
                    target.target_group_arn.clone(),
                    target.port,
                    why,
                )));
            }
        }
    }
    match unhealthy {
        Some(_) if forgiven => return (Serving::Unknown, Some(grace_end)),
        Some(why) => return (Serving::Unhealthy(why), None),
        None if unknown => return (Serving::Unknown, None),
        None => {}
    }
    let settled = started_at.plus_ms(UNCHECKED_SETTLE_MS);
    if !task.is_checked() && task.targets.is_empty() && now < settled {
        return (Serving::Unknown, Some(settled));
    }
    (Serving::Ready, None)
}
