//! What a node sees of its tasks.

use super::network::Listener;
use honmaru_base::Time;
use serde::{Deserialize, Serialize};

/// What is on the node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeObserved {
    /// CPU units of the machine: 1,024 for each processor.
    pub cpu_units: u32,
    /// Memory of the machine.
    pub memory_mib: u32,
    /// The boot id: another one means that nothing of before runs.
    pub boot_id: String,
    /// Every task that the node knows, running or not yet forgotten.
    pub tasks: Vec<TaskObserved>,
    /// The newest generation applied.
    pub generation: u64,
}

/// How far a task is on the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskPhase {
    /// The network and the images are being prepared.
    Preparing,
    /// All containers that can run are running.
    Running,
    /// It is being stopped.
    Stopping,
    /// Nothing of it runs any more; its network is removed.
    Stopped {
        /// Why.
        reason: StopReason,
    },
}

/// Why a task ended on the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "detail")]
pub enum StopReason {
    /// It was asked to stop.
    Asked,
    /// An essential container ended.
    EssentialContainerExited,
    /// An image could not be had: the whole text, starting with `CannotPullContainerError: `.
    CannotPull(String),
    /// A container could not be started: the whole text, starting with its ECS error name.
    CannotStart(String),
    /// The network could not be made.
    Network(String),
    /// The shim or the machine went away under it.
    Lost(String),
}

/// A container's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerPhase {
    /// Not started yet.
    Pending,
    /// Running.
    Running {
        /// Since when.
        started_at: Time,
        /// The process id on the host.
        pid: u32,
    },
    /// Ended, or never started.
    Stopped {
        /// The exit code, when there was a process.
        exit_code: Option<i32>,
        /// `OutOfMemoryError: ...`, `CannotStartContainerError: ...`, or nothing.
        reason: Option<String>,
        /// When it started, if it did.
        started_at: Option<Time>,
        /// When it ended.
        stopped_at: Time,
    },
}

/// A container's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// No check, or none finished yet.
    Unknown,
    /// The last check passed.
    Healthy,
    /// The checks failed.
    Unhealthy,
}

/// What the node sees of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerObserved {
    /// Its name.
    pub name: String,
    /// Its state.
    pub phase: ContainerPhase,
    /// Its health.
    pub health: Health,
    /// The manifest digest of its image, once known.
    pub image_digest: Option<String>,
    /// The runtime's id of it.
    pub runtime_id: String,
    /// How often it was restarted.
    #[serde(default)]
    pub restarts: u32,
}

/// What the node sees of one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskObserved {
    /// The task.
    pub task_id: String,
    /// How far it is.
    pub phase: TaskPhase,
    /// Its containers.
    pub containers: Vec<ContainerObserved>,
    /// When pulling began and ended.
    pub pull_started_at: Option<Time>,
    /// See `pull_started_at`.
    pub pull_stopped_at: Option<Time>,
    /// Ports that containers declare but nobody outside of the task can reach, while they run.
    #[serde(default)]
    pub silent_ports: Vec<u16>,
    /// What the task listens on instead, while there are silent ports: says why they are silent.
    #[serde(default)]
    pub listening: Vec<Listener>,
}
