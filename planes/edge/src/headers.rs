//! Headers on their way to a target and back. Ref: ALB guide, "HTTP headers and Application Load Balancers".

use crate::clock;
use crate::limits::{RESPONSE_HEADERS_BYTES_MAX, TRACE_BYTES_MAX};
use crate::plan::{ForwardedMode, Listener};
use crate::validate::{self, FORWARDED_FOR, FORWARDED_PORT, FORWARDED_PROTO, Survey, TRACE_ID};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use std::net::{IpAddr, SocketAddr};

/// What a connection tells about its client, in the form that headers need.
pub(crate) struct Caller {
    pub(crate) peer: SocketAddr,
    pub(crate) is_tls: bool,
    /// The peer's address as the value of X-Forwarded-For.
    pub(crate) address_value: HeaderValue,
    /// The shared entry's port, for connections that came through it.
    pub(crate) shared_port: Option<u16>,
    /// TLS version and cipher in OpenSSL's words.
    pub(crate) tls: Option<(HeaderValue, HeaderValue)>,
}

/// An address as the value of a header.
pub(crate) fn address_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

/// Makes a client's headers those that the target gets.
pub(crate) fn to_target(parts: &mut Parts, survey: Survey, caller: &Caller, listener: &Listener, keeps_upgrade: bool) {
    let settings = &listener.balancer.settings;
    if settings.drop_invalid_headers && survey.has_unusual_name {
        drop_unusual(&mut parts.headers);
    }
    strip_hop_headers(&mut parts.headers, survey, keeps_upgrade);
    set_host(parts, survey, caller, listener);
    let headers = &mut parts.headers;
    match settings.forwarded_mode {
        ForwardedMode::Append if survey.has_forwarded_for || settings.forwarded_port => {
            append_forwarded(headers, caller, settings.forwarded_port);
        }
        ForwardedMode::Append => {
            headers.insert(&FORWARDED_FOR, caller.address_value.clone());
        }
        ForwardedMode::Preserve => {}
        ForwardedMode::Remove => {
            headers.remove(&FORWARDED_FOR);
        }
    }
    let proto = HeaderValue::from_static(if caller.is_tls { "https" } else { "http" });
    headers.insert(&FORWARDED_PROTO, proto);
    let port = caller
        .shared_port
        .map_or_else(|| listener.port_value.clone(), HeaderValue::from);
    headers.insert(&FORWARDED_PORT, port);
    let trace = trace_id(survey.has_trace_id.then(|| headers.get(&TRACE_ID)).flatten());
    headers.insert(&TRACE_ID, trace);
    if settings.tls_headers
        && let Some((version, cipher)) = &caller.tls
    {
        headers.insert(HeaderName::from_static("x-amzn-tls-version"), version.clone());
        headers.insert(HeaderName::from_static("x-amzn-tls-cipher-suite"), cipher.clone());
    }
}

