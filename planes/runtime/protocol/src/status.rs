//! What a shim knows of its task.

use serde::{Deserialize, Serialize};

/// A task's state. Times are milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// The task.
    pub task_id: String,
    /// [`crate::PROTOCOL`] of the shim.
    pub protocol: u32,
    /// The kernel's boot id: with another one nothing of this runs any more.
    pub boot_id: String,
    /// The shim's process id.
    pub shim_pid: u32,
    /// Grows by one with every change.
    pub sequence: u64,
    /// How far the task is.
    pub phase: TaskPhase,
    /// Why it stops or stopped.
    pub cause: Option<StopCause>,
    /// The containers, in the order of the bundle.
    pub containers: Vec<ContainerStatus>,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskPhase {
    /// Containers without dependencies are being started.
    Starting,
    /// At least these have started; others may still wait for their dependencies.
    Running,
    /// It is being stopped.
    Stopping,
    /// No container runs and none will; exits are on disk.
    Ended,
}

/// Why a task stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum StopCause {
    /// It was asked to.
    Asked,
    /// An essential container ended (or could not run because of its dependencies).
    EssentialContainerExited {
        /// Which.
        container: String,
    },
    /// A container could not be started.
    StartFailed(StartFailure),
    /// Every container ended by itself and none of them was essential.
    AllExited,
}

/// Why a container could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFailure {
    /// The container; empty: the task as a whole.
    pub container: String,
    /// What was being done: `cgroup`, `mount`, `user`, `exec`, ...
    pub step: String,
    /// The whole text for a caller, for example
    /// `CannotStartContainerError: exec: "foo": executable file not found in $PATH`.
    pub message: String,
}

/// One container's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub phase: ContainerPhase,
    /// Its health.
    pub health: Health,
    /// How often it was started again.
    pub restarts: u32,
    /// Bytes of output that could not be written to the log.
    #[serde(default)]
    pub log_bytes_lost: u64,
}

/// How far a container is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ContainerPhase {
    /// Not started: it waits for its dependencies, or its start is under way.
    Pending,
    /// Running.
    Running {
        /// Process id on the host.
        pid: u32,
        /// Since when.
        started_at_ms: i64,
    },
    /// Ended, or will never start.
    Stopped {
        /// Exit code, 128 + signal for a killed one; nothing: there was no process.
        exit_code: Option<i32>,
        /// Whether it was killed for its (or its task's) memory.
        oom: bool,
        /// Why, when the exit code does not say it: `OutOfMemoryError: ...`, `CannotStartContainerError: ...`.
        reason: Option<String>,
        /// When it had started.
        started_at_ms: Option<i64>,
        /// When it ended.
        stopped_at_ms: i64,
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

impl TaskStatus {
    /// One container's state by name.
    pub fn container(&self, name: &str) -> Option<&ContainerStatus> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// Whether nothing of it runs any more.
    pub fn ended(&self) -> bool {
        self.phase == TaskPhase::Ended
    }
}

impl ContainerStatus {
    /// The exit code, once it ended with one.
    pub fn exit_code(&self) -> Option<i32> {
        match self.phase {
            ContainerPhase::Stopped { exit_code, .. } => exit_code,
            ContainerPhase::Pending | ContainerPhase::Running { .. } => None,
        }
    }

    /// Whether it was killed for its memory.
    pub fn oom(&self) -> bool {
        matches!(self.phase, ContainerPhase::Stopped { oom: true, .. })
    }
}
