//! Tasks that were accepted before any node was known get their node when there is one.

use crate::machine::{Usage, fail_provisioning};
use crate::model::{LastStatus, Task};
use honmaru_base::{Scope, Time};
use honmaru_machine::{Reconciler, Tx};

/// Ref: what Fargate says when it has no room.
const NO_CAPACITY: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone";

pub(super) struct Pending;

impl Reconciler for Pending {
    fn name(&self) -> &'static str {
        "ecs.pending"
    }

    fn watches(&self) -> &'static [&'static str] {
        &["ecs.task", "ecs.node"]
    }

    fn reconcile(&mut self, tx: &mut Tx<'_>) -> Option<Time> {
        let waiting: Vec<(Scope, String, (u32, u32))> = tx
            .all::<Task>()
            .filter(|(_, _, task)| task.node.is_none() && task.last_status == LastStatus::Provisioning)
            .map(|(scope, id, task)| (scope.clone(), id.to_owned(), task.reserved))
            .collect();
        if waiting.is_empty() {
            return None;
        }
        let mut usage = Usage::of(tx);
        for (scope, id, reserved) in waiting {
            match usage.place(reserved) {
                Ok(Some(node)) => {
                    tx.update::<Task>(&scope, &id, |task| task.node = Some(node));
                }
                Ok(None) => return None,
                Err(_) => fail_provisioning(tx, &scope, &id, NO_CAPACITY),
            }
        }
        None
    }
}
