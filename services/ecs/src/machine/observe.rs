//! What nodes report becomes state. Reports may be lost, doubled or late: the same report twice changes nothing, and a
//! full report repairs what single ones missed.

use super::life::change;
use crate::model::{LastStatus, Node, Stop, StopCode, Task, node_scope};
use honmaru_base::{Scope, Time, hex_id};
use honmaru_contract::node::{ContainerObserved, ContainerPhase, NodeObserved, StopReason, TaskObserved, TaskPhase};
use honmaru_machine::Tx;
use std::collections::BTreeSet;

/// Ref: what DescribeTasks shows for a task whose essential container ended.
const ESSENTIAL_EXITED: &str = "Essential container in task exited";

/// Takes a node's full report: its size, and every task that it knows. A task that the node once reported and knows no
/// more is lost; so is one that shall stop and is unknown there. One that it never reported is still on its way.
pub fn observe_node(tx: &mut Tx<'_>, node_name: &str, seen: &NodeObserved) {
    let before = tx.get::<Node>(&node_scope(), node_name).cloned();
    let rebooted = before.as_ref().is_some_and(|node| node.boot_id != seen.boot_id);
    let node = match &before {
        Some(before) => Node {
            cpu_units: seen.cpu_units,
            memory_mib: seen.memory_mib,
            boot_id: seen.boot_id.clone(),
            ..before.clone()
        },
        None => Node {
            cpu_units: seen.cpu_units,
            memory_mib: seen.memory_mib,
            boot_id: seen.boot_id.clone(),
            instance_id: hex_id(tx.rng(), 32),
            registered_at: tx.now(),
        },
    };
    if before.as_ref() != Some(&node) {
        tx.put(&node_scope(), node_name, node);
    }

    for task in &seen.tasks {
        observe_task(tx, task);
    }

    let known: BTreeSet<&str> = seen.tasks.iter().map(|t| t.task_id.as_str()).collect();
    let lost: Vec<(Scope, String)> = tx
        .all::<Task>()
        .filter(|(_, id, task)| {
            task.node.as_deref() == Some(node_name)
                && task.last_status.is_on_node()
                && !known.contains(id)
                && (task.observed || task.last_status == LastStatus::Stopping)
        })
        .map(|(scope, id, _)| (scope.clone(), id.to_owned()))
        .collect();
    let reason = if rebooted {
        format!("Host EC2 (instance {node_name}) was restarted.")
    } else {
        format!("Host EC2 (instance {node_name}) lost the task.")
    };
    let now = tx.now();
    for (scope, id) in lost {
        change(tx, &scope, &id, |task| {
            end(task, now, &StopReason::Lost(reason.clone()))
        });
    }
}

/// Takes a node's report of one task. A report of a task that is unknown here changes nothing: the node will be told
/// to forget it because it is not in its desired state.
pub fn observe_task(tx: &mut Tx<'_>, seen: &TaskObserved) {
    let found = tx
        .all::<Task>()
        .find(|(_, id, _)| *id == seen.task_id)
        .map(|(scope, _, _)| scope.clone());
    let Some(scope) = found else { return };
    let now = tx.now();
    change(tx, &scope, &seen.task_id, |task| observe(task, now, seen));
}

fn observe(task: &mut Task, now: Time, seen: &TaskObserved) {
    if !task.last_status.is_on_node() {
        return;
    }
    task.observed = true;
    task.pull_started_at = seen.pull_started_at.or(task.pull_started_at);
    task.pull_stopped_at = seen.pull_stopped_at.or(task.pull_stopped_at);
    task.listening.clone_from(&seen.listening);
    for container in &seen.containers {
        observe_container(task, container);
    }
    match &seen.phase {
        TaskPhase::Preparing => {}
        TaskPhase::Running => {
            if task.last_status == LastStatus::Pending {
                if task.targets.is_empty() {
                    task.last_status = LastStatus::Running;
                    task.started_at = Some(now);
                } else {
                    task.last_status = LastStatus::Activating;
                }
            }
        }
        TaskPhase::Stopping => {
            if task.stop.is_none() {
                task.stop = Some(own_stop(task, now));
                task.stopping_at = Some(now);
                task.spec_version += 1;
            }
            task.last_status = task.last_status.max(LastStatus::Stopping);
        }
        TaskPhase::Stopped { reason } => end(task, now, reason),
    }
}

/// Why a task ends that nobody asked to stop. Unless an essential container ended the node will say so when it is over.
fn own_stop(task: &Task, now: Time) -> Stop {
    let exited = task
        .containers
        .iter()
        .any(|c| c.essential && c.last_status == "STOPPED" && c.exit_code.is_some());
    let (code, reason) = if exited {
        (StopCode::EssentialContainerExited, ESSENTIAL_EXITED)
    } else {
        (StopCode::TerminationNotice, "The host is stopping the task.")
    };
    Stop {
        code,
        reason: reason.to_owned(),
        at: now,
    }
}

/// The node has nothing of the task any more.
fn end(task: &mut Task, now: Time, reason: &StopReason) {
    let (code, text) = match reason {
        StopReason::EssentialContainerExited => (StopCode::EssentialContainerExited, ESSENTIAL_EXITED.to_owned()),
        StopReason::CannotPull(text) | StopReason::CannotStart(text) => (StopCode::TaskFailedToStart, text.clone()),
        StopReason::Network(text) => (
            StopCode::TaskFailedToStart,
            format!("ResourceInitializationError: unable to set up the network: {text}"),
        ),
        StopReason::Lost(text) => (StopCode::TerminationNotice, text.clone()),
        StopReason::Asked => (StopCode::TerminationNotice, "The host stopped the task.".to_owned()),
    };
    // A termination notice is what was said before the reason was known.
    if task
        .stop
        .as_ref()
        .is_none_or(|stop| stop.code == StopCode::TerminationNotice)
    {
        if let StopReason::CannotPull(text) | StopReason::CannotStart(text) = reason {
            // The node names the container in the container's own reason; where it did not, all share the text.
            if task.containers.iter().all(|c| c.reason.is_none()) {
                task.containers.iter_mut().for_each(|c| c.reason = Some(text.clone()));
            }
        }
        task.stop = Some(Stop {
            code,
            reason: text,
            at: now,
        });
        task.stopping_at = Some(now);
    }
    task.execution_stopped_at = Some(now);
    task.last_status = LastStatus::Deprovisioning;
    task.spec_version += 1;
    for container in &mut task.containers {
        "STOPPED".clone_into(&mut container.last_status);
    }
}

fn observe_container(task: &mut Task, seen: &ContainerObserved) {
    let Some(container) = task.containers.iter_mut().find(|c| c.name == seen.name) else {
        return;
    };
    container.health = seen.health;
    if seen.image_digest.is_some() {
        container.image_digest.clone_from(&seen.image_digest);
    }
    if !seen.runtime_id.is_empty() {
        container.runtime_id = Some(seen.runtime_id.clone());
    }
    match &seen.phase {
        ContainerPhase::Pending => "PENDING".clone_into(&mut container.last_status),
        ContainerPhase::Running { .. } => {
            "RUNNING".clone_into(&mut container.last_status);
            container.exit_code = None;
        }
        ContainerPhase::Stopped { exit_code, reason, .. } => {
            "STOPPED".clone_into(&mut container.last_status);
            container.exit_code = *exit_code;
            container.reason.clone_from(reason);
        }
    }
}
