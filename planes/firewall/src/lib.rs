//! Request inspection: WAFv2 rules compiled to a plan. Pure computation, used by `edge`.
//!
//! Not here: HTTP, sockets, clocks; AWS's managed rules. Groups that carry the names of AWS's managed groups have the
//! same rule names and labels, and detection of our own.
//! Invariants: inspection never panics and never blocks; every buffer that grows with traffic has a bound.

#![forbid(unsafe_code)]

mod error;
mod firewall;
mod request;
mod verdict;

pub use error::{CompileError, CompileErrorKind};
pub use firewall::{Firewall, SampleSet};
pub use request::RequestView;
pub use verdict::{Answer, Decision, Verdict};
