//! Registry tokens: who asked for one, sealed against change, so that every control process that shares the state can
//! check it. Nothing is stored per token.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use honmaru_base::{Scope, Time};
use honmaru_machine::{Principal, PrincipalKind, Resource, SessionContext, State, Tx};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Ref: ECR GetAuthorizationToken: a token is valid for 12 hours.
pub const TOKEN_LIFE_S: i64 = 12 * 3_600;
/// Ref: ECR GetDownloadUrlForLayer: a URL is valid for an hour.
pub const LAYER_URL_LIFE_S: i64 = 3_600;
/// The query parameter of a layer's URL that holds its token.
pub const LAYER_TOKEN_PARAMETER: &str = "X-Honmaru-Layer-Token";
/// The longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
const KEY_BYTES: usize = 32;
const ROW: &str = "tokens";
/// The user name in Basic authentication. Ref: ECR user guide, "Registry authentication".
pub const TOKEN_USER: &str = "AWS";

/// The key that makes tokens good: drawn once, kept for ever. It belongs to the installation.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenKey {
    key: [u8; KEY_BYTES],
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKey").finish_non_exhaustive()
    }
}

impl Resource for TokenKey {
    const KIND: &'static str = "ecr.key";
}

fn installation() -> Scope {
    Scope::new("000000000000", "us-east-1")
        .expect("a valid account and region")
        .global()
}

/// Why a token is not accepted. It says no more, because a stranger may have made the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of ours.
    #[error("Your Authorization Token is invalid. Please provide a valid one.")]
    Invalid,
    /// Too old.
    #[error("Your authorization token has expired. Reauthenticate and try again.")]
    Expired,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
enum Claim {
    Registry {
        principal: Box<Identity>,
        expires_at: Time,
    },
    Layer {
        scope: Scope,
        repository: String,
        digest: String,
        expires_at: Time,
    },
}

/// A principal as plain data.
#[derive(Serialize, Deserialize)]
struct Identity {
    account: honmaru_base::AccountId,
    arn: String,
    user_id: String,
    kind: Kind,
    access_key_id: String,
    tags: Vec<(String, String)>,
    session_policies: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<SessionContext>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Root,
    User { name: String },
    Role { role: String, session: String },
    Federated { name: String, user: Option<String> },
    Anonymous,
}

/// Draws the key at the first use.
fn ensure_key(tx: &mut Tx<'_>) -> [u8; KEY_BYTES] {
    let scope = installation();
    if let Some(row) = tx.get::<TokenKey>(&scope, ROW) {
        return row.key;
    }
    let mut key = [0; KEY_BYTES];
    tx.rng().fill(&mut key);
    tx.put(&scope, ROW, TokenKey { key });
    key
}

/// A token with which `principal` may speak to the registry until [`TOKEN_LIFE_S`] from now: the password of user
/// `AWS`.
pub fn registry_token(tx: &mut Tx<'_>, principal: &Principal) -> String {
    let expires_at = tx.now().plus_s(TOKEN_LIFE_S);
    let claim = Claim::Registry {
        principal: Box::new(Identity::of(principal)),
        expires_at,
    };
    seal(&ensure_key(tx), &claim)
}

/// The same as `Basic` credentials in base64, as GetAuthorizationToken answers them.
pub fn authorization_token(tx: &mut Tx<'_>, principal: &Principal) -> String {
    STANDARD.encode(format!("{TOKEN_USER}:{}", registry_token(tx, principal)))
}

/// Whoever a registry token was made for. Whether they may do something now is decided for every request anew.
pub fn check_registry_token(state: &State, token: &str, now: Time) -> Result<Principal, TokenError> {
    match open(state, token)? {
        Claim::Registry { expires_at, .. } if now >= expires_at => Err(TokenError::Expired),
        Claim::Registry { principal, .. } => Ok(principal.into_principal()),
        Claim::Layer { .. } => Err(TokenError::Invalid),
    }
}

