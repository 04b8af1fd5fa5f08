//! Answers that the load balancer gives itself, in the form that AWS's give them.

use crate::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, SERVER};
use http::{Response, StatusCode};

/// The value of `Server` in our own answers.
const SERVER_NAME: HeaderValue = HeaderValue::from_static("awselb/2.0");

/// Why a request was not forwarded. Ref: ALB guide, "Load balancer error codes".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400: malformed.
    BadRequest,
    /// 403: the firewall's own failure is 500; this is for rules.
    Forbidden,
    /// 405: TRACE.
    MethodNotAllowed,
    /// 414.
    UriTooLong,
    /// 421: the connection was made for another load balancer.
    Misdirected,
    /// 463: too many addresses in X-Forwarded-For.
    ForwardedTooLong,
    /// 464: the request's protocol does not fit the target group's.
    ProtocolMismatch,
    /// 500.
    Internal,
    /// 502: the target reset the connection or its answer is malformed.
    BadGateway,
    /// 503: no registered target.
    NoTarget,
    /// 504: no connection, or no answer in time.
    Timeout,
}

impl Refusal {
    fn page(self) -> (u16, &'static str) {
        match self {
            Refusal::BadRequest => (400, "400 Bad Request"),
            Refusal::Forbidden => (403, "403 Forbidden"),
            Refusal::MethodNotAllowed => (405, "405 Not Allowed"),
            Refusal::UriTooLong => (414, "414 Request-URI Too Large"),
            Refusal::Misdirected => (421, "421 Misdirected Request"),
            Refusal::ForwardedTooLong => (463, ""),
            Refusal::ProtocolMismatch => (464, ""),
            Refusal::Internal => (500, "500 Internal Server Error"),
            Refusal::BadGateway => (502, "502 Bad Gateway"),
            Refusal::NoTarget => (503, "503 Service Temporarily Unavailable"),
            Refusal::Timeout => (504, "504 Gateway Time-out"),
        }
    }

    /// The answer to the client.
    pub(crate) fn response(self) -> Response<Body> {
        let (status, title) = self.page();
        page(status, title)
    }
}

fn page(status: u16, title: &str) -> Response<Body> {
    let text = if title.is_empty() {
        String::new()
    } else {
        format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
        )
    };
    with_body(status, Some("text/html"), Bytes::from(text))
}

/// An answer of ours with any status; a status that HTTP does not know becomes 500.
pub(crate) fn with_body(status: u16, content_type: Option<&str>, body: Bytes) -> Response<Body> {
    let length = body.len();
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(SERVER, SERVER_NAME);
    if let Some(value) = content_type.and_then(|text| HeaderValue::from_str(text).ok()) {
        headers.insert(CONTENT_TYPE, value);
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}
