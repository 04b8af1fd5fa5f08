//! Resource Groups Tagging API: the resources of all services by their tags.
//!
//! Not here: tags. Each service keeps its own; whoever joins the services gives them through [`Source`].
//! Invariant: an answer holds resources of the caller's account and region only, in the order of their ARNs.

#![forbid(unsafe_code)]

mod api;
mod matching;
pub mod types;

pub use api::operations;

use honmaru_base::Scope;
use honmaru_machine::State;
use std::collections::BTreeMap;

/// botocore's name of this service.
pub const SERVICE: &str = "resourcegroupstaggingapi";

/// Where the tagged resources are.
pub trait Source: 'static {
    /// Every resource of a scope that has tags: ARN, and value by key.
    fn tagged(state: &State, scope: &Scope) -> BTreeMap<String, BTreeMap<String, String>>;
}

#[cfg(test)]
mod tests;
