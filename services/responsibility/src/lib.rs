//! The shared responsibility model: who secures what, and controls that look whether it holds.
//!
//! A control is a row of a table and a pure function over [`Facts`]; files are grouped by what they look at. Ids are those
//! of the project's catalogue. Not here: gathering (the CLI asks the AWS APIs, `honmaru-inspect` looks at the machine).
//! Invariants: nothing passes without evidence; what was not looked at is not assessed, with the reason; a control that
//! cannot fail is not in the table. Decision 0031.

mod control;
mod controls;
mod facts;
mod layers;
mod report;
#[cfg(test)]
mod sample;

pub use control::{Control, Finding, Fix, Outcome, Owner, Scope, Severity};
pub use controls::{all as controls, looks_secret};
pub use facts::{Balancer, Definition, Facts, Identity, Repository, Service, Strangers, epoch_s};
pub use layers::{LAYERS, Layer, ONE_KERNEL, Row};
pub use report::{Counts, Result, check, count, count_controls, exit_is_failure, of_layer};
