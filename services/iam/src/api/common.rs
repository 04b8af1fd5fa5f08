//! What the operations share: lookups, pages, documents, tags.

use crate::errors::{delete_conflict, invalid_input, limit_exceeded, malformed, no_such_entity, not_found, validation};
use crate::machine::{document_of, scope_of};
use crate::managed::SERVICE_LINKED_PATH;
use crate::model::{Holder, Role, User, key_of};
use crate::types::{AttachedPermissionsBoundary, Tag};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use honmaru_base::{ApiError, Arn, Scope};
use honmaru_identity::{Policy, PolicyKind};
use honmaru_machine::{Call, Resource, State, Tx};
use honmaru_wire::tree::Tree;
use serde_json::Value;

pub(super) type Answer<T> = Result<T, ApiError>;

/// How many items a page has when nothing else is asked. Ref: IAM API Reference, `MaxItems`.
const PAGE_ITEMS: usize = 100;
/// Ref: IAM API Reference, TagUser: an entity has at most 50 tags.
const TAGS_MAX: usize = 50;

/// What an account has at most, by default. Ref: "IAM and AWS STS quotas".
pub(super) const USERS_MAX: usize = 5_000;
pub(super) const GROUPS_MAX: usize = 300;
pub(super) const ROLES_MAX: usize = 1_000;
pub(super) const POLICIES_MAX: usize = 1_500;
pub(super) const INSTANCE_PROFILES_MAX: usize = 1_000;
pub(super) const OIDC_PROVIDERS_MAX: usize = 100;
pub(super) const SAML_PROVIDERS_MAX: usize = 100;
pub(super) const SERVER_CERTIFICATES_MAX: usize = 20;

/// Refuses one resource more than an account may have.
pub(super) fn quota<R: Resource>(state: &State, call: &Call, name: &str, max: usize) -> Answer<()> {
    if state.list::<R>(&scope(call)).count() < max {
        return Ok(());
    }
    Err(limit_exceeded(format!("Cannot exceed quota for {name}: {max}")))
}

/// The answer of an operation without output.
#[derive(Debug, Default)]
pub(super) struct Done;

impl Tree for Done {
    fn from_tree(_: Value) -> Self {
        Self
    }
    fn into_tree(self) -> Value {
        Value::Object(serde_json::Map::new())
    }
}

pub(super) fn scope(call: &Call) -> Scope {
    scope_of(&call.scope.account)
}

/// The row of a user, group or role; `NoSuchEntity` otherwise.
pub(super) fn holder<'a, H: Holder>(state: &'a State, call: &Call, name: &str) -> Answer<&'a H> {
    state
        .get::<H>(&scope(call), &key_of(name))
        .ok_or_else(|| not_found(H::NOUN, name))
}

/// Changes a user, group or role; service-linked roles are AWS's alone.
pub(super) fn change<H: Holder>(tx: &mut Tx<'_>, call: &Call, name: &str, change: impl FnOnce(&mut H)) -> Answer<()> {
    let scope = scope(call);
    tx.update::<H>(&scope, &key_of(name), change)
        .map(|_| ())
        .ok_or_else(|| not_found(H::NOUN, name))
}

/// Refuses to change a service-linked role.
pub(super) fn modifiable(state: &State, call: &Call, name: &str) -> Answer<()> {
    match state.get::<Role>(&scope(call), &key_of(name)) {
        Some(role) if role.linked_service.is_some() => Err(ApiError::new(
            "UnmodifiableEntityException",
            format!(
                "Cannot perform the operation on the protected role '{}' - this role is only modifiable by AWS",
                role.entity.name
            ),
        )),
        _ => Ok(()),
    }
}

/// One page of items, each with the key that orders it.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) is_truncated: Option<bool>,
    pub(super) marker: Option<String>,
}

/// Cuts the page after `marker` out of items that are ordered by their keys. A marker holds the last key of the page
/// before, so it survives a restart and changes in between.
pub(super) fn page<T>(
    items: impl Iterator<Item = (String, T)>,
    marker: Option<&str>,
    max_items: Option<i32>,
) -> Answer<Page<T>> {
    let after = match marker {
        None => None,
        Some(marker) => {
            let bytes = URL_SAFE_NO_PAD
                .decode(marker)
                .map_err(|_| validation("Invalid Marker."))?;
            Some(String::from_utf8(bytes).map_err(|_| validation("Invalid Marker."))?)
        }
    };
    let max = max_items
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(PAGE_ITEMS)
        .clamp(1, 1_000);
    let mut page = Page {
        items: Vec::new(),
        is_truncated: Some(false),
        marker: None,
    };
    let mut last = String::new();
    for (key, item) in items.filter(|(key, _)| after.as_ref().is_none_or(|after| key > after)) {
        if page.items.len() == max {
            page.is_truncated = Some(true);
            page.marker = Some(URL_SAFE_NO_PAD.encode(&last));
            break;
        }
        page.items.push(item);
        last = key;
    }
    Ok(page)
}

