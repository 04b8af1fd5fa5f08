//! AWS STS: who calls, and temporary credentials.
//!
//! Not here: fetching an issuer's keys (they are put into the state as data), federation by SAML.
//! Invariant: no session is stored. A session is what its sealed token says, and lives as long as its role.

#![forbid(unsafe_code)]

mod api;
mod jwt;
mod key;
mod session;
mod task;
pub mod types;

pub use api::operations;
pub use jwt::{IssuerKeys, JWKS_BYTES_MAX, put_issuer_keys};
pub use key::{SealingKey, ensure_key, sealer};
pub use session::{authenticate, session_principal};
pub use task::{TaskCredentials, task_credentials, task_principal};

use honmaru_machine::State;

/// botocore's name of the service.
pub const SERVICE: &str = "sts";

/// Adds STS's tables.
pub fn register(state: &mut State) {
    state.register::<SealingKey>();
    state.register::<IssuerKeys>();
}

#[cfg(test)]
mod tests;
