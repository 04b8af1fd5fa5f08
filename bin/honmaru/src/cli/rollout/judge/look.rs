//! One look at a service, and what earlier ones showed.

use crate::cli::observed::{Service, Target, Task};
use crate::cli::rollout::listening::Open;
use std::collections::{BTreeMap, BTreeSet};

/// One look.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    pub service: &'a Service,
    /// Those that shall run and those that stopped.
    pub tasks: &'a [Task],
    pub targets: &'a [Target],
    pub now_s: f64,
}

impl Look<'_> {
    /// The target that a task is.
    pub(super) fn target(&self, task: &Task) -> Option<&Target> {
        let address = task.address.as_deref()?;
        self.targets.iter().find(|target| target.address == address)
    }

    pub(super) fn is_healthy(&self, task: &Task) -> bool {
        let is_well = task.last_status == "RUNNING" && task.health != "UNHEALTHY";
        is_well && (self.service.target.is_none() || self.target(task).is_some_and(|target| target.state == "healthy"))
    }
}

/// What earlier looks showed and later ones do not.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// The last bad health check of each task; a stopped task is no target any more.
    pub(super) unhealthy: BTreeMap<String, Target>,
    /// What a task with a port that cannot be reached listens on; a stopped task listens on nothing any more.
    pub(super) listens: BTreeMap<String, Open>,
    /// Tasks that were shown while they were wanted: their ends are shown, too.
    pub(super) shown: BTreeSet<String>,
}

impl Memory {
    /// Keeps what is seen of a task.
    pub(super) fn keep(&mut self, task: &Task, look: &Look<'_>) {
        if let Some(target) = look.target(task).filter(|target| target.state == "unhealthy") {
            self.unhealthy.insert(task.id.clone(), target.clone());
        }
        match &task.listening {
            Some(said) => drop(self.listens.insert(task.id.clone(), Open::read(said))),
            None if task.last_status == "RUNNING" => drop(self.listens.remove(&task.id)),
            None => {}
        }
    }
}
