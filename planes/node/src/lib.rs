//! The agent: takes desired tasks from control and makes them run with runtime, network and images; reports what it
//! sees; adopts what runs.
//!
//! Not here: decisions (control), the kernel's side of containers (`honmaru-runtime`) and of packets
//! (`honmaru-network`).
//!
//! Invariants:
//! - Containers never die because this process does. A task that was ever started is never started again.
//! - An older generation of the desired state than one seen is refused, also after a restart.
//! - A log line is sent until control has stored it; a batch that is sent again has the same bounds.
//! - A task's record is on disk before anything of it is made on the host, and goes last.

#![forbid(unsafe_code)]

mod agent;
mod bundle;
mod clock;
mod config;
mod destroy;
mod exec;
mod ids;
mod link;
mod logs;
mod machine;
mod metadata;
mod observe;
mod ports;
mod shared;
mod store;
mod task;
mod usage;

pub use agent::run;
pub use config::{NodeConfig, NodeError};
pub use destroy::destroy;
