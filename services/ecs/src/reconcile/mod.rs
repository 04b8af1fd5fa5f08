//! The controllers of this service: services and their deployments, tasks that wait for a node, and rows whose time
//! is over. What needs other services (interfaces, images, targets) is glue and lives in `honmaru-cloud`.

mod members;
mod pending;
mod reap;
mod service;

pub use members::{HealthFn, TargetState};

use honmaru_base::Time;
use honmaru_machine::Reconciler;

/// All controllers. `health` tells the health of a target, which another service knows.
pub fn reconcilers(health: HealthFn) -> Vec<Box<dyn Reconciler>> {
    vec![
        Box::new(pending::Pending),
        Box::new(service::Services::new(health)),
        Box::new(reap::Reap),
    ]
}

/// The earlier of two moments at which to look again.
fn earliest(next: &mut Option<Time>, at: Option<Time>) {
    if let Some(at) = at {
        *next = Some(next.map_or(at, |known| known.min(at)));
    }
}
