//! Who calls, whose key that is, and session tokens for users.

use super::errors::{access_denied, validation};
use crate::session::seal;
use crate::types;
use honmaru_base::ApiError;
use honmaru_identity::{KeyKind, Session, access_key_id, account_of_access_key_id, secret_access_key};
use honmaru_machine::{Call, PrincipalKind, Tx};

/// Ref: STS API Reference, GetSessionToken, DurationSeconds: default 12 hours.
const SESSION_S_DEFAULT: i32 = 43_200;

pub(super) fn caller(call: &Call) -> types::GetCallerIdentityResponse {
    let principal = &call.principal;
    types::GetCallerIdentityResponse {
        user_id: Some(principal.user_id.clone()),
        account: Some(principal.account.to_string()),
        arn: Some(principal.arn.clone()),
    }
}

pub(super) fn key_info(input: types::GetAccessKeyInfoRequest) -> Result<types::GetAccessKeyInfoResponse, ApiError> {
    match account_of_access_key_id(&input.access_key_id) {
        Some(account) => Ok(types::GetAccessKeyInfoResponse {
            account: Some(account.to_string()),
        }),
        None => Err(validation("Invalid Access Key format.")),
    }
}

pub(super) fn session_token(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::GetSessionTokenRequest,
) -> Result<types::GetSessionTokenResponse, ApiError> {
    let principal = &call.principal;
    if KeyKind::of(&principal.access_key_id) == Some(KeyKind::Temporary) {
        return Err(access_denied("Cannot call GetSessionToken with session credentials"));
    }
    if input.serial_number.is_some() || input.token_code.is_some() {
        return Err(access_denied(
            "MultiFactorAuthentication failed with invalid MFA one time pass code.",
        ));
    }
    let PrincipalKind::User { name } = &principal.kind else {
        return Err(access_denied("GetSessionToken can be called by an IAM user only"));
    };
    let user = honmaru_iam::user_of_name(tx, &principal.account, name);
    let (Some(user_id), now) = (user.map(|user| user.entity.id.clone()), tx.now()) else {
        return Err(access_denied("The user of these credentials does not exist any more"));
    };
    let lifetime_s = input.duration_seconds.unwrap_or(SESSION_S_DEFAULT);
    let session = Session {
        access_key_id: access_key_id(KeyKind::Temporary, &principal.account, tx.rng()),
        secret_access_key: secret_access_key(tx.rng()),
        account: principal.account.clone(),
        arn: principal.arn.clone(),
        user_id,
        role_arn: None,
        session_name: None,
        user_name: Some(name.clone()),
        tags: Vec::new(),
        transitive_tag_keys: Vec::new(),
        policies: Vec::new(),
        policy_arns: Vec::new(),
        source_identity: None,
        federated_provider: None,
        issued_at: now,
        expires_at: now.plus_s(i64::from(lifetime_s)),
    };
    Ok(types::GetSessionTokenResponse {
        credentials: Some(credentials(tx, session)?),
        ..Default::default()
    })
}

/// Seals a session and gives it AWS's shape.
pub(super) fn credentials(tx: &mut Tx<'_>, session: Session) -> Result<types::Credentials, ApiError> {
    // The nonce comes from the transition's generator; the key was read before it is borrowed.
    let mut seed = [0; 32];
    tx.rng().fill(&mut seed);
    let session_token = seal(tx, &session, &mut honmaru_base::SeededRng::from_seed(seed))?;
    Ok(types::Credentials {
        access_key_id: session.access_key_id,
        secret_access_key: session.secret_access_key,
        session_token,
        // AWS answers whole seconds.
        expiration: session.expires_at.as_ms().div_euclid(1_000) as f64,
    })
}
