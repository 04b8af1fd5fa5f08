//! AssumeRole. Ref: STS API Reference, AssumeRole; IAM User Guide, "Pass session tags in AWS STS", "Role chaining".

use super::errors::{access_denied, malformed, validation};
use super::identity::credentials;
use crate::task::role_session;
use crate::types;
use honmaru_base::ApiError;
use honmaru_iam::{document_of, role_by_arn};
use honmaru_identity::{Policy, PolicyKind, Session};
use honmaru_machine::{Access, Call, PrincipalKind, State, Tx};
use serde_json::Value;

const SESSION_S_DEFAULT: i32 = 3_600;
/// Ref: "Role chaining": a chained session lasts one hour at most.
const CHAINED_SESSION_S_MAX: i32 = 3_600;
/// Ref: "IAM and AWS STS quotas": session policies, plain text; and managed policies per session.
const SESSION_POLICY_BYTES_MAX: usize = 2_048;
const SESSION_POLICY_ARNS_MAX: usize = 10;
/// What AWS packs policies and tags into; its packing is not published, so we count plain bytes.
const PACKED_BYTES_MAX: usize = 4_096;

fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

/// What a caller must be allowed: `sts:AssumeRole`, and more where it sets tags or a source identity. The trust policy
/// takes part as the role's resource policy; without a role nothing can allow the call, and AWS says no more either.
pub(super) fn access(state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let arn = text(input, "RoleArn").unwrap_or("*");
    let role = role_by_arn(state, arn).map(|(_, role)| role);
    let mut context: Vec<(String, Vec<String>)> = Vec::new();
    for (member, key) in [
        ("ExternalId", "sts:ExternalId"),
        ("RoleSessionName", "sts:RoleSessionName"),
        ("SourceIdentity", "sts:SourceIdentity"),
    ] {
        if let Some(value) = text(input, member) {
            context.push((key.to_owned(), vec![value.to_owned()]));
        }
    }
    let mut keys = Vec::new();
    for tag in input.get("Tags").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(key), Some(value)) = (text(tag, "Key"), text(tag, "Value")) {
            context.push((format!("aws:RequestTag/{key}"), vec![value.to_owned()]));
            keys.push(key.to_owned());
        }
    }
    let transitive = input
        .get("TransitiveTagKeys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let transitive: Vec<String> = transitive.filter_map(Value::as_str).map(str::to_owned).collect();
    let tags_session = !keys.is_empty() || !transitive.is_empty();
    if !keys.is_empty() {
        context.push(("aws:TagKeys".to_owned(), keys));
    }
    if !transitive.is_empty() {
        context.push(("sts:TransitiveTagKeys".to_owned(), transitive));
    }
    for (key, value) in role.map(|role| role.entity.tags.as_slice()).unwrap_or_default() {
        context.push((format!("aws:ResourceTag/{key}"), vec![value.clone()]));
        context.push((format!("iam:ResourceTag/{key}"), vec![value.clone()]));
    }
    let mut actions = vec!["sts:AssumeRole"];
    if tags_session {
        actions.push("sts:TagSession");
    }
    if text(input, "SourceIdentity").is_some() || source_identity(call).is_some() {
        actions.push("sts:SetSourceIdentity");
    }
    actions
        .into_iter()
        .map(|action| Access {
            action: action.to_owned(),
            resources: vec![arn.to_owned()],
            context: context.clone(),
            resource_policy: role.map(|role| role.trust.clone()),
            holder_policy: None,
        })
        .collect()
}

/// Who stands behind the session that calls.
fn source_identity(call: &Call) -> Option<&str> {
    call.principal.session.as_ref()?.source_identity.as_deref()
}

