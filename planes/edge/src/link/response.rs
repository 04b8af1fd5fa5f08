//! The head of an answer. Ref: RFC 9112, 4 to 6 and 9.3.

use super::decoder::Decoder;
use bytes::BytesMut;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use std::mem::MaybeUninit;

/// Most header fields of an answer.
const FIELDS_MAX: usize = 100;

/// The answer is not HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the target's answer is not HTTP")]
pub(crate) struct Malformed;

/// A parsed head.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Reads what follows.
    pub(super) decoder: Decoder,
    /// Whether another request may follow on the connection.
    pub(super) keeps_alive: bool,
}

/// Takes the final answer's head off the buffer when it is whole; interim answers before it are passed over.
/// Ref: RFC 9110, 15.2.
pub(super) fn parse(buffer: &mut BytesMut, method: &Method) -> Result<Option<Head>, Malformed> {
    loop {
        match parse_one(buffer, method)? {
            Some(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => return Err(Malformed),
            Some(head) if head.status.is_informational() => {}
            other => return Ok(other),
        }
    }
}

fn parse_one(buffer: &mut BytesMut, method: &Method) -> Result<Option<Head>, Malformed> {
    // Where names and values are, so that the values can share the buffer's memory, which is far below 4 GiB.
    let mut places = [[0_u32; 4]; FIELDS_MAX];
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, buffer, &mut fields);
    let length = match parsed.map_err(|_| Malformed)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let code = response.code.ok_or(Malformed)?;
    let is_http_11 = response.version == Some(1);
    let begin = buffer.as_ptr() as usize;
    let count = response.headers.len();
    for (place, field) in places.iter_mut().zip(response.headers.iter()) {
        let name = field.name.as_ptr() as usize - begin;
        // An empty value may point anywhere.
        let value = match field.value.len() {
            0 => 0,
            _ => field.value.as_ptr() as usize - begin,
        };
        *place = [name, name + field.name.len(), value, value + field.value.len()].map(|at| at as u32);
    }
    let bytes = buffer.split_to(length).freeze();
    let mut headers = HeaderMap::with_capacity(count + 2);
    for place in places.iter().take(count) {
        let [name, name_end, value, value_end] = place.map(|at| at as usize);
        let name = bytes.get(name..name_end).ok_or(Malformed)?;
        let name = HeaderName::from_bytes(name).map_err(|_| Malformed)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice(value..value_end)).map_err(|_| Malformed)?;
        headers.append(name, value);
    }
    let status = StatusCode::from_u16(code).map_err(|_| Malformed)?;
    let keeps_alive = keeps_alive(&headers, is_http_11);
    let mut head = Head {
        status,
        headers,
        decoder: Decoder::empty(),
        keeps_alive,
    };
    if !status.is_informational() {
        frame(&mut head, method, is_http_11)?;
    }
    Ok(Some(head))
}

fn keeps_alive(headers: &HeaderMap, is_http_11: bool) -> bool {
    let Some(_) = headers.get(header::CONNECTION) else {
        return is_http_11;
    };
    let has = |wanted: &str| {
        headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|option| option.trim().eq_ignore_ascii_case(wanted))
    };
    if is_http_11 { !has("close") } else { has("keep-alive") }
}

