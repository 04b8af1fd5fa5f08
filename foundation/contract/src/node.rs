//! Control and node: tasks that shall run, tasks that do run, security groups, exec sessions, logs, credentials.

mod network;
mod observed;
mod task;
mod usage;

pub use network::{
    HostAddress, Listener, Peer, Protocol, PublishedPort, SecurityGroup, SecurityRule, TaskNetwork, Vpc,
};
pub use observed::{ContainerObserved, ContainerPhase, Health, NodeObserved, StopReason, TaskObserved, TaskPhase};
pub use task::{
    ContainerSpec, DependencyCondition, HealthCheck, ImageSource, LogTarget, MountSpec, RestartPolicy, TaskCredentials,
    TaskGoal, TaskSpec, VolumeSpec,
};
pub use usage::{ContainerUsage, NetworkCounters, NetworkUsage, TaskUsage, UsageReport, UsageWanted};

use crate::Base64;
use honmaru_base::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Control to node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToNode {
    /// The whole desired state. What is not in it shall not run.
    Desired(Box<NodeDesired>),
    /// A part of it: tasks to add or change, ids to forget. Sent after a whole one on the same connection.
    Delta(Box<NodeDelta>),
    /// The answer to [`FromNode::CredentialsWanted`].
    Credentials(TaskCredentials),
    /// Log events up to and including this sequence number are stored.
    LogsStored {
        /// The number of [`FromNode::Logs`].
        sequence: u64,
    },
    /// Opens an exec session in a container.
    ExecOpen(ExecOpen),
    /// Input for an exec session.
    ExecInput {
        /// The session.
        session: String,
        /// Bytes for standard input; empty closes it.
        data: Base64,
    },
    /// A new terminal size.
    ExecResize {
        /// The session.
        session: String,
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// Ends an exec session and kills its process.
    ExecClose {
        /// The session.
        session: String,
    },
}

/// Node to control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromNode {
    /// The first message.
    Hello(crate::Hello),
    /// What the machine has, and every task that it knows; sent after `Hello` and whenever asked.
    Observed(Box<NodeObserved>),
    /// One task changed.
    Task(Box<TaskObserved>),
    /// A container log grew. Control answers `LogsStored` once the events are durable.
    Logs(Box<LogBatch>),
    /// What the tasks of [`NodeDesired::usage`] use: one message for all of them, at every interval.
    Usage(Box<UsageReport>),
    /// A container asked for its role's credentials.
    CredentialsWanted {
        /// The task's ARN.
        task_arn: String,
        /// Whether the execution role (image, logs) or the task role is wanted.
        execution_role: bool,
    },
    /// Output of an exec session.
    ExecOutput {
        /// The session.
        session: String,
        /// Whether it is standard error.
        stderr: bool,
        /// The bytes.
        data: Base64,
    },
    /// An exec session is over.
    ExecExited {
        /// The session.
        session: String,
        /// The exit code, or nothing when the process never started.
        exit_code: Option<i32>,
        /// Why it never started.
        error: Option<String>,
    },
    /// The desired state was refused, because a newer generation was seen.
    Stale {
        /// The newest generation seen.
        generation_seen: u64,
    },
}

/// Everything that shall be on the node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeDesired {
    /// Grows with every change; survives restarts of control.
    pub generation: u64,
    /// The tasks by id.
    pub tasks: BTreeMap<String, TaskSpec>,
    /// The security groups by id.
    pub security_groups: BTreeMap<String, SecurityGroup>,
    /// The VPCs by id.
    pub vpcs: BTreeMap<String, Vpc>,
    /// Addresses (/32) that load balancers of this host own, with the security groups that they are members of.
    pub host_addresses: BTreeMap<Ipv4Addr, HostAddress>,
    /// Names that the VPC's resolver answers, lower case, without a final dot, to addresses.
    pub dns: BTreeMap<String, Vec<Ipv4Addr>>,
    /// Whose use of the machine is to be reported.
    #[serde(default)]
    pub usage: UsageWanted,
}

/// A change to [`NodeDesired`]. Every field that is present replaces the whole of that part, but for tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeDelta {
    /// The new generation.
    pub generation: u64,
    /// Tasks that are new or changed.
    #[serde(default)]
    pub tasks: BTreeMap<String, TaskSpec>,
    /// Tasks that are gone from the desired state: stop, clean up, forget.
    #[serde(default)]
    pub forget: Vec<String>,
    /// All security groups, when one changed.
    #[serde(default)]
    pub security_groups: Option<BTreeMap<String, SecurityGroup>>,
    /// All VPCs, when one changed.
    #[serde(default)]
    pub vpcs: Option<BTreeMap<String, Vpc>>,
    /// All load balancer addresses, when one changed.
    #[serde(default)]
    pub host_addresses: Option<BTreeMap<Ipv4Addr, HostAddress>>,
    /// All names, when one changed.
    #[serde(default)]
    pub dns: Option<BTreeMap<String, Vec<Ipv4Addr>>>,
    /// Whose use is to be reported, when that changed.
    #[serde(default)]
    pub usage: Option<UsageWanted>,
}

/// Opens an exec session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecOpen {
    /// Chosen by control.
    pub session: String,
    /// The task.
    pub task_id: String,
    /// The container's name.
    pub container: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// The terminal's size.
    pub cols: u16,
    /// The terminal's size.
    pub rows: u16,
}

/// Log lines of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogBatch {
    /// Grows by one with every batch of this node; the acknowledgement names it.
    pub sequence: u64,
    /// The task.
    pub task_id: String,
    /// The container.
    pub container: String,
    /// The account whose log group it is.
    pub account: String,
    /// The region of the log group.
    pub region: String,
    /// The log group's name.
    pub group: String,
    /// The log stream's name.
    pub stream: String,
    /// The lines.
    pub events: Vec<LogEvent>,
    /// Where in the container's log this batch ends: a repeated batch has the same and is stored once.
    pub offset: u64,
}

/// One log line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEvent {
    /// When it was written.
    pub at: Time,
    /// The text without its newline.
    pub message: String,
}