pub(super) fn assume_role(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::AssumeRoleRequest,
) -> Result<types::AssumeRoleResponse, ApiError> {
    let Some((account, role)) = role_by_arn(tx, &input.role_arn).map(|(account, role)| (account, role.clone())) else {
        return Err(access_denied(format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
            call.principal.arn, input.role_arn
        )));
    };
    if input.serial_number.is_some() || input.token_code.is_some() {
        return Err(access_denied(
            "MultiFactorAuthentication failed with invalid MFA one time pass code.",
        ));
    }
    let chained = matches!(call.principal.kind, PrincipalKind::AssumedRole { .. });
    let lifetime_s = input.duration_seconds.unwrap_or(SESSION_S_DEFAULT);
    if lifetime_s > role.max_session_s {
        return Err(validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    if chained && lifetime_s > CHAINED_SESSION_S_MAX {
        return Err(validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        ));
    }
    let now = tx.now();
    let expires_at = now.plus_s(i64::from(lifetime_s));
    let mut session = role_session(&role, &account, &input.role_session_name, now, expires_at, tx.rng());
    tags(
        call,
        input.tags.unwrap_or_default(),
        input.transitive_tag_keys.unwrap_or_default(),
        &mut session,
    )?;
    session.source_identity = match (source_identity(call), input.source_identity) {
        (Some(kept), Some(new)) if kept != new => {
            return Err(access_denied(
                "SourceIdentity cannot be changed once it is set by the calling session.",
            ));
        }
        (Some(kept), _) => Some(kept.to_owned()),
        (None, new) => new,
    };
    let arns = input
        .policy_arns
        .unwrap_or_default()
        .into_iter()
        .filter_map(|policy| policy.arn)
        .collect();
    session_policies(tx, &mut session, input.policy, arns)?;
    let packed_policy_size = packed(&session)?;
    let assumed_role_user = Some(types::AssumedRoleUser {
        assumed_role_id: session.user_id.clone(),
        arn: session.arn.clone(),
    });
    let source_identity = session.source_identity.clone();
    Ok(types::AssumeRoleResponse {
        credentials: Some(credentials(tx, session)?),
        assumed_role_user,
        packed_policy_size,
        source_identity,
        ..Default::default()
    })
}

fn tags(call: &Call, tags: Vec<types::Tag>, transitive: Vec<String>, session: &mut Session) -> Result<(), ApiError> {
    let invalid = |text: &str| ApiError::new("InvalidParameterValue", text).with_status(400);
    // Transitive tags of the calling session pass on and cannot be overridden.
    let inherited = call.principal.session.as_ref();
    let inherited = inherited
        .map(|session| session.transitive_tag_keys.as_slice())
        .unwrap_or_default();
    for (key, value) in &call.principal.tags {
        if inherited.iter().any(|name| name.eq_ignore_ascii_case(key)) {
            session.tags.push((key.clone(), value.clone()));
            session.transitive_tag_keys.push(key.clone());
        }
    }
    let mut seen: Vec<String> = Vec::new();
    for types::Tag { key, value } in tags {
        let lower = key.to_lowercase();
        if lower.starts_with("aws:") {
            return Err(invalid("Tag keys starting with 'aws:' are reserved for system use"));
        }
        if seen.contains(&lower) {
            return Err(invalid(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        if inherited.iter().any(|name| name.eq_ignore_ascii_case(&key)) {
            return Err(invalid(
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
            ));
        }
        seen.push(lower);
        session.tags.push((key, value));
    }
    for key in transitive {
        if !session.tags.iter().any(|(tag, _)| tag.eq_ignore_ascii_case(&key)) {
            return Err(invalid(
                "The specified transitive tag key must be included in the requested tags.",
            ));
        }
        if !session
            .transitive_tag_keys
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&key))
        {
            session.transitive_tag_keys.push(key);
        }
    }
    Ok(())
}

/// Checks the session policies and puts them into the session.
pub(super) fn session_policies(
    state: &State,
    session: &mut Session,
    policy: Option<String>,
    arns: Vec<String>,
) -> Result<(), ApiError> {
    if let Some(document) = policy {
        if document.len() > SESSION_POLICY_BYTES_MAX {
            return Err(validation(format!(
                "1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to {SESSION_POLICY_BYTES_MAX}"
            )));
        }
        Policy::parse(&document, PolicyKind::Identity).map_err(|error| malformed(error.to_string()))?;
        session.policies.push(document);
    }
    if arns.len() > SESSION_POLICY_ARNS_MAX {
        return Err(validation(format!(
            "At most {SESSION_POLICY_ARNS_MAX} managed session policies are allowed"
        )));
    }
    for arn in arns {
        let owner = arn.split(':').nth(4).unwrap_or_default();
        if (owner != "aws" && owner != session.account.as_str()) || document_of(state, &arn).is_none() {
            return Err(validation(format!(
                "The policy {arn} does not exist or is not in the role's account"
            )));
        }
        session.policy_arns.push(arn);
    }
    Ok(())
}

/// How much of the space for policies and tags is used, in per cent; nothing when there are none.
pub(super) fn packed(session: &Session) -> Result<Option<i32>, ApiError> {
    let texts = session.policies.iter().chain(&session.policy_arns).map(String::len);
    let tags = session.tags.iter().map(|(key, value)| key.len() + value.len());
    let bytes: usize = texts.chain(tags).sum();
    let percent = (bytes * 100).div_ceil(PACKED_BYTES_MAX);
    if percent > 100 {
        return Err(ApiError::new(
            "PackedPolicyTooLargeException",
            format!("Packed policy consumes {percent}% of allotted space, please use smaller policy."),
        ));
    }
    Ok(i32::try_from(percent).ok().filter(|percent| *percent > 0))
}
