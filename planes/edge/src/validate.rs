//! What a request must be like before anything else looks at it; hyper accepts more than a load balancer may.
//! One walk over the headers also notes what later steps need to know.

use crate::answer::Refusal;
use crate::limits::{FORWARDED_ADDRESSES_MAX, HEADER_BYTES_MAX, HEADERS_BYTES_MAX, REQUEST_LINE_BYTES_MAX};
use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Method, Version};

/// `X-Forwarded-For`.
pub(crate) static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`.
pub(crate) static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Port`.
pub(crate) static FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// `X-Amzn-Trace-Id`.
pub(crate) static TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// What the headers hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    pub(crate) has_connection: bool,
    pub(crate) has_upgrade: bool,
    /// Any of `te`, `keep-alive`, `proxy-connection`, `expect`, `transfer-encoding`.
    pub(crate) has_hop_headers: bool,
    pub(crate) has_forwarded_for: bool,
    pub(crate) has_trace_id: bool,
    pub(crate) has_cookie: bool,
    pub(crate) has_host: bool,
    /// A header name is not made of letters, digits and hyphens alone.
    pub(crate) has_unusual_name: bool,
}

/// Checks a request's head. Ref: ALB guide: quotas of HTTP headers, error codes 400, 405, 414, 463.
pub(crate) fn check(parts: &Parts) -> Result<Survey, Refusal> {
    if parts.method == Method::TRACE {
        return Err(Refusal::MethodNotAllowed);
    }
    if parts.method == Method::CONNECT {
        return Err(Refusal::BadRequest);
    }
    let path_bytes = parts.uri.path_and_query().map_or(1, |path| path.as_str().len());
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    if parts.method.as_str().len() + path_bytes + authority.map_or(0, str::len) + 10 > REQUEST_LINE_BYTES_MAX {
        return Err(Refusal::UriTooLong);
    }
    let mut survey = Survey::default();
    let (mut bytes, mut hosts, mut lengths) = (0, 0, 0);
    for (name, value) in &parts.headers {
        let size = name.as_str().len() + value.len() + 4;
        if size > HEADER_BYTES_MAX {
            return Err(Refusal::BadRequest);
        }
        bytes += size;
        match *name {
            header::HOST => {
                hosts += 1;
                if let Some(authority) = authority
                    && parts.version < Version::HTTP_2
                    && !authority.as_bytes().eq_ignore_ascii_case(value.as_bytes())
                {
                    return Err(Refusal::BadRequest);
                }
                if !is_host(value.as_bytes()) {
                    return Err(Refusal::BadRequest);
                }
            }
            header::CONNECTION => survey.has_connection = true,
            header::UPGRADE => survey.has_upgrade = true,
            header::COOKIE => survey.has_cookie = true,
            header::CONTENT_LENGTH => lengths += 1,
            header::TE | header::EXPECT | header::TRANSFER_ENCODING => survey.has_hop_headers = true,
            ref name => look_at_name(name, &mut survey),
        }
    }
    survey.has_host = hosts > 0;
    let needs_host = parts.version >= Version::HTTP_11;
    if bytes > HEADERS_BYTES_MAX || hosts > 1 || lengths > 1 || (needs_host && hosts == 0 && authority.is_none()) {
        return Err(Refusal::BadRequest);
    }
    if survey.has_forwarded_for && forwarded_addresses(&parts.headers) > FORWARDED_ADDRESSES_MAX {
        return Err(Refusal::ForwardedTooLong);
    }
    Ok(survey)
}

fn look_at_name(name: &HeaderName, survey: &mut Survey) {
    let text = name.as_str();
    match text.as_bytes() {
        b"x-forwarded-for" => survey.has_forwarded_for = true,
        b"x-amzn-trace-id" => survey.has_trace_id = true,
        b"keep-alive" | b"proxy-connection" => survey.has_hop_headers = true,
        bytes => {
            if !bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
                survey.has_unusual_name = true;
            }
        }
    }
}

/// Whether text may be a Host header: a name or address with an optional port. Ref: RFC 3986, 3.2.2.
fn is_host(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]!$&'()*+,;=%".contains(byte))
}

fn forwarded_addresses(headers: &HeaderMap) -> usize {
    headers
        .get_all(&FORWARDED_FOR)
        .iter()
        .map(|value| value.as_bytes().split(|byte| *byte == b',').count())
        .sum()
}

/// The host that a request is for, with its port if it has one: the URI's authority, or the Host header.
pub(crate) fn host(parts: &Parts) -> &str {
    match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => parts
            .headers
            .get(header::HOST)
            .and_then(|value| value.to_str().ok())
            .unwrap_or(""),
    }
}

/// A host without its port.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn check_head(build: impl FnOnce(http::request::Builder) -> http::request::Builder) -> Result<Survey, Refusal> {
        let (parts, ()) = build(Request::builder()).body(()).unwrap().into_parts();
        check(&parts)
    }

    #[test]
    fn what_is_refused() {
        let long = "x".repeat(17_000);
        assert!(check_head(|b| b.uri("/").header("host", "a")).is_ok());
        assert_eq!(check_head(|b| b.uri("/")), Err(Refusal::BadRequest));
        assert!(check_head(|b| b.uri("/").version(Version::HTTP_10)).is_ok());
        assert_eq!(
            check_head(|b| b.uri("/").header("host", "a").header("host", "a")),
            Err(Refusal::BadRequest)
        );
        assert_eq!(
            check_head(|b| b.uri("http://b/").header("host", "a")),
            Err(Refusal::BadRequest)
        );
        assert!(check_head(|b| b.uri("http://A/").header("host", "a")).is_ok());
        assert_eq!(
            check_head(|b| b.uri("/").header("host", "a b")),
            Err(Refusal::BadRequest)
        );
        assert_eq!(
            check_head(|b| b.method("TRACE").uri("/").header("host", "a")),
            Err(Refusal::MethodNotAllowed)
        );
        assert_eq!(
            check_head(|b| b.uri(format!("/{long}")).header("host", "a")),
            Err(Refusal::UriTooLong)
        );
        assert_eq!(
            check_head(|b| b.uri("/").header("host", "a").header("x", &long)),
            Err(Refusal::BadRequest)
        );
        let part = "x".repeat(16_000);
        assert_eq!(
            check_head(|b| (0..5).fold(b.uri("/").header("host", "a"), |b, i| b.header(format!("x{i}"), &part))),
            Err(Refusal::BadRequest)
        );
        let many = vec!["10.0.0.1"; 31].join(", ");
        assert_eq!(
            check_head(|b| b.uri("/").header("host", "a").header("x-forwarded-for", many)),
            Err(Refusal::ForwardedTooLong)
        );
    }

    #[test]
    fn ports_of_hosts() {
        assert_eq!(without_port("shop.localhost:8080"), "shop.localhost");
        assert_eq!(without_port("shop.localhost"), "shop.localhost");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
    }
}
