//! Who calls, and what they may do: SigV4 signatures (checked and made), sealed session tokens, access key ids, and
//! the IAM policy language with its evaluation.
//!
//! Not here: where secrets and policies are kept (`services/iam`), sessions' rules (`services/sts`), HTTP.
//! Invariant: pure. Time, randomness, secrets and policy texts are passed in; nothing here reads a clock or a store.

#![forbid(unsafe_code)]

mod access_key;
mod bounded;
mod policy;
mod session;
mod sigv4;

pub use access_key::{KeyKind, access_key_id, account_of_access_key_id, secret_access_key, unique_id};
pub use bounded::Bounded;
pub use policy::{
    CallContext, Caller, CallerKind, Context, Decision, Denied, Effect, Layer, POLICY_DOCUMENT_BYTES_MAX, Place,
    Policies, Policy, PolicyError, PolicyKind, Request, cached_policy, evaluate, matches_pattern, statement_places,
};
pub use session::{FederatedUser, SEALING_KEY_BYTES, Sealer, Session, SessionError};
pub use sigv4::{
    AuthError, AuthErrorKind, Credentials, EXPIRES_S_MAX, KeyCache, Placement, Presented, ProtocolFamily,
    SESSION_TOKEN_BYTES_MAX, Signed, canonical_request, parse, presign, sign, verify,
};
