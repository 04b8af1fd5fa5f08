//! AWS CloudTrail: what was called, by whom, from where, and what the answer was.
//!
//! Not here: the trail itself. It is bulk data on disk; this crate says what a call's record is ([`Recorded`]), which
//! records a question means ([`Wanted`]) and how they look to a client, and asks for them through [`Trail`].
//! Invariant: an answer holds records of the caller's account and region only.

#![forbid(unsafe_code)]

mod api;
mod document;
mod json;
mod record;
mod trail;
pub mod types;

pub use api::operations;
pub use json::Json;
pub use record::{Recorded, Repeated, Tls, TlsVersion, Who, is_read_only};
pub use trail::{Attribute, Found, Place, Trail, Wanted};

/// botocore's name of this service.
pub const SERVICE: &str = "cloudtrail";

#[cfg(test)]
mod tests;
