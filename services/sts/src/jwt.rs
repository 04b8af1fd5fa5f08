//! Web identity tokens: JWTs of an OIDC issuer, verified with its keys, which somebody else fetches.
//! Ref: RFC 7515, 7517, 7518, 7519; IAM User Guide, "Create an OpenID Connect (OIDC) identity provider in IAM".

use crate::strict::Strict;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use honmaru_base::{Scope, Time};
use honmaru_machine::{Resource, State, Tx};
use p521::ecdsa::signature::Verifier;
use p521::ecdsa::{Signature, VerifyingKey};
use ring::signature;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The largest key set that is kept, in bytes.
pub const JWKS_BYTES_MAX: usize = 262_144;
/// Keys that are looked at; further ones are as good as absent. Ref: "Create an OpenID Connect (OIDC) identity provider
/// in IAM": an issuer has at most 100 RSA and 100 EC keys.
const KEYS_MAX: usize = 200;

/// An issuer's key set (JWKS), by its URL without scheme. An observation: it is fetched again after a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IssuerKeys {
    /// The document.
    pub jwks: String,
    /// When it was fetched.
    pub fetched_at: Time,
    /// Whether the issuer could not be reached, and no key set of an earlier fetch is known.
    pub is_unreachable: bool,
}

impl Resource for IssuerKeys {
    const KIND: &'static str = "sts.issuer_keys";
    const DURABLE: bool = false;
}

/// Where rows of the whole installation live.
fn installation() -> Scope {
    Scope::new("000000000000", "us-east-1")
        .expect("a valid account and region")
        .global()
}

/// Keeps an issuer's key set. Returns whether it was taken: it must be no longer than [`JWKS_BYTES_MAX`].
pub fn put_issuer_keys(tx: &mut Tx<'_>, issuer_url: &str, jwks: &str) -> bool {
    if jwks.len() > JWKS_BYTES_MAX {
        return false;
    }
    let fetched_at = tx.now();
    tx.put(
        &installation(),
        key_of(issuer_url),
        IssuerKeys {
            jwks: jwks.to_owned(),
            fetched_at,
            is_unreachable: false,
        },
    );
    true
}

/// Notes that an issuer could not be reached. A key set that is known stays in use.
pub fn note_unreachable_issuer(tx: &mut Tx<'_>, issuer_url: &str) {
    let (scope, key, fetched_at) = (installation(), key_of(issuer_url).to_owned(), tx.now());
    let is_known = tx
        .get::<IssuerKeys>(&scope, &key)
        .is_some_and(|row| !row.is_unreachable);
    if !is_known {
        tx.put(
            &scope,
            &key,
            IssuerKeys {
                jwks: String::new(),
                fetched_at,
                is_unreachable: true,
            },
        );
    }
}

/// An issuer's URL as IAM keeps it.
pub(crate) fn key_of(issuer_url: &str) -> &str {
    honmaru_iam::issuer_key(issuer_url).unwrap_or(issuer_url)
}

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwtError {
    #[error("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")]
    Malformed,
    #[error(
        "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements"
    )]
    NoKey,
    #[error("The identity provider could not be reached to verify the incoming identity token")]
    Unreachable,
    #[error("Provided Token is not a Login With Amazon token or its signature algorithm is not supported")]
    Algorithm,
    #[error("Provided Token has an invalid signature")]
    Signature,
}

/// A token's claims before its signature was verified; good for nothing but finding the issuer.
pub(crate) struct Unverified<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    header: Value,
    claims: Value,
}

/// A part's JSON: an object in which no name occurs twice. Ref: RFC 7519, section 4, and RFC 7515, section 4.
fn part(text: &str) -> Option<Value> {
    let Strict(value) = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    value.is_object().then_some(value)
}

