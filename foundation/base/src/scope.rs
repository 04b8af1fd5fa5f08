//! Whose and where: the account and the region that every piece of state belongs to.

use serde::{Deserialize, Serialize, Serializer};
use smol_str::SmolStr;
use std::{fmt, str::FromStr};

/// The region under which global services (IAM) keep their state.
pub const GLOBAL_REGION: &str = "aws-global";

/// Why a text is no account id or no region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// An account id has exactly twelve digits.
    #[error("`{0}` is no account id: twelve digits are expected")]
    Account(String),
    /// A region has 1 to 64 characters of a-z, 0-9 and hyphen.
    #[error("`{0}` is no region: 1 to 64 of a-z, 0-9 and `-` are expected")]
    Region(String),
}

/// An AWS account id: twelve digits.
// Both are copied with every call and every row: short texts need no allocation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct AccountId(SmolStr);

/// A region's name, for example `us-east-1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Region(SmolStr);

macro_rules! text {
    ($name:ident, $error:ident, $valid:expr) => {
        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = ScopeError;
            fn from_str(s: &str) -> Result<Self, ScopeError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(s) {
                    Ok(Self(SmolStr::new(s)))
                } else {
                    Err(ScopeError::$error(s.to_owned()))
                }
            }
        }
        impl TryFrom<String> for $name {
            type Error = ScopeError;
            fn try_from(s: String) -> Result<Self, ScopeError> {
                s.parse()
            }
        }
        impl From<$name> for String {
            fn from(v: $name) -> String {
                v.0.into()
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text!(AccountId, Account, |s| s.len() == 12
    && s.bytes().all(|b| b.is_ascii_digit()));
text!(Region, Region, |s| (1..=64).contains(&s.len())
    && s.bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));

/// The account and region that a call, a resource or a table row belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The owning account.
    pub account: AccountId,
    /// The region, or [`GLOBAL_REGION`].
    pub region: Region,
}

impl Scope {
    /// A scope from its two texts; an error when either is malformed.
    pub fn new(account: &str, region: &str) -> Result<Self, ScopeError> {
        Ok(Self {
            account: account.parse()?,
            region: region.parse()?,
        })
    }

    /// The same account in [`GLOBAL_REGION`], where IAM keeps its state.
    pub fn global(&self) -> Self {
        Self {
            account: self.account.clone(),
            region: Region(SmolStr::new_static(GLOBAL_REGION)),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}
