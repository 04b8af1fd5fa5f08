//! What tasks use of the machine: sampled for reports to control, and for the statistics that tasks ask for.
//!
//! Not here: reading cgroups (`honmaru-runtime`). Bound: a report is one message for all tasks, at most once an interval.

mod interfaces;
mod rate;
mod report;

pub(crate) use interfaces::{Interface, interfaces};
pub(crate) use rate::{per_second, since_start_ms};
pub(crate) use report::report;
