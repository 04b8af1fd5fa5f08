//! Rules with all that they refer to: resolved for the firewall, checked, weighed.

use crate::error;
use crate::model::{IpSet, Kind, RegexPatternSet, RuleGroup};
use honmaru_base::{ApiError, Arn, Scope};
use honmaru_contract::edge;
use honmaru_firewall::{Firewall, Home, Rule, Statement, capacity, managed_group, parse_rules};
use honmaru_machine::State;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The row of that ARN, in its account and region, if it is `owner`'s.
pub(crate) fn by_arn<'s, K: Kind>(state: &'s State, owner: &Scope, arn: &str) -> Option<&'s K> {
    let parsed: Arn = arn.parse().ok()?;
    if parsed.service != "wafv2" || parsed.account != owner.account.as_str() || parsed.region != owner.region.as_str() {
        return None;
    }
    state.get::<K>(owner, &parsed.resource)
}

/// ARNs that rules refer to.
#[derive(Default)]
pub(crate) struct References {
    pub(crate) arns: BTreeSet<String>,
    /// Keys of label match statements.
    pub(crate) labels: BTreeSet<String>,
}

impl References {
    pub(crate) fn of(rules: &[Rule]) -> Self {
        let mut found = Self::default();
        for rule in rules {
            found.collect(&rule.statement);
        }
        found
    }

    fn collect(&mut self, statement: &Statement) {
        match statement {
            Statement::IpSet { arn, .. } | Statement::RegexSet { arn, .. } | Statement::Group { arn, .. } => {
                self.arns.insert(arn.clone());
            }
            Statement::Label { key, .. } => {
                self.labels.insert(key.clone());
            }
            Statement::And(inner) | Statement::Or(inner) => inner.iter().for_each(|inner| self.collect(inner)),
            Statement::Not(inner) => self.collect(inner),
            Statement::Rate(rate) => rate.scope_down.iter().for_each(|inner| self.collect(inner)),
            Statement::Managed(managed) => managed.scope_down.iter().for_each(|inner| self.collect(inner)),
            Statement::Byte { .. }
            | Statement::Sqli { .. }
            | Statement::Xss { .. }
            | Statement::Size { .. }
            | Statement::Regex { .. }
            | Statement::GeoUnknown { .. }
            | Statement::AsnUnknown { .. } => {}
        }
    }
}

pub(crate) fn parse(rules: &Value, home: Home) -> Result<Vec<Rule>, ApiError> {
    parse_rules(rules, home).map_err(error::of_rules)
}

/// The WCU of rules. Managed groups and own rule groups count with their capacities.
pub(crate) fn weigh(state: &State, owner: &Scope, rules: &[Rule]) -> u64 {
    capacity(
        rules,
        &|arn| by_arn::<RuleGroup>(state, owner, arn).map(|group| group.capacity),
        &|vendor, name| managed_group(vendor, name).map(|group| group.capacity),
    )
}

/// A web ACL for the firewall, with everything that its rules refer to. What does not exist is left out, and the
/// firewall says so.
pub(crate) fn resolve(state: &State, owner: &Scope, name: &str, settings: &Map<String, Value>) -> edge::WebAcl {
    let member = |name: &str| settings.get(name).cloned().unwrap_or(Value::Null);
    let mut acl = edge::WebAcl {
        name: name.to_owned(),
        account: owner.account.to_string(),
        default_action: member("DefaultAction"),
        rules: member("Rules"),
        custom_response_bodies: member("CustomResponseBodies"),
        visibility_config: member("VisibilityConfig"),
        ip_sets: Default::default(),
        regex_pattern_sets: Default::default(),
        rule_groups: Default::default(),
    };
    let top = parse_rules(&acl.rules, Home::WebAcl).unwrap_or_default();
    for arn in References::of(&top).arns {
        refer(state, owner, &arn, &mut acl);
    }
    acl
}

fn refer(state: &State, owner: &Scope, arn: &str, acl: &mut edge::WebAcl) {
    if let Some(set) = by_arn::<IpSet>(state, owner, arn) {
        acl.ip_sets.insert(arn.to_owned(), set.addresses.clone());
    } else if let Some(set) = by_arn::<RegexPatternSet>(state, owner, arn) {
        acl.regex_pattern_sets.insert(arn.to_owned(), set.patterns.clone());
    } else if let Some(group) = by_arn::<RuleGroup>(state, owner, arn) {
        add_group(state, owner, arn, &group.entity.name, &group.settings, acl);
    }
}

fn add_group(
    state: &State,
    owner: &Scope,
    arn: &str,
    name: &str,
    settings: &Map<String, Value>,
    acl: &mut edge::WebAcl,
) {
    let mut body = settings.clone();
    body.insert("Name".to_owned(), name.into());
    let rules = parse_rules(body.get("Rules").unwrap_or(&Value::Null), Home::RuleGroup).unwrap_or_default();
    acl.rule_groups.insert(arn.to_owned(), body.into());
    // A rule group holds no other groups: this goes one step deep.
    for inner in References::of(&rules).arns {
        refer(state, owner, &inner, acl);
    }
}

/// Checks a web ACL with all that it refers to.
pub(crate) fn check_web_acl(
    state: &State,
    owner: &Scope,
    name: &str,
    settings: &Map<String, Value>,
) -> Result<(), ApiError> {
    Firewall::check(&resolve(state, owner, name, settings)).map_err(error::of_rules)
}

/// Checks a rule group as a web ACL would use it.
pub(crate) fn check_group(
    state: &State,
    owner: &Scope,
    name: &str,
    settings: &Map<String, Value>,
) -> Result<(), ApiError> {
    const ARN: &str = "arn:checked";
    parse(settings.get("Rules").unwrap_or(&Value::Null), Home::RuleGroup)?;
    let reference = json!([{
        "Name": "checked", "Priority": 0, "OverrideAction": {"None": {}},
        "Statement": {"RuleGroupReferenceStatement": {"ARN": ARN}},
        "VisibilityConfig": {"MetricName": "checked", "SampledRequestsEnabled": false},
    }]);
    let mut wrapper = Map::new();
    wrapper.insert("DefaultAction".to_owned(), json!({"Allow": {}}));
    wrapper.insert("Rules".to_owned(), reference);
    let mut acl = resolve(state, owner, "checked", &wrapper);
    add_group(state, owner, ARN, name, settings, &mut acl);
    Firewall::check(&acl).map_err(error::of_rules)
}
