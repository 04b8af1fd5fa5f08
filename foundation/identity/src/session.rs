//! Session tokens: everything about a temporary credential, sealed with a key of the server's.
//!
//! No store holds sessions: whoever can open the token knows the session. Clients cannot tell the difference.
//! Ref: IAM User Guide, "Temporary security credentials in IAM".

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use honmaru_base::{AccountId, Rng, Time};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

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
    /// The user's name, for GetSessionToken and GetFederationToken.
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
    /// The federated user, for GetFederationToken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federated_user: Option<FederatedUser>,
    /// When a second factor was proven for it; nothing when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_at: Option<Time>,
    /// When it was issued.
    pub issued_at: Time,
    /// When it ends.
    pub expires_at: Time,
}

/// Whom GetFederationToken made a session for. [`Session::user_name`] is the user that asked; nothing for root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FederatedUser {
    /// The federated user's name.
    pub name: String,
    /// The unique id of the user that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
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

/// Seals and opens what only this installation may read, with one key: session tokens, and messages.
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    /// For nonces that follow from their message.
    nonce_key: [u8; SEALING_KEY_BYTES],
}

impl Sealer {
    /// A sealer with a key of [`SEALING_KEY_BYTES`] random bytes.
    pub fn new(key: &[u8; SEALING_KEY_BYTES]) -> Self {
        Self {
            cipher: XChaCha20Poly1305::new(key.into()),
            nonce_key: mac(key, &[b"honmaru message nonce 1"]),
        }
    }

    /// A message that only this key opens, and only for the same `subject`: never as a session token or for another
    /// subject. The nonce follows from both, so that no randomness is needed; equal messages look equal.
    pub fn seal_message(&self, subject: &str, message: &[u8]) -> Option<String> {
        let length = u64::try_from(subject.len()).ok()?.to_be_bytes();
        let digest = mac(&self.nonce_key, &[&length, subject.as_bytes(), message]);
        let nonce = digest.get(..NONCE_BYTES)?;
        let aad = message_context(subject);
        let payload = Payload {
            msg: message,
            aad: &aad,
        };
        let sealed = self.cipher.encrypt(XNonce::from_slice(nonce), payload).ok()?;
        let mut text = Vec::with_capacity(1 + NONCE_BYTES + sealed.len());
        text.push(VERSION);
        text.extend_from_slice(nonce);
        text.extend_from_slice(&sealed);
        Some(URL_SAFE_NO_PAD.encode(text))
    }

    /// The message of [`Sealer::seal_message`] for that subject.
    pub fn open_message(&self, subject: &str, text: &str) -> Result<Vec<u8>, SessionError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| SessionError)?;
        let (version, rest) = bytes.split_first().ok_or(SessionError)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES).ok_or(SessionError)?;
        if *version != VERSION {
            return Err(SessionError);
        }
        let aad = message_context(subject);
        let payload = Payload { msg: sealed, aad: &aad };
        self.cipher
            .decrypt(XNonce::from_slice(nonce), payload)
            .map_err(|_| SessionError)
    }

    /// A token that only this key opens. Nothing when the session is too large for a token.
    pub fn seal(&self, session: &Session, rng: &mut dyn Rng) -> Option<String> {
        let mut nonce = [0; NONCE_BYTES];
        rng.fill(&mut nonce);
        let plain = serde_json::to_vec(session).ok()?;
        let sealed = self
            .cipher
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
            .cipher
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

fn message_context(subject: &str) -> Vec<u8> {
    [b"honmaru message 1\0", subject.as_bytes()].concat()
}

fn mac(key: &[u8; SEALING_KEY_BYTES], parts: &[&[u8]]) -> [u8; SEALING_KEY_BYTES] {
    // HMAC takes keys of every length.
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("every length is a key");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
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
            federated_user: None,
            mfa_at: None,
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

    #[test]
    fn a_message_opens_for_its_subject_only_and_is_no_token() {
        let sealer = Sealer::new(&[1; 32]);
        let text = sealer.seal_message("111122223333", b"why").unwrap();
        assert_eq!(sealer.open_message("111122223333", &text), Ok(b"why".to_vec()));
        assert_eq!(sealer.open_message("444455556666", &text), Err(SessionError));
        assert_eq!(
            Sealer::new(&[2; 32]).open_message("111122223333", &text),
            Err(SessionError)
        );
        assert_ne!(sealer.seal_message("111122223333", b"how").unwrap()[2..30], text[2..30]);
        // A token would tell its secret if it could be opened as a message.
        let token = sealer.seal(&session(), &mut SeededRng::from_u64(7)).unwrap();
        let token = STANDARD.decode(token).unwrap();
        assert_eq!(
            sealer.open_message("111122223333", &URL_SAFE_NO_PAD.encode(&token)),
            Err(SessionError)
        );
        let message = URL_SAFE_NO_PAD.decode(&text).unwrap();
        assert_eq!(sealer.open(&STANDARD.encode(message)), Err(SessionError));
        for bad in ["", "AQ", "é", "AQ==", &text[..40]] {
            assert_eq!(sealer.open_message("111122223333", bad), Err(SessionError), "{bad}");
        }
    }
}