impl<'a> Unverified<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, JwtError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtError::Malformed)?;
        let (Some(header), Some(claims), Ok(signature)) =
            (part(header), part(claims), URL_SAFE_NO_PAD.decode(signature))
        else {
            return Err(JwtError::Malformed);
        };
        // Ref: RFC 7515, section 4.1.11: whoever does not understand what is critical must refuse; we know nothing of it.
        if header.get("crit").is_some() {
            return Err(JwtError::Malformed);
        }
        Ok(Self {
            signed,
            signature,
            header,
            claims,
        })
    }

    pub(crate) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The claims, once a key of the issuer's verified them. Keys that the token itself brings or points to (`jwk`,
    /// `jku`, `x5c`, `x5u`) are not looked at.
    pub(crate) fn verify(self, state: &State) -> Result<Value, JwtError> {
        let issuer = self.issuer().ok_or(JwtError::Malformed)?;
        let algorithm = self.header.get("alg").and_then(Value::as_str).unwrap_or_default();
        if !ALGORITHMS.contains(&algorithm) {
            return Err(JwtError::Algorithm);
        }
        let kid = match self.header.get("kid") {
            None => None,
            Some(kid) => Some(kid.as_str().ok_or(JwtError::Malformed)?),
        };
        let row = state
            .get::<IssuerKeys>(&installation(), key_of(issuer))
            .ok_or(JwtError::NoKey)?;
        if row.is_unreachable {
            return Err(JwtError::Unreachable);
        }
        let jwks: Value = serde_json::from_str(&row.jwks).map_err(|_| JwtError::NoKey)?;
        let keys = jwks.get("keys").and_then(Value::as_array).ok_or(JwtError::NoKey)?;
        let keys = keys.get(..KEYS_MAX).unwrap_or(keys);
        let is_named = |key: &Value| kid.is_none() || key.get("kid").and_then(Value::as_str) == kid;
        let fitting: Vec<&Value> = keys
            .iter()
            .filter(|key| is_named(key) && signs(key, algorithm))
            .collect();
        // Ref: OpenID Connect Core 1.0, section 10.1: with several keys a token must name its own.
        if fitting.is_empty() || kid.is_none() && fitting.len() > 1 {
            return Err(JwtError::NoKey);
        }
        for key in fitting {
            if verified(algorithm, key, self.signed.as_bytes(), &self.signature) {
                return Ok(self.claims);
            }
        }
        Err(JwtError::Signature)
    }
}

/// The signature algorithms of tokens.
const ALGORITHMS: [&str; 6] = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"];

/// Whether a key is meant for signatures of that algorithm. Ref: RFC 7517, sections 4.2 to 4.4.
fn signs(key: &Value, algorithm: &str) -> bool {
    let operations = key.get("key_ops").and_then(Value::as_array);
    key.get("use").is_none_or(|purpose| purpose == "sig")
        && operations.is_none_or(|list| list.iter().any(|operation| operation == "verify"))
        && key.get("alg").is_none_or(|own| own == algorithm)
}

/// Whether `key` verifies the signature. The algorithm is the header's, but the key must be of its kind: a token
/// cannot choose another.
fn verified(algorithm: &str, key: &Value, message: &[u8], signature: &[u8]) -> bool {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let bytes = |name: &str| text(name).and_then(|value| URL_SAFE_NO_PAD.decode(value).ok());
    let rsa: Option<&signature::RsaParameters> = match algorithm {
        "RS256" => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        "RS384" => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        _ => None,
    };
    if let Some(parameters) = rsa {
        let (Some("RSA"), Some(n), Some(e)) = (text("kty"), bytes("n"), bytes("e")) else {
            return false;
        };
        let key = signature::RsaPublicKeyComponents {
            n: n.as_slice(),
            e: e.as_slice(),
        };
        return key.verify(parameters, message, signature).is_ok();
    }
    let (Some("EC"), Some(curve), Some(x), Some(y)) = (text("kty"), text("crv"), bytes("x"), bytes("y")) else {
        return false;
    };
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    let ecdsa: &dyn signature::VerificationAlgorithm = match (algorithm, curve) {
        ("ES256", "P-256") => &signature::ECDSA_P256_SHA256_FIXED,
        ("ES384", "P-384") => &signature::ECDSA_P384_SHA384_FIXED,
        ("ES512", "P-521") => return verified_p521(&point, message, signature),
        _ => return false,
    };
    signature::UnparsedPublicKey::new(ecdsa, point)
        .verify(message, signature)
        .is_ok()
}

/// ES512 by a crate of its own: ring has no P-521.
fn verified_p521(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = VerifyingKey::from_sec1_bytes(point);
    match (key, Signature::from_slice(signature)) {
        (Ok(key), Ok(signature)) => key.verify(message, &signature).is_ok(),
        _ => false,
    }
}
