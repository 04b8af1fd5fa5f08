//! Requests to a shim and its answers.

use crate::{StartFailure, TaskStatus};
use serde::{Deserialize, Serialize};

/// To the shim, one a frame. Every request is answered by exactly one frame, but for `subscribe` and `exec`, which
/// keep their connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Request {
    /// Says which protocol the client speaks. Answer: `hello`.
    Hello {
        /// [`crate::PROTOCOL`] of the client.
        protocol: u32,
    },
    /// Answer: `status`.
    Status,
    /// Answer: `status` now and again at every change.
    Subscribe,
    /// Stops the task: reverse order of dependencies, stop signal, time-out, SIGKILL. Answer: `ok` at once.
    Stop,
    /// Sends a signal to process 1 of a container. Answer: `ok`.
    Signal {
        /// The container.
        container: String,
        /// The signal's number, 1 to 64.
        signal: i32,
    },
    /// Runs a command in a container. Answer: `exec_started` with file descriptors, later `exec_exited` on the same
    /// connection. Closing the connection kills the command and its children.
    Exec(ExecStart),
    /// New size of the terminal of this connection's exec session. Answer: `ok`.
    ExecResize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// Sends a signal to the command of this connection's exec session. Answer: `ok`.
    ExecSignal {
        /// The signal's number, 1 to 64. SIGKILL reaches its children too.
        signal: i32,
    },
}

/// A command to run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecStart {
    /// The container.
    pub container: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Environment added to the container's.
    pub env: Vec<(String, String)>,
    /// Replaces the container's user.
    pub user: Option<String>,
    /// Replaces the container's working directory.
    pub working_directory: Option<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// The terminal's columns; 0: 80.
    pub cols: u16,
    /// The terminal's rows; 0: 24.
    pub rows: u16,
}

/// From the shim, one a frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum Response {
    /// What the shim speaks.
    Hello {
        /// [`crate::PROTOCOL`] of the shim.
        protocol: u32,
        /// The shim's process id.
        shim_pid: u32,
    },
    /// The task's state.
    Status(TaskStatus),
    /// Done, or under way.
    Ok,
    /// The command runs. With a terminal one descriptor (the master), else three: standard input (to write), output
    /// and error (to read).
    ExecStarted {
        /// Process id on the host.
        pid: u32,
    },
    /// The command ended.
    ExecExited {
        /// Exit code, 128 + signal for a killed one.
        exit_code: i32,
    },
    /// The request could not be done.
    Error {
        /// Why.
        message: String,
    },
}

/// What the shim prints on its standard output once: whether the task runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum StartOutcome {
    /// Every container without unmet dependencies has exec'd.
    Started(TaskStatus),
    /// Nothing runs.
    Failed(StartFailure),
}
