//! Whom a role's trust policy means: users and roles are meant by their unique ids, which are looked up when the policy
//! is saved. Somebody who is deleted and made again under the same name is somebody else.
//! Ref: IAM User Guide, "AWS JSON policy elements: Principal", IAM user and role principals.

use crate::machine::{role_by_arn, scope_of, user_of_name};
use crate::model::{Role, key_of};
use honmaru_base::{AccountId, Arn, Scope, Time};
use honmaru_identity::{CallContext, Caller, Decision, Policies, Request, cached_policy, evaluate};
use honmaru_machine::{Resource, State, Tx};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The unique ids of the users and roles that a trust policy names, by their ARNs; its key is the role's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrustedIds {
    ids: BTreeMap<String, String>,
}

impl Resource for TrustedIds {
    const KIND: &'static str = "iam.trusted_ids";
}

/// The unique id of the user or role of an ARN; nothing where nobody has it. The error is for principals that cannot be
/// looked up: sessions, unique ids.
pub(crate) fn id_of(state: &State, arn: &str) -> Result<Option<String>, NotLookedUp> {
    let parsed: Arn = arn.parse().map_err(|_| NotLookedUp)?;
    match parsed.resource.split_once('/') {
        Some(("role", _)) => Ok(role_by_arn(state, arn).map(|(_, role)| role.entity.id.clone())),
        Some(("user", name)) => {
            let name = name.rsplit('/').next().unwrap_or_default();
            let account: Option<AccountId> = parsed.account.parse().ok();
            let user = account.and_then(|account| user_of_name(state, &account, name));
            Ok(user
                .filter(|user| user.entity.arn == arn)
                .map(|user| user.entity.id.clone()))
        }
        Some(_) | None => Err(NotLookedUp),
    }
}

/// A principal that is no user and no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotLookedUp;

/// Remembers whom the trust policy of a role means.
pub(crate) fn remember(tx: &mut Tx<'_>, scope: &Scope, role_key: &str, ids: BTreeMap<String, String>) {
    if ids.is_empty() {
        tx.delete::<TrustedIds>(scope, role_key);
    } else {
        tx.put(scope, role_key, TrustedIds { ids });
    }
}

/// Forgets it with the role.
pub(crate) fn forget(tx: &mut Tx<'_>, scope: &Scope, role_key: &str) {
    tx.delete::<TrustedIds>(scope, role_key);
}

/// A role's trust policy as it counts now: the unique id stands for whoever does not have his ARN any more.
pub fn trust_of<'a>(state: &State, role: &'a Role) -> Cow<'a, str> {
    let whole = Cow::Borrowed(role.trust.as_str());
    let account = role
        .entity
        .arn
        .split(':')
        .nth(4)
        .and_then(|account| account.parse().ok());
    let Some(account) = account else { return whole };
    let Some(row) = state.get::<TrustedIds>(&scope_of(&account), &key_of(&role.entity.name)) else {
        return whole;
    };
    let gone = row
        .ids
        .iter()
        .filter(|(arn, id)| id_of(state, arn) != Ok(Some((*id).clone())));
    let gone: BTreeMap<&str, &str> = gone.map(|(arn, id)| (arn.as_str(), id.as_str())).collect();
    if gone.is_empty() {
        return whole;
    }
    let Ok(mut document) = serde_json::from_str::<Value>(&role.trust) else {
        return whole;
    };
    match &mut document["Statement"] {
        Value::Array(list) => list.iter_mut().for_each(|statement| rename(statement, &gone)),
        one => rename(one, &gone),
    }
    Cow::Owned(document.to_string())
}

/// A service that would assume a role.
#[derive(Debug, Clone, Copy)]
pub struct Assuming<'a> {
    /// Its principal, for example `ecr.amazonaws.com`.
    pub service: &'static str,
    /// Whose resource it works for: `aws:SourceAccount`.
    pub account: &'a AccountId,
    /// That resource, where it has an ARN: `aws:SourceArn`.
    pub source_arn: Option<&'a str>,
    /// Where it works.
    pub region: &'a str,
    /// When.
    pub now: Time,
}

/// Whether the trust policy of a role lets a service assume it. Ref: IAM User Guide, "The confused deputy problem".
pub fn trusts_service(state: &State, role: &Role, by: &Assuming<'_>) -> bool {
    let Ok(trust) = cached_policy(&trust_of(state, role)) else {
        return false;
    };
    let caller = Caller::service(by.service);
    let mut extra = vec![("aws:SourceAccount".to_owned(), vec![by.account.to_string()])];
    extra.extend(
        by.source_arn
            .map(|arn| ("aws:SourceArn".to_owned(), vec![arn.to_owned()])),
    );
    let context = CallContext {
        caller: &caller,
        now: by.now,
        source_ip: None,
        user_agent: by.service,
        referer: "",
        secure: true,
        region: by.region,
        resource_account: by.account.as_str(),
        extra: &extra,
    };
    let request = Request {
        caller: &caller,
        action: "sts:AssumeRole",
        resource: &role.entity.arn,
        resource_account: by.account.as_str(),
        context: &context,
        resource_policy_required: true,
    };
    let policies = Policies {
        resource: Some(trust),
        ..Policies::default()
    };
    evaluate(&request, &policies) == Decision::Allow
}

fn rename(statement: &mut Value, gone: &BTreeMap<&str, &str>) {
    let one = |value: &mut Value| {
        if let Some(id) = value.as_str().and_then(|arn| gone.get(arn)) {
            *value = Value::from(*id);
        }
    };
    for element in ["Principal", "NotPrincipal"] {
        match statement
            .get_mut(element)
            .and_then(|principal| principal.get_mut("AWS"))
        {
            Some(Value::Array(list)) => list.iter_mut().for_each(one),
            Some(value) => one(value),
            None => {}
        }
    }
}
