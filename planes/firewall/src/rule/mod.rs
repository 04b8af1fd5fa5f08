//! Rules as typed trees, read from their JSON form in the WAFv2 API.
//!
//! Invariant: a tree that exists keeps AWS's limits; what is left to check are references and patterns.
//!
//! Where AWS's words are known, badmintoncryer/cdk-preflight recorded them in September 2026 (`pf-wafv2-*`).

mod action;
mod field;
mod json;
mod statement;
mod wcu;

pub use action::{Action, CustomResponse, GroupOverrides, InsertHeaders};
pub use field::{Fallback, Field, Input, JsonField, JsonInvalid, JsonWanted, MapField, MapWanted, Oversize, Part};
pub use statement::{
    ForwardedIp, IpPosition, LabelScope, ManagedGroup, Position, RateKey, RateLimit, SizeOperator, Statement,
};
pub use wcu::{WCU_RULE_GROUP_MAX, WCU_WEB_ACL_MAX, capacity};

use crate::CompileError;
use json::Json;
use serde_json::Value;
use std::collections::BTreeSet;

/// Where rules are: what may stand in them depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// In a web ACL.
    WebAcl,
    /// In a rule group.
    RuleGroup,
}

/// What a rule does when it matches.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// `Action`.
    Act(Action),
    /// `OverrideAction` of a rule that refers to a group: whether the group's decision is turned into Count.
    Override {
        /// `Count`.
        count: bool,
    },
}

/// A rule. Ref: WAFv2 `Rule`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Its place in the order.
    pub priority: i64,
    /// What it looks for.
    pub statement: Statement,
    /// What it does.
    pub effect: Effect,
    /// The labels that it adds, not yet qualified.
    pub labels: Vec<String>,
    /// Its metric name.
    pub metric: String,
    /// Whether requests are sampled.
    pub sampled: bool,
}

/// Label parts that only AWS may begin with. Ref: AWS WAF developer guide, "Label syntax and naming requirements".
const LABEL_RESERVED: [&str; 8] = [
    "awswaf",
    "aws",
    "waf",
    "rulegroup",
    "webacl",
    "regexpatternset",
    "ipset",
    "managed",
];
/// Ref: AWS WAF developer guide: up to five namespaces, then the name.
const LABEL_PARTS_MAX: usize = 6;
/// Ref: the same page.
const LABEL_PART_LEN_MAX: usize = 128;
/// Ref: WAFv2 API, `Rule.RuleLabels`.
const RULE_LABELS_MAX: usize = 100;

/// Reads rules in the order of their priorities. `Null` is no rules.
pub fn parse_rules(rules: &Value, home: Home) -> Result<Vec<Rule>, CompileError> {
    let json = Json::root(rules);
    let mut parsed = Vec::new();
    let mut priorities = BTreeSet::new();
    let mut names = BTreeSet::new();
    for rule in json.items("RULE")? {
        let rule = parse_rule(rule, home)?;
        if !priorities.insert(rule.priority) {
            let reason = "You have a duplicate priority. Priorities must be unique";
            return Err(CompileError::invalid("RULE", rule.priority.to_string(), reason).in_rule(&rule.name));
        }
        if !names.insert(rule.name.clone()) {
            let reason = "Your request contains rules that have the same name. Each rule needs a name of its own";
            return Err(CompileError::invalid("RULE", rule.name.clone(), reason).in_rule(&rule.name));
        }
        parsed.push(rule);
    }
    parsed.sort_by_key(|rule| rule.priority);
    Ok(parsed)
}

fn parse_rule(json: Json<'_>, home: Home) -> Result<Rule, CompileError> {
    let name = json.text("Name", "RULE")?.to_owned();
    let read = || -> Result<Rule, CompileError> {
        let statement = Statement::parse(json.need("Statement", "STATEMENT")?, home, statement::Depth::TOP)?;
        let (action, over) = (json.get("Action"), json.get("OverrideAction"));
        let effect = match (action, over, statement.is_group()) {
            (Some(action), None, false) => Effect::Act(Action::parse(action, "RULE_ACTION")?),
            (None, Some(over), true) => match over.one_of(&["None", "Count"], "OVERRIDE_ACTION")? {
                ("Count", _) => Effect::Override { count: true },
                _ => Effect::Override { count: false },
            },
            (Some(_), Some(_), _) => {
                let reason = "Your statement has multiple values set for a field that requires exactly one value";
                return Err(CompileError::invalid("RULE", "Rule", reason));
            }
            (None, None, _) => {
                let reason = "You have used none or multiple values for a field that requires exactly one value";
                return Err(CompileError::invalid("RULE", "RuleAction/OverrideAction", reason));
            }
            (Some(_), None, true) => {
                let reason = "A reference in your rule statement is not valid";
                return Err(CompileError::invalid("RULE", "Statement", reason));
            }
            (None, Some(_), false) => {
                let reason = "OverrideAction is for rules that reference a rule group. Use Action";
                return Err(CompileError::invalid("OVERRIDE_ACTION", "OverrideAction", reason));
            }
        };
        if let (Statement::Rate(_), Effect::Act(Action::Allow { .. })) = (&statement, &effect) {
            let reason = "A rate-based rule can have any action but Allow";
            return Err(CompileError::invalid("RULE_ACTION", "Allow", reason));
        }
        let mut labels = Vec::new();
        if let Some(given) = json.get("RuleLabels") {
            for label in given.items("LABEL_MATCH_STATEMENT")? {
                labels.push(parse_label(label.text("Name", "LABEL_MATCH_STATEMENT")?)?);
            }
        }
        if labels.len() > RULE_LABELS_MAX {
            return Err(CompileError::invalid(
                "RULE",
                "RuleLabels",
                "A rule can add at most 100 labels",
            ));
        }
        if statement.is_group() && !labels.is_empty() {
            let reason = "A rule that references a rule group cannot add labels";
            return Err(CompileError::invalid("RULE", "RuleLabels", reason));
        }
        let visibility = json.need("VisibilityConfig", "RULE")?;
        Ok(Rule {
            name: name.clone(),
            priority: json.number("Priority", "RULE")?,
            statement,
            effect,
            labels,
            metric: visibility.text("MetricName", "METRIC_NAME")?.to_owned(),
            sampled: visibility.flag("SampledRequestsEnabled"),
        })
    };
    read().map_err(|error| error.in_rule(&name))
}

fn parse_label(name: &str) -> Result<String, CompileError> {
    let parts: Vec<&str> = name.split(':').collect();
    if parts.iter().any(|part| part.len() > LABEL_PART_LEN_MAX) {
        // AWS names no field.
        return Err(CompileError::invalid(
            "null",
            "Label",
            "The parameter value is out of bounds",
        ));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if parts.len() > LABEL_PARTS_MAX || parts.iter().any(|part| part.is_empty() || !part.bytes().all(allowed)) {
        return Err(CompileError::invalid(
            "RULE",
            name,
            "The label contains formatting that is not valid",
        ));
    }
    if parts.iter().any(|part| LABEL_RESERVED.contains(part)) {
        return Err(CompileError::invalid(
            "RULE",
            name,
            "The label contains a reserved word",
        ));
    }
    Ok(name.to_owned())
}
