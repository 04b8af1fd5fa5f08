//! What a look means: done, failed, or go on.

use super::goal::{Goal, RolledOut};
use super::look::{Look, Memory};
use super::reasons::{given_up_for, said_unhealthy, seen_open, stopped, unhealthy};
use crate::cli::observed::Task;
use crate::cli::rollout::cause::Cause;

/// A container that exits once may have met a bad moment; two of them are a fault of the version.
const EXITS_MAX: usize = 2;
/// How long a complaint about missing room must stand before it counts.
const COMPLAINT_STANDS_S: f64 = 3.0;

/// What a look means.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Wait {
        healthy: u64,
    },
    /// The app answers 404 at a path that nobody has named.
    LacksPath,
    Done(RolledOut),
    Failed(Cause),
}

/// Judges a look.
pub fn judge(goal: &Goal, memory: &mut Memory, look: &Look<'_>) -> Verdict {
    let service = look.service;
    let own: Vec<&Task> = look
        .tasks
        .iter()
        .filter(|task| task.started_by == goal.deployment)
        .collect();
    let recent = || own.iter().copied().filter(|task| task.created_at >= goal.since_s);
    for task in &own {
        memory.keep(task, look);
    }

    if goal.may_lack_path
        && memory
            .unhealthy
            .iter()
            .any(|(task, target)| matches!(unhealthy(task, &target.description, None), Cause::WrongStatus { code, .. } if code == "404"))
    {
        return Verdict::LacksPath;
    }

    let mut exits = Vec::new();
    for task in recent().filter(|task| !task.is_wanted()) {
        match stopped(task, memory, look, said_unhealthy(goal, service)) {
            Some(cause @ Cause::Exited { .. }) => exits.push(cause),
            Some(cause) => return Verdict::Failed(cause),
            None => {}
        }
    }
    let primary = service.primary();
    let given_up = primary.is_none_or(|primary| primary.id != goal.deployment || primary.rollout_state == "FAILED");
    if (given_up || exits.len() >= EXITS_MAX)
        && let Some(cause) = exits.pop()
    {
        return Verdict::Failed(cause);
    }
    for task in own.iter().filter(|task| task.is_wanted()) {
        let Some(cause) = complaint(task, memory, look) else {
            continue;
        };
        let is_forgiven = task.started_at.is_none_or(|started| {
            let since = started.max(goal.since_s).max(goal.path_since_s.unwrap_or_default());
            look.now_s < since + f64::from(goal.forgives_s(&cause))
        });
        if !is_forgiven {
            return Verdict::Failed(cause);
        }
    }
    match primary {
        None => return Verdict::Failed(Cause::Vanished),
        Some(primary) if primary.id != goal.deployment => {
            let is_rollback = primary.rollout_state_reason.contains("rolling back")
                || service
                    .deployments
                    .iter()
                    .any(|d| d.id == goal.deployment && d.rollout_state == "FAILED");
            // What made the circuit breaker go back was seen before, or it went faster than we looked.
            return Verdict::Failed(if is_rollback {
                given_up_for(goal, memory, look, primary)
            } else {
                Cause::Superseded
            });
        }
        Some(primary) if primary.rollout_state == "FAILED" => {
            return Verdict::Failed(Cause::GivenUp {
                reason: primary.rollout_state_reason.clone(),
            });
        }
        Some(_) => {}
    }
    let is_starting = own.iter().any(|task| task.is_wanted() && task.last_status != "RUNNING");
    if let Some(event) = service.events.first()
        && !is_starting
        && event.message.contains("was unable to")
        && event.at >= goal.since_s
        && look.now_s - event.at > COMPLAINT_STANDS_S
    {
        return Verdict::Failed(Cause::NoRoom {
            message: event.message.clone(),
        });
    }

    let wanted: Vec<&&Task> = own.iter().filter(|task| task.is_wanted()).collect();
    let healthy = wanted.iter().filter(|task| look.is_healthy(task)).count() as u64;
    let is_alone = service.deployments.len() == 1;
    let is_complete = primary.is_some_and(|primary| primary.rollout_state == "COMPLETED");
    if is_complete && is_alone && healthy == service.desired && wanted.len() as u64 == service.desired {
        return Verdict::Done(RolledOut {
            healthy,
            desired: service.desired,
        });
    }
    Verdict::Wait { healthy }
}

/// What is wrong with a task that runs: what its health check says, or that it listens elsewhere.
fn complaint(task: &Task, memory: &Memory, look: &Look<'_>) -> Option<Cause> {
    let seen = seen_open(memory, look, &task.id);
    match look.target(task) {
        Some(target) if target.state == "unhealthy" => Some(unhealthy(&task.id, &target.description, seen)),
        Some(target) if target.state == "healthy" => None,
        // The health check has not come to its end yet; what it will say is known.
        _ if task.last_status == "RUNNING" => Some(seen?.cause(&task.id)),
        _ => None,
    }
}
