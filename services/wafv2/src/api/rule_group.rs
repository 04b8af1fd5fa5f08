//! Rule groups, and CheckCapacity.

use super::entities::{New, begin, check_scope, locked_by, named, store, summary, text};
use super::limits;
use super::web_acl::settings;
use crate::error;
use crate::model::{RuleGroup, WebAcl};
use crate::rules::{self, References};
use honmaru_base::ApiError;
use honmaru_firewall::{Firewall, Home, WCU_RULE_GROUP_MAX, parse_rules};
use honmaru_machine::{Call, State, Tx};
use serde_json::{Map, Value, json};

const SETTINGS: [&str; 3] = ["Rules", "VisibilityConfig", "CustomResponseBodies"];

/// Checks the rules of a group of that declared capacity.
fn check(state: &State, call: &Call, name: &str, settings: &Map<String, Value>, declared: u64) -> Result<(), ApiError> {
    let parsed = rules::parse(settings.get("Rules").unwrap_or(&Value::Null), Home::RuleGroup)?;
    limits::check(&call.scope, settings, &parsed, Home::RuleGroup)?;
    rules::check_group(state, &call.scope, name, settings)?;
    let needed = rules::weigh(state, &call.scope, &parsed);
    if needed > declared {
        // Recorded by badmintoncryer/cdk-preflight, `pf-wafv2-capacity`.
        let reason = "You exceeded the capacity limit for a rule group or web ACL";
        return Err(error::invalid("RULE_GROUP", &needed.to_string(), reason));
    }
    Ok(())
}

pub(super) fn create(tx: &mut Tx<'_>, call: &Call, input: &Value) -> Result<Value, ApiError> {
    let settings = settings(input, &SETTINGS)?;
    let capacity = input.get("Capacity").and_then(Value::as_u64).unwrap_or(0);
    if capacity > WCU_RULE_GROUP_MAX {
        return Err(error::limit_of("NUM_CAPACITY_UNITS_IN_RULE_GROUP"));
    }
    let new = New::of(input)?;
    check(tx, call, &new.name, &settings, capacity)?;
    let entity = begin::<RuleGroup>(tx, call, new)?;
    let answer = json!({"Summary": summary(&entity)});
    store(
        tx,
        &call.scope,
        RuleGroup {
            entity,
            settings,
            capacity,
        },
    );
    Ok(answer)
}

pub(super) fn update(tx: &mut Tx<'_>, call: &Call, input: &Value) -> Result<Value, ApiError> {
    let mut row: RuleGroup = locked_by(tx, call, input)?;
    row.settings = settings(input, &SETTINGS)?;
    row.entity.description = text(input, "Description").map(str::to_owned);
    check(tx, call, &row.entity.name, &row.settings, row.capacity)?;
    let (arn, answer) = (row.entity.arn.clone(), json!({"NextLockToken": row.entity.lock_token}));
    store(tx, &call.scope, row);
    // A web ACL that uses the group must still compile: it may override a rule that is gone now.
    for (_, acl) in tx.list::<WebAcl>(&call.scope) {
        let resolved = rules::resolve(tx, &call.scope, &acl.entity.name, &acl.settings);
        if resolved.rule_groups.contains_key(&arn) {
            Firewall::check(&resolved).map_err(error::of_rules)?;
        }
    }
    Ok(answer)
}

pub(super) fn get(state: &State, call: &Call, input: &Value) -> Result<Value, ApiError> {
    let row = named::<RuleGroup>(state, call, input)?;
    let entity = &row.entity;
    let namespace = format!("awswaf:{}:rulegroup:{}:", call.scope.account, entity.name);
    let parsed = parse_rules(row.settings.get("Rules").unwrap_or(&Value::Null), Home::RuleGroup).unwrap_or_default();
    let qualified = |label: &String| match label.starts_with("awswaf:") {
        true => json!({"Name": label}),
        false => json!({"Name": format!("{namespace}{label}")}),
    };
    let available: Vec<Value> = parsed.iter().flat_map(|rule| &rule.labels).map(qualified).collect();
    let consumed: Vec<Value> = References::of(&parsed).labels.iter().map(qualified).collect();
    let mut shown = row.settings.clone();
    let more = json!({
        "Name": entity.name,
        "Id": entity.id,
        "ARN": entity.arn,
        "Description": entity.description.as_deref().unwrap_or_default(),
        "Capacity": row.capacity,
        "LabelNamespace": namespace,
        "AvailableLabels": available,
        "ConsumedLabels": consumed,
    });
    shown.entry("Rules").or_insert_with(|| json!([]));
    shown.extend(more.as_object().cloned().unwrap_or_default());
    Ok(json!({"RuleGroup": shown, "LockToken": entity.lock_token}))
}

pub(super) fn check_capacity(state: &State, call: &Call, input: &Value) -> Result<Value, ApiError> {
    check_scope(call, text(input, "Scope").unwrap_or_default())?;
    let given = input.get("Rules").cloned().unwrap_or(Value::Null);
    let parsed = rules::parse(&given, Home::WebAcl)?;
    let mut settings = Map::new();
    settings.insert("DefaultAction".to_owned(), json!({"Allow": {}}));
    settings.insert("Rules".to_owned(), without_body_keys(given));
    rules::check_web_acl(state, &call.scope, "checked", &settings)?;
    Ok(json!({"Capacity": rules::weigh(state, &call.scope, &parsed)}))
}

/// The call carries no custom response bodies, so the rules' keys cannot be looked up and are left out of the check.
fn without_body_keys(mut rules: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.remove("CustomResponseBodyKey");
                members.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    strip(&mut rules);
    rules
}
