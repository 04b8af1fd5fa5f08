//! Authentication to other registries: Basic, and bearer tokens from the service that a challenge names.
//! Ref: distribution project, "Token Authentication Specification"; RFC 7617; RFC 9110 section 11.

use super::http::{Http, Url, collect};
use super::{Reference, RemoteError, Wanted};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use parking_lot::Mutex;
use serde::Deserialize;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A token service that does not say how long its tokens live means 60 seconds.
const TOKEN_S_DEFAULT: u64 = 60;
/// Tokens are renewed this long before they end.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);
const TOKEN_BYTES_MAX: usize = 1024 * 1024;
/// Remembered authorisations; when so many have gathered, the ended ones are forgotten, or all.
const TOKENS_MAX: usize = 1_024;
/// How long a Basic authorisation is remembered without asking again.
const BASIC_KEPT: Duration = Duration::from_secs(600);

type Key = (String, String, Option<String>);

/// What worked before: by registry, repository and credentials.
#[derive(Default)]
pub(super) struct Tokens {
    known: Mutex<HashMap<Key, (HeaderValue, Instant)>>,
}

impl Tokens {
    pub(super) fn known(&self, reference: &Reference, credentials: Option<&str>) -> Option<HeaderValue> {
        let known = self.known.lock();
        let (value, until) = known.get(&key(reference, credentials))?;
        (Instant::now() < *until).then(|| value.clone())
    }

    /// Does what the first challenge that we understand asks for.
    pub(super) async fn obtain(
        &self,
        http: &Http,
        reference: &Reference,
        challenges: Vec<HeaderValue>,
        credentials: Option<&str>,
        wanted: Wanted,
    ) -> Result<HeaderValue, RemoteError> {
        let basic = credentials.map(|credentials| format!("Basic {}", STANDARD.encode(credentials)));
        for challenge in challenges.iter().filter_map(|value| value.to_str().ok()) {
            let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
            let (text, life) = if scheme.eq_ignore_ascii_case("bearer") {
                let parameters = parameters(rest);
                self.token(http, reference, &parameters, basic.as_deref(), wanted)
                    .await?
            } else if scheme.eq_ignore_ascii_case("basic") {
                let Some(basic) = basic.clone() else { continue };
                (basic, BASIC_KEPT)
            } else {
                continue;
            };
            let mut value = HeaderValue::from_str(&text).map_err(|_| RemoteError::Auth("malformed token".into()))?;
            value.set_sensitive(true);
            if wanted == Wanted::Base {
                return Ok(value);
            }
            let mut known = self.known.lock();
            if known.len() >= TOKENS_MAX {
                let now = Instant::now();
                known.retain(|_, (_, until)| *until > now);
                if known.len() >= TOKENS_MAX {
                    known.clear();
                }
            }
            let until = Instant::now() + life.saturating_sub(TOKEN_MARGIN);
            known.insert(key(reference, credentials), (value.clone(), until));
            return Ok(value);
        }
        Err(RemoteError::Auth("no basic auth credentials".to_owned()))
    }

    async fn token(
        &self,
        http: &Http,
        reference: &Reference,
        parameters: &HashMap<String, String>,
        basic: Option<&str>,
        wanted: Wanted,
    ) -> Result<(String, Duration), RemoteError> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
            expires_in: Option<u64>,
        }
        let missing = || RemoteError::Auth("the challenge names no realm".to_owned());
        let realm = parameters.get("realm").ok_or_else(missing)?;
        // To be let in needs no scope; what a challenge asks for is what we ask for.
        let usual = match wanted {
            Wanted::Base => None,
            Wanted::Manifest | Wanted::Blob => Some(format!("repository:{}:pull", reference.repository())),
        };
        let scope = parameters.get("scope").or(usual.as_ref());
        let asked = [("scope", scope), ("service", parameters.get("service"))];
        let mut url = realm.clone();
        for (name, value) in asked {
            if let Some(value) = value {
                url.push(if url.contains('?') { '&' } else { '?' });
                url.push_str(&format!("{name}={}", encode(value)));
            }
        }
        let url = Url::parse(&url)?;
        // A registry elsewhere must not make us talk to services on this machine.
        if !reference.is_loopback() && super::reference::is_loopback(url.host()) {
            return Err(RemoteError::Auth(
                "the challenge names a realm on this machine".to_owned(),
            ));
        }
        let mut headers = HeaderMap::new();
        if let Some(basic) = basic {
            let mut value =
                HeaderValue::from_str(basic).map_err(|_| RemoteError::Auth("malformed credentials".into()))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let response = http.get(&url, headers).await?;
        let status = response.status();
        let body = collect(url.host(), response.into_body(), TOKEN_BYTES_MAX, http.limits()).await?;
        if !status.is_success() {
            let message = super::error_message(status, &body);
            return Err(match status.as_u16() {
                401 | 403 => RemoteError::Auth(format!("the token service refuses: {message}")),
                status => RemoteError::Status {
                    url: url.shown(),
                    status,
                    message,
                },
            });
        }
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| RemoteError::Auth("the token service's answer is no token".to_owned()))?;
        let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| RemoteError::Auth("the token service gave no token".to_owned()))?;
        let life = Duration::from_secs(answer.expires_in.unwrap_or(TOKEN_S_DEFAULT));
        Ok((format!("Bearer {token}"), life))
    }
}

fn key(reference: &Reference, credentials: Option<&str>) -> Key {
    (
        reference.registry().to_owned(),
        reference.repository().to_owned(),
        credentials.map(str::to_owned),
    )
}

/// `name="value",name=value` of a challenge.
fn parameters(text: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(name, value.trim().to_owned());
        rest = next;
    }
    found
}

/// Percent-encodes a query value.
fn encode(value: &str) -> String {
    use std::fmt::Write;
    value.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_challenges() {
        let found = parameters(r#"realm="https://a/b?c=d", service="x y",scope=repository:a:pull,push"#);
        assert_eq!(found["realm"], "https://a/b?c=d");
        assert_eq!(found["service"], "x y");
        assert_eq!(found["scope"], "repository:a:pull");
        assert_eq!(encode("repository:a/b:pull"), "repository%3Aa%2Fb%3Apull");
    }
}
