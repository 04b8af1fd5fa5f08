//! What all kinds of resources share: making, finding, locking, listing, deleting.

use crate::error;
use crate::model::{Entity, Kind, RuleGroup, WebAcl, arn, key};
use crate::rules::References;
use crate::types;
use honmaru_base::{ApiError, Scope, uuid};
use honmaru_firewall::{Home, parse_rules};
use honmaru_machine::{Call, State, Tx};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Ref: WAFv2 API, `TagResource`.
pub(super) const TAGS_MAX: usize = 50;
/// The region of everything of scope CLOUDFRONT. Ref: WAFv2 API, `Scope`.
const GLOBAL_ENDPOINT_REGION: &str = "us-east-1";

pub(super) fn text<'v>(input: &'v Value, member: &str) -> Option<&'v str> {
    input.get(member).and_then(Value::as_str)
}

/// REGIONAL anywhere, CLOUDFRONT in us-east-1.
pub(super) fn check_scope(call: &Call, scope: &str) -> Result<(), ApiError> {
    match scope {
        "REGIONAL" => Ok(()),
        "CLOUDFRONT" if call.scope.region.as_str() == GLOBAL_ENDPOINT_REGION => Ok(()),
        other => Err(error::invalid("SCOPE_VALUE", other, "The scope is not valid")),
    }
}

/// The tags of a create call.
pub(super) fn tags(given: Vec<types::Tag>) -> Result<BTreeMap<String, String>, ApiError> {
    let tags: BTreeMap<String, String> = given.into_iter().map(|tag| (tag.key, tag.value)).collect();
    check_tags(&tags)?;
    Ok(tags)
}

pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if let Some(key) = tags.keys().find(|key| key.to_ascii_lowercase().starts_with("aws:")) {
        return Err(error::invalid("TAG_KEYS", key, "A tag key must not begin with aws:"));
    }
    if tags.len() > TAGS_MAX {
        return Err(error::limit_exceeded());
    }
    Ok(())
}

/// What a create call says of a resource.
pub(super) struct New {
    pub(super) name: String,
    pub(super) scope: String,
    pub(super) description: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
}

impl New {
    pub(super) fn of(input: &Value) -> Result<Self, ApiError> {
        let given = input
            .get("Tags")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|tag| types::Tag {
                key: text(tag, "Key").unwrap_or_default().to_owned(),
                value: text(tag, "Value").unwrap_or_default().to_owned(),
            });
        Ok(Self {
            name: text(input, "Name").unwrap_or_default().to_owned(),
            scope: text(input, "Scope").unwrap_or_default().to_owned(),
            description: text(input, "Description").map(str::to_owned),
            tags: tags(given.collect())?,
        })
    }
}

/// Checks scope, name and quota, and draws id and lock token. Changes nothing yet.
pub(super) fn begin<K: Kind>(tx: &mut Tx<'_>, call: &Call, new: New) -> Result<Entity, ApiError> {
    check_scope(call, &new.scope)?;
    let same = format!("{}/{}", new.scope, new.name);
    if tx.find::<K>(&call.scope, "name", &same).next().is_some() {
        return Err(error::duplicate());
    }
    if tx.list::<K>(&call.scope).count() >= K::COUNT_MAX {
        return Err(error::limit_exceeded());
    }
    let id = uuid(tx.rng());
    Ok(Entity {
        arn: arn::<K>(&call.scope, &new.scope, &new.name, &id),
        name: new.name,
        id,
        scope: new.scope,
        description: new.description,
        lock_token: uuid(tx.rng()),
        tags: new.tags,
    })
}

/// Stores a new or changed resource.
pub(super) fn store<K: Kind>(tx: &mut Tx<'_>, owner: &Scope, row: K) {
    let entity = row.entity();
    let key = key::<K>(&entity.scope, &entity.name, &entity.id);
    tx.put(owner, &key, row);
}

/// The resource of that name, scope and id.
pub(super) fn find<'s, K: Kind>(
    state: &'s State,
    call: &Call,
    scope: &str,
    name: &str,
    id: &str,
) -> Result<&'s K, ApiError> {
    check_scope(call, scope)?;
    state
        .get::<K>(&call.scope, &key::<K>(scope, name, id))
        .ok_or_else(error::nonexistent)
}

