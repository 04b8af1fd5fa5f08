//! Request inspection: WAFv2 rules compiled to a plan. Pure computation, used by `edge`; the rule parser, the capacity
//! table and the list of managed groups are also used by the WAFv2 service.
//!
//! Not here: HTTP, sockets, clocks; AWS's managed rules. Groups that carry the names of AWS's managed groups have the
//! same rule names and labels, and detection of our own.
//! Invariants: inspection never panics and never blocks on I/O; every buffer that grows with traffic has a bound.

#![forbid(unsafe_code)]

mod answer;
mod error;
mod firewall;
mod inspect;
mod managed;
mod plan;
mod rate;
mod request;
mod rule;
mod run;
mod sample;
mod transform;
mod verdict;

pub use error::{CompileError, CompileErrorKind};
pub use firewall::Firewall;
pub use managed::{ManagedRule, ManagedRuleGroup, managed_group, managed_groups};
pub use request::RequestView;
pub use rule::{
    Action, CustomResponse, Effect, Fallback, Field, ForwardedIp, GroupOverrides, Home, Input, InsertHeaders,
    IpPosition, JsonField, JsonInvalid, JsonWanted, LabelScope, ManagedGroup, MapField, MapWanted, Oversize, Part,
    Position, RateKey, RateLimit, Rule, SizeOperator, Statement, WCU_RULE_GROUP_MAX, WCU_WEB_ACL_MAX, capacity,
    parse_rules,
};
pub use sample::SampleSet;
pub use transform::Transformation;
pub use verdict::{Answer, Decision, Verdict};

/// Checks a regular expression of a pattern set; the error says what is wrong with it.
pub fn check_pattern(pattern: &str) -> Result<(), CompileError> {
    plan::check_pattern(pattern).map(|_| ())
}

/// Checks an address range of an IP set.
pub fn check_address(range: &str) -> Result<(), CompileError> {
    inspect::IpSet::parse(&[range.to_owned()]).map(|_| ())
}
