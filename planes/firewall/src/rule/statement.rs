//! The sixteen statements.

mod parse;

pub(super) use parse::Depth;

use super::{Fallback, GroupOverrides, Input};
use crate::Transformation;

/// Where a byte string must stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Position {
    /// It is the whole text.
    Exactly,
    /// At the begin.
    StartsWith,
    /// At the end.
    EndsWith,
    /// Anywhere.
    Contains,
    /// Anywhere, without a letter, digit or underscore before or after it.
    ContainsWord,
}

/// How a size compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeOperator {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less or equal.
    Le,
    /// Less.
    Lt,
    /// Greater or equal.
    Ge,
    /// Greater.
    Gt,
}

impl SizeOperator {
    /// Whether `size` compares so to `limit`.
    pub fn holds(self, size: u64, limit: u64) -> bool {
        match self {
            SizeOperator::Eq => size == limit,
            SizeOperator::Ne => size != limit,
            SizeOperator::Le => size <= limit,
            SizeOperator::Lt => size < limit,
            SizeOperator::Ge => size >= limit,
            SizeOperator::Gt => size > limit,
        }
    }
}

/// Which of the addresses in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpPosition {
    /// The first.
    First,
    /// The last.
    Last,
    /// Any of the last ten.
    Any,
}

/// An address from a header in place of the peer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardedIp {
    /// The header, lower case.
    pub header: String,
    /// When the header holds no valid address.
    pub fallback: Fallback,
    /// Which address.
    pub position: IpPosition,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelScope {
    /// The whole label.
    Label,
    /// Its begin, up to a colon.
    Namespace,
}

/// One part of a custom aggregation key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateKey {
    /// The component after its transformations.
    Text(Input),
    /// The cookie of that name after its transformations.
    Cookie(String, Vec<Transformation>),
    /// The method.
    Method,
    /// The peer.
    Ip,
    /// The forwarded address.
    ForwardedIp,
    /// All labels of that namespace.
    Labels(String),
}

/// A rate-based statement.
#[derive(Debug, Clone, PartialEq)]
pub struct RateLimit {
    /// Requests in the window beyond which the action applies.
    pub limit: u64,
    /// The window in seconds.
    pub window_s: u32,
    /// What is counted apart; empty: everything together.
    pub keys: Vec<RateKey>,
    /// For `ForwardedIp` keys.
    pub forwarded: Option<ForwardedIp>,
    /// Only such requests are counted and limited.
    pub scope_down: Option<Box<Statement>>,
    /// WCU of the keys.
    pub custom_keys: bool,
}

/// A reference to a managed rule group.
#[derive(Debug, Clone, PartialEq)]
pub struct ManagedGroup {
    /// The vendor, for example `AWS`.
    pub vendor: String,
    /// The group.
    pub name: String,
    /// A version; nothing: the default one.
    pub version: Option<String>,
    /// Only such requests are inspected.
    pub scope_down: Option<Box<Statement>>,
    /// Changed actions.
    pub overrides: GroupOverrides,
}

/// A statement. Ref: WAFv2 `Statement`.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `ByteMatchStatement`.
    Byte {
        /// Where to look.
        input: Input,
        /// What to look for.
        search: Vec<u8>,
        /// Where it must stand.
        position: Position,
    },
    /// `SqliMatchStatement`.
    Sqli {
        /// Where to look.
        input: Input,
        /// Sensitivity HIGH.
        high: bool,
    },
    /// `XssMatchStatement`.
    Xss {
        /// Where to look.
        input: Input,
    },
    /// `SizeConstraintStatement`.
    Size {
        /// Where to look.
        input: Input,
        /// How.
        operator: SizeOperator,
        /// The size in bytes.
        size: u64,
    },
    /// `RegexMatchStatement`, or a managed rule's patterns of which one must match.
    Regex {
        /// Where to look.
        input: Input,
        /// The patterns.
        patterns: Vec<String>,
    },
    /// `RegexPatternSetReferenceStatement`.
    RegexSet {
        /// Where to look.
        input: Input,
        /// The set.
        arn: String,
    },
    /// `GeoMatchStatement`. Only `XX`, unknown, can be asked for: there is no location data.
    GeoUnknown {
        /// An address from a header.
        forwarded: Option<ForwardedIp>,
    },
    /// `AsnMatchStatement`. Only 0, unknown, can be asked for: there is no routing data.
    AsnUnknown {
        /// An address from a header.
        forwarded: Option<ForwardedIp>,
    },
    /// `IPSetReferenceStatement`.
    IpSet {
        /// The set.
        arn: String,
        /// An address from a header.
        forwarded: Option<ForwardedIp>,
    },
    /// `LabelMatchStatement`.
    Label {
        /// How to compare.
        scope: LabelScope,
        /// The label or namespace.
        key: String,
    },
    /// `RateBasedStatement`.
    Rate(Box<RateLimit>),
    /// `AndStatement`.
    And(Vec<Statement>),
    /// `OrStatement`.
    Or(Vec<Statement>),
    /// `NotStatement`.
    Not(Box<Statement>),
    /// `ManagedRuleGroupStatement`.
    Managed(Box<ManagedGroup>),
    /// `RuleGroupReferenceStatement`.
    Group {
        /// The group.
        arn: String,
        /// Changed actions.
        overrides: GroupOverrides,
    },
}

impl Statement {
    /// Whether it refers to a group of rules.
    pub fn is_group(&self) -> bool {
        matches!(self, Statement::Managed(_) | Statement::Group { .. })
    }
}