/// The resource that `Name`, `Scope` and `Id`, or `ARN`, name.
pub(super) fn named<'s, K: Kind>(state: &'s State, call: &Call, input: &Value) -> Result<&'s K, ApiError> {
    match (
        text(input, "ARN"),
        text(input, "Scope"),
        text(input, "Name"),
        text(input, "Id"),
    ) {
        (Some(arn), ..) => crate::rules::by_arn::<K>(state, &call.scope, arn).ok_or_else(error::nonexistent),
        (None, Some(scope), Some(name), Some(id)) => find(state, call, scope, name, id),
        _ => {
            let reason = "You must provide the ARN, or the name, the scope and the ID";
            Err(error::invalid("RESOURCE_ARN", "ARN", reason))
        }
    }
}

/// A copy of the resource, if the lock token is the current one; with a new token.
pub(super) fn locked<K: Kind>(
    tx: &mut Tx<'_>,
    call: &Call,
    names: (&str, &str, &str),
    lock_token: &str,
) -> Result<K, ApiError> {
    let (scope, name, id) = names;
    let mut row = find::<K>(tx, call, scope, name, id)?.clone();
    if row.entity().lock_token != lock_token {
        return Err(error::stale_lock());
    }
    row.entity_mut().lock_token = uuid(tx.rng());
    Ok(row)
}

/// The same for a tree.
pub(super) fn locked_by<K: Kind>(tx: &mut Tx<'_>, call: &Call, input: &Value) -> Result<K, ApiError> {
    let member = |name| text(input, name).unwrap_or_default();
    locked(
        tx,
        call,
        (member("Scope"), member("Name"), member("Id")),
        member("LockToken"),
    )
}

pub(super) fn summary(entity: &Entity) -> Value {
    json!({
        "Name": entity.name,
        "Id": entity.id,
        "Description": entity.description.as_deref().unwrap_or_default(),
        "LockToken": entity.lock_token,
        "ARN": entity.arn,
    })
}

/// Ref: WAFv2 API, `Limit`: 1 to 100.
const PAGE_MAX: usize = 100;

/// One page of a scope's resources in the order of their keys, after the marker. The list's member is the kind's.
pub(super) fn list<K: Kind>(state: &State, call: &Call, input: &Value) -> Result<Value, ApiError> {
    let scope = text(input, "Scope").unwrap_or_default();
    check_scope(call, scope)?;
    let after = text(input, "NextMarker").unwrap_or_default();
    let limit = input
        .get("Limit")
        .and_then(Value::as_u64)
        .and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let prefix = key::<K>(scope, "", "");
    let prefix = prefix.trim_end_matches('/');
    let mut rows = state
        .prefixed::<K>(&call.scope, prefix)
        .filter(|(key, row)| row.entity().scope == scope && *key > after)
        .peekable();
    let mut page = Vec::new();
    let mut last = None;
    while page.len() < limit {
        let Some((key, row)) = rows.next() else { break };
        page.push(summary(row.entity()));
        last = Some(key.to_owned());
    }
    let mut answer = Map::new();
    if let (Some(last), true) = (last, rows.peek().is_some()) {
        answer.insert("NextMarker".to_owned(), last.into());
    }
    let member = match K::PATH {
        "webacl" => "WebACLs",
        "rulegroup" => "RuleGroups",
        "ipset" => "IPSets",
        _ => "RegexPatternSets",
    };
    answer.insert(member.to_owned(), page.into());
    Ok(answer.into())
}

/// Whether a web ACL or rule group refers to that ARN.
pub(super) fn is_used(state: &State, owner: &Scope, arn: &str) -> bool {
    let refers = |rules: Option<&Value>, home: Home| {
        let rules = parse_rules(rules.unwrap_or(&Value::Null), home).unwrap_or_default();
        References::of(&rules).arns.contains(arn)
    };
    state
        .list::<WebAcl>(owner)
        .any(|(_, acl)| refers(acl.settings.get("Rules"), Home::WebAcl))
        || state
            .list::<RuleGroup>(owner)
            .any(|(_, group)| refers(group.settings.get("Rules"), Home::RuleGroup))
}

/// Deletes a resource that nothing refers to.
pub(super) fn delete<K: Kind>(tx: &mut Tx<'_>, call: &Call, input: &Value) -> Result<Value, ApiError> {
    let row: K = locked_by(tx, call, input)?;
    let entity = row.entity();
    if is_used(tx, &call.scope, &entity.arn) {
        return Err(error::associated());
    }
    tx.delete::<K>(&call.scope, &key::<K>(&entity.scope, &entity.name, &entity.id));
    Ok(json!({}))
}
