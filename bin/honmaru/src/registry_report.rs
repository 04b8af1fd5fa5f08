//! What control tells the CLI of the registry's housekeeping: lines of JSON, the last of which is `done` or `failed`.

use honmaru_registry::{Finding, Freed, RegistryUsage, VerifySummary};
use serde::{Deserialize, Serialize};

/// The path of a request, after its host: `<PATH>usage`, `<PATH>verify`, `<PATH>gc`.
pub const PATH: &str = "/_honmaru/registry/";
/// The signing name of such a request: no AWS service's, so that no signature of one is of use here.
pub const SIGNING_NAME: &str = "honmaru";

/// A line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// It goes on; how far a verification has come.
    Progress {
        /// Bytes read so far.
        bytes: u64,
        /// Bytes that there are to read.
        of: u64,
    },
    /// Something that is not as it should be.
    Finding(Finding),
    /// It is done.
    Done(Outcome),
    /// It could not be done.
    Failed {
        /// Why.
        message: String,
    },
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// `usage`.
    Usage(Box<RegistryUsage>),
    /// `verify`.
    Verify(VerifySummary),
    /// `gc`.
    Gc(Freed),
}
