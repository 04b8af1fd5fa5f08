//! The shared entry: one address for all load balancers, told apart by host name.

use crate::answer;
use crate::body::Body;
use crate::connection;
use crate::edge::Edge;
use crate::error::EdgeError;
use crate::kept::KeptSockets;
use crate::plan::Listener;
use crate::sockets;
use crate::{tls, validate};
use bytes::Bytes;
use http::Response;
use http::request::Parts;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The shared entry's number among endpoints.
pub(crate) const NUMBER: u64 = 0;

/// The shared entry, open: connections wait until it is served.
pub(crate) struct Entry {
    listener: TcpListener,
    /// The address, whose port may have been 0.
    pub(crate) address: SocketAddr,
    config: Option<Arc<ServerConfig>>,
}

impl Entry {
    /// Opens the shared entry.
    pub(crate) fn open(
        kept: &dyn KeptSockets,
        address: SocketAddr,
        config: Option<Arc<ServerConfig>>,
    ) -> Result<Self, EdgeError> {
        let wrong = |source| EdgeError::Listen { address, source };
        let listener = sockets::open(kept, address).map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        Ok(Self {
            listener,
            address,
            config,
        })
    }

    /// Accepts until the task is aborted.
    pub(crate) fn serve(self, edge: &Arc<Edge>) -> JoinHandle<()> {
        tokio::spawn(accept(edge.clone(), self.listener, self.address.port(), self.config))
    }
}

async fn accept(edge: Arc<Edge>, listener: TcpListener, port: u16, config: Option<Arc<ServerConfig>>) {
    loop {
        let (stream, peer) = sockets::accept(&listener).await;
        tokio::spawn(connection::serve_shared(
            edge.clone(),
            port,
            stream,
            peer,
            config.clone(),
        ));
    }
}

/// TLS of the shared entry: one certificate, for which the host names do not matter.
pub(crate) fn tls_config(chain_pem: &str, key_pem: &str) -> Result<Arc<ServerConfig>, EdgeError> {
    let certificate = honmaru_contract::edge::Certificate {
        arn: "the shared entry".to_owned(),
        chain_pem: chain_pem.to_owned(),
        key_pem: key_pem.to_owned(),
        names: Vec::new(),
    };
    let spoken = tls::Spoken {
        versions: &[],
        alpn: &[b"h2", b"http/1.1"],
    };
    tls::server_config(&[certificate], spoken)
}

/// The listener that a request's host name stands for: over TLS the HTTPS listener, where there is one.
pub(crate) fn find(edge: &Edge, parts: &Parts, port: u16, is_tls: bool) -> Result<Arc<Listener>, Box<Response<Body>>> {
    let plan = edge.plan.load();
    let host = validate::without_port(validate::host(parts));
    let named = match plan.hosts.get(host) {
        Some(named) => Some(named),
        None => plan.hosts.get(&host.to_ascii_lowercase()),
    };
    let found = named.and_then(|named| match is_tls {
        true => named.https.as_ref().or(named.http.as_ref()),
        false => named.http.as_ref(),
    });
    match found {
        Some(listener) => Ok(listener.clone()),
        None => {
            let mut names: Vec<&str> = plan
                .hosts
                .iter()
                .filter(|(_, named)| named.http.is_some())
                .map(|(name, _)| name.as_str())
                .collect();
            names.sort_unstable();
            let known: String = names.iter().map(|name| format!("  http://{name}:{port}\n")).collect();
            let text = if named.is_some() {
                format!("the load balancer `{host}` has no HTTP listener\n")
            } else if known.is_empty() {
                format!("no load balancer is called `{host}`: there is none yet\n")
            } else {
                format!("no load balancer is called `{host}`; there are:\n{known}")
            };
            Err(Box::new(answer::with_body(
                404,
                Some("text/plain; charset=utf-8"),
                Bytes::from(text),
            )))
        }
    }
}
