//! DEPROVISIONING tasks give back what they had from other services. Runs after [`crate::targets`], which has
//! deregistered them.

use honmaru_base::{Scope, Time};
use honmaru_ecs::{LastStatus, Task};
use honmaru_machine::{Reconciler, Tx};

/// The controller.
pub(crate) struct Release;

impl Reconciler for Release {
    fn name(&self) -> &'static str {
        "cloud.release"
    }

    fn watches(&self) -> &'static [&'static str] {
        &["ecs.task"]
    }

    fn reconcile(&mut self, tx: &mut Tx<'_>) -> Option<Time> {
        let over: Vec<(Scope, String, Option<String>)> = tx
            .all::<Task>()
            .filter(|(_, _, task)| {
                task.last_status == LastStatus::Deprovisioning && !task.targets.iter().any(|target| target.registered)
            })
            .map(|(scope, id, task)| {
                (
                    scope.clone(),
                    id.to_owned(),
                    task.interface.as_ref().map(|i| i.id.clone()),
                )
            })
            .collect();
        for (scope, id, interface) in over {
            if let Some(interface) = interface {
                honmaru_ec2::release_interface(tx, &scope, &interface);
            }
            honmaru_ecs::deprovisioned(tx, &scope, &id);
        }
        None
    }
}
