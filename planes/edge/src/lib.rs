//! The load balancer's data plane: listeners, routing rules, target selection, health checks, the firewall's hook.
//!
//! It takes an [`honmaru_contract::edge::EdgeConfig`] and serves it; it knows nothing of AWS's wire and keeps no
//! desired state of its own but the last configuration, so that it serves at once after a restart, with or without
//! `control`.
//! Invariants: a configuration of an older generation is refused; no byte of a stranger reaches an assertion; a swap
//! of the configuration drops no connection; every buffer, queue and wait has a limit ([`limits`]).

mod activity;
mod answer;
mod balance;
mod body;
mod clock;
mod compile;
mod condition;
mod connection;
mod control;
mod cookie;
mod counters;
mod edge;
mod entry;
mod error;
mod firewall;
mod forward;
mod group;
mod headers;
mod health;
mod kept;
mod limits;
mod link;
mod listeners;
mod plan;
mod pool;
mod probe;
mod proxy;
mod redirect;
mod resume;
mod run;
mod secure;
mod sockets;
mod stickiness;
mod tcp;
mod tls;
mod tunnel;
mod validate;

pub use counters::{Counters, GroupCounters, LoadBalancerCounters};
pub use edge::{Edge, Stale};
pub use entry::EntryAddresses;
pub use error::EdgeError;
pub use kept::{KeptSockets, NothingKept};
pub use run::{EdgeRunConfig, run, run_fixed, run_fixed_at};
