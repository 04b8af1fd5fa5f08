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

/// Checks a policy: at most one, and of a TLS listener.
pub(super) fn check(protocol: &str, given: Option<Vec<String>>) -> Result<Option<String>, ApiError> {
    let mut given = given.unwrap_or_default().into_iter();
    let (Some(policy), None) = (given.next(), given.next()) else {
        return match given.len() {
            0 => Ok(None),
            _ => Err(validation("Only one ALPN policy can be specified")),
        };
    };
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
        format!("ALPN policy '{policy}' is not supported"),
    ))
}

/// What a policy offers; nothing without one.
pub(crate) fn protocols(policy: Option<&str>) -> &'static [&'static str] {
    let found = POLICIES.iter().find(|(name, _)| Some(*name) == policy);
    found.map_or(&[], |(_, protocols)| protocols)
}
