//! What an operator asks of the registry: `gc`, `verify`, `usage`. Pushes and pulls go on meanwhile.
//!
//! Not here: who may ask, and how the answer is shown.

mod collect;
mod usage;
mod verify;

pub use collect::Freed;
pub use usage::{RegistryUsage, RepositoryUsage, UsageTotal};
pub use verify::{Finding, FindingKind, VerifyEvent, VerifySummary};

use crate::RegistryError;
use honmaru_images::StoreError;

/// Why housekeeping could not be done.
#[derive(Debug, thiserror::Error)]
pub enum HousekeepingError {
    /// The store could not be read or written.
    #[error("the store could not be read")]
    Store(#[from] StoreError),
    /// Whoever knows the repositories could not say.
    #[error("the repositories could not be listed")]
    Repositories(#[from] RegistryError),
    /// Whoever wanted to know went away.
    #[error("nobody waits for the answer any more")]
    GivenUp,
}
