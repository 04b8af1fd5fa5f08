//! TLS at the shared entry: the client's server name leads to a load balancer, and what follows is what its HTTPS listener
//! would do: the same certificates, versions and protocols.
//!
//! Invariant: nobody is shown a certificate of a load balancer that the name does not lead to, and a connection that was
//! made for one load balancer gets no answer of another.

use crate::answer::Refusal;
use crate::body::Body;
use crate::edge::Edge;
use crate::plan::{Listener, Plan};
use crate::validate;
use http::Response;
use http::request::Parts;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// A record of TLS: the fatal alert `unrecognized_name`. Ref: RFC 8446, 5.1 and 6; RFC 6066, 3. The library has no word
/// for it, and before ServerHello no record is encrypted.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// Makes the handshake with the TLS of the listener that the client's server name leads to.
pub(crate) async fn handshake(edge: &Edge, stream: TcpStream) -> io::Result<(TlsStream<TcpStream>, Arc<Listener>)> {
    let mut begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let name = begun.client_hello().server_name().map(str::to_owned);
    let found = name.as_deref().and_then(|name| choose(&edge.plan.load(), name));
    let Some((listener, config)) = found else {
        begun.io.write_all(&UNRECOGNIZED_NAME).await?;
        begun.io.shutdown().await?;
        return Err(io::Error::other(match name {
            Some(name) => format!("no HTTPS listener serves `{name}`"),
            None => "the client names no server".to_owned(),
        }));
    };
    Ok((begun.into_stream(config).await?, listener))
}

fn choose(plan: &Plan, name: &str) -> Option<(Arc<Listener>, Arc<ServerConfig>)> {
    let listener = plan.named(name)?.secure(name)?;
    let tls = listener.tls.as_ref()?;
    Some((listener.clone(), tls.config.clone()))
}

/// The listener that a connection was made for, as it is configured now, if the request is for its load balancer.
/// Clients use a connection for every name that its certificate has (RFC 9113, 9.1.1): with 421 they make one of its own
/// for a name that leads elsewhere. Ref: RFC 9110, 7.4 and 15.5.20.
pub(crate) fn find(edge: &Edge, parts: &Parts, made_for: &Listener) -> Result<Arc<Listener>, Box<Response<Body>>> {
    let plan = edge.plan.load();
    let named = plan.named(validate::without_port(validate::host(parts)));
    let listener = named.and_then(|named| named.https.iter().find(|listener| listener.arn == made_for.arn));
    listener
        .cloned()
        .ok_or_else(|| Box::new(Refusal::Misdirected.response()))
}
