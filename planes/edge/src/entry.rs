//! The shared entry: one address for all load balancers, told apart by host name. A second one speaks TLS
//! ([`crate::secure`]).

use crate::answer;
use crate::body::Body;
use crate::connection;
use crate::edge::Edge;
use crate::error::EdgeError;
use crate::kept::KeptSockets;
use crate::plan::Listener;
use crate::sockets;
use crate::validate;
use bytes::Bytes;
use http::Response;
use http::request::Parts;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The shared entry's number among endpoints.
pub(crate) const NUMBER: u64 = 0;

/// Where the shared entry listens; nothing: not at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EntryAddresses {
    /// Plain, for example `127.0.0.1:8080`.
    pub http: Option<SocketAddr>,
    /// With TLS, for example `127.0.0.1:8443`.
    pub https: Option<SocketAddr>,
}

/// The shared entry, open: connections wait until it is served.
#[derive(Default)]
pub(crate) struct Entry {
    http: Option<TcpListener>,
    https: Option<TcpListener>,
    /// The addresses, whose ports may have been 0.
    pub(crate) addresses: EntryAddresses,
}

impl Entry {
    /// Opens the shared entry.
    pub(crate) fn open(kept: &dyn KeptSockets, wanted: EntryAddresses) -> Result<Self, EdgeError> {
        let mut entry = Self::default();
        if let Some(address) = wanted.http {
            let (listener, address) = listen(kept, address)?;
            (entry.http, entry.addresses.http) = (Some(listener), Some(address));
        }
        if let Some(address) = wanted.https {
            let (listener, address) = listen(kept, address)?;
            (entry.https, entry.addresses.https) = (Some(listener), Some(address));
        }
        Ok(entry)
    }

    /// Accepts until the tasks are aborted.
    pub(crate) fn serve(self, edge: &Arc<Edge>) -> Vec<JoinHandle<()>> {
        let http = self
            .http
            .zip(self.addresses.http)
            .map(|(listener, address)| tokio::spawn(accept(edge.clone(), listener, address.port())));
        let https = self
            .https
            .zip(self.addresses.https)
            .map(|(listener, address)| tokio::spawn(accept_secure(edge.clone(), listener, address.port())));
        http.into_iter().chain(https).collect()
    }
}

fn listen(kept: &dyn KeptSockets, address: SocketAddr) -> Result<(TcpListener, SocketAddr), EdgeError> {
    let wrong = |source| EdgeError::Listen { address, source };
    let listener = sockets::open(kept, address).map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    Ok((listener, address))
}

async fn accept(edge: Arc<Edge>, listener: TcpListener, port: u16) {
    loop {
        let (stream, peer) = sockets::accept(&listener).await;
        tokio::spawn(connection::serve_shared(edge.clone(), port, stream, peer));
    }
}

async fn accept_secure(edge: Arc<Edge>, listener: TcpListener, port: u16) {
    loop {
        let (stream, peer) = sockets::accept(&listener).await;
        tokio::spawn(connection::serve_shared_secure(edge.clone(), port, stream, peer));
    }
}

/// The HTTP listener that a request's host name stands for.
pub(crate) fn find(edge: &Edge, parts: &Parts, port: u16) -> Result<Arc<Listener>, Box<Response<Body>>> {
    let plan = edge.plan.load();
    let host = validate::without_port(validate::host(parts));
    let named = plan.named(host);
    if let Some(listener) = named.and_then(|named| named.http.first()) {
        return Ok(listener.clone());
    }
    let text = if let Some(named) = named {
        let secure = edge.entry.https.filter(|_| named.secure(host).is_some());
        let secure = secure.map(|address| format!(": it answers at https://{host}:{}", address.port()));
        format!(
            "the load balancer `{host}` has no HTTP listener{}\n",
            secure.unwrap_or_default()
        )
    } else {
        let mut names: Vec<&str> = plan
            .hosts
            .iter()
            .filter(|(name, named)| !named.http.is_empty() && !name.starts_with("*."))
            .map(|(name, _)| name.as_str())
            .collect();
        names.sort_unstable();
        let known: String = names.iter().map(|name| format!("  http://{name}:{port}\n")).collect();
        if known.is_empty() {
            format!("no load balancer is called `{host}`: there is none yet\n")
        } else {
            format!("no load balancer is called `{host}`; there are:\n{known}")
        }
    };
    Err(Box::new(answer::with_body(
        404,
        Some("text/plain; charset=utf-8"),
        Bytes::from(text),
    )))
}

/// The shared entry's port that stands for a port of a host name's load balancer: who came through the shared entry must
/// be led there, not to a port that only the load balancer's own address has.
pub(crate) fn port_for(edge: &Edge, protocol: &str, host: &str, port: &str) -> Option<u16> {
    let plan = edge.plan.load();
    let named = plan.named(host)?;
    let (listener, address) = match protocol {
        "http" => (named.http.first()?, edge.entry.http?),
        "https" => (named.secure(host)?, edge.entry.https?),
        _ => return None,
    };
    (port.parse() == Ok(listener.port)).then(|| address.port())
}
