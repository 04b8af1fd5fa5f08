//! A handle on one task.

use crate::cgroup::CgroupTree;
use crate::connection::Connection;
use crate::error::{ExecError, RuntimeError};
use crate::exec::{self, ExecSession};
use crate::layout::TaskDir;
use crate::runtime::{read_status, shim_is_alive};
use crate::stats::ContainerStats;
use honmaru_base::Time;
use honmaru_contract::node;
use honmaru_runtime_protocol::{
    ContainerPhase, ContainerStatus, ExecStart, Health, Request, Response, TaskStatus, container_cgroup,
};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// Events that wait for their reader. When they are too many the shim's pushes wait in the socket, and it closes a
/// connection that does not read; the forwarder then asks again.
const EVENTS_QUEUED_MAX: usize = 32;
/// How long a dying shim may hold its lock.
const DEATH_MS_MAX: u64 = 5_000;

/// What happens to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskEvent {
    /// Its state, first as it is, then at every change. Changes in quick succession may arrive as one.
    Changed(TaskStatus),
    /// It ended; the last event.
    Ended(TaskStatus),
    /// Its shim died: its containers are dead. The last event.
    Lost {
        /// What is known.
        reason: String,
    },
}

/// A task. Cheap to clone; dropping it changes nothing.
#[derive(Debug, Clone)]
pub struct Task {
    pub(crate) id: String,
    pub(crate) dir: TaskDir,
    pub(crate) cgroups: CgroupTree,
}

impl Task {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its directory: logs, status, upper layers.
    pub fn dir(&self) -> PathBuf {
        self.dir.0.clone()
    }

    /// The log of one of its containers; see [`crate::read_log`]. The file appears when the container starts.
    pub fn log_path(&self, container: &str) -> PathBuf {
        self.dir.log(container)
    }

    /// Its state, from the shim or, when that has done its work, from disk. `Lost` when the shim died before.
    pub async fn status(&self) -> Result<TaskStatus, RuntimeError> {
        match self.ask(&Request::Status).await {
            Ok(Response::Status(status)) => Ok(status),
            Ok(_) => Err(self.nonsense()),
            Err(error) => match self.final_status(error).await? {
                TaskEvent::Ended(status) | TaskEvent::Changed(status) => Ok(status),
                TaskEvent::Lost { reason } => Err(RuntimeError::Lost {
                    task_id: self.id.clone(),
                    reason,
                }),
            },
        }
    }

    /// Begins to stop it and returns; its end comes as an event. Nothing to do for a task that has ended.
    pub async fn stop(&self) -> Result<(), RuntimeError> {
        match self.ask(&Request::Stop).await {
            Ok(_) => Ok(()),
            Err(error) => self.final_status(error).await.map(|_| ()),
        }
    }

    /// Sends a signal to process 1 of a container.
    pub async fn signal(&self, container: &str, signal: i32) -> Result<(), RuntimeError> {
        self.ask(&Request::Signal {
            container: container.to_string(),
            signal,
        })
        .await
        .map(|_| ())
    }

    /// Runs a command in a container and returns once it has exec'd.
    pub async fn exec(&self, request: ExecStart) -> Result<ExecSession, ExecError> {
        exec::start(&self.id, &self.dir.socket(), request).await
    }

    /// Its events, beginning with its present state and ending with `Ended` or `Lost`. Runs until dropped.
    pub fn events(&self) -> mpsc::Receiver<TaskEvent> {
        let (sender, receiver) = mpsc::channel(EVENTS_QUEUED_MAX);
        let task = self.clone();
        tokio::spawn(async move {
            let last = task.forward(&sender).await;
            let _nobody_listens = sender.send(last).await;
        });
        receiver
    }

    /// Waits for its end. `Lost` when its shim dies.
    pub async fn ended(&self) -> Result<TaskStatus, RuntimeError> {
        let mut events = self.events();
        loop {
            match events.recv().await {
                Some(TaskEvent::Ended(status)) => return Ok(status),
                Some(TaskEvent::Changed(_)) => {}
                Some(TaskEvent::Lost { reason }) => {
                    return Err(RuntimeError::Lost {
                        task_id: self.id.clone(),
                        reason,
                    });
                }
                None => return Err(self.nonsense()),
            }
        }
    }

    /// What each running container has used, by name, read from its cgroup.
    pub fn stats(&self, status: &TaskStatus) -> BTreeMap<String, ContainerStats> {
        let stats = |container: &ContainerStatus| {
            let ContainerPhase::Running { .. } = container.phase else {
                return None;
            };
            Some((container.name.clone(), self.container_stats(&container.name)?))
        };
        status.containers.iter().filter_map(stats).collect()
    }