/// Whoever an `Authorization` header speaks for: `Basic` with user `AWS`, or `Bearer` with the token itself.
pub fn check_authorization(state: &State, header: &str, now: Time) -> Result<Principal, TokenError> {
    let (scheme, value) = header.split_once(' ').ok_or(TokenError::Invalid)?;
    let value = value.trim();
    if value.len() > TOKEN_BYTES_MAX * 2 {
        return Err(TokenError::Invalid);
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        return check_registry_token(state, value, now);
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(TokenError::Invalid);
    }
    let decoded = STANDARD.decode(value).map_err(|_| TokenError::Invalid)?;
    let decoded = String::from_utf8(decoded).map_err(|_| TokenError::Invalid)?;
    match decoded.split_once(':') {
        Some((TOKEN_USER, token)) => check_registry_token(state, token, now),
        _ => Err(TokenError::Invalid),
    }
}

/// The token in an `Authorization` header: that of `Bearer`, or the password of `Basic`.
pub fn password_of(header: &str) -> Option<String> {
    let (scheme, value) = header.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().to_owned());
    }
    let decoded = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

/// A token that lets whoever holds it read one blob of one repository for [`LAYER_URL_LIFE_S`].
pub(crate) fn layer_token(tx: &mut Tx<'_>, scope: &Scope, repository: &str, digest: &str) -> String {
    let expires_at = tx.now().plus_s(LAYER_URL_LIFE_S);
    let (scope, repository, digest) = (scope.clone(), repository.to_owned(), digest.to_owned());
    seal(
        &ensure_key(tx),
        &Claim::Layer {
            scope,
            repository,
            digest,
            expires_at,
        },
    )
}

/// Checks the token of a layer's URL: scope, repository and digest that it opens.
pub fn check_layer_token(state: &State, token: &str, now: Time) -> Result<(Scope, String, String), TokenError> {
    match open(state, token)? {
        Claim::Layer { expires_at, .. } if now >= expires_at => Err(TokenError::Expired),
        Claim::Layer {
            scope,
            repository,
            digest,
            ..
        } => Ok((scope, repository, digest)),
        Claim::Registry { .. } => Err(TokenError::Invalid),
    }
}

fn mac(key: &[u8; KEY_BYTES], payload: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of every length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("every length is a key");
    mac.update(b"honmaru ecr token 1\0");
    mac.update(payload);
    mac
}

fn seal(key: &[u8; KEY_BYTES], claim: &Claim) -> String {
    // A claim is plain data with text keys; serde_json cannot fail on it.
    let payload = serde_json::to_vec(claim).expect("a claim is plain data");
    let tag = mac(key, &payload).finalize().into_bytes();
    format!("{}.{}", URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(tag))
}

fn open(state: &State, token: &str) -> Result<Claim, TokenError> {
    let row = state.get::<TokenKey>(&installation(), ROW).ok_or(TokenError::Invalid)?;
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::Invalid);
    }
    let (payload, tag) = token.split_once('.').ok_or(TokenError::Invalid)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Invalid)?;
    let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| TokenError::Invalid)?;
    mac(&row.key, &payload)
        .verify_slice(&tag)
        .map_err(|_| TokenError::Invalid)?;
    serde_json::from_slice(&payload).map_err(|_| TokenError::Invalid)
}

impl Identity {
    fn of(principal: &Principal) -> Self {
        let kind = match principal.kind.clone() {
            PrincipalKind::Root => Kind::Root,
            PrincipalKind::User { name } => Kind::User { name },
            PrincipalKind::AssumedRole { role, session } => Kind::Role { role, session },
            PrincipalKind::FederatedUser { name, user } => Kind::Federated { name, user },
            PrincipalKind::Anonymous => Kind::Anonymous,
        };
        Self {
            account: principal.account.clone(),
            arn: principal.arn.clone(),
            user_id: principal.user_id.clone(),
            kind,
            access_key_id: principal.access_key_id.clone(),
            tags: principal.tags.clone(),
            session_policies: principal.session_policies.clone(),
            session: principal.session.clone(),
        }
    }
}

impl Identity {
    fn into_principal(self) -> Principal {
        let kind = match self.kind {
            Kind::Root => PrincipalKind::Root,
            Kind::User { name } => PrincipalKind::User { name },
            Kind::Role { role, session } => PrincipalKind::AssumedRole { role, session },
            Kind::Federated { name, user } => PrincipalKind::FederatedUser { name, user },
            Kind::Anonymous => PrincipalKind::Anonymous,
        };
        Principal {
            account: self.account,
            arn: self.arn,
            user_id: self.user_id,
            kind,
            access_key_id: self.access_key_id,
            tags: self.tags,
            session_policies: self.session_policies,
            session: self.session,
        }
    }
}