fn drop_unusual(headers: &mut HeaderMap) {
    let is_unusual = |name: &HeaderName| {
        !name
            .as_str()
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let names: Vec<HeaderName> = headers.keys().filter(|name| is_unusual(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Removes what belongs to one hop only. Ref: RFC 9110, 7.6.1.
fn strip_hop_headers(headers: &mut HeaderMap, survey: Survey, keeps_upgrade: bool) {
    if survey.has_connection {
        strip_named(headers);
        headers.remove(header::CONNECTION);
    }
    if survey.has_upgrade && !keeps_upgrade {
        headers.remove(header::UPGRADE);
    }
    if keeps_upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    if survey.has_hop_headers {
        // gRPC targets want to know that trailers arrive.
        let has_trailers = headers
            .get(header::TE)
            .is_some_and(|value| value.as_bytes() == b"trailers");
        for name in [header::TE, header::EXPECT, header::TRANSFER_ENCODING] {
            headers.remove(name);
        }
        headers.remove("keep-alive");
        headers.remove("proxy-connection");
        if has_trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
    }
}

/// Removes the headers that `Connection` names.
fn strip_named(headers: &mut HeaderMap) {
    let is_plain = |value: &HeaderValue| {
        let bytes = value.as_bytes();
        bytes.eq_ignore_ascii_case(b"keep-alive")
            || bytes.eq_ignore_ascii_case(b"close")
            || bytes.eq_ignore_ascii_case(b"upgrade")
    };
    if headers.get_all(header::CONNECTION).iter().all(is_plain) {
        return;
    }
    let names: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        // Headers that say where a message goes or how long it is are not for the client to strip.
        .filter(|name| ![header::HOST, header::UPGRADE, header::CONTENT_LENGTH, header::COOKIE].contains(name))
        .filter(|name| name != FORWARDED_FOR && name != TRACE_ID)
        .collect();
    for name in names {
        headers.remove(name);
    }
}

/// Host: kept, or normalised: no port on 80 and 443, the listener's port elsewhere. Through the shared entry it is
/// kept: that entry's port is what the client must come back to.
fn set_host(parts: &mut Parts, survey: Survey, caller: &Caller, listener: &Listener) {
    let keeps = listener.balancer.settings.preserve_host || caller.shared_port.is_some();
    let authority = parts.uri.authority().is_some();
    if survey.has_host && !authority && keeps {
        return;
    }
    let host = validate::host(parts);
    let name = validate::without_port(host);
    let wanted = match listener.port {
        _ if keeps => host.to_owned(),
        80 | 443 if name.len() == host.len() && survey.has_host && !authority => return,
        80 | 443 => name.to_owned(),
        port => {
            let wanted = format!("{name}:{port}");
            if wanted == host && survey.has_host && !authority {
                return;
            }
            wanted
        }
    };
    if let (false, Ok(value)) = (wanted.is_empty(), HeaderValue::try_from(wanted)) {
        parts.headers.insert(header::HOST, value);
    }
}

fn append_forwarded(headers: &mut HeaderMap, caller: &Caller, with_port: bool) {
    let own = match (with_port, caller.peer.ip()) {
        (false, ip) => ip.to_string(),
        (true, IpAddr::V4(ip)) => format!("{ip}:{}", caller.peer.port()),
        (true, IpAddr::V6(ip)) => format!("[{ip}]:{}", caller.peer.port()),
    };
    let mut text = Vec::new();
    for value in headers.get_all(&FORWARDED_FOR) {
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b", ");
    }
    text.extend_from_slice(own.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&text) {
        headers.insert(&FORWARDED_FOR, value);
    }
}

/// The trace header for the target. Without one a root is made; with a root our own part is put before it; our part
/// of a load balancer before us is replaced. Ref: ALB guide, "Request tracing".
fn trace_id(received: Option<&HeaderValue>) -> HeaderValue {
    let own = new_id();
    let received = received
        .and_then(|value| value.to_str().ok())
        .filter(|text| text.len() <= TRACE_BYTES_MAX);
    let text = match received {
        Some(text) if text.split(';').any(|field| field.trim_start().starts_with("Root=")) => {
            let others = text
                .split(';')
                .map(str::trim)
                .filter(|field| !field.starts_with("Self=") && !field.is_empty());
            others.fold(format!("Self={own}"), |text, field| text + ";" + field)
        }
        Some(text) => {
            let others = text
                .split(';')
                .map(str::trim)
                .filter(|field| !field.starts_with("Self=") && !field.is_empty());
            others.fold(format!("Root={own}"), |text, field| text + ";" + field)
        }
        None => {
            let mut text = own;
            text.insert_str(0, "Root=");
            text
        }
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("Root=1-00000000-000000000000000000000000"))
}

/// `1-<8 hexadecimal digits: seconds>-<24 random ones>`.
fn new_id() -> String {
    use std::fmt::Write;
    let mut id = String::with_capacity(64);
    let seconds = clock::wall().as_ms() / 1_000;
    let _ = write!(
        id,
        "1-{seconds:08x}-{:016x}{:08x}",
        clock::random(),
        clock::random() as u32
    );
    id
}

/// Makes a target's headers those that the client gets; whether they are small enough.
pub(crate) fn to_client(headers: &mut HeaderMap) -> bool {
    let (mut bytes, mut has_hop_headers, mut has_connection) = (0, false, false);
    for (name, value) in &*headers {
        bytes += name.as_str().len() + value.len() + 4;
        match *name {
            header::CONNECTION => has_connection = true,
            header::TRANSFER_ENCODING | header::UPGRADE => has_hop_headers = true,
            ref name => has_hop_headers |= matches!(name.as_str(), "keep-alive" | "proxy-connection"),
        }
    }
    if has_connection {
        strip_named(headers);
        headers.remove(header::CONNECTION);
    }
    if has_hop_headers {
        headers.remove(header::TRANSFER_ENCODING);
        headers.remove(header::UPGRADE);
        headers.remove("keep-alive");
        headers.remove("proxy-connection");
    }
    bytes <= RESPONSE_HEADERS_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(received: Option<&str>) -> String {
        let received = received.map(|text| HeaderValue::from_str(text).unwrap());
        trace_id(received.as_ref()).to_str().unwrap().to_owned()
    }

    #[test]
    fn trace_ids() {
        let fresh = trace(None);
        assert!(
            fresh.starts_with("Root=1-") && fresh.len() == "Root=1-".len() + 8 + 1 + 24,
            "{fresh}"
        );
        let passed = trace(Some("Root=1-67891233-abcdef012345678912345678"));
        assert!(passed.starts_with("Self=1-") && passed.ends_with(";Root=1-67891233-abcdef012345678912345678"));
        let replaced = trace(Some("Self=1-0-0;Root=1-1-1;Sampled=1"));
        assert!(
            replaced.ends_with(";Root=1-1-1;Sampled=1") && replaced.matches("Self=").count() == 1,
            "{replaced}"
        );
        assert!(trace(Some("Color=red")).ends_with(";Color=red"));
        assert!(trace(Some(&format!("Root=1-1-1;x={}", "y".repeat(8_000)))).len() < 60);
    }

    #[test]
    fn connection_names_are_stripped() {
        let mut headers = HeaderMap::new();
        headers.insert("connection", HeaderValue::from_static("close, x-hop, host"));
        headers.insert("x-hop", HeaderValue::from_static("1"));
        headers.insert("host", HeaderValue::from_static("a"));
        let survey = Survey {
            has_connection: true,
            ..Survey::default()
        };
        strip_hop_headers(&mut headers, survey, false);
        assert!(headers.contains_key("host") && !headers.contains_key("x-hop") && !headers.contains_key("connection"));
    }
}
