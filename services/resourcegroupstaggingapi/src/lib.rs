//! Resource Groups Tagging API: the resources of all services by their tags.
//!
//! Not here: tags. Each service keeps its own, and its own rules; whoever joins the services gives them through
//! [`Source`].
//! Invariant: an answer holds resources of the caller's account and region only, in the order of their ARNs.

#![forbid(unsafe_code)]

mod api;
mod change;
mod matching;
pub mod types;

pub use api::operations;

use honmaru_base::{ApiError, Arn, Scope};
use honmaru_machine::{Call, State, Tx};
use std::collections::BTreeMap;

/// botocore's name of this service.
pub const SERVICE: &str = "resourcegroupstaggingapi";

/// Where the tagged resources are.
pub trait Source: 'static {
    /// Every resource of a scope that has tags: ARN, and value by key.
    fn tagged(state: &State, scope: &Scope) -> BTreeMap<String, BTreeMap<String, String>>;

    /// Changes the tags of one resource as its own service does, with the permissions that the service asks for. An
    /// error leaves the resource as it is.
    fn change(tx: &mut Tx<'_>, call: &Call, arn: &Arn, change: &Change) -> Result<(), ApiError>;
}

/// A change of tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets these, value by key.
    Tag(BTreeMap<String, String>),
    /// Removes these keys.
    Untag(Vec<String>),
}

#[cfg(test)]
mod tests;
