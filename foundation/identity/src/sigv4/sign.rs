//! Makes signatures: what the CLI, the node and the tests call with.

use crate::sigv4::key::{derive, hmac};
use crate::sigv4::parse::{basic, query_text, string_to_sign};
use crate::sigv4::{ALGORITHM, Signed, TERMINATOR, UNSIGNED_PAYLOAD, canonical_request, is_s3};
use honmaru_base::Time;
use sha2::{Digest, Sha256};
use std::fmt;

/// What a caller signs with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `AKIA...` or `ASIA...`.
    pub access_key_id: String,
    /// The secret; it is never printed.
    pub secret_access_key: String,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Headers that proxies change or that are the signature's own.
const UNSIGNABLE: [&str; 6] = [
    "authorization",
    "connection",
    "expect",
    "transfer-encoding",
    "user-agent",
    "x-amzn-trace-id",
];

/// Signs a request: the headers to add to it (`X-Amz-Date`, `Authorization`, and where needed
/// `X-Amz-Security-Token` and `x-amz-content-sha256`). The request's headers must hold `host`.
pub fn sign(
    credentials: &Credentials,
    region: &str,
    service: &str,
    at: Time,
    request: &Signed<'_>,
) -> Vec<(String, String)> {
    let timestamp = basic(at);
    let payload = hex::encode(Sha256::digest(request.body));
    let mut added = vec![("X-Amz-Date".to_owned(), timestamp.clone())];
    if let Some(token) = &credentials.session_token {
        added.push(("X-Amz-Security-Token".to_owned(), token.clone()));
    }
    if is_s3(service) {
        added.push(("x-amz-content-sha256".to_owned(), payload.clone()));
    }
    let mut headers = request.headers.to_vec();
    headers.extend(added.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    let request = Signed {
        headers: &headers,
        ..*request
    };
    let names = signable(&request);
    let canonical = canonical_request(&request, service, &names, &payload, false);
    let (date, signature) = signature(credentials, &timestamp, region, service, &canonical);
    let authorization = format!(
        "{ALGORITHM} Credential={}/{date}/{region}/{service}/{TERMINATOR}, SignedHeaders={}, Signature={signature}",
        credentials.access_key_id, names,
    );
    added.push(("Authorization".to_owned(), authorization));
    added
}

/// Presigns a request for `expires_s` seconds: the whole query that it must be sent with.
pub fn presign(
    credentials: &Credentials,
    region: &str,
    service: &str,
    at: Time,
    expires_s: u32,
    request: &Signed<'_>,
) -> String {
    let timestamp = basic(at);
    let date = timestamp.get(..8).unwrap_or_default();
    let names = signable(request);
    let credential = format!("{}/{date}/{region}/{service}/{TERMINATOR}", credentials.access_key_id);
    let mut query = request.raw_query.to_owned();
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(&format!(
        "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={timestamp}&X-Amz-Expires={expires_s}\
         &X-Amz-SignedHeaders={}",
        query_text(&credential),
        query_text(&names),
    ));
    if let Some(token) = &credentials.session_token {
        query.push_str(&format!("&X-Amz-Security-Token={}", query_text(token)));
    }
    let payload = if is_s3(service) {
        UNSIGNED_PAYLOAD.to_owned()
    } else {
        hex::encode(Sha256::digest(request.body))
    };
    let request = Signed {
        raw_query: &query,
        ..*request
    };
    let canonical = canonical_request(&request, service, &names, &payload, true);
    let (_, signature) = signature(credentials, &timestamp, region, service, &canonical);
    query.push_str(&format!("&X-Amz-Signature={signature}"));
    query
}

/// The names of the headers to sign, between semicolons.
fn signable(request: &Signed<'_>) -> String {
    let mut names: Vec<String> = request
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.retain(|name| !UNSIGNABLE.contains(&name.as_str()));
    names.sort();
    names.dedup();
    names.join(";")
}

fn signature<'t>(
    credentials: &Credentials,
    timestamp: &'t str,
    region: &str,
    service: &str,
    canonical: &[u8],
) -> (&'t str, String) {
    let date = timestamp.get(..8).unwrap_or_default();
    let key = derive(&credentials.secret_access_key, date, region, service);
    let text = string_to_sign(timestamp, date, region, service, canonical);
    (date, hex::encode(hmac(&key, text.as_bytes())))
}
