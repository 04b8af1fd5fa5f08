//! What the edge has applied: a task drains only after the edge knows that it must.

use honmaru_base::{Scope, Time};
use honmaru_contract::edge::Applied;
use honmaru_machine::{Resource, State, Tx};
use serde::{Deserialize, Serialize};

/// When the edge last said that it serves a new configuration; one row. Not durable: the edge says it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EdgeApplied {
    /// The generation.
    pub(crate) generation: u64,
    /// When.
    pub(crate) at: Time,
}

impl Resource for EdgeApplied {
    const KIND: &'static str = "cloud.edge_applied";
    const DURABLE: bool = false;
}

const KEY: &str = "edge";

/// Takes the edge's word that it serves a configuration: load balancers become active, listeners that failed are
/// noted, and tasks that wait for it may go on.
pub fn observe_edge_applied(tx: &mut Tx<'_>, applied: &Applied) {
    let scope = honmaru_ecs::node_scope();
    let now = tx.now();
    if last_applied(tx).is_none_or(|last| last < now) {
        tx.put(
            &scope,
            KEY,
            EdgeApplied {
                generation: applied.generation,
                at: now,
            },
        );
    }
    honmaru_elbv2::observe_applied(tx, applied);
}

/// When the edge last applied a configuration, since control started.
pub(crate) fn last_applied(state: &State) -> Option<Time> {
    state.get::<EdgeApplied>(&scope(), KEY).map(|row| row.at)
}

fn scope() -> Scope {
    honmaru_ecs::node_scope()
}
