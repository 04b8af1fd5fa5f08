//! Which reconciler runs when: after a change of what it watches, or when its time has come.

use honmaru_base::{Rng, Time};
use honmaru_machine::{Reconciler, State, Tables, Tx};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// After a panic a reconciler rests this long.
const REST_AFTER_PANIC_MS: i64 = 1_000;

struct Scheduled {
    reconciler: Box<dyn Reconciler>,
    /// What it watches; nothing before its first run.
    watched: Option<Tables>,
    /// The version of what it watches when it last ran; nothing before its first run.
    seen: Option<u64>,
    wake_at: Option<Time>,
}

/// All reconcilers with what they have seen.
pub(crate) struct Reconcilers {
    all: Vec<Scheduled>,
    /// The state's number of changes when nothing was left to do for any of them.
    settled_at: Option<u64>,
}

impl Reconcilers {
    pub(crate) fn new(reconcilers: Vec<Box<dyn Reconciler>>) -> Self {
        let unseen = |reconciler| Scheduled {
            reconciler,
            watched: None,
            seen: None,
            wake_at: None,
        };
        Self {
            all: reconcilers.into_iter().map(unseen).collect(),
            settled_at: None,
        }
    }

    /// When the next one wants to run though nothing changed.
    pub(crate) fn next_wake(&self) -> Option<Time> {
        self.all.iter().filter_map(|s| s.wake_at).min()
    }

    /// Runs each reconciler that is due, once, and adds what it changed to `records`. Returns whether one ran.
    pub(crate) fn run_due(
        &mut self,
        state: &mut State,
        now: Time,
        rng: &mut dyn Rng,
        records: &mut Vec<Vec<u8>>,
        is_changed: &mut bool,
    ) -> bool {
        let is_settled = self.settled_at == Some(state.changes());
        if is_settled && self.next_wake().is_none_or(|at| at > now) {
            return false;
        }
        let mut ran = false;
        for scheduled in &mut self.all {
            let reconciler = &scheduled.reconciler;
            let watched = scheduled
                .watched
                .get_or_insert_with(|| state.tables(reconciler.watches()));
            let seen = state.version_of(watched);
            let due = scheduled.wake_at.is_some_and(|at| at <= now);
            if scheduled.seen == Some(seen) && !due {
                continue;
            }
            ran = true;
            // What it changes itself is not seen: it looks once more, until nothing is left to do.
            scheduled.seen = Some(seen);
            let mut tx = Tx::new(state, now, rng);
            let reconciler = &mut scheduled.reconciler;
            match catch_unwind(AssertUnwindSafe(|| reconciler.reconcile(&mut tx))) {
                Ok(wake_at) => {
                    scheduled.wake_at = wake_at;
                    *is_changed |= tx.is_changed();
                    records.extend(tx.commit());
                }
                Err(_) => {
                    tx.roll_back();
                    tracing::error!(
                        reconciler = reconciler.name(),
                        "a reconciler panicked; its changes are undone"
                    );
                    scheduled.wake_at = Some(now + REST_AFTER_PANIC_MS);
                }
            }
        }
        self.settled_at = (!ran).then(|| state.changes());
        ran
    }
}
