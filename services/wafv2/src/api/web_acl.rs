//! Web ACLs.

use super::entities::{New, begin, is_used, locked_by, named, store, summary, text};
use super::limits;
use crate::association::{protected_web_acl, resources_of};
use crate::error;
use crate::model::{WebAcl, key};
use crate::rules;
use honmaru_base::ApiError;
use honmaru_firewall::{Home, WCU_WEB_ACL_MAX};
use honmaru_machine::{Call, State, Tx};
use serde_json::{Map, Value, json};

/// What is stored of a web ACL as the caller gave it.
const SETTINGS: [&str; 8] = [
    "DefaultAction",
    "Rules",
    "VisibilityConfig",
    "CustomResponseBodies",
    "CaptchaConfig",
    "ChallengeConfig",
    "TokenDomains",
    "AssociationConfig",
];

/// What would have to change behaviour that is not here; storing it would be a promise.
const UNSUPPORTED: [&str; 4] = [
    "DataProtectionConfig",
    "OnSourceDDoSProtectionConfig",
    "ApplicationConfig",
    "MonetizationConfig",
];

pub(super) fn settings(input: &Value, names: &[&str]) -> Result<Map<String, Value>, ApiError> {
    if let Some(name) = UNSUPPORTED
        .iter()
        .find(|name| input.get(**name).is_some_and(|value| !value.is_null()))
    {
        return Err(error::unsupported(format!(
            "{name} is not supported by this installation."
        )));
    }
    let given = names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), input.get(*name)?.clone())));
    Ok(given.filter(|(_, value)| !value.is_null()).collect())
}

/// Checks settings and gives their WCU.
fn check(tx: &State, call: &Call, name: &str, settings: &Map<String, Value>) -> Result<u64, ApiError> {
    let parsed = rules::parse(settings.get("Rules").unwrap_or(&Value::Null), Home::WebAcl)?;
    limits::check(&call.scope, settings, &parsed, Home::WebAcl)?;
    rules::check_web_acl(tx, &call.scope, name, settings)?;
    let capacity = rules::weigh(tx, &call.scope, &parsed);
    if capacity > WCU_WEB_ACL_MAX {
        return Err(error::limit_exceeded());
    }
    Ok(capacity)
}

pub(super) fn create(tx: &mut Tx<'_>, call: &Call, input: &Value) -> Result<Value, ApiError> {
    let settings = settings(input, &SETTINGS)?;
    let new = New::of(input)?;
    let capacity = check(tx, call, &new.name, &settings)?;
    let entity = begin::<WebAcl>(tx, call, new)?;
    let answer = json!({"Summary": summary(&entity)});
    store(
        tx,
        &call.scope,
        WebAcl {
            entity,
            settings,
            capacity,
        },
    );
    Ok(answer)
}

pub(super) fn update(tx: &mut Tx<'_>, call: &Call, input: &Value) -> Result<Value, ApiError> {
    let mut row: WebAcl = locked_by(tx, call, input)?;
    row.settings = settings(input, &SETTINGS)?;
    row.capacity = check(tx, call, &row.entity.name, &row.settings)?;
    row.entity.description = text(input, "Description").map(str::to_owned);
    let answer = json!({"NextLockToken": row.entity.lock_token});
    store(tx, &call.scope, row);
    Ok(answer)
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: &Value) -> Result<Value, ApiError> {
    let row: WebAcl = locked_by(tx, call, input)?;
    let entity = &row.entity;
    if !resources_of(tx, &call.scope, &entity.arn).is_empty() || is_used(tx, &call.scope, &entity.arn) {
        return Err(error::associated());
    }
    tx.delete::<WebAcl>(&call.scope, &key::<WebAcl>(&entity.scope, &entity.name, &entity.id));
    Ok(json!({}))
}

/// `WebACL` of the API.
fn shown(row: &WebAcl, call: &Call) -> Value {
    let mut shown = row.settings.clone();
    let entity = &row.entity;
    let more = json!({
        "Name": entity.name,
        "Id": entity.id,
        "ARN": entity.arn,
        "Description": entity.description.as_deref().unwrap_or_default(),
        "Capacity": row.capacity,
        "ManagedByFirewallManager": false,
        "RetrofittedByFirewallManager": false,
        "LabelNamespace": format!("awswaf:{}:webacl:{}:", call.scope.account, entity.name),
    });
    shown.entry("Rules").or_insert_with(|| json!([]));
    shown.extend(more.as_object().cloned().unwrap_or_default());
    shown.into()
}

pub(super) fn get(state: &State, call: &Call, input: &Value) -> Result<Value, ApiError> {
    let row = named::<WebAcl>(state, call, input)?;
    Ok(json!({"WebACL": shown(row, call), "LockToken": row.entity.lock_token}))
}

pub(super) fn get_for_resource(state: &State, call: &Call, input: &Value) -> Result<Value, ApiError> {
    let resource = text(input, "ResourceArn").unwrap_or_default();
    Ok(match protected_web_acl(state, &call.scope, resource)? {
        Some(row) => json!({"WebACL": shown(row, call)}),
        None => json!({}),
    })
}
