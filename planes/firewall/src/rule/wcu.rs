//! Web ACL capacity units: what rules cost. The figures are one table; only sums are code.
//! Ref: AWS WAF developer guide, "AWS WAF web ACL capacity units". Where its two pages disagree (IP set, regex, pattern
//! set) the list page holds, which agrees with CheckCapacity.

use super::{Field, Input, IpPosition, Position, Rule, Statement};

/// Ref: AWS WAF quotas: WCU of a web ACL.
pub const WCU_WEB_ACL_MAX: u64 = 5_000;
/// Ref: AWS WAF quotas: WCU of a rule group.
pub const WCU_RULE_GROUP_MAX: u64 = 5_000;

struct Table {
    byte_anchored: u64,
    byte_contains: u64,
    sqli_low: u64,
    sqli_high: u64,
    xss: u64,
    size: u64,
    geo: u64,
    asn: u64,
    label: u64,
    ip_set: u64,
    ip_set_forwarded_any: u64,
    regex: u64,
    regex_set: u64,
    rate: u64,
    rate_custom_key: u64,
    all_query_arguments: u64,
    json_body_factor: u64,
    transformation: u64,
    labels_per_unit: u64,
}

const TABLE: Table = Table {
    byte_anchored: 2,
    byte_contains: 10,
    sqli_low: 20,
    sqli_high: 30,
    xss: 40,
    size: 1,
    geo: 1,
    asn: 1,
    label: 1,
    ip_set: 1,
    ip_set_forwarded_any: 4,
    regex: 3,
    regex_set: 25,
    rate: 2,
    rate_custom_key: 30,
    all_query_arguments: 10,
    json_body_factor: 2,
    transformation: 10,
    labels_per_unit: 5,
};

/// What rules cost. `group` gives the capacity of a rule group by its ARN, `managed` that of a managed one by vendor
/// and name; nothing when there is none.
pub fn capacity(
    rules: &[Rule],
    group: &dyn Fn(&str) -> Option<u64>,
    managed: &dyn Fn(&str, &str) -> Option<u64>,
) -> u64 {
    rules
        .iter()
        .map(|rule| {
            let labels = (rule.labels.len() as u64).div_ceil(TABLE.labels_per_unit);
            labels + statement(&rule.statement, group, managed)
        })
        .sum()
}

fn statement(s: &Statement, group: &dyn Fn(&str) -> Option<u64>, managed: &dyn Fn(&str, &str) -> Option<u64>) -> u64 {
    let inner = |s: &Statement| statement(s, group, managed);
    match s {
        Statement::Byte { input, position, .. } => {
            let base = match position {
                Position::Exactly | Position::StartsWith | Position::EndsWith => TABLE.byte_anchored,
                Position::Contains | Position::ContainsWord => TABLE.byte_contains,
            };
            with_input(base, input)
        }
        Statement::Sqli { input, high } => with_input(if *high { TABLE.sqli_high } else { TABLE.sqli_low }, input),
        Statement::Xss { input } => with_input(TABLE.xss, input),
        Statement::Size { input, .. } => with_input(TABLE.size, input),
        Statement::Regex { input, .. } => with_input(TABLE.regex, input),
        Statement::RegexSet { input, .. } => with_input(TABLE.regex_set, input),
        Statement::GeoUnknown { .. } => TABLE.geo,
        Statement::AsnUnknown { .. } => TABLE.asn,
        Statement::Label { .. } => TABLE.label,
        Statement::IpSet { forwarded, .. } => {
            let any = forwarded
                .as_ref()
                .is_some_and(|forwarded| forwarded.position == IpPosition::Any);
            TABLE.ip_set + if any { TABLE.ip_set_forwarded_any } else { 0 }
        }
        Statement::Rate(rate) => {
            let keys = rate
                .keys
                .iter()
                .filter(|key| !matches!(key, super::RateKey::Ip | super::RateKey::ForwardedIp));
            let keys = if rate.custom_keys { keys.count() as u64 } else { 0 };
            TABLE.rate + keys * TABLE.rate_custom_key + rate.scope_down.as_deref().map_or(0, inner)
        }
        Statement::And(all) | Statement::Or(all) => all.iter().map(inner).sum(),
        Statement::Not(one) => inner(one),
        Statement::Managed(it) => {
            managed(&it.vendor, &it.name).unwrap_or(0) + it.scope_down.as_deref().map_or(0, inner)
        }
        Statement::Group { arn, .. } => group(arn).unwrap_or(0),
    }
}

fn with_input(base: u64, input: &Input) -> u64 {
    let (base, pre) = match &input.field {
        Field::JsonBody(_) => (base * TABLE.json_body_factor, 0),
        Field::AllQueryArguments(pre) => (base + TABLE.all_query_arguments, pre.len()),
        Field::SingleQueryArgument(_, pre) => (base, pre.len()),
        Field::SingleHeader(_)
        | Field::UriPath
        | Field::UriFragment(_)
        | Field::QueryString
        | Field::Method
        | Field::Body(_)
        | Field::Headers(_)
        | Field::Cookies(_)
        | Field::HeaderOrder(_)
        | Field::Ja3(_)
        | Field::Ja4(_)
        | Field::ArgumentTexts
        | Field::BodyTexts => (base, 0),
    };
    base + (input.chain.len() + pre) as u64 * TABLE.transformation
}
