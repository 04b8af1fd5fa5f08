//! From the log to the state.

use honmaru_log::{Log, LogError, Revision};
use honmaru_machine::{Record, RecordError, State};

/// Records read from the log at once.
const READ_RECORDS: usize = 4_096;

/// Why the state could not be rebuilt. The process must not serve without it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log cannot be read.
    #[error("failed to read the log")]
    Log(#[from] LogError),
    /// A record is no JSON of ours.
    #[error("failed to decode the record at revision {revision}")]
    Decode {
        /// Which.
        revision: Revision,
        /// What serde said.
        #[source]
        source: serde_json::Error,
    },
    /// A record does not fit this binary's tables.
    #[error("failed to replay the record at revision {revision}")]
    Replay {
        /// Which.
        revision: Revision,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// The log does not continue where its snapshot ends.
    #[error("the log starts at revision {first}, but its snapshot ends at {snapshot}")]
    Gap {
        /// The snapshot's revision.
        snapshot: Revision,
        /// The first record's.
        first: Revision,
    },
}

/// Fills an empty state from snapshot and log; returns the head.
pub fn replay(log: &dyn Log, state: &mut State) -> Result<Revision, OpenError> {
    let mut head = 0;
    if let Some((revision, bytes)) = log.snapshot_get()? {
        for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            replay_one(state, revision, line)?;
        }
        head = revision;
    }
    loop {
        let records = log.read(head + 1, READ_RECORDS)?;
        if let Some((first, _)) = records.first()
            && *first != head + 1
        {
            return Err(OpenError::Gap {
                snapshot: head,
                first: *first,
            });
        }
        let Some((last, _)) = records.last() else {
            return Ok(head);
        };
        for (revision, bytes) in &records {
            replay_one(state, *revision, bytes)?;
        }
        head = *last;
    }
}

fn replay_one(state: &mut State, revision: Revision, bytes: &[u8]) -> Result<(), OpenError> {
    let record: Record = serde_json::from_slice(bytes).map_err(|source| OpenError::Decode { revision, source })?;
    state
        .replay(&record)
        .map_err(|source| OpenError::Replay { revision, source })
}
