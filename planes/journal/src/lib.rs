//! The journal: log events by stream, appended durably, read back in the order of time.
//!
//! Not here: which groups and streams there are (`services/logs`), where lines come from (`planes/node`).
//! Invariants: an append is on disk when it returns; a torn tail is cut off when a segment is opened; a batch that a
//! source sends again (same source, same or older offset) is stored once.

#![forbid(unsafe_code)]

mod page;
mod segment;
mod store;
mod stream;

pub use page::{Cursor, Page, Query};
pub use store::Journal;
pub use stream::Stat;

use std::path::PathBuf;

/// One log event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it happened: milliseconds since the epoch.
    pub timestamp: i64,
    /// When it was stored: milliseconds since the epoch.
    pub ingestion: i64,
    /// Its position in the stream, from 0.
    pub sequence: u64,
    /// The text.
    pub message: String,
}

/// Which stream: unique by all four parts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// The owning account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The log group.
    pub group: String,
    /// The log stream.
    pub stream: String,
}

/// Where a batch comes from, so that the same batch is stored once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// A name that is unique to the origin, for example task and container.
    pub name: String,
    /// Where in the origin the batch ends.
    pub offset: u64,
}

/// Why the journal could not do it.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file could not be read or written.
    #[error("failed to {doing} {}", path.display())]
    Io {
        /// What it was doing.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

pub(crate) fn failed<'a>(
    doing: &'static str,
    path: &'a std::path::Path,
) -> impl FnOnce(std::io::Error) -> JournalError + 'a {
    move |source| JournalError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}
