//! What every crate of Honmaru shares: time, randomness, identifiers, ARNs and the one API error.
//!
//! Not here: I/O of any kind. Nothing in this crate reads a clock, a file or the system's randomness.

#![forbid(unsafe_code)]

mod arn;
mod error;
mod ids;
mod rng;
mod scope;
mod time;

pub use arn::{Arn, ArnError};
pub use error::{ApiError, chain};
pub use ids::{alphanumeric_id, hex_id, prefixed_id, uuid};
pub use rng::{Rng, SeededRng};
pub use scope::{AccountId, GLOBAL_REGION, Region, Scope, ScopeError};
pub use time::{Clock, Time};
