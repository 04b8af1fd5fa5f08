//! AWS STS: who calls, and temporary credentials.
//!
//! Not here: fetching an issuer's keys (they are put into the state as data), federation by SAML.
//! Invariant: no session is stored. A session is what its sealed token says, and lives as long as its role.

#![forbid(unsafe_code)]

mod api;
mod jwt;
mod session;
mod strict;
mod task;
pub mod types;

pub use api::operations;
pub use jwt::{IssuerKeys, JWKS_BYTES_MAX, note_unreachable_issuer, put_issuer_keys};
pub use session::{authenticate, session_principal, with_session_tags};
pub use task::{TaskCredentials, task_credentials, task_principal};

pub use honmaru_iam::{SealingKey, ensure_key, sealer};
use honmaru_machine::State;

/// botocore's name of the service.
pub const SERVICE: &str = "sts";

/// Adds STS's tables. IAM's must be there, the sealing key among them.
pub fn register(state: &mut State) {
    state.register::<IssuerKeys>();
}

#[cfg(test)]
mod tests;