/// Finds how long the body is. Ref: RFC 9112, 6.3.
fn frame(head: &mut Head, method: &Method, is_http_11: bool) -> Result<(), Malformed> {
    let is_without_body =
        *method == Method::HEAD || head.status == StatusCode::NO_CONTENT || head.status == StatusCode::NOT_MODIFIED;
    let length = content_length(&head.headers)?;
    if is_without_body {
        return Ok(());
    }
    if let Some(coding) = head.headers.get_all(header::TRANSFER_ENCODING).iter().next_back() {
        if !is_http_11 {
            return Err(Malformed);
        }
        let last = coding
            .as_bytes()
            .rsplit(|byte| *byte == b',')
            .next()
            .unwrap_or_default();
        let is_chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        if length.is_some() {
            // Two readers could differ about where this answer ends: nothing may follow it.
            head.headers.remove(header::CONTENT_LENGTH);
            head.keeps_alive = false;
        }
        head.decoder = if is_chunked {
            Decoder::chunked()
        } else {
            Decoder::until_close()
        };
    } else if let Some(length) = length {
        head.decoder = Decoder::length(length);
    } else {
        head.decoder = Decoder::until_close();
    }
    Ok(())
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut found = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        let text = value.to_str().map_err(|_| Malformed)?;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Malformed);
        }
        let length: u64 = text.parse().map_err(|_| Malformed)?;
        if found.is_some_and(|found| found != length) {
            return Err(Malformed);
        }
        found = Some(length);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str, method: Method) -> Result<Option<Head>, Malformed> {
        parse(&mut BytesMut::from(text), &method)
    }

    #[test]
    fn framing() {
        let table = [
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
                Method::GET,
                Decoder::length(5),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
                Method::HEAD,
                Decoder::empty(),
                true,
            ),
            (
                "HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\n",
                Method::GET,
                Decoder::empty(),
                true,
            ),
            ("HTTP/1.1 304 No\r\n\r\n", Method::GET, Decoder::empty(), true),
            ("HTTP/1.1 200 OK\r\n\r\n", Method::GET, Decoder::until_close(), true),
            (
                "HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 0\r\n\r\n",
                Method::GET,
                Decoder::length(0),
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n",
                Method::GET,
                Decoder::length(1),
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\ncontent-length: 1\r\n\r\n",
                Method::GET,
                Decoder::length(1),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\n",
                Method::GET,
                Decoder::chunked(),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
                Method::GET,
                Decoder::until_close(),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\n",
                Method::GET,
                Decoder::length(3),
                true,
            ),
            (
                "HTTP/1.1 103 Hints\r\nlink: a\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n",
                Method::GET,
                Decoder::length(2),
                true,
            ),
        ];
        for (text, method, decoder, keeps_alive) in table {
            let found = head(text, method).unwrap().unwrap();
            assert_eq!((found.decoder, found.keeps_alive), (decoder, keeps_alive), "{text}");
        }
    }

    #[test]
    fn length_and_coding_together_end_the_connection() {
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n";
        let found = head(text, Method::GET).unwrap().unwrap();
        assert_eq!(found.decoder, Decoder::chunked());
        assert!(!found.keeps_alive && !found.headers.contains_key("content-length"));
    }

    #[test]
    fn malformed_heads() {
        for text in [
            "nonsense\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 99 No\r\n\r\n",
            "HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 3, 3\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n",
        ] {
            assert_eq!(head(text, Method::GET).err(), Some(Malformed), "{text}");
        }
        let many = "x: y\r\n".repeat(FIELDS_MAX + 1);
        assert!(head(&format!("HTTP/1.1 200 OK\r\n{many}\r\n"), Method::GET).is_err());
    }

    #[test]
    fn every_cut_is_partial_and_loses_nothing() {
        let text = "HTTP/1.1 200 OK\r\nx-a: b\r\nx-empty:\r\ncontent-length: 2\r\n\r\nhi";
        for cut in 0..text.len() - 2 {
            let mut buffer = BytesMut::from(&text[..cut]);
            assert!(parse(&mut buffer, &Method::GET).unwrap().is_none(), "cut at {cut}");
            assert_eq!(buffer, &text[..cut]);
        }
        let mut buffer = BytesMut::from(text);
        let head = parse(&mut buffer, &Method::GET).unwrap().unwrap();
        assert_eq!(
            (head.headers["x-a"].as_bytes(), head.headers["x-empty"].as_bytes()),
            (&b"b"[..], &b""[..])
        );
        assert_eq!(buffer, "hi");
    }
}
