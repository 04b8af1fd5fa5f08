//! URLs of OpenID Connect issuers: https, or in development plain HTTP on this machine.

use honmaru_base::Scope;
use honmaru_machine::{Resource, State, Tx};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Whether issuers on loopback may speak plain HTTP: said at each start, by development mode only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoopbackIssuers;

impl Resource for LoopbackIssuers {
    const KIND: &'static str = "iam.loopback_issuers";
    const DURABLE: bool = false;
}

/// Where rows of the whole installation live.
fn installation() -> Scope {
    Scope::new("000000000000", "us-east-1")
        .expect("a valid account and region")
        .global()
}

/// From now on, until a restart, `http://127.0.0.1...` and `http://localhost...` may be issuers.
pub fn allow_loopback_issuers(tx: &mut Tx<'_>) {
    tx.put(&installation(), "", LoopbackIssuers);
}

/// Whether they may.
pub fn are_loopback_issuers_allowed(state: &State) -> bool {
    state.get::<LoopbackIssuers>(&installation(), "").is_some()
}

/// An issuer's URL as providers are kept by it: without scheme, and otherwise as it is written, because it must be the
/// `iss` of tokens letter by letter (Auth0's end with a slash, and so do their providers' ARNs and condition keys).
/// Nothing for a URL that no issuer may have: plain HTTP to somewhere else than this machine.
pub fn issuer_key(url: &str) -> Option<&str> {
    let rest = match url.strip_prefix("https://") {
        Some(rest) => rest,
        None => url.strip_prefix("http://").filter(|rest| is_loopback(rest))?,
    };
    let has_host = !rest.trim_matches('/').is_empty() && !rest.starts_with('/');
    Some(rest).filter(|key| has_host && !key.contains(['?', '#']))
}

/// Whether an issuer speaks plain HTTP.
pub(crate) fn is_plain(url: &str) -> bool {
    url.starts_with("http://")
}

/// Whether what follows `http://` names this machine.
fn is_loopback(rest: &str) -> bool {
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    is_port && (host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::issuer_key;

    #[test]
    fn issuers_are_https_or_on_this_machine() {
        for (url, key) in [
            ("https://token.example/a/", Some("token.example/a/")),
            ("https://tenant.auth0.com/", Some("tenant.auth0.com/")),
            ("https:///a", None),
            ("http://127.0.0.1:4000", Some("127.0.0.1:4000")),
            ("http://localhost:4000/x", Some("localhost:4000/x")),
            ("http://[::1]:4000", Some("[::1]:4000")),
            ("http://[::1]", Some("[::1]")),
            ("http://token.example", None),
            ("http://127.0.0.1@token.example", None),
            ("http://localhost:80@token.example", None),
            ("http://localhost.token.example", None),
            ("http://10.0.0.1", None),
            ("https://", None),
            ("https://a?b", None),
            ("token.example", None),
        ] {
            assert_eq!(issuer_key(url), key, "{url}");
        }
    }
}
