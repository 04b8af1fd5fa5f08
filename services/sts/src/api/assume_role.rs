//! AssumeRole. Ref: STS API Reference, AssumeRole; IAM User Guide, "Pass session tags in AWS STS", "Role chaining".

use super::errors::{access_denied, malformed, validation};
use super::identity::{credentials, second_factor};
use crate::task::role_session;
use crate::types;
use honmaru_base::{ApiError, Arn};
use honmaru_iam::{document_of, role_by_arn, trust_of};
use honmaru_identity::{Policy, PolicyKind, Session};
use honmaru_machine::{Access, Call, PrincipalKind, State, Tx};
use serde_json::Value;

const SESSION_S_DEFAULT: i32 = 3_600;
/// Ref: "Role chaining": a chained session lasts one hour at most.
const CHAINED_SESSION_S_MAX: i32 = 3_600;
/// Ref: "IAM and AWS STS quotas": session policies, plain text; and managed policies per session.
const SESSION_POLICY_BYTES_MAX: usize = 2_048;
const SESSION_POLICY_ARNS_MAX: usize = 10;
/// Ref: "Pass session tags in AWS STS".
const SESSION_TAGS_MAX: usize = 50;
/// What AWS packs policies and tags into; its packing is not published, so we count plain bytes.
const PACKED_BYTES_MAX: usize = 4_096;

fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

/// What a caller must be allowed: `sts:AssumeRole`, and more where it sets tags or a source identity. The trust policy
/// takes part as the role's resource policy; without a role nothing can allow the call, and AWS says no more either.
pub(super) fn access(state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let arn = text(input, "RoleArn").unwrap_or("*");
    if !is_role_arn(arn) {
        // Nothing can allow it; the operation says so.
        return Vec::new();
    }
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
    // Whether the code is right the operation itself looks, before it does anything.
    if text(input, "SerialNumber").is_some() && text(input, "TokenCode").is_some() {
        context.push(("aws:MultiFactorAuthPresent".to_owned(), vec!["true".to_owned()]));
        context.push(("aws:MultiFactorAuthAge".to_owned(), vec!["0".to_owned()]));
    }
    let (of_tags, has_tags) = request_tags(input);
    context.extend(of_tags);
    // Tags that pass on are passed like others: the next role must let them in.
    let inherited = call.principal.session.as_ref();
    let tags_session = has_tags || inherited.is_some_and(|session| !session.transitive_tag_keys.is_empty());
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
            resource_policy: role.map(|role| trust_of(state, role).into_owned()),
            holder_policy: None,
        })
        .collect()
}

/// Whether a text may be the ARN of a role at all.
pub(super) fn is_role_arn(text: &str) -> bool {
    text.parse::<Arn>().is_ok_and(|arn| {
        let is_account = !arn.account.is_empty() && arn.account.bytes().all(|b| b.is_ascii_digit());
        arn.service == "iam" && is_account && arn.resource.strip_prefix("role/").is_some_and(|name| !name.is_empty())
    })
}

/// The condition keys of the tags in an input, and whether there are any.
pub(super) fn request_tags(input: &Value) -> (Vec<(String, Vec<String>)>, bool) {
    let list = |name: &str| input.get(name).and_then(Value::as_array).into_iter().flatten();
    let tags = list("Tags").filter_map(|tag| Some((text(tag, "Key")?.to_owned(), text(tag, "Value")?.to_owned())));
    let tags: Vec<(String, String)> = tags.collect();
    let transitive: Vec<String> = list("TransitiveTagKeys")
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let has_tags = !tags.is_empty() || !transitive.is_empty();
    (tag_keys(&tags, &transitive), has_tags)
}

