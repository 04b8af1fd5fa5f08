//! Runs tasks: starts one shim for each, speaks to it, adopts it again, cleans up after it.
//!
//! The shim (`bin/shim`, embedded here as [`SHIM`]) does the work in the kernel; this is its client. Not here: images
//! and layers (`planes/images`), network namespaces (`planes/network`), what shall run (`planes/node`).
//!
//! What always holds: containers never die because this process does; a task's directory exists from before its shim
//! starts until [`Runtime::remove`]; nothing is mounted in the host's mount namespace; every cgroup lies below
//! `<cgroup name>/<task id>`.
//!
//! A native container shares the host's kernel: it is a user namespace, a seccomp allow-list and a few capabilities
//! away from it, not a virtual machine.

#![warn(missing_docs)]

mod cgroup;
mod connection;
mod descriptor;
mod error;
mod exec;
mod extract;
mod layout;
mod log;
mod runtime;
mod stats;
mod task;

pub use cgroup::{CgroupMode, cgroup_mode};
pub use error::{ExecError, RuntimeError, StartError};
pub use exec::{ExecControl, ExecEvent, ExecInput, ExecSession};
pub use extract::SHIM;
pub use honmaru_runtime_protocol::{
    Bind, Bundle, Condition, Container, ContainerLimits, ContainerPhase, ContainerStatus, Dependency, ExecStart,
    Health, HealthCheck, IdRange, RestartPolicy, StartFailure, StopCause, TaskLimits, TaskPhase, TaskStatus, Tmpfs,
    Ulimit,
};
pub use log::{LogChunk, LogLine, LogStream, read_log};
pub use runtime::{Adopted, Runtime, RuntimeConfig, Swept};
pub use stats::{ContainerStats, DeviceIo, Throttling};
pub use task::{Task, TaskEvent, observed_health, observed_phase};
