//! Why a task is not well, or is no more.

use super::goal::Goal;
use super::look::{Look, Memory};
use crate::cli::observed::{Deployment, Service, Task};
use crate::cli::rollout::cause::Cause;
use crate::cli::rollout::listening::Open;

/// ELBv2 of a connection that is refused.
pub(super) const REFUSED: &str = "Health checks failed";

/// Why a task stopped, when that is a failure.
pub(super) fn stopped(task: &Task, memory: &Memory, look: &Look<'_>, said: Option<&str>) -> Option<Cause> {
    let reason = task.stopped_reason.clone().unwrap_or_default();
    let container_reason = task.container_reason.clone().unwrap_or_default();
    if reason.contains("OutOfMemory") || container_reason.contains("OutOfMemory") {
        return Some(Cause::OutOfMemory { task: task.id.clone() });
    }
    match task.stop_code.as_deref() {
        Some("TaskFailedToStart") => {
            let reason = if reason.is_empty() { container_reason } else { reason };
            Some(Cause::CannotStart {
                task: task.id.clone(),
                reason,
            })
        }
        Some("EssentialContainerExited") => Some(Cause::Exited {
            task: task.id.clone(),
            exit_code: task.exit_code,
            reason: container_reason,
        }),
        Some("ServiceSchedulerInitiated") if reason.starts_with("Task failed container") => {
            Some(Cause::ContainerCheck { task: task.id.clone() })
        }
        Some("ServiceSchedulerInitiated") if reason.starts_with("Task failed") => {
            let description = memory
                .unhealthy
                .get(&task.id)
                .map(|target| target.description.as_str())
                .or(said);
            let open = seen_open(memory, look, &task.id);
            Some(unhealthy(&task.id, description.unwrap_or_default(), open))
        }
        _ => None,
    }
}

/// Why the circuit breaker gave the roll-out up: what was seen before, else what the events say, else its own words.
pub(super) fn given_up_for(goal: &Goal, memory: &Memory, look: &Look<'_>, primary: &Deployment) -> Cause {
    if let Some((task, target)) = memory.unhealthy.iter().next_back() {
        return unhealthy(task, &target.description, seen_open(memory, look, task));
    }
    let newest = look
        .tasks
        .iter()
        .rfind(|task| task.started_by == goal.deployment && !task.is_wanted());
    match (newest, said_unhealthy(goal, look.service)) {
        (Some(task), Some(description)) => unhealthy(&task.id, description, seen_open(memory, look, &task.id)),
        _ => Cause::GivenUp {
            reason: primary.rollout_state_reason.clone(),
        },
    }
}

/// What the service's newest event says of a target's health: a look may come after the task was stopped for it.
/// Ref: ECS developer guide, "Service event messages": `is unhealthy in (target-group x) due to (reason y)`.
pub(super) fn said_unhealthy<'a>(goal: &Goal, service: &'a Service) -> Option<&'a str> {
    service
        .events
        .iter()
        .filter(|event| event.at >= goal.since_s)
        .find_map(|event| {
            let (_, reason) = event.message.split_once("due to (reason ")?;
            Some(reason.trim_end_matches('.').trim_end_matches(')'))
        })
}

/// Why a task's port cannot be reached.
pub(super) enum Seen {
    /// It listens on the port, for itself only.
    OnLoopback,
    /// It listens on other ports.
    Elsewhere(Vec<u16>),
}

impl Seen {
    /// As a cause.
    pub(super) fn cause(self, task: &str) -> Cause {
        let task = task.to_owned();
        match self {
            Self::OnLoopback => Cause::OnlyLoopback { task },
            Self::Elsewhere(ports) => Cause::OtherPort { task, ports },
        }
    }

    /// As a part of a sentence.
    pub(super) fn words(&self, port: u16) -> String {
        match self {
            Self::OnLoopback => format!("listens on 127.0.0.1:{port} only"),
            Self::Elsewhere(ports) => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                format!("listens on port {}, not {port}", ports.join(", "))
            }
        }
    }
}

/// What was seen of a task, where it does not listen on the service's port.
pub(super) fn seen_open(memory: &Memory, look: &Look<'_>, task: &str) -> Option<Seen> {
    let (_, port) = look.service.target.as_ref()?;
    why_silent(memory.listens.get(task)?, *port)
}

/// Why nobody reaches that port.
pub(super) fn why_silent(open: &Open, port: u16) -> Option<Seen> {
    if open.to_all.contains(&port) {
        // It has begun to listen meanwhile.
        None
    } else if open.to_itself.contains(&port) {
        Some(Seen::OnLoopback)
    } else if open.to_all.is_empty() {
        None
    } else {
        Some(Seen::Elsewhere(open.to_all.iter().copied().collect()))
    }
}

/// The cause behind ELBv2's description of a bad health check.
/// Ref: ELBv2 `TargetHealth.Description`, with the codes `Target.Timeout`, `Target.ResponseCodeMismatch` and
/// `Target.FailedHealthChecks`.
pub(super) fn unhealthy(task: &str, description: &str, seen: Option<Seen>) -> Cause {
    let task = task.to_owned();
    let code = description
        .split_once("codes: [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map(|(code, _)| code);
    match (code, description) {
        (Some(code), _) => Cause::WrongStatus {
            task,
            code: code.to_owned(),
        },
        (None, "Request timed out") => Cause::Silent { task },
        (None, REFUSED) => match seen {
            Some(seen) => seen.cause(&task),
            None => Cause::NobodyListens { task },
        },
        (None, other) => Cause::Unhealthy {
            task,
            description: other.to_owned(),
        },
    }
}
