//! AWS WAFv2: web ACLs, rule groups, IP sets, regex pattern sets, and what web ACLs are associated with.
//!
//! Not here: inspecting requests (`firewall`, used by `edge`); logging configurations, API keys, token integration,
//! managed rule sets of vendors. Those operations answer that they are not implemented.
//! Invariants: every stored web ACL compiles, with all that it refers to; what is referred to cannot be deleted.

#![forbid(unsafe_code)]

mod api;
mod association;
mod edge;
mod error;
mod model;
mod reconcile;
mod rules;
mod tagged;
pub mod types;

pub use api::{SampleSource, operations, sampled_requests};
pub use association::{associate, disassociate, resources_of, web_acl_of};
pub use edge::edge_web_acls;
pub use model::{Association, Entity, IpSet, RegexPatternSet, RuleGroup, WebAcl};
pub use reconcile::Associations;
pub use tagged::tagged;

use honmaru_machine::{Reconciler, State};

/// The service's name in botocore.
pub const SERVICE: &str = "wafv2";

/// Adds this service's tables.
pub fn register(state: &mut State) {
    state.register::<WebAcl>();
    state.register::<RuleGroup>();
    state.register::<IpSet>();
    state.register::<RegexPatternSet>();
    state.register::<Association>();
}

/// This service's controllers.
pub fn reconcilers() -> Vec<Box<dyn Reconciler>> {
    vec![Box::new(Associations)]
}
