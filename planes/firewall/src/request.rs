//! What the firewall sees of a request. The edge fills it in; nothing is copied.

use honmaru_base::Time;
use std::net::IpAddr;

/// A request as it was received, before the load balancer added or changed anything.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a> {
    /// The method, for example `GET`.
    pub method: &'a str,
    /// The path as received, not decoded or normalised, with its leading slash.
    pub path: &'a str,
    /// All that follows the first `?`, without it; empty when there is none.
    pub query: &'a str,
    /// The protocol version, for example `HTTP/1.1`.
    pub version: &'a str,
    /// The host: the `Host` header, or the authority of HTTP/2. It stands in for the header where that is missing.
    pub host: &'a str,
    /// The headers in the order in which they came, names in any case. No pseudo headers.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The address of the client.
    pub peer: IpAddr,
    /// The begin of the body: all of it, or its first [`crate::Firewall::body_bytes_wanted`] bytes.
    pub body: &'a [u8],
    /// Whether the body is longer than `body`.
    pub body_truncated: bool,
    /// The present.
    pub now: Time,
    /// The trace id (`X-Amzn-Trace-Id`), which samples and logs show as the request's id.
    pub trace_id: &'a str,
    /// The JA3 fingerprint of the TLS client hello, when it is known.
    pub ja3: Option<&'a str>,
    /// The JA4 fingerprint of the TLS client hello, when it is known.
    pub ja4: Option<&'a str>,
}

impl<'a> RequestView<'a> {
    /// The first header of that name, in any case. `host` falls back to the authority.
    pub(crate) fn header(&self, name: &str) -> Option<&'a [u8]> {
        let found = self
            .headers
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value);
        match found {
            None if name.eq_ignore_ascii_case("host") && !self.host.is_empty() => Some(self.host.as_bytes()),
            found => found,
        }
    }
}
