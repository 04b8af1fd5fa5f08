//! The simulated node: starts and stops what it is told, each version in its own way, and reports.

use honmaru_base::{Rng, SeededRng, Time};
use honmaru_contract::node::{
    ContainerObserved, ContainerPhase, FromNode, Health, NodeObserved, StopReason, TaskGoal, TaskObserved, TaskPhase,
    TaskSpec, ToNode,
};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The node's name.
pub(super) const NAME: &str = "node-1";

/// How a version of the app behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// It starts and serves.
    Good,
    /// It ends soon after its start: before two health checks could pass, or else its requests would be lost with it.
    Crashes,
    /// It runs and answers no health check.
    Sick,
    /// Its image cannot be pulled.
    NoImage,
}

/// A task on the node.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) spec: TaskSpec,
    pub(super) version: Version,
    pub(super) phase: TaskPhase,
    pub(super) started_at: Option<Time>,
    /// Grows with each step planned: an older plan is void.
    pub(super) plan: u64,
}

impl Running {
    /// Whether a request to its address is answered.
    pub(super) fn serves(&self) -> bool {
        self.started_at.is_some()
            && self.phase != TaskPhase::Preparing
            && !matches!(self.phase, TaskPhase::Stopped { .. })
    }
}

/// A step that a task takes by itself: task, plan, what happens.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) task: String,
    pub(super) plan: u64,
    pub(super) what: TaskPhase,
}

/// The node.
pub(super) struct Node {
    pub(super) tasks: BTreeMap<String, Running>,
    pub(super) boot_id: u64,
    pub(super) generation: u64,
    versions: BTreeMap<u32, Version>,
}

impl Node {
    pub(super) fn new() -> Self {
        Self {
            tasks: BTreeMap::new(),
            boot_id: 1,
            generation: 0,
            versions: BTreeMap::new(),
        }
    }

    /// How that revision behaves.
    pub(super) fn set_version(&mut self, revision: u32, version: Version) {
        self.versions.insert(revision, version);
    }

    /// The task that has an address.
    pub(super) fn at(&self, address: Ipv4Addr) -> Option<&Running> {
        self.tasks.values().find(|task| {
            let own = task.spec.network.as_ref().map(|network| network.address);
            own == Some(address) && task.serves()
        })
    }

    /// Follows a message; returns the steps to come, each with its delay in milliseconds.
    pub(super) fn hear(&mut self, message: &ToNode, rng: &mut SeededRng) -> Result<Vec<(i64, Step)>, String> {
        let mut steps = Vec::new();
        match message {
            ToNode::Desired(desired) => {
                self.accept(desired.generation)?;
                self.tasks.retain(|id, _| desired.tasks.contains_key(id));
                for spec in desired.tasks.values() {
                    steps.extend(self.want(spec, rng)?);
                }
            }
            ToNode::Delta(delta) => {
                self.accept(delta.generation)?;
                for id in &delta.forget {
                    self.tasks.remove(id);
                }
                for spec in delta.tasks.values() {
                    steps.extend(self.want(spec, rng)?);
                }
            }
            _ => {}
        }
        Ok(steps)
    }

    fn accept(&mut self, generation: u64) -> Result<(), String> {
        if generation < self.generation {
            return Err(format!("generation went back from {} to {generation}", self.generation));
        }
        self.generation = generation;
        Ok(())
    }

    fn want(&mut self, spec: &TaskSpec, rng: &mut SeededRng) -> Result<Option<(i64, Step)>, String> {
        if !self.tasks.contains_key(&spec.task_id) {
            let address = spec.network.as_ref().map(|network| network.address);
            let taken = |task: &&Running| task.spec.network.as_ref().map(|n| n.address) == address;
            if let Some(other) = self.tasks.values().find(taken) {
                return Err(format!("{} gets the address of {}", spec.task_id, other.spec.task_id));
            }
            let version = self.versions.get(&spec.revision).copied().unwrap_or(Version::Good);
            let task = Running {
                spec: spec.clone(),
                version,
                phase: TaskPhase::Preparing,
                started_at: None,
                plan: 0,
            };
            self.tasks.insert(spec.task_id.clone(), task);
        }
        let Some(task) = self.tasks.get_mut(&spec.task_id) else {
            return Ok(None);
        };
        let fresh = task.plan == 0;
        task.spec = spec.clone();
        let (delay, what) = match (&spec.goal, &task.phase) {
            (_, TaskPhase::Stopped { .. }) | (TaskGoal::Stop, TaskPhase::Stopping) => return Ok(None),
            (TaskGoal::Stop, _) => {
                let delay = 50 + rng.below(1_500) as i64;
                if task.started_at.is_some() {
                    task.phase = TaskPhase::Stopping;
                }
                (
                    delay,
                    TaskPhase::Stopped {
                        reason: StopReason::Asked,
                    },
                )
            }
            (TaskGoal::Run, _) if !fresh => return Ok(None),
            (TaskGoal::Run, _) => {
                let delay = 50 + rng.below(2_000) as i64;
                match task.version {
                    Version::NoImage => {
                        let text = "CannotPullContainerError: no such image".to_owned();
                        (
                            delay,
                            TaskPhase::Stopped {
                                reason: StopReason::CannotPull(text),
                            },
                        )
                    }
                    Version::Good | Version::Crashes | Version::Sick => (delay, TaskPhase::Running),
                }
            }
        };
        task.plan += 1;
        Ok(Some((
            delay,
            Step {
                task: spec.task_id.clone(),
                plan: task.plan,
                what,
            },
        )))
    }

