//! ALPN policies of TLS listeners. Ref: NLB guide, "TLS listeners", "ALPN policies".

use crate::error::validation;
use honmaru_base::ApiError;

/// The policies, and what each offers with the preferred protocol first.
const POLICIES: &[(&str, &[&str])] = &[
    ("HTTP1Only", &["http/1.1", "http/1.0"]),
    ("HTTP2Only", &["h2"]),
    ("HTTP2Optional", &["http/1.1", "http/1.0", "h2"]),
    ("HTTP2Preferred", &["h2", "http/1.1", "http/1.0"]),
    ("None", &[]),
];

/// Checks a policy: at most one, and of a TLS listener. The texts were recorded by badmintoncryer/cdk-preflight,
/// `pf-elbv2-listener-alpn-*`.
pub(super) fn check(kind: &str, protocol: &str, given: Option<Vec<String>>) -> Result<Option<String>, ApiError> {
    let mut given = given.unwrap_or_default();
    if given.len() > 1 {
        return Err(validation(format!(
            "Up to '1' ALPN policy can be specified, but '{}' were specified",
            given.len()
        )));
    }
    let Some(policy) = given.pop() else { return Ok(None) };
    if kind != "network" {
        return Err(validation(format!(
            "You cannot set ALPN policy on load balancers of type '{kind}'"
        )));
    }
    if protocol != "TLS" {
        return Err(validation(format!(
            "An ALPN policy cannot be specified for {protocol} listeners"
        )));
    }
    if POLICIES.iter().any(|(name, _)| *name == policy) {
        return Ok(Some(policy));
    }
    Err(ApiError::new(
        "ALPNPolicyNotSupported",
        format!("ALPN policy [{policy}] is not found"),
    ))
}

/// What a policy offers; nothing without one.
pub(crate) fn protocols(policy: Option<&str>) -> &'static [&'static str] {
    let found = POLICIES.iter().find(|(name, _)| Some(*name) == policy);
    found.map_or(&[], |(_, protocols)| protocols)
}
