//! Nodes, exec sessions, and calls that must not be carried out twice.

use honmaru_base::{Scope, Time};
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};

/// The scope of rows that belong to the machine, not to an account.
pub fn node_scope() -> Scope {
    Scope::new("000000000000", honmaru_base::GLOBAL_REGION).expect("both texts are valid")
}

/// A node; its key is the name, its scope [`node_scope`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// CPU units: 1,024 for each processor.
    pub cpu_units: u32,
    /// MiB.
    pub memory_mib: u32,
    /// Another one means that nothing of before runs.
    pub boot_id: String,
    /// 32 hexadecimal digits: the id of the container instance that the node is in every cluster.
    pub instance_id: String,
    /// When it was seen first.
    pub registered_at: Time,
}

impl Resource for Node {
    const KIND: &'static str = "ecs.node";
}

/// An exec session that waits for its client; its key is the session's id. Not durable: a session ends with control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The task's id.
    pub task_id: String,
    /// The node that the task is on.
    pub node: String,
    /// The container's name.
    pub container: String,
    /// The command as the caller gave it.
    pub command: String,
    /// Whether it gets a terminal.
    pub interactive: bool,
    /// The secret that opens the data channel.
    pub token: String,
    /// Where what it writes is recorded.
    pub log: Option<SessionLog>,
    /// When it was created.
    pub created_at: Time,
}

/// The log group that records a session, in the session's account. The stream's name is the session's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLog {
    /// Its region.
    pub region: String,
    /// Its name.
    pub group: String,
}

impl Resource for Session {
    const KIND: &'static str = "ecs.session";
    const DURABLE: bool = false;
}

/// What a call with a client token did; its key is `<operation>/<cluster>/<token>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdempotentCall {
    /// The input as text.
    pub input: String,
    /// The ids of what it made: tasks of RunTask, the key of CreateService's service.
    pub tasks: Vec<String>,
    /// When.
    pub at: Time,
}

impl Resource for IdempotentCall {
    const KIND: &'static str = "ecs.idempotent_call";
}
