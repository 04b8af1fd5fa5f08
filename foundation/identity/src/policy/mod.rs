//! The IAM policy language and its evaluation. Ref: IAM User Guide, "IAM JSON policy reference".
//!
//! Not here: where policies come from, service and resource control policies of AWS Organizations.

mod cache;
mod caller;
mod condition;
mod context;
mod denied;
mod document;
mod evaluate;
mod named;
mod pattern;
mod principal;
mod shared_issuer;
mod span;

pub use cache::cached_policy;
pub use caller::{Caller, CallerKind};
pub use context::{CallContext, Context};
pub use denied::Denied;
pub use document::{Effect, POLICY_DOCUMENT_BYTES_MAX, Policy, PolicyError, PolicyKind};
pub use evaluate::{Decision, Layer, Policies, Request, evaluate};
pub use span::{Place, statement_places};

/// Whether `text` matches `pattern` with `*` (any text) and `?` (any one character), case-sensitive.
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    pattern::Pattern::literal(pattern).matches(text)
}
