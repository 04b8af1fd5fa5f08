//! The log: what the cloud remembers. An append-only sequence of records with a snapshot beside it.
//!
//! It knows nothing of what the bytes mean. Later implementations (etcd, PostgreSQL) change nothing above it.
//! Invariants: revisions start at 1 and have no holes; a record is durable when `append` returns; an append names the
//! head that it expects, so that of two writers one wins and the other learns it.

#![forbid(unsafe_code)]

mod memory;
mod room;
mod sqlite;

pub use memory::MemoryLog;
pub use sqlite::SqliteLog;

/// The position of a record: 1 for the first; 0 is the head of an empty log.
pub type Revision = u64;

/// Why the log could not do it.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Somebody else appended: this process no longer leads and must reload.
    #[error("the log's head is {head}, not {expected}: another process appended to it")]
    Conflict {
        /// What the caller expected.
        expected: Revision,
        /// What the head is.
        head: Revision,
    },
    /// The storage failed. What was appended may or may not be durable: reload, never retry blindly.
    #[error("failed to {doing}")]
    Storage {
        /// What the log was doing.
        doing: &'static str,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The log's content breaks an invariant.
    #[error("the log is damaged: {0}")]
    Damaged(String),
}

/// An append-only sequence of records with one snapshot.
pub trait Log: Send + Sync {
    /// Appends after `head_expected` and returns the new head; durable when it returns.
    fn append(&self, head_expected: Revision, batch: &[Vec<u8>]) -> Result<Revision, LogError>;
    /// Up to `records_max` records from revision `from` on.
    fn read(&self, from: Revision, records_max: usize) -> Result<Vec<(Revision, Vec<u8>)>, LogError>;
    /// The revision of the last record.
    fn head(&self) -> Result<Revision, LogError>;
    /// Replaces the snapshot: the whole state at revision `at`.
    fn snapshot_put(&self, at: Revision, bytes: &[u8]) -> Result<(), LogError>;
    /// The snapshot, if there is one.
    fn snapshot_get(&self) -> Result<Option<(Revision, Vec<u8>)>, LogError>;
    /// Forgets the records up to and including `through`, which a snapshot must cover.
    fn compact(&self, through: Revision) -> Result<(), LogError>;
    /// Whether there is room for more than what must go on. Where there is none, appends still succeed for a while: the log
    /// keeps some room for them.
    fn has_room(&self) -> bool {
        true
    }
    /// Housekeeping away from the commit path, called every few seconds.
    fn maintain(&self) -> Result<(), LogError> {
        Ok(())
    }
}
