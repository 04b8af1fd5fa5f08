//! What can go wrong, with what we were doing and to what.

use honmaru_runtime_protocol::StartFailure;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// A failure of the host or of a shim.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// A file operation failed.
    #[error("failed to {doing} {path}")]
    File {
        /// For example `create`.
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The shim program could not be run.
    #[error("failed to run the shim {path}")]
    Spawn {
        /// The extracted shim.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The shim did not answer in time.
    #[error("the shim of task {task_id} did not answer within {limit_s} s")]
    Silent {
        /// The task.
        task_id: String,
        /// The limit.
        limit_s: u64,
    },
    /// The connection to the shim broke or carried nonsense.
    #[error("the connection to the shim of task {task_id} failed")]
    Connection {
        /// The task.
        task_id: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The shim refused the request.
    #[error("the shim of task {task_id} refused: {message}")]
    Refused {
        /// The task.
        task_id: String,
        /// Its words.
        message: String,
    },
    /// The shim is gone and left no final status: it was killed, or the machine was started anew.
    #[error("task {task_id} is lost: {reason}")]
    Lost {
        /// The task.
        task_id: String,
        /// Why.
        reason: String,
    },
    /// There is no such task.
    #[error("no task {task_id}")]
    NoSuchTask {
        /// The task.
        task_id: String,
    },
    /// A cgroup still had processes after they were killed.
    #[error("cgroup {path} still has processes")]
    CgroupBusy {
        /// The cgroup.
        path: PathBuf,
    },
}

/// Why a task did not start. Nothing of it runs; its directory stays (logs) until [`crate::Runtime::remove`].
#[derive(Debug, Error)]
pub enum StartError {
    /// The bundle cannot be: a bad name, a dependency on nobody.
    #[error("bundle of task {task_id} is invalid: {problem}")]
    Invalid {
        /// The task.
        task_id: String,
        /// What is wrong.
        problem: String,
    },
    /// A task of that id exists.
    #[error("task {task_id} exists already")]
    Exists {
        /// The task.
        task_id: String,
    },
    /// A container could not be started.
    #[error("container `{}`: {}: {}", .0.container, .0.step, .0.message)]
    Container(StartFailure),
    /// The host or the shim failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

impl StartError {
    /// The text for ECS's `stoppedReason` and a container's `reason`, starting with its error name.
    pub fn ecs_text(&self) -> String {
        match self {
            StartError::Container(failure) => failure.message.clone(),
            StartError::Invalid { .. } | StartError::Exists { .. } | StartError::Runtime(_) => {
                let mut text = format!("CannotStartContainerError: {self}");
                let mut cause = std::error::Error::source(self);
                while let Some(error) = cause {
                    text.push_str(&format!(": {error}"));
                    cause = error.source();
                }
                text
            }
        }
    }

    /// The container that failed, if it was one.
    pub fn container(&self) -> Option<&str> {
        match self {
            StartError::Container(failure) if !failure.container.is_empty() => Some(&failure.container),
            StartError::Container(_)
            | StartError::Invalid { .. }
            | StartError::Exists { .. }
            | StartError::Runtime(_) => None,
        }
    }
}

/// Why a command did not run in a container.
#[derive(Debug, Error)]
pub enum ExecError {
    /// It could not be started: no such container, it does not run, no such command.
    #[error("{message}")]
    NotStarted {
        /// For example `exec: "foo": executable file not found in $PATH`.
        message: String,
    },
    /// The session is over.
    #[error("the exec session is over")]
    Closed,
    /// The host or the shim failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// Adds the operation and the path to an I/O error.
pub(crate) trait At<T> {
    /// `failed to <doing> <path>`.
    fn at(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T, RuntimeError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: impl Into<PathBuf>) -> Result<T, RuntimeError> {
        self.map_err(|source| RuntimeError::File {
            doing,
            path: path.into(),
            source,
        })
    }
}
