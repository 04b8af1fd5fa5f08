//! Commands in running containers: exec sessions of clients, and health checks.

use crate::cgroup::Cgroup;
use crate::failure::Failure;
use crate::process::Starting;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// Most sessions of a task at once.
pub const SESSIONS_MAX: usize = 64;

/// Who wanted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A client by its id.
    Client(u64),
    Health,
}

/// A command on its way or running.
pub struct Session {
    /// The container's place in the task.
    pub unit: usize,
    pub purpose: Purpose,
    pub cgroup: Cgroup,
    /// The helper until it has ended; then its pid may be another's.
    pub helper: Option<libc::pid_t>,
    /// The command's process.
    pub pid: Option<libc::pid_t>,
    /// Open until it has exec'd or failed.
    pub report: Option<OwnedFd>,
    pub ready: bool,
    pub failure: Option<Failure>,
    /// The master of its terminal; a copy goes to the client.
    pub terminal: Option<OwnedFd>,
    /// Our ends of its pipes until they go to the client.
    pub pipes: Vec<OwnedFd>,
    /// When it is killed.
    pub deadline: Option<Instant>,
    pub exit_code: Option<i32>,
}

impl Session {
    pub fn new(unit: usize, purpose: Purpose, cgroup: Cgroup, starting: Starting, deadline: Option<Instant>) -> Self {
        Self {
            unit,
            purpose,
            cgroup,
            helper: Some(starting.pid),
            pid: None,
            report: Some(starting.report),
            ready: false,
            failure: None,
            terminal: None,
            pipes: [starting.stdin, starting.stdout, starting.stderr]
                .into_iter()
                .flatten()
                .collect(),
            deadline,
            exit_code: None,
        }
    }

    /// Whether it runs (its report has ended well).
    pub fn running(&self) -> bool {
        self.report.is_none() && self.failure.is_none()
    }
}
