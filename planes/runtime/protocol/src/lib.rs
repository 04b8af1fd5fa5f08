//! What the runtime says to a shim and what the shim answers: plain data and a version. No I/O.
//!
//! Three things cross between the two: the [`ShimTask`] (a file, read once at start), the [`TaskStatus`] (a file that
//! the shim replaces at every change, also pushed to subscribers), and [`Request`]s with their [`Response`]s over the
//! shim's unix socket. There a frame is a length (u32, big endian, at most [`FRAME_BYTES_MAX`]) and that many bytes of
//! JSON. File descriptors of an exec session travel as SCM_RIGHTS beside the frame that answers the request.
//!
//! Invariant: a shim of an older Honmaru goes on running after an upgrade, so fields are added with a default and
//! never change their meaning; what cannot be said that way raises [`PROTOCOL`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bundle;
mod status;
mod talk;

pub use bundle::{
    Bind, Bundle, Condition, Container, ContainerLimits, Dependency, HealthCheck, IdRange, RestartPolicy, ShimTask,
    TaskLimits, Tmpfs, Ulimit,
};
pub use status::{ContainerPhase, ContainerStatus, Health, StartFailure, StopCause, TaskPhase, TaskStatus};
pub use talk::{ExecStart, Request, Response, StartOutcome};

/// The version of the protocol. Both sides say it first; a shim answers what it speaks.
pub const PROTOCOL: u32 = 1;

/// The longest frame, in bytes. A longer one ends the connection.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Most containers in a task. Ref: ECS quota "Containers per task definition".
pub const CONTAINERS_MAX: usize = 10;

/// The status file in a task's directory.
pub const STATUS_FILE: &str = "status.json";
/// The file with the [`ShimTask`] in a task's directory.
pub const TASK_FILE: &str = "task.json";
/// The lock file in a task's directory: held (flock) while the shim lives.
pub const LOCK_FILE: &str = "lock";
/// The shim's socket in a task's directory.
pub const SOCKET_FILE: &str = "shim.sock";

/// Text that the log's format and both sides' tests share: the flag of a whole line.
pub const LOG_WHOLE: char = 'F';
/// The flag of a line's part that goes on in the next record of the same stream.
pub const LOG_PARTIAL: char = 'P';
/// A log file is renamed to `.1` when it has reached this many bytes.
pub const LOG_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A line longer than this is split. Ref: Docker's log drivers split at 16 KiB.
pub const LOG_LINE_BYTES_MAX: usize = 16 * 1024;

/// The name of a container's cgroup inside its task's: prefixed, because a container may be called `tasks`.
pub fn container_cgroup(container: &str) -> String {
    format!("c-{container}")
}

/// The name of a container's log file in the task's directory.
pub fn log_file(container: &str) -> String {
    format!("{container}.log")
}