    /// Takes a planned step. Returns whether there is something to report, and the step that follows.
    pub(super) fn step(&mut self, now: Time, step: &Step, rng: &mut SeededRng) -> (bool, Option<(i64, Step)>) {
        let Some(task) = self.tasks.get_mut(&step.task).filter(|task| task.plan == step.plan) else {
            return (false, None);
        };
        task.phase = step.what.clone();
        let mut next = None;
        if task.phase == TaskPhase::Running {
            task.started_at = Some(now);
            if task.version == Version::Crashes {
                task.plan += 1;
                let what = TaskPhase::Stopped {
                    reason: StopReason::EssentialContainerExited,
                };
                next = Some((
                    100 + rng.below(800) as i64,
                    Step {
                        task: step.task.clone(),
                        plan: task.plan,
                        what,
                    },
                ));
            }
        }
        (true, next)
    }

    /// A container ends by itself.
    pub(super) fn crash(&mut self, id: &str) -> bool {
        let Some(task) = self.tasks.get_mut(id).filter(|task| task.phase == TaskPhase::Running) else {
            return false;
        };
        task.plan += 1;
        task.phase = TaskPhase::Stopped {
            reason: StopReason::EssentialContainerExited,
        };
        true
    }

    /// The machine reboots. Its agent remembers its tasks and reports them lost, or has forgotten them.
    pub(super) fn reboot(&mut self, remembers: bool) {
        self.boot_id += 1;
        if remembers {
            for task in self
                .tasks
                .values_mut()
                .filter(|task| !matches!(task.phase, TaskPhase::Stopped { .. }))
            {
                task.plan += 1;
                task.phase = TaskPhase::Stopped {
                    reason: StopReason::Lost("the machine restarted".to_owned()),
                };
            }
        } else {
            self.tasks.clear();
        }
    }

    /// The full report.
    pub(super) fn observed(&self) -> FromNode {
        FromNode::Observed(Box::new(NodeObserved {
            cpu_units: 8 * 1_024,
            memory_mib: 16 * 1_024,
            boot_id: format!("boot-{}", self.boot_id),
            tasks: self.tasks.keys().filter_map(|id| self.task(id)).collect(),
            generation: self.generation,
        }))
    }

    /// The report of one task.
    pub(super) fn task(&self, id: &str) -> Option<TaskObserved> {
        let task = self.tasks.get(id)?;
        let started_at = task.started_at;
        let phase = match &task.phase {
            TaskPhase::Preparing => ContainerPhase::Pending,
            TaskPhase::Running | TaskPhase::Stopping => ContainerPhase::Running {
                started_at: started_at.unwrap_or_default(),
                pid: 1,
            },
            TaskPhase::Stopped { reason } => ContainerPhase::Stopped {
                exit_code: started_at.map(|_| if *reason == StopReason::Asked { 143 } else { 1 }),
                reason: None,
                started_at,
                stopped_at: started_at.unwrap_or_default(),
            },
        };
        let containers = task.spec.containers.iter().map(|container| ContainerObserved {
            name: container.name.clone(),
            phase: phase.clone(),
            health: Health::Unknown,
            image_digest: None,
            runtime_id: id.to_owned(),
            restarts: 0,
        });
        Some(TaskObserved {
            task_id: id.to_owned(),
            phase: task.phase.clone(),
            containers: containers.collect(),
            pull_started_at: None,
            pull_stopped_at: None,
            silent_ports: Vec::new(),
            listening: Vec::new(),
        })
    }
}
