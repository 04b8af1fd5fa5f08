//! CloudWatch Logs: groups, streams, and what is asked of their events.
//!
//! Not here: the events themselves. They are bulk data and lie in the journal; this crate says which of them are
//! meant and asks for them through [`Events`].
//! Invariant: events belong to a stream's id, not to its name, so that a stream made anew has none of the old ones.

#![forbid(unsafe_code)]

mod api;
mod events;
mod filter;
mod machine;
mod model;
mod names;
mod tagged;
mod tail;
pub mod types;

pub use api::{operations, tagging};
pub use events::{Events, Page, Plan, Query, StoredEvent, StreamStat};
pub use machine::{cutoff_ms, ensure_group, ensure_group_kept_for, ensure_stream, find_stream, group_exists, streams};
pub use model::{LogGroup, LogStream, QueryDefinition, ResourcePolicy, StreamRef};
pub use tagged::tagged;
pub use tail::{SESSION_LIFE_S, SESSIONS_MAX, Tail, UPDATE_EVERY_MS};

use honmaru_machine::State;

/// The service's name in botocore.
pub const SERVICE: &str = "logs";

/// Adds this service's tables.
pub fn register(state: &mut State) {
    state.register::<LogGroup>();
    state.register::<LogStream>();
    state.register::<ResourcePolicy>();
    state.register::<QueryDefinition>();
}
