//! What the runtime says about a task, in the contract's words. Pure.

use crate::ids::runtime_id;
use crate::ports::Heard;
use crate::store::TaskRecord;
use honmaru_base::Time;
use honmaru_contract::node::{ContainerObserved, ContainerPhase, Health, StopReason, TaskObserved, TaskPhase};
use honmaru_runtime::{StopCause, TaskStatus, observed_health, observed_phase};

/// Every container in `phase`: what is known before the runtime knows the task.
pub(crate) fn without_status(
    record: &TaskRecord,
    phase: TaskPhase,
    container: impl Fn(&str) -> ContainerPhase,
) -> TaskObserved {
    let containers = record
        .spec
        .containers
        .iter()
        .map(|spec| ContainerObserved {
            name: spec.name.clone(),
            phase: container(&spec.name),
            health: Health::Unknown,
            image_digest: record.image_digests.get(&spec.name).cloned(),
            runtime_id: runtime_id(&record.spec.task_id, &spec.name),
            restarts: 0,
        })
        .collect();
    TaskObserved {
        task_id: record.spec.task_id.clone(),
        phase,
        containers,
        pull_started_at: record.pull_started_at,
        pull_stopped_at: record.pull_stopped_at,
        silent_ports: Vec::new(),
        listening: Vec::new(),
    }
}

/// A task that the runtime runs.
pub(crate) fn running(record: &TaskRecord, status: &TaskStatus, heard: &Heard) -> TaskObserved {
    let phase = match status.phase {
        honmaru_runtime::TaskPhase::Starting => TaskPhase::Preparing,
        honmaru_runtime::TaskPhase::Running => TaskPhase::Running,
        // Ended is for `ended` to say: first the network goes.
        honmaru_runtime::TaskPhase::Stopping | honmaru_runtime::TaskPhase::Ended => TaskPhase::Stopping,
    };
    let mut observed = without_status(record, phase, |_| ContainerPhase::Pending);
    for container in &mut observed.containers {
        if let Some(found) = status.container(&container.name) {
            container.phase = observed_phase(found);
            container.health = observed_health(found.health);
            container.restarts = found.restarts;
        }
    }
    observed.silent_ports.clone_from(&heard.silent);
    observed.listening.clone_from(&heard.listening);
    observed
}

/// A task that came to its end in the runtime.
pub(crate) fn ended(record: &TaskRecord, status: &TaskStatus, now: Time) -> TaskObserved {
    let reason = match &status.cause {
        Some(StopCause::Asked) => StopReason::Asked,
        Some(StopCause::StartFailed(failure)) => StopReason::CannotStart(failure.message.clone()),
        Some(StopCause::EssentialContainerExited { .. } | StopCause::AllExited) | None => {
            StopReason::EssentialContainerExited
        }
    };
    let mut observed = running(record, status, &Heard::default());
    observed.phase = TaskPhase::Stopped { reason };
    stop_the_rest(&mut observed, None, now);
    observed
}

/// A task whose shim or machine went away.
pub(crate) fn lost(record: &TaskRecord, last: Option<&TaskStatus>, why: &str, now: Time) -> TaskObserved {
    let mut observed = match last {
        Some(status) => running(record, status, &Heard::default()),
        None => without_status(record, TaskPhase::Preparing, |_| ContainerPhase::Pending),
    };
    observed.phase = TaskPhase::Stopped {
        reason: StopReason::Lost(why.to_owned()),
    };
    stop_the_rest(&mut observed, None, now);
    observed
}

/// A task that never ran. `failed` names the container that is to blame and why.
pub(crate) fn never_ran(
    record: &TaskRecord,
    reason: StopReason,
    failed: Option<(&str, &str)>,
    now: Time,
) -> TaskObserved {
    let mut observed = without_status(record, TaskPhase::Stopped { reason }, |_| ContainerPhase::Pending);
    stop_the_rest(&mut observed, failed, now);
    observed
}

/// In a stopped task every container is stopped.
fn stop_the_rest(observed: &mut TaskObserved, failed: Option<(&str, &str)>, now: Time) {
    for container in &mut observed.containers {
        let started_at = match container.phase {
            ContainerPhase::Stopped { .. } => continue,
            ContainerPhase::Running { started_at, .. } => Some(started_at),
            ContainerPhase::Pending => None,
        };
        let reason = failed
            .filter(|(name, _)| *name == container.name)
            .map(|(_, why)| why.to_owned());
        container.phase = ContainerPhase::Stopped {
            exit_code: None,
            reason,
            started_at,
            stopped_at: now,
        };
    }
}
