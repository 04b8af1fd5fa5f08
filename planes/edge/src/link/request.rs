//! A request's head as bytes. Ref: RFC 9112, 3 and 6.

use crate::body::RequestBody;
use bytes::{BufMut, BytesMut};
use http::request::Parts;
use http::{Method, header};
use hyper::body::Body as _;
use std::fmt::Write;

/// How the body of a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    /// There is none, or it is sent.
    Nothing,
    /// So many more bytes.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// Writes a request's head and says how its body follows. The headers that say how long the body is are always ours:
/// they are made from the body as it was received, so no two readers can differ about its end.
pub(super) fn encode(out: &mut BytesMut, parts: &Parts, body: &RequestBody) -> Sending {
    out.reserve(512);
    out.put_slice(parts.method.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(parts.uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
    let mut had_length = false;
    for (name, value) in &parts.headers {
        match *name {
            header::CONTENT_LENGTH => had_length = true,
            header::TRANSFER_ENCODING => {}
            ref name => put(out, name.as_str(), value.as_bytes()),
        }
    }
    let sending = if body.is_empty() {
        if had_length || has_content(&parts.method) {
            put(out, "content-length", b"0");
        }
        Sending::Nothing
    } else if let Some(length) = body.size_hint().exact() {
        // A BytesMut takes whatever is written.
        let _ = write!(out, "content-length: {length}\r\n");
        Sending::Length(length)
    } else {
        put(out, "transfer-encoding", b"chunked");
        Sending::Chunked
    };
    out.put_slice(b"\r\n");
    sending
}

fn put(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.put_slice(name.as_bytes());
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

/// Methods whose requests have content by their meaning: an empty one says so. Ref: RFC 9110, 8.6.
fn has_content(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn encoded(method: &str, headers: &[(&str, &str)]) -> (String, Sending) {
        let mut request = Request::builder().method(method).uri("/a?b=c");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut out = BytesMut::new();
        let sending = encode(&mut out, &parts, &RequestBody::Empty);
        (String::from_utf8(out.to_vec()).unwrap(), sending)
    }

    #[test]
    fn heads() {
        let (head, sending) = encoded("GET", &[("host", "a"), ("x-empty", "")]);
        assert_eq!(head, "GET /a?b=c HTTP/1.1\r\nhost: a\r\nx-empty: \r\n\r\n");
        assert_eq!(sending, Sending::Nothing);
        let (head, _) = encoded("POST", &[("host", "a")]);
        assert!(head.ends_with("host: a\r\ncontent-length: 0\r\n\r\n"), "{head}");
    }

    #[test]
    fn what_a_client_said_of_the_length_is_not_repeated() {
        let (head, _) = encoded("DELETE", &[("content-length", "7"), ("transfer-encoding", "chunked")]);
        assert_eq!(head, "DELETE /a?b=c HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
    }
}
