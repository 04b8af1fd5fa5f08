//! What the log remembers of a change: one row of one table, written or removed.

use crate::Resource;
use honmaru_base::{Scope, ScopeError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version of the record format. Older versions decode for ever.
pub const RECORD_FORMAT: u32 = 1;

/// One changed row, as it is read back. `body` is the row's new value, or nothing when the row was deleted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Format version, [`RECORD_FORMAT`] when written today.
    pub v: u32,
    /// The table: a [`crate::Resource::KIND`].
    pub kind: String,
    /// Account and region of the row.
    pub scope: Scope,
    /// The row's key within table and scope.
    pub key: String,
    /// The row as JSON, or nothing when it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<RawValue>>,
}

/// A record as it is written. It has [`Record`]'s members, and is written in one pass: a change costs no tree and no copy.
#[derive(Serialize)]
struct Written<'a, R> {
    v: u32,
    kind: &'a str,
    scope: &'a Scope,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a R>,
}

/// What a usual row takes as JSON; a larger one grows.
const ROW_BYTES: usize = 2_048;

/// The record of one changed row, as the log keeps it: JSON, which [`Record`] reads.
pub(crate) fn encode<R: Resource>(scope: &Scope, key: &str, row: Option<&R>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(if row.is_some() { ROW_BYTES } else { 0 });
    let written = Written {
        v: RECORD_FORMAT,
        kind: R::KIND,
        scope,
        key,
        body: row,
    };
    // Rows are plain data with text keys; serde_json cannot fail on them.
    serde_json::to_writer(&mut bytes, &written).expect("a record is plain data");
    bytes
}

/// Why a record cannot be read back. All of them must stop the process: going on would lose state.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A newer Honmaru wrote this record.
    #[error("record format {0} is newer than this binary understands")]
    Format(u32),
    /// The table is not registered in this binary.
    #[error("no table `{0}` is known to this binary")]
    Kind(String),
    /// The body is no valid row of its table.
    #[error("failed to decode row `{key}` of table `{kind}`")]
    Body {
        /// The table.
        kind: String,
        /// The row's key.
        key: String,
        /// What serde said.
        #[source]
        source: serde_json::Error,
    },
    /// The scope is malformed.
    #[error("failed to decode the scope of a record")]
    Scope(#[source] ScopeError),
}
