//! The key that seals session tokens and encoded authorization messages: drawn once, kept for ever, or every session
//! would end with a restart. STS hands out what it seals; it stands here because refusals are sealed with it, too.

use honmaru_base::Scope;
use honmaru_identity::{SEALING_KEY_BYTES, Sealer};
use honmaru_machine::{Resource, State, Tx};
use serde::{Deserialize, Serialize};

/// The one row: the sealing key. It belongs to the installation, not to an account.
#[derive(Clone, Serialize, Deserialize)]
pub struct SealingKey {
    key: [u8; SEALING_KEY_BYTES],
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealingKey").finish_non_exhaustive()
    }
}

impl Resource for SealingKey {
    // Its name in the log from the time when STS had it.
    const KIND: &'static str = "sts.key";
}

const ROW: &str = "sealing";

/// Where rows of the whole installation live.
fn installation() -> Scope {
    Scope::new("000000000000", "us-east-1")
        .expect("a valid account and region")
        .global()
}

/// Draws the sealing key on the first start, and returns it.
pub fn ensure_key(tx: &mut Tx<'_>) -> [u8; SEALING_KEY_BYTES] {
    let scope = installation();
    if let Some(row) = tx.get::<SealingKey>(&scope, ROW) {
        return row.key;
    }
    let mut key = [0; SEALING_KEY_BYTES];
    tx.rng().fill(&mut key);
    tx.put(&scope, ROW, SealingKey { key });
    key
}

/// The sealer of this installation; nothing before [`ensure_key`].
pub fn sealer(state: &State) -> Option<Sealer> {
    state
        .get::<SealingKey>(&installation(), ROW)
        .map(|row| Sealer::new(&row.key))
}
