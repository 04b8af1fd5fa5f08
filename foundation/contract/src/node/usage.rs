//! What tasks use, as a node measures it.

use honmaru_base::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Whose use of the machine a node reports, and how often. Without clusters nothing is measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageWanted {
    /// The ARNs of the clusters whose tasks are meant.
    pub clusters: BTreeSet<String>,
    /// Milliseconds between two reports; 0 counts as a minute.
    pub interval_ms: u64,
}

/// What tasks of a node use at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageReport {
    /// When it was measured.
    pub at: Time,
    /// The tasks that run.
    pub tasks: Vec<TaskUsage>,
}

/// What a running task uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskUsage {
    /// The task.
    pub task_id: String,
    /// Its running containers.
    pub containers: Vec<ContainerUsage>,
    /// Its interface's counters; nothing for a task without network.
    pub network: Option<NetworkUsage>,
}

/// What a running container uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerUsage {
    /// Its name.
    pub name: String,
    /// CPU units since the report before, on average: 1,024 are one vCPU.
    pub cpu_units: f64,
    /// Memory without page cache that can be given back at once.
    pub memory_bytes: u64,
    /// Bytes read from storage since its start.
    pub storage_read_bytes: u64,
    /// Bytes written to storage since its start.
    pub storage_write_bytes: u64,
}

/// The counters of a task's interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkUsage {
    /// What came in.
    pub rx: NetworkCounters,
    /// What went out.
    pub tx: NetworkCounters,
    /// Bytes that came in each second since the report before, on average.
    pub rx_bytes_per_s: f64,
    /// Bytes that went out each second since the report before, on average.
    pub tx_bytes_per_s: f64,
}

/// One direction of an interface, counted since it exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkCounters {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Errors.
    pub errors: u64,
    /// Packets that were dropped.
    pub dropped: u64,
}
