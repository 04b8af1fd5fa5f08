//! AssumeRoleWithWebIdentity: a role for whoever shows a token of a trusted OIDC issuer (GitHub Actions, for example).
//! Ref: STS API Reference, AssumeRoleWithWebIdentity; IAM User Guide, "Available keys for AWS OIDC federation".

use super::assume_role::{is_role_arn, packed, session_policies, set_tags, tag_keys};
use super::claims::{self, texts};
use super::errors::{access_denied, validation};
use super::identity::credentials;
use crate::jwt::{JwtError, Unverified, key_of};
use crate::task::role_session;
use crate::types;
use honmaru_base::ApiError;
use honmaru_iam::{oidc_provider, role_by_arn, trust_of};
use honmaru_identity::{CallContext, Caller, Decision, Policies, Request, cached_policy, evaluate};
use honmaru_machine::{Call, Tx};
use serde_json::Value;

const SESSION_S_DEFAULT: i32 = 3_600;
/// How far the issuer's clock may be from ours, in seconds.
const CLOCK_SKEW_S: i64 = 300;

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidIdentityTokenException", message)
}

/// A moment that the token tells, in seconds. Ref: AssumeRoleWithWebIdentity, `WebIdentityToken`: "Timestamps in the token
/// must be formatted as either an integer or a long integer."
fn timestamp(claims: &Value, name: &str) -> Result<Option<i64>, ApiError> {
    let whole = |value: &Value| {
        value
            .as_i64()
            .ok_or_else(|| invalid(format!("The timestamp {name} must be an integer")))
    };
    claims.get(name).map(whole).transpose()
}

fn not_authorized() -> ApiError {
    access_denied("Not authorized to perform sts:AssumeRoleWithWebIdentity")
}

fn refused(error: &JwtError) -> ApiError {
    match error {
        JwtError::Unreachable => ApiError::new("IDPCommunicationErrorException", error.to_string()),
        JwtError::Malformed | JwtError::NoKey | JwtError::Algorithm | JwtError::Signature => invalid(error.to_string()),
    }
}

pub(super) fn assume_role(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::AssumeRoleWithWebIdentityRequest,
) -> Result<types::AssumeRoleWithWebIdentityResponse, ApiError> {
    // What is no token is refused before anything is looked up.
    let token = Unverified::parse(&input.web_identity_token).map_err(|error| refused(&error))?;
    if !is_role_arn(&input.role_arn) {
        return Err(validation("Request ARN is invalid"));
    }
    let (account, role) = role_by_arn(tx, &input.role_arn)
        .map(|(account, role)| (account, role.clone()))
        .ok_or_else(not_authorized)?;
    let issuer = token
        .issuer()
        .ok_or_else(|| invalid(JwtError::Malformed.to_string()))?
        .to_owned();
    // The issuer is the provider's URL, letter by letter; https is part of it.
    let url = key_of(&issuer).to_owned();
    let Some(provider) = oidc_provider(tx, &account, &issuer).cloned() else {
        return Err(invalid(format!(
            "No OpenIDConnect provider found in your account for {issuer}"
        )));
    };
    let claims = token.verify(tx).map_err(|error| refused(&error))?;
    let now = tx.now();
    let now_s = now.as_ms().div_euclid(1_000);
    match timestamp(&claims, "exp")? {
        None => return Err(invalid("Missing a required claim: exp")),
        Some(exp) if exp <= now_s => {
            return Err(ApiError::new(
                "ExpiredTokenException",
                format!("Token expired: current date/time {now_s} must be before the expiration date/time {exp}"),
            ));
        }
        Some(_) => {}
    }
    let begin = [timestamp(&claims, "nbf")?, timestamp(&claims, "iat")?];
    if begin.into_iter().flatten().any(|at| at > now_s + CLOCK_SKEW_S) {
        return Err(invalid("The ID Token is not valid yet"));
    }
    let audiences = texts(&claims, "aud");
    if audiences.is_empty() || !audiences.iter().any(|aud| provider.client_ids.contains(aud)) {
        return Err(invalid("Incorrect token audience"));
    }
    let subject = claims.get("sub").and_then(Value::as_str).filter(|sub| !sub.is_empty());
    let subject = subject
        .ok_or_else(|| invalid("Missing a required claim: sub"))?
        .to_owned();
    let claimed = claims::tags(&claims).map_err(invalid)?;
    let source_identity = claims::source_identity(&claims).map_err(invalid)?;
    let lifetime_s = input.duration_seconds.unwrap_or(SESSION_S_DEFAULT);
    if lifetime_s > role.max_session_s {
        return Err(validation(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }

    let caller = Caller::federated(&provider.arn);
    let mut extra = vec![
        ("aws:FederatedProvider".to_owned(), vec![provider.arn.clone()]),
        ("sts:RoleSessionName".to_owned(), vec![input.role_session_name.clone()]),
    ];
    extra.extend(claims::condition_keys(&url, &claims));
    extra.extend(tag_keys(&claimed.tags, &claimed.transitive));
    if let Some(source) = &source_identity {
        extra.push(("sts:SourceIdentity".to_owned(), vec![source.clone()]));
    }
    let context = CallContext {
        caller: &caller,
        now,
        source_ip: call.source_ip,
        user_agent: &call.user_agent,
        referer: &call.referer,
        secure: call.secure,
        region: call.scope.region.as_str(),
        resource_account: account.as_str(),
        extra: &extra,
    };
    let trust = cached_policy(&trust_of(tx, &role)).map_err(|_| not_authorized())?;
    let policies = Policies {
        resource: Some(trust),
        ..Policies::default()
    };
    let has_tags = !claimed.tags.is_empty() || !claimed.transitive.is_empty();
    let actions = [
        Some("sts:AssumeRoleWithWebIdentity"),
        has_tags.then_some("sts:TagSession"),
        source_identity.as_ref().map(|_| "sts:SetSourceIdentity"),
    ];
    for action in actions.into_iter().flatten() {
        let request = Request {
            caller: &caller,
            action,
            resource: &role.entity.arn,
            resource_account: account.as_str(),
            context: &context,
            resource_policy_required: true,
        };
        if evaluate(&request, &policies) != Decision::Allow {
            return Err(not_authorized());
        }
    }

    let expires_at = now.plus_s(i64::from(lifetime_s));
    let mut session = role_session(&role, &account, &input.role_session_name, now, expires_at, tx.rng());
    session.federated_provider = Some(provider.arn.clone());
    session.source_identity.clone_from(&source_identity);
    set_tags(claimed.tags.into_iter(), claimed.transitive, &[], &mut session)
        .map_err(|error| invalid(error.message))?;
    session_policies(tx, &mut session, input.policy, input.policy_arns.unwrap_or_default())?;
    let packed_policy_size = packed(&session)?;
    let assumed_role_user = Some(types::AssumedRoleUser {
        assumed_role_id: session.user_id.clone(),
        arn: session.arn.clone(),
    });
    Ok(types::AssumeRoleWithWebIdentityResponse {
        credentials: Some(credentials(tx, session)?),
        subject_from_web_identity_token: Some(subject),
        assumed_role_user,
        packed_policy_size,
        provider: Some(provider.arn),
        audience: audiences.into_iter().next(),
        source_identity,
        ..Default::default()
    })
}