    /// What a container has used; nothing when it does not run.
    pub fn container_stats(&self, container: &str) -> Option<ContainerStats> {
        let cgroup = format!("{}/{}", self.id, container_cgroup(container));
        self.cgroups.stats(&cgroup, &self.dir.0)
    }

    async fn ask(&self, request: &Request) -> Result<Response, RuntimeError> {
        let mut connection = self.connect().await?;
        connection.ask(request).await
    }

    async fn connect(&self) -> Result<Connection, RuntimeError> {
        let opened = Connection::open(&self.id, &self.dir.socket()).await;
        opened.map_err(|source| RuntimeError::Connection {
            task_id: self.id.clone(),
            source,
        })
    }

    /// Passes pushes on; says what the last event is.
    async fn forward(&self, sender: &mpsc::Sender<TaskEvent>) -> TaskEvent {
        loop {
            let error = match self.subscribe(sender).await {
                Ok(()) => io::Error::from(io::ErrorKind::ConnectionReset),
                Err(RuntimeError::Connection { source, .. }) => source,
                Err(other) => io::Error::other(other.to_string()),
            };
            if sender.is_closed() {
                return TaskEvent::Lost {
                    reason: "nobody listens".into(),
                };
            }
            let error = RuntimeError::Connection {
                task_id: self.id.clone(),
                source: error,
            };
            match self.final_status(error).await {
                Ok(event) => return event,
                // The shim lives; it closed this connection (a slow reader) or was busy. Not in a hurry.
                Err(_) if shim_is_alive(&self.dir) => sleep(Duration::from_millis(50)).await,
                Err(error) => {
                    return TaskEvent::Lost {
                        reason: error.to_string(),
                    };
                }
            }
        }
    }

    async fn subscribe(&self, sender: &mpsc::Sender<TaskEvent>) -> Result<(), RuntimeError> {
        let mut connection = self.connect().await?;
        connection.send(&Request::Subscribe).await?;
        loop {
            let frame = tokio::select! {
                frame = connection.receive() => frame?,
                () = sender.closed() => return Ok(()),
            };
            match frame {
                // The last state is read from disk, where it is durable.
                Some(Response::Status(status)) if status.ended() => {}
                Some(Response::Status(status)) => {
                    if sender.send(TaskEvent::Changed(status)).await.is_err() {
                        return Ok(());
                    }
                }
                Some(_) => return Err(self.nonsense()),
                None => return Ok(()),
            }
        }
    }

    /// After the connection failed with `error`: the final state, or that the task is lost, or `error` if the shim lives.
    async fn final_status(&self, error: RuntimeError) -> Result<TaskEvent, RuntimeError> {
        if !matches!(error, RuntimeError::Connection { .. }) {
            return Err(error);
        }
        let deadline = Instant::now() + Duration::from_millis(DEATH_MS_MAX);
        while shim_is_alive(&self.dir) {
            // Its socket is gone but its lock is held: it is ending, or its socket refused us.
            if Connection::open(&self.id, &self.dir.socket()).await.is_ok() || Instant::now() >= deadline {
                return Err(error);
            }
            sleep(Duration::from_millis(2)).await;
        }
        match read_status(&self.dir) {
            Ok(status) if status.ended() => Ok(TaskEvent::Ended(status)),
            Ok(status) => Ok(TaskEvent::Lost {
                reason: format!("its shim (pid {}) died before it", status.shim_pid),
            }),
            Err(_) if !self.dir.0.exists() => Err(RuntimeError::NoSuchTask {
                task_id: self.id.clone(),
            }),
            Err(_) => Ok(TaskEvent::Lost {
                reason: "its shim left no status".into(),
            }),
        }
    }

    fn nonsense(&self) -> RuntimeError {
        RuntimeError::Connection {
            task_id: self.id.clone(),
            source: io::Error::other("unexpected answer"),
        }
    }
}

/// A container's state in the contract's words.
pub fn observed_phase(container: &ContainerStatus) -> node::ContainerPhase {
    match &container.phase {
        ContainerPhase::Pending => node::ContainerPhase::Pending,
        ContainerPhase::Running { pid, started_at_ms } => node::ContainerPhase::Running {
            started_at: Time::from_ms(*started_at_ms),
            pid: *pid,
        },
        ContainerPhase::Stopped {
            exit_code,
            oom: _,
            reason,
            started_at_ms,
            stopped_at_ms,
        } => node::ContainerPhase::Stopped {
            exit_code: *exit_code,
            reason: reason.clone(),
            started_at: started_at_ms.map(Time::from_ms),
            stopped_at: Time::from_ms(*stopped_at_ms),
        },
    }
}

/// A container's health in the contract's words.
pub fn observed_health(health: Health) -> node::Health {
    match health {
        Health::Unknown => node::Health::Unknown,
        Health::Healthy => node::Health::Healthy,
        Health::Unhealthy => node::Health::Unhealthy,
    }
}
