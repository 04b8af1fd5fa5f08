//! One client connection: TLS if the listener has it, then HTTP/1 or HTTP/2 until one side ends it.

use crate::activity::{End, Entered, Watched};
use crate::body::Body;
use crate::counters::add;
use crate::edge::Edge;
use crate::entry;
use crate::headers::{self, Caller};
use crate::limits::{H2_STREAMS_MAX, HEADERS_BYTES_MAX, READ_BUFFER_BYTES_MAX, TLS_HANDSHAKE_TIMEOUT};
use crate::listeners::Endpoint;
use crate::plan::{Listener, Protocol};
use crate::{proxy, secure, tcp, tls};
use http::request::Parts;
use http::{HeaderValue, Response};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Where a connection came in.
#[derive(Clone)]
pub(crate) enum Door {
    /// A load balancer's own address and port.
    Own(Arc<Endpoint>),
    /// The shared entry.
    Shared {
        /// Its port.
        port: u16,
    },
    /// The shared entry with TLS.
    Secure {
        /// Its port.
        port: u16,
        /// The listener that the handshake was made for, as it was then.
        listener: Arc<Listener>,
    },
}

/// What all requests of a connection share.
pub(crate) struct Served {
    pub(crate) edge: Arc<Edge>,
    pub(crate) door: Door,
    pub(crate) caller: Caller,
    pub(crate) entered: Entered,
    pub(crate) is_h2: bool,
}

impl Served {
    /// The listener that a request is for, as it is configured now.
    pub(crate) fn listener(&self, parts: &Parts) -> Result<Arc<Listener>, Box<Response<Body>>> {
        let listener = match &self.door {
            // The listener may have been closed while this connection drains: it serves its last state.
            Door::Own(endpoint) => endpoint.listener(),
            Door::Shared { port } => entry::find(&self.edge, parts, *port)?,
            Door::Secure { listener, .. } => secure::find(&self.edge, parts, listener)?,
        };
        let settings = &listener.balancer.settings;
        self.entered
            .activity
            .set_limits(settings.idle_timeout_s, settings.client_keep_alive_s);
        Ok(listener)
    }
}

/// Serves a connection that was accepted at a load balancer's own address.
pub(crate) async fn serve_own(edge: Arc<Edge>, endpoint: Arc<Endpoint>, stream: TcpStream, peer: SocketAddr) {
    let listener = endpoint.listener();
    add(&listener.balancer.numbers.connections);
    let door = Door::Own(endpoint.clone());
    match (listener.protocol, &listener.tls) {
        (Protocol::Http, _) => serve(edge, door, stream, peer, None, false).await,
        (Protocol::Https, Some(tls)) => {
            let acceptor = tokio_rustls::TlsAcceptor::from(tls.config.clone());
            if let Some(stream) = in_time(acceptor.accept(stream), peer).await {
                serve_tls(edge, door, stream, peer).await;
            }
        }
        (Protocol::Tcp, _) => tcp::serve(&endpoint, peer.ip(), stream).await,
        (Protocol::Tls, Some(tls)) => {
            let acceptor = tokio_rustls::TlsAcceptor::from(tls.config.clone());
            if let Some(stream) = in_time(acceptor.accept(stream), peer).await {
                tcp::serve(&endpoint, peer.ip(), stream).await;
            }
        }
        (Protocol::Https | Protocol::Tls, None) => {}
    }
}

/// Serves a connection of the shared entry.
pub(crate) async fn serve_shared(edge: Arc<Edge>, port: u16, stream: TcpStream, peer: SocketAddr) {
    serve(edge, Door::Shared { port }, stream, peer, None, false).await;
}

/// Serves a connection of the shared entry with TLS.
pub(crate) async fn serve_shared_secure(edge: Arc<Edge>, port: u16, stream: TcpStream, peer: SocketAddr) {
    if let Some((stream, listener)) = in_time(secure::handshake(&edge, stream), peer).await {
        add(&listener.balancer.numbers.connections);
        serve_tls(edge, Door::Secure { port, listener }, stream, peer).await;
    }
}

/// What a handshake yields, unless it fails or takes too long.
async fn in_time<T>(handshake: impl Future<Output = std::io::Result<T>>, peer: SocketAddr) -> Option<T> {
    match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(made)) => return Some(made),
        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "TLS handshake timed out"),
    }
    None
}

async fn serve_tls(edge: Arc<Edge>, door: Door, stream: TlsStream<TcpStream>, peer: SocketAddr) {
    let session = stream.get_ref().1;
    let is_h2 = session.alpn_protocol() == Some(b"h2");
    let described = tls::describe(session)
        .map(|(version, cipher)| (HeaderValue::from_static(version), HeaderValue::from_static(cipher)));
    serve(edge, door, stream, peer, Some(described), is_h2).await;
}

/// Polls a connection to its end, and ends it when its activity says so. A macro because hyper's connection types share
/// no trait for it.
macro_rules! drive {
    ($connection:ident, $activity:ident) => {{
        let mut connection = pin!($connection);
        let (mut is_registered, mut is_closing) = (false, false);
        std::future::poll_fn(|cx| {
            match $activity.poll_end(cx, &mut is_registered) {
                End::No => {}
                End::Graceful if is_closing => {}
                End::Graceful => {
                    is_closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                End::Now => return Poll::Ready(Ok(())),
            }
            connection.as_mut().poll(cx)
        })
        .await
    }};
}

type TlsWords = Option<(HeaderValue, HeaderValue)>;

async fn serve<S>(edge: Arc<Edge>, door: Door, stream: S, peer: SocketAddr, tls: Option<TlsWords>, is_h2: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = |listener: &Listener| {
        let settings = &listener.balancer.settings;
        (settings.idle_timeout_s, settings.client_keep_alive_s)
    };
    let ((idle_s, age_s), number) = match &door {
        Door::Own(endpoint) => (limits(&endpoint.listener()), endpoint.number),
        Door::Shared { .. } => ((60, 3_600), entry::NUMBER),
        Door::Secure { listener, .. } => (limits(listener), entry::NUMBER),
    };
    let entered = edge.connections.add(number, idle_s, age_s);
    let activity = entered.activity.clone();
    let io = TokioIo::new(Watched::new(stream, activity.clone()));
    let caller = Caller {
        peer,
        is_tls: tls.is_some(),
        address_value: headers::address_value(&peer.ip().to_string()),
        shared_port: match door {
            Door::Own(_) => None,
            Door::Shared { port } | Door::Secure { port, .. } => Some(port),
        },
        tls: tls.flatten(),
    };
    let served = Arc::new(Served {
        edge,
        door,
        caller,
        entered,
        is_h2,
    });
    let service = service_fn(move |request| {
        let served = served.clone();
        async move { Ok::<_, Infallible>(proxy::respond(&served, request).await) }
    });
    let result = if is_h2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS_MAX)
            .max_header_list_size(HEADERS_BYTES_MAX as u32)
            .keep_alive_interval(Some(Duration::from_secs(60)));
        let connection = builder.serve_connection(io, service);
        drive!(connection, activity)
    } else {
        let mut builder = http1::Builder::new();
        // Not pipeline_flush: it keeps back the answer to a malformed request and buffers answers without limit.
        builder.max_buf_size(READ_BUFFER_BYTES_MAX).half_close(false);
        let connection = builder.serve_connection(io, service).with_upgrades();
        drive!(connection, activity)
    };
    if let Err(error) = result {
        tracing::debug!(%peer, err = %honmaru_base::chain(&error), "connection ended");
    }
}
