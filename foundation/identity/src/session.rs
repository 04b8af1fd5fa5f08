//! Session tokens: everything about a temporary credential, sealed with a key of the server's.
//!
//! No store holds sessions: whoever can open the token knows the session. Clients cannot tell the difference.
//! Ref: IAM User Guide, "Temporary security credentials in IAM".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use honmaru_base::{AccountId, Rng, Time};
use serde::{Deserialize, Serialize};

use crate::SESSION_TOKEN_BYTES_MAX;

/// The length of a sealing key, in bytes.
pub const SEALING_KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
/// The first byte of a token: its version. It is authenticated with the rest.
const VERSION: u8 = 1;
const CONTEXT: &[u8] = b"honmaru session token 1";

/// A temporary credential and all that limits it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// `ASIA...`.
    pub access_key_id: String,
    /// The secret; it never leaves the token but in the answer that created it.
    pub secret_access_key: String,
    /// The account that the session acts in.
    pub account: AccountId,
    /// The principal's ARN: `arn:aws:sts::...:assumed-role/ROLE/SESSION`, or the user's.
    pub arn: String,
    /// `AROA...:SESSION`, or the user's unique id.
    pub user_id: String,
    /// The role's ARN, for a role session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The role session's name, or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
    /// The user's name, for GetSessionToken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// Session tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, String)>,
    /// Keys of the tags that pass on to the next session in a chain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transitive_tag_keys: Vec<String>,
    /// Session policies as documents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Session policies as ARNs of managed policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy_arns: Vec<String>,
    /// Who stands behind the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<String>,
    /// The OIDC provider that the identity came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federated_provider: Option<String>,
    /// When it was issued.
    pub issued_at: Time,
    /// When it ends.
    pub expires_at: Time,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("arn", &self.arn)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Why a token does not open. It says no more, because a stranger may have made the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session token is invalid")]
pub struct SessionError;

/// Seals and opens session tokens with one key.
#[derive(Clone)]
pub struct Sealer(XChaCha20Poly1305);

impl Sealer {
    /// A sealer with a key of [`SEALING_KEY_BYTES`] random bytes.
    pub fn new(key: &[u8; SEALING_KEY_BYTES]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    /// A token that only this key opens. Nothing when the session is too large for a token.
    pub fn seal(&self, session: &Session, rng: &mut dyn Rng) -> Option<String> {
        let mut nonce = [0; NONCE_BYTES];
        rng.fill(&mut nonce);
        let plain = serde_json::to_vec(session).ok()?;
        let sealed = self
            .0
            .encrypt(
                XNonce::from_slice(&nonce),
                Payload {
                    msg: &plain,
                    aad: CONTEXT,
                },
            )
            .ok()?;
        let mut token = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        token.push(VERSION);
        token.extend_from_slice(&nonce);
        token.extend_from_slice(&sealed);
        Some(STANDARD.encode(token)).filter(|token| token.len() <= SESSION_TOKEN_BYTES_MAX)
    }

    /// The session in a token. It may have ended: compare [`Session::expires_at`] with the present.
    pub fn open(&self, token: &str) -> Result<Session, SessionError> {
        if token.len() > SESSION_TOKEN_BYTES_MAX {
            return Err(SessionError);
        }
        let bytes = STANDARD.decode(token).map_err(|_| SessionError)?;
        let (version, rest) = bytes.split_first().ok_or(SessionError)?;
        if *version != VERSION || rest.len() < NONCE_BYTES {
            return Err(SessionError);
        }
        let (nonce, sealed) = rest.split_at(NONCE_BYTES);
        let plain = self
            .0
            .decrypt(
                XNonce::from_slice(nonce),
                Payload {
                    msg: sealed,
                    aad: CONTEXT,
                },
            )
            .map_err(|_| SessionError)?;
        serde_json::from_slice(&plain).map_err(|_| SessionError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use honmaru_base::SeededRng;

    fn session() -> Session {
        Session {
            access_key_id: "ASIAEXAMPLE".into(),
            secret_access_key: "secret".into(),
            account: "123456789012".parse().unwrap(),
            arn: "arn:aws:sts::123456789012:assumed-role/app/task".into(),
            user_id: "AROAEXAMPLE:task".into(),
            role_arn: Some("arn:aws:iam::123456789012:role/app".into()),
            session_name: Some("task".into()),
            user_name: None,
            tags: vec![("team".into(), "blue".into())],
            transitive_tag_keys: vec![],
            policies: vec![],
            policy_arns: vec![],
            source_identity: None,
            federated_provider: None,
            issued_at: Time::from_ms(1),
            expires_at: Time::from_ms(2),
        }
    }

    #[test]
    fn a_token_opens_with_its_key_only_and_not_when_a_bit_is_changed() {
        let mut rng = SeededRng::from_u64(7);
        let sealer = Sealer::new(&[1; 32]);
        let token = sealer.seal(&session(), &mut rng).unwrap();
        assert!(!token.contains("secret"));
        assert_eq!(sealer.open(&token), Ok(session()));
        assert_eq!(Sealer::new(&[2; 32]).open(&token), Err(SessionError));
        let bytes = STANDARD.decode(&token).unwrap();
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert_eq!(sealer.open(&STANDARD.encode(changed)), Err(SessionError), "byte {i}");
        }
        for bad in ["", "AQ==", "no base64!", &token[..token.len() - 8]] {
            assert_eq!(sealer.open(bad), Err(SessionError));
        }
        assert!(!format!("{:?}", session()).contains("secret"));
    }
}
