//! An app at the shared entry with TLS: under which name clients find it there.

use super::app::App;
use super::certificate::Facts;
use super::client::Client;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtEntry {
    /// The name, which the certificate has.
    pub host: String,
    /// The shared entry.
    pub server: SocketAddr,
}

impl AtEntry {
    /// The app with that certificate; nothing where the shared entry has no TLS or is not known.
    pub fn of(client: &Client, app: &App, facts: &Facts) -> Option<Self> {
        let mut server = client.secure_entry?;
        if server.ip().is_unspecified() {
            server.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        Some(Self {
            host: facts.host_of(app)?,
            server,
        })
    }

    /// The name and port for people and for the header `Host`.
    pub fn authority(&self) -> String {
        match self.server.port() {
            443 => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// The URL for people.
    pub fn url(&self) -> String {
        format!("https://{}", self.authority())
    }

    /// The address to which the name must lead; nothing where it does so on every machine. Ref: RFC 6761, 6.3.
    pub fn address(&self) -> Option<IpAddr> {
        (!self.host.ends_with(".localhost")).then(|| self.server.ip())
    }
}
