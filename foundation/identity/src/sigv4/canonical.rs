//! The canonical request: the one text that client and server derive from a request on their own.
//! Ref: IAM User Guide, "Create a signed AWS API request", step 1.

use crate::sigv4::is_s3;

/// A request as it came over the wire, nothing decoded.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The method, upper-case.
    pub method: &'a str,
    /// The path as it was sent, percent-encoded.
    pub raw_path: &'a str,
    /// The query as it was sent, without `?`; empty when there is none.
    pub raw_query: &'a str,
    /// All headers, repeated ones in their order. Over HTTP/2, `:authority` must be given as `host`.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body as it was sent, before any content decoding.
    pub body: &'a [u8],
}

impl<'a> Signed<'a> {
    /// All values of a header; its name is given in lower case.
    pub(crate) fn header_values(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + use<'a, '_> {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|&(_, value)| value)
    }

    /// The first value of a header as text.
    pub(crate) fn header(&self, name: &'a str) -> Option<&'a str> {
        self.header_values(name)
            .next()
            .and_then(|value| std::str::from_utf8(value).ok())
            .map(str::trim)
    }
}

/// The canonical request over the headers in `signed_headers` (lower case, sorted, between semicolons), with
/// `payload_hash` as its last line. With `presigned`, the query parameter `X-Amz-Signature` is left out.
pub fn canonical_request(
    request: &Signed<'_>,
    service: &str,
    signed_headers: &str,
    payload_hash: &str,
    presigned: bool,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + request.raw_query.len());
    out.extend_from_slice(request.method.as_bytes());
    out.push(b'\n');
    path(request.raw_path, service, &mut out);
    out.push(b'\n');
    query(request.raw_query, presigned, &mut out);
    out.push(b'\n');
    headers(request, signed_headers, &mut out);
    out.push(b'\n');
    out.extend_from_slice(signed_headers.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(payload_hash.as_bytes());
    out
}

/// Every service but s3 removes dot segments and repeated slashes and encodes what is already encoded once more.
/// s3 keeps the path as it is; only its encoding is made AWS's. A slash that came encoded stays so.
fn path(raw: &str, service: &str, out: &mut Vec<u8>) {
    if is_s3(service) {
        for segment in raw.strip_prefix('/').unwrap_or(raw).split('/') {
            out.push(b'/');
            encode(&decode(segment.as_bytes()), out);
        }
        return;
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    for segment in &segments {
        out.push(b'/');
        encode(segment.as_bytes(), out);
    }
    if segments.is_empty() || raw.ends_with('/') {
        out.push(b'/');
    }
}

fn query(raw: &str, presigned: bool, out: &mut Vec<u8>) {
    if raw.is_empty() {
        return;
    }
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = raw
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (normal(name), normal(value))
        })
        .filter(|(name, _)| !(presigned && name == b"X-Amz-Signature"))
        .collect();
    pairs.sort();
    for (i, (name, value)) in pairs.iter().enumerate() {
        if i > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

fn normal(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    encode(&decode(text.as_bytes()), &mut out);
    out
}

fn headers(request: &Signed<'_>, signed_headers: &str, out: &mut Vec<u8>) {
    // Both lists are short and bounded: no map is worth its making.
    for name in signed_headers.split(';') {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        let mut values = request
            .headers
            .iter()
            .filter(|(header, _)| header.eq_ignore_ascii_case(name));
        if let Some((_, value)) = values.next() {
            fold(value, out);
        }
        for (_, value) in values {
            out.push(b',');
            fold(value, out);
        }
        out.push(b'\n');
    }
}

/// Trims, and makes one space of every run of white space (folded lines have some).
fn fold(value: &[u8], out: &mut Vec<u8>) {
    if !value.iter().any(u8::is_ascii_whitespace) {
        out.extend_from_slice(value);
        return;
    }
    let mut words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    if let Some(word) = words.next() {
        out.extend_from_slice(word);
    }
    for word in words {
        out.push(b' ');
        out.extend_from_slice(word);
    }
}

/// AWS's UriEncode: all but A-Z a-z 0-9 - . _ ~ becomes %XX, upper-case.
pub(crate) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &b in bytes {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(b);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
        }
    }
}

/// A digest in hexadecimal, lower-case.
pub(crate) fn hexadecimal(digest: &[u8; 32]) -> String {
    let mut text = [0; 64];
    // The target has twice the digest's length.
    let _ = hex::encode_to_slice(digest, &mut text);
    String::from_utf8(text.to_vec()).unwrap_or_default()
}

/// Decodes %XX; a `%` without two hexadecimal digits stays as it is.
pub(crate) fn decode(bytes: &[u8]) -> Vec<u8> {
    let hex = |b: Option<&u8>| b.and_then(|&b| (b as char).to_digit(16)).map(|d| d as u8);
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        if b == b'%'
            && let (Some(high), Some(low)) = (hex(bytes.get(i + 1)), hex(bytes.get(i + 2)))
        {
            out.push(high << 4 | low);
            i += 3;
        } else {
            out.push(b);
            i += 1;
        }
    }
    out
}