/// A document as IAM answers with it: percent-encoded. Ref: IAM API Reference, GetRolePolicy; RFC 3986.
pub(super) fn encoded(document: &str) -> String {
    let mut out = String::with_capacity(document.len() * 2);
    for b in document.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(b as char);
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// The size that quotas count: without white space.
pub(super) fn size_of(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}

/// Checks an identity policy's document.
pub(super) fn check_document(document: &str) -> Answer<Policy> {
    Policy::parse(document, PolicyKind::Identity).map_err(|error| malformed(error.to_string()))
}

/// Checks the form of an ARN that stands for something of IAM: a `policy`, an `oidc-provider`, a `saml-provider`.
/// Ref: AWS's notice of 2024, "IAM is changing how it validates IAM resource ARNs": partition, service, region, type of
/// resource, no space at the end.
pub(super) fn check_arn(arn: &str, kind: &str) -> Answer<()> {
    let parsed = arn.parse::<Arn>().ok().filter(|_| arn.trim_end() == arn);
    let Some(parsed) = parsed else {
        return Err(validation("Invalid ARN:  Could not be parsed!"));
    };
    if parsed.partition != "aws" {
        return Err(validation("Invalid ARN partition"));
    }
    let is_of_kind = parsed.resource.split_once('/').is_some_and(|(found, _)| found == kind);
    if parsed.service != "iam" || !parsed.region.is_empty() || !is_of_kind {
        return Err(invalid_input(format!("ARN {arn} is not valid.")));
    }
    Ok(())
}

/// Checks a managed policy's ARN before it is attached. Ref: IAM API Reference, PolicyNotAttachable: policies of
/// service-linked roles belong to those only.
pub(super) fn attachable(state: &State, call: &Call, arn: &str) -> Answer<()> {
    check_arn(arn, "policy")?;
    if arn
        .strip_prefix("arn:aws:iam::aws:policy")
        .is_some_and(|path| path.starts_with(SERVICE_LINKED_PATH))
    {
        return Err(ApiError::new(
            "PolicyNotAttachableException",
            "Cannot attach a Service Role Policy to a Customer Role.",
        ));
    }
    let own = arn
        .split(':')
        .nth(4)
        .is_some_and(|owner| owner == "aws" || owner == call.scope.account.as_str());
    if own && document_of(state, arn).is_some() {
        return Ok(());
    }
    Err(no_such_entity(format!(
        "Policy {arn} does not exist or is not attachable."
    )))
}

pub(super) fn boundary_of(arn: Option<&String>) -> Option<AttachedPermissionsBoundary> {
    arn.map(|arn| AttachedPermissionsBoundary {
        permissions_boundary_type: Some("Policy".to_owned()),
        permissions_boundary_arn: Some(arn.clone()),
    })
}

pub(super) fn check_path(path: Option<String>) -> Answer<String> {
    let path = path.unwrap_or_else(|| "/".to_owned());
    if path.starts_with('/') && path.ends_with('/') && !path.contains("//") {
        Ok(path)
    } else {
        Err(validation(format!(
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric \
             characters and/or / characters. Got {path}"
        )))
    }
}

pub(super) fn tags_out(tags: &[(String, String)]) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag {
            key: key.clone(),
            value: value.clone(),
        })
        .collect()
}

/// Tags as AWS shows those of users and roles: nothing when there are none.
pub(super) fn some_tags(tags: &[(String, String)]) -> Option<Vec<Tag>> {
    Some(tags_out(tags)).filter(|tags| !tags.is_empty())
}

/// Sets tags over those that are there; keys are equal without regard to case.
pub(super) fn set_tags(existing: &mut Vec<(String, String)>, tags: Vec<Tag>) -> Answer<()> {
    let mut seen: Vec<String> = Vec::new();
    for Tag { key, value } in tags {
        let lower = key.to_lowercase();
        if lower.starts_with("aws:") {
            return Err(invalid_input(
                "Tag keys starting with 'aws:' are reserved for system use",
            ));
        }
        if seen.contains(&lower) {
            return Err(invalid_input(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        existing.retain(|(old, _)| old.to_lowercase() != lower);
        existing.push((key, value));
        seen.push(lower);
    }
    if existing.len() > TAGS_MAX {
        return Err(limit_exceeded(format!(
            "The number of tags has reached the maximum limit: {TAGS_MAX}"
        )));
    }
    existing.sort();
    Ok(())
}

pub(super) fn remove_tags(existing: &mut Vec<(String, String)>, keys: &[String]) {
    existing.retain(|(old, _)| !keys.iter().any(|key| key.eq_ignore_ascii_case(old)));
}

/// A holder can only go when nothing hangs on it.
pub(super) fn deletable<H: Holder>(row: &H) -> Answer<()> {
    if !row.entity().attached.is_empty() {
        return Err(delete_conflict("Cannot delete entity, must detach all policies first."));
    }
    if !row.entity().inline.is_empty() {
        return Err(delete_conflict("Cannot delete entity, must delete policies first."));
    }
    Ok(())
}

/// The user's name: the one given, or the caller's own.
pub(super) fn user_name(call: &Call, given: Option<String>) -> Answer<String> {
    match (given, &call.principal.kind) {
        (Some(name), _) => Ok(name),
        (None, honmaru_machine::PrincipalKind::User { name }) => Ok(name.clone()),
        (None, _) => Err(validation(
            "Must specify userName when calling with non-User credentials",
        )),
    }
}

/// The rows of a kind of holder under a path prefix, in the order of their keys.
pub(super) fn under_path<'a, H: Holder>(
    state: &'a State,
    scope: &Scope,
    prefix: Option<&'a str>,
) -> impl Iterator<Item = (String, &'a H)> {
    let prefix = prefix.unwrap_or("/");
    state
        .list::<H>(scope)
        .filter(move |(_, row)| row.entity().path.starts_with(prefix))
        .map(|(key, row)| (key.to_owned(), row))
}

/// Whether a user of that name exists.
pub(super) fn user_exists(state: &State, scope: &Scope, name: &str) -> bool {
    state.get::<User>(scope, &key_of(name)).is_some()
}