/// The condition keys of session tags.
pub(super) fn tag_keys(tags: &[(String, String)], transitive: &[String]) -> Vec<(String, Vec<String>)> {
    let one = |(key, value): &(String, String)| (format!("aws:RequestTag/{key}"), vec![value.clone()]);
    let mut context: Vec<_> = tags.iter().map(one).collect();
    if !tags.is_empty() {
        let keys = tags.iter().map(|(key, _)| key.clone()).collect();
        context.push(("aws:TagKeys".to_owned(), keys));
    }
    if !transitive.is_empty() {
        context.push(("sts:TransitiveTagKeys".to_owned(), transitive.to_vec()));
    }
    context
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
    if !is_role_arn(&input.role_arn) {
        return Err(validation(format!("{} is invalid", input.role_arn)));
    }
    let Some((account, role)) = role_by_arn(tx, &input.role_arn).map(|(account, role)| (account, role.clone())) else {
        return Err(access_denied(format!(
            "User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
            call.principal.arn, input.role_arn
        )));
    };
    // The session itself does not carry it. Ref: IAM User Guide, "Secure API access with MFA".
    second_factor(tx, call, input.serial_number.as_deref(), input.token_code.as_deref())?;
    if input.provided_contexts.is_some_and(|contexts| !contexts.is_empty()) {
        return Err(validation(
            "No context provider is known here: ProvidedContexts must be empty.",
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
    let tags = input.tags.unwrap_or_default().into_iter();
    set_tags(
        tags.map(|tag| (tag.key, tag.value)),
        input.transitive_tag_keys.unwrap_or_default(),
        &inherited_tags(call),
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
    session_policies(tx, &mut session, input.policy, input.policy_arns.unwrap_or_default())?;
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

/// The tags that the calling session passes on.
fn inherited_tags(call: &Call) -> Vec<(String, String)> {
    let session = call.principal.session.as_ref();
    let keys = session.map(|session| session.transitive_tag_keys.as_slice());
    let is_passed_on = |key: &str| {
        keys.unwrap_or_default()
            .iter()
            .any(|name| name.eq_ignore_ascii_case(key))
    };
    let tags = call.principal.tags.iter().filter(|(key, _)| is_passed_on(key));
    tags.cloned().collect()
}

/// Puts tags into a session, the inherited ones first: they stay transitive and cannot be overridden.
pub(super) fn set_tags(
    tags: impl Iterator<Item = (String, String)>,
    transitive: Vec<String>,
    inherited: &[(String, String)],
    session: &mut Session,
) -> Result<(), ApiError> {
    let invalid = |text: &str| ApiError::new("InvalidParameterValue", text).with_status(400);
    session.tags.extend(inherited.iter().cloned());
    session
        .transitive_tag_keys
        .extend(inherited.iter().map(|(key, _)| key.clone()));
    let mut seen: Vec<String> = Vec::new();
    for (key, value) in tags {
        let lower = key.to_lowercase();
        if lower.starts_with("aws:") {
            return Err(invalid("Tag keys starting with 'aws:' are reserved for system use"));
        }
        if seen.contains(&lower) {
            return Err(invalid(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        if inherited.iter().any(|(name, _)| name.eq_ignore_ascii_case(&key)) {
            return Err(invalid(
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
            ));
        }
        seen.push(lower);
        session.tags.push((key, value));
    }
    if session.tags.len() > SESSION_TAGS_MAX {
        return Err(validation(format!(
            "A session has at most {SESSION_TAGS_MAX} tags, inherited ones included."
        )));
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
    managed: Vec<types::PolicyDescriptorType>,
) -> Result<(), ApiError> {
    let arns: Vec<String> = managed.into_iter().filter_map(|policy| policy.arn).collect();
    // Ref: AssumeRole, PolicyArns: the plain text of both kinds together.
    let plain = policy.as_ref().map_or(0, String::len) + arns.iter().map(String::len).sum::<usize>();
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
            "1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to {SESSION_POLICY_ARNS_MAX}"
        )));
    }
    if plain > SESSION_POLICY_BYTES_MAX {
        return Err(packed_too_large(plain * 100 / SESSION_POLICY_BYTES_MAX));
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

fn packed_too_large(percent: usize) -> ApiError {
    ApiError::new(
        "PackedPolicyTooLargeException",
        format!("Packed policy consumes {percent}% of allotted space, please use smaller policy."),
    )
}

/// How much of the space for policies and tags is used, in per cent; nothing when there are none.
pub(super) fn packed(session: &Session) -> Result<Option<i32>, ApiError> {
    let texts = session.policies.iter().chain(&session.policy_arns).map(String::len);
    let tags = session.tags.iter().map(|(key, value)| key.len() + value.len());
    let bytes: usize = texts.chain(tags).sum();
    let percent = (bytes * 100).div_ceil(PACKED_BYTES_MAX);
    if percent > 100 && session.policies.is_empty() && session.policy_arns.is_empty() {
        return Err(ApiError::new(
            "PackedPolicyTooLargeException",
            format!("Packed size of session tags consumes {percent}% of allotted space."),
        ));
    }
    if percent > 100 {
        return Err(packed_too_large(percent));
    }
    Ok(i32::try_from(percent).ok().filter(|percent| *percent > 0))
}
