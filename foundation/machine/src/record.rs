//! What the log remembers of a change: one row of one table, written or removed.

use honmaru_base::{Scope, ScopeError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version of the record format. Older versions decode for ever.
pub const RECORD_FORMAT: u32 = 1;

/// One changed row. `body` is the row's new value, or nothing when the row was deleted.
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

impl PartialEq for Record {
    /// The same row in the same words.
    fn eq(&self, other: &Self) -> bool {
        (self.v, &self.kind, &self.scope, &self.key) == (other.v, &other.kind, &other.scope, &other.key)
            && self.body.as_deref().map(RawValue::get) == other.body.as_deref().map(RawValue::get)
    }
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
