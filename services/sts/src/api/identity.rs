//! Who calls, whose key that is, and session tokens for users.

use super::errors::{access_denied, validation};
use crate::session::seal;
use crate::types;
use honmaru_base::ApiError;
use honmaru_iam::{MfaRefusal, prove_mfa};
use honmaru_identity::{KeyKind, Session, access_key_id, account_of_access_key_id, secret_access_key};
use honmaru_machine::{Call, PrincipalKind, State, Tx};

/// Ref: STS API Reference, GetSessionToken and GetFederationToken, DurationSeconds: default 12 hours.
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

/// Ref: STS API Reference, GetSessionToken and GetFederationToken, DurationSeconds: root's last an hour at most.
const ROOT_SESSION_S_MAX: i32 = 3_600;

/// Whoever calls with long-term keys: a user's name and unique id, or root. Only `--dev` lets root in.
pub(super) struct LongTerm {
    pub(super) user: Option<(String, String)>,
    /// What may be asked for, cut to what root may have.
    pub(super) lifetime_s: i32,
}

/// The caller, who must have long-term keys; `action` is told to whoever has not.
pub(super) fn long_term(
    state: &State,
    call: &Call,
    action: &str,
    lifetime_s: Option<i32>,
) -> Result<LongTerm, ApiError> {
    let principal = &call.principal;
    let lifetime_s = lifetime_s.unwrap_or(SESSION_S_DEFAULT);
    if KeyKind::of(&principal.access_key_id) == Some(KeyKind::Temporary) {
        return Err(access_denied(format!("Cannot call {action} with session credentials")));
    }
    match &principal.kind {
        PrincipalKind::User { name } => match honmaru_iam::user_of_name(state, &principal.account, name) {
            Some(user) => Ok(LongTerm {
                user: Some((user.entity.name.clone(), user.entity.id.clone())),
                lifetime_s,
            }),
            None => Err(access_denied("The user of these credentials does not exist any more")),
        },
        PrincipalKind::Root => Ok(LongTerm {
            user: None,
            lifetime_s: lifetime_s.min(ROOT_SESSION_S_MAX),
        }),
        PrincipalKind::AssumedRole { .. } | PrincipalKind::FederatedUser { .. } | PrincipalKind::Anonymous => {
            Err(access_denied(format!("Cannot call {action} with session credentials")))
        }
    }
}

/// Proves the second factor of a call that names one; `false` when it names none.
pub(super) fn second_factor(
    tx: &mut Tx<'_>,
    call: &Call,
    serial: Option<&str>,
    code: Option<&str>,
) -> Result<bool, ApiError> {
    let (serial, code) = match (serial, code) {
        (None, None) => return Ok(false),
        (Some(serial), Some(code)) => (serial, code),
        (Some(_), None) | (None, Some(_)) => {
            return Err(access_denied(
                "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.",
            ));
        }
    };
    match prove_mfa(tx, &call.principal, serial, code) {
        Ok(()) => Ok(true),
        Err(MfaRefusal::NotTheirs) => Err(access_denied(
            "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is \
             valid and associated with this user.",
        )),
        Err(MfaRefusal::WrongCode) => Err(access_denied(
            "MultiFactorAuthentication failed with invalid MFA one time pass code.",
        )),
    }
}

/// A session in the caller's account, without tags, policies and a name.
pub(super) fn new_session(tx: &mut Tx<'_>, call: &Call, lifetime_s: i32) -> Session {
    let (principal, now) = (&call.principal, tx.now());
    Session {
        access_key_id: access_key_id(KeyKind::Temporary, &principal.account, tx.rng()),
        secret_access_key: secret_access_key(tx.rng()),
        account: principal.account.clone(),
        arn: principal.arn.clone(),
        user_id: principal.user_id.clone(),
        role_arn: None,
        session_name: None,
        user_name: None,
        tags: Vec::new(),
        transitive_tag_keys: Vec::new(),
        policies: Vec::new(),
        policy_arns: Vec::new(),
        source_identity: None,
        federated_provider: None,
        federated_user: None,
        mfa_at: None,
        issued_at: now,
        expires_at: now.plus_s(i64::from(lifetime_s)),
    }
}

pub(super) fn session_token(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::GetSessionTokenRequest,
) -> Result<types::GetSessionTokenResponse, ApiError> {
    let caller = long_term(tx, call, "GetSessionToken", input.duration_seconds)?;
    let proven = second_factor(tx, call, input.serial_number.as_deref(), input.token_code.as_deref())?;
    let mut session = new_session(tx, call, caller.lifetime_s);
    session.mfa_at = proven.then(|| tx.now());
    if let Some((name, id)) = caller.user {
        session.user_id = id;
        session.user_name = Some(name);
    }
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
