//! Amazon ECR Public: repositories that everybody may read and only their owner may write.
//!
//! Not here: images, tags, layers and uploads, which are `ecr`'s in the account's global scope; the distribution protocol
//! (the registry plane) and how a stranger gets a token (`control`).
//! Invariants: what a stranger may do is to read; each account has one public registry, and its alias follows from its
//! number, so that a path names the account without a look at the state.

#![forbid(unsafe_code)]

mod access;
mod alias;
mod api;
mod model;
mod place;
pub mod types;

pub use access::registry_access;
pub use alias::{account_of, alias_of};
pub use api::{operations, policy_access, set_policy, tagging};
pub use model::{CatalogData, RegistryData};
pub use place::{Door, PATH_PREFIX, Space, host, is_public_host, registry_uri, scope_of};

use honmaru_machine::State;

/// The service's name in botocore.
pub const SERVICE: &str = "ecr-public";

/// Adds this service's tables.
pub fn register(state: &mut State) {
    state.register::<CatalogData>();
    state.register::<RegistryData>();
}
