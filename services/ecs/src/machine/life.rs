//! The steps of a task's life that others than its node cause. Each does nothing when the task is gone or past it, so
//! that a reconciler that died after half of its work can repeat it.
//!
//! Invariant: `last_status` only grows, and `spec_version` grows with everything that the node must know.

use crate::model::{Interface, LastStatus, Stop, StopCode, Task};
use honmaru_base::Scope;
use honmaru_contract::node::ImageSource;
use honmaru_machine::Tx;
use std::collections::BTreeMap;

/// Changes a task with `change` and writes it if anything differs.
pub(crate) fn change(tx: &mut Tx<'_>, scope: &Scope, id: &str, change: impl FnOnce(&mut Task)) {
    let Some(before) = tx.get::<Task>(scope, id) else {
        return;
    };
    let mut task = before.clone();
    change(&mut task);
    if task != *before {
        debug_assert!(
            task.last_status >= before.last_status,
            "a task's life has one direction"
        );
        task.version += 1;
        tx.put(scope, id, task);
    }
}

/// Makes the task's desired status STOPPED. A task that serves drains first; one that its node never saw skips to
/// the end.
pub fn stop_task(tx: &mut Tx<'_>, scope: &Scope, id: &str, code: StopCode, reason: &str) {
    let now = tx.now();
    change(tx, scope, id, |task| {
        if task.stop.is_some() || task.last_status >= LastStatus::Deprovisioning {
            return;
        }
        task.stop = Some(Stop {
            code,
            reason: reason.to_owned(),
            at: now,
        });
        task.stopping_at = Some(now);
        task.last_status = match task.last_status {
            LastStatus::Provisioning => LastStatus::Deprovisioning,
            LastStatus::Activating | LastStatus::Running if task.targets.iter().any(|t| t.registered) => {
                LastStatus::Deactivating
            }
            status => status.max(LastStatus::Stopping),
        };
        task.spec_version += 1;
    });
}

/// Gives a provisioned task to its node: PROVISIONING to PENDING.
pub fn provisioned(
    tx: &mut Tx<'_>,
    scope: &Scope,
    id: &str,
    interface: Option<Interface>,
    images: BTreeMap<String, ImageSource>,
) {
    change(tx, scope, id, |task| {
        if task.last_status == LastStatus::Provisioning {
            task.last_status = LastStatus::Pending;
            task.interface = interface;
            task.images = images;
            task.spec_version += 1;
        }
    });
}

/// Ends a task that could not be provisioned.
pub fn fail_provisioning(tx: &mut Tx<'_>, scope: &Scope, id: &str, reason: &str) {
    if tx
        .get::<Task>(scope, id)
        .is_some_and(|t| t.last_status == LastStatus::Provisioning)
    {
        stop_task(tx, scope, id, StopCode::TaskFailedToStart, reason);
    }
}

/// The task is registered with all its target groups: ACTIVATING to RUNNING.
pub fn activated(tx: &mut Tx<'_>, scope: &Scope, id: &str) {
    let now = tx.now();
    change(tx, scope, id, |task| {
        if task.last_status == LastStatus::Activating {
            task.last_status = LastStatus::Running;
            task.started_at = Some(now);
        }
    });
}

/// The task's last request is over: DEACTIVATING to STOPPING.
pub fn drained(tx: &mut Tx<'_>, scope: &Scope, id: &str) {
    change(tx, scope, id, |task| {
        if task.last_status == LastStatus::Deactivating {
            task.last_status = LastStatus::Stopping;
            task.spec_version += 1;
        }
    });
}

/// Nothing of the task is left: DEPROVISIONING to STOPPED.
pub fn deprovisioned(tx: &mut Tx<'_>, scope: &Scope, id: &str) {
    let now = tx.now();
    change(tx, scope, id, |task| {
        if task.last_status == LastStatus::Deprovisioning {
            task.last_status = LastStatus::Stopped;
            task.stopped_at = Some(now);
            for container in &mut task.containers {
                "STOPPED".clone_into(&mut container.last_status);
            }
        }
    });
}

/// The task is registered as a target of that group.
pub fn target_registered(tx: &mut Tx<'_>, scope: &Scope, id: &str, target_group_arn: &str) {
    change(tx, scope, id, |task| {
        for target in task
            .targets
            .iter_mut()
            .filter(|t| t.target_group_arn == target_group_arn)
        {
            target.registered = true;
            target.deregistered_at = None;
        }
    });
}

/// The task is no target of that group any more; it drains from now on.
pub fn target_deregistered(tx: &mut Tx<'_>, scope: &Scope, id: &str, target_group_arn: &str) {
    let now = tx.now();
    change(tx, scope, id, |task| {
        for target in task
            .targets
            .iter_mut()
            .filter(|t| t.target_group_arn == target_group_arn && t.registered)
        {
            target.registered = false;
            target.deregistered_at = Some(now);
        }
    });
}
