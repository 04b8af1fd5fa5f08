//! The rows of this service's tables. Each is keyed by its ARN's resource part, for example
//! `regional/webacl/shop/473e64fd-f30b-4765-81a0-62ad96dd167a`; associations by the ARN of the protected resource.

use honmaru_base::{Arn, Scope};
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What web ACLs, rule groups and sets have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// Its name, unique among its kind in its scope.
    pub name: String,
    /// A UUID.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// `REGIONAL` or `CLOUDFRONT`.
    pub scope: String,
    /// Its description.
    pub description: Option<String>,
    /// Changes with every change; a change must name the current one.
    pub lock_token: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A row with an [`Entity`].
pub(crate) trait Kind: Resource {
    /// The part of the ARN between scope and name.
    const PATH: &'static str;
    /// Ref: WAFv2 quotas: how many an account may have in a region.
    const COUNT_MAX: usize;

    fn entity(&self) -> &Entity;
    fn entity_mut(&mut self) -> &mut Entity;
}

/// The key of a row.
pub(crate) fn key<K: Kind>(scope: &str, name: &str, id: &str) -> String {
    let place = if scope == "CLOUDFRONT" { "global" } else { "regional" };
    format!("{place}/{}/{name}/{id}", K::PATH)
}

/// The ARN of a row.
pub(crate) fn arn<K: Kind>(owner: &Scope, scope: &str, name: &str, id: &str) -> String {
    Arn::new(
        "wafv2",
        owner.region.as_str(),
        owner.account.as_str(),
        key::<K>(scope, name, id),
    )
    .to_string()
}

macro_rules! kind {
    ($name:ident, $table:literal, $path:literal, $max:literal) => {
        impl Resource for $name {
            const KIND: &'static str = $table;

            fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
                add("name", format!("{}/{}", self.entity.scope, self.entity.name));
            }
        }

        impl Kind for $name {
            const PATH: &'static str = $path;
            const COUNT_MAX: usize = $max;

            fn entity(&self) -> &Entity {
                &self.entity
            }

            fn entity_mut(&mut self) -> &mut Entity {
                &mut self.entity
            }
        }
    };
}

/// A web ACL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebAcl {
    /// Name, ARN, lock token, tags.
    pub entity: Entity,
    /// The members of `WebACL` that the caller set, as in the API.
    pub settings: Map<String, Value>,
    /// Its WCU.
    pub capacity: u64,
}
kind!(WebAcl, "wafv2.web_acl", "webacl", 100);

/// A rule group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleGroup {
    /// Name, ARN, lock token, tags.
    pub entity: Entity,
    /// The members of `RuleGroup` that the caller set, as in the API.
    pub settings: Map<String, Value>,
    /// Its declared WCU, which never changes.
    pub capacity: u64,
}
kind!(RuleGroup, "wafv2.rule_group", "rulegroup", 100);

/// An IP set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IpSet {
    /// Name, ARN, lock token, tags.
    pub entity: Entity,
    /// `IPV4` or `IPV6`.
    pub version: String,
    /// Address ranges.
    pub addresses: Vec<String>,
}
kind!(IpSet, "wafv2.ip_set", "ipset", 100);

/// A regex pattern set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegexPatternSet {
    /// Name, ARN, lock token, tags.
    pub entity: Entity,
    /// Patterns.
    pub patterns: Vec<String>,
}
kind!(RegexPatternSet, "wafv2.regex_pattern_set", "regexpatternset", 10);

/// Which web ACL protects a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Association {
    /// The web ACL's ARN.
    pub web_acl_arn: String,
}

impl Resource for Association {
    const KIND: &'static str = "wafv2.association";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add("web_acl", self.web_acl_arn.clone());
    }
}
