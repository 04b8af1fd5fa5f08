//! AssumeRoleWithWebIdentity: a role for whoever shows a token of a trusted OIDC issuer (GitHub Actions, for example).
//! Ref: STS API Reference, AssumeRoleWithWebIdentity; IAM User Guide, "Available keys for AWS OIDC federation".

use super::assume_role::{packed, session_policies};
use super::errors::{access_denied, validation};
use super::identity::credentials;
use crate::jwt::{JwtError, Unverified, key_of};
use crate::task::role_session;
use crate::types;
use honmaru_base::ApiError;
use honmaru_iam::{oidc_provider, role_by_arn};
use honmaru_identity::{CallContext, Caller, Decision, Policies, Request, cached_policy, evaluate};
use honmaru_machine::{Call, Tx};
use serde_json::Value;

const SESSION_S_DEFAULT: i32 = 3_600;
/// How far the issuer's clock may be from ours, in seconds.
const CLOCK_SKEW_S: i64 = 300;

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidIdentityTokenException", message)
}

fn not_authorized() -> ApiError {
    access_denied("Not authorized to perform sts:AssumeRoleWithWebIdentity")
}

fn texts(claims: &Value, name: &str) -> Vec<String> {
    match claims.get(name) {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::Null) | None => Vec::new(),
    }
}

pub(super) fn assume_role(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::AssumeRoleWithWebIdentityRequest,
) -> Result<types::AssumeRoleWithWebIdentityResponse, ApiError> {
    let (account, role) = role_by_arn(tx, &input.role_arn)
        .map(|(account, role)| (account, role.clone()))
        .ok_or_else(not_authorized)?;
    let token = Unverified::parse(&input.web_identity_token).map_err(|error| invalid(error.to_string()))?;
    let issuer = token
        .issuer()
        .ok_or_else(|| invalid(JwtError::Malformed.to_string()))?
        .to_owned();
    let url = key_of(&issuer).to_owned();
    let Some(provider) = oidc_provider(tx, &account, &url).cloned() else {
        return Err(invalid(format!(
            "No OpenIDConnect provider found in your account for {issuer}"
        )));
    };
    let claims = token.verify(tx).map_err(|error| invalid(error.to_string()))?;
    let now = tx.now();
    let now_s = now.as_ms().div_euclid(1_000);
    let moment = |name: &str| claims.get(name).and_then(Value::as_f64).map(|s| s as i64);
    match moment("exp") {
        None => return Err(invalid("Missing a required claim: exp")),
        Some(exp) if exp <= now_s => {
            return Err(ApiError::new(
                "ExpiredTokenException",
                format!("Token expired: current date/time {now_s} must be before the expiration date/time {exp}"),
            ));
        }
        Some(_) => {}
    }
    if ["nbf", "iat"]
        .into_iter()
        .filter_map(moment)
        .any(|at| at > now_s + CLOCK_SKEW_S)
    {
        return Err(invalid("The ID Token is not valid yet"));
    }
    let audiences = texts(&claims, "aud");
    if audiences.is_empty() || !audiences.iter().any(|aud| provider.client_ids.contains(aud)) {
        return Err(invalid("Incorrect token audience"));
    }
    let subject = texts(&claims, "sub")
        .pop()
        .ok_or_else(|| invalid("Missing a required claim: sub"))?;
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
    for name in claims.as_object().into_iter().flat_map(|claims| claims.keys()) {
        let values = texts(&claims, name);
        if !values.is_empty() {
            extra.push((format!("{url}:{name}"), values));
        }
    }
    let context = CallContext {
        caller: &caller,
        now,
        source_ip: call.source_ip,
        user_agent: &call.user_agent,
        secure: call.secure,
        region: call.scope.region.as_str(),
        resource_account: account.as_str(),
        extra: &extra,
    };
    let request = Request {
        caller: &caller,
        action: "sts:AssumeRoleWithWebIdentity",
        resource: &role.entity.arn,
        resource_account: account.as_str(),
        context: &context,
        resource_policy_required: true,
    };
    let trust = cached_policy(&role.trust).map_err(|_| not_authorized())?;
    if evaluate(
        &request,
        &Policies {
            resource: Some(trust),
            ..Policies::default()
        },
    ) != Decision::Allow
    {
        return Err(not_authorized());
    }

    let expires_at = now.plus_s(i64::from(lifetime_s));
    let mut session = role_session(&role, &account, &input.role_session_name, now, expires_at, tx.rng());
    session.federated_provider = Some(provider.arn.clone());
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
    Ok(types::AssumeRoleWithWebIdentityResponse {
        credentials: Some(credentials(tx, session)?),
        subject_from_web_identity_token: Some(subject),
        assumed_role_user,
        packed_policy_size,
        provider: Some(provider.arn),
        audience: audiences.into_iter().next(),
        ..Default::default()
    })
}
