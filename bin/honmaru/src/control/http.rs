//! The endpoint: one port for the AWS APIs, the registry, exec sessions, health and metrics.

use super::tls::{self, Opened};
use super::{Control, api};
use crate::sockets::Keeper;
use ::http::{HeaderMap, Method, Response, StatusCode, header};
use anyhow::Context;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// Connections at once; a further one waits in the kernel's queue.
const CONNECTIONS_MAX: usize = 4_096;
/// A call's body at most: a layer part of ECR is 20 MiB and grows by a third as base64.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long a client may take for its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client may take for a call's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// The request's head at most.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long calls in flight have when control ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The body of an answer.
pub type AnswerBody = BoxBody<Bytes, io::Error>;

/// All connections; nothing once control drains.
static CONNECTIONS: LazyLock<Mutex<Option<GracefulShutdown>>> =
    LazyLock::new(|| Mutex::new(Some(GracefulShutdown::new())));

/// A call with its body read.
pub struct Received {
    /// The method.
    pub method: Method,
    /// The path as it came.
    pub path: String,
    /// The query as it came; empty when there is none.
    pub query: String,
    /// The headers; over HTTP/2 with a `host` made of `:authority`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The peer.
    pub peer: SocketAddr,
    /// Whether it came over TLS.
    pub secure: bool,
}

impl Received {
    /// The first value of a header, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The host that the client addressed.
    pub fn host(&self) -> Option<&str> {
        self.header("host")
    }
}

/// Listens, with the socket that a former process left where there is one; an address in use is an error that says by
/// whom to ask.
pub fn bind(keeper: &Keeper, address: SocketAddr) -> anyhow::Result<TcpListener> {
    keeper.listen(address).and_then(TcpListener::from_std).with_context(|| {
        format!(
            "failed to listen on {address}\nhint: choose another address with `--listen`, for example `127.0.0.1:4567`"
        )
    })
}

/// Serves the endpoint, for ever.
pub async fn serve(control: Arc<Control>, listener: TcpListener, acceptor: Option<TlsAcceptor>) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = places
            .clone()
            .acquire_owned()
            .await
            .context("the semaphore is never closed")?;
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or a connection that broke at once: neither ends the endpoint.
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let (control, acceptor) = (control.clone(), acceptor.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            match tls::open(acceptor.as_ref(), stream).await {
                Ok(Opened::Plain(stream)) => connection(control, stream, peer, false).await,
                Ok(Opened::Secure(stream)) => connection(control, stream, peer, true).await,
                // A client that goes away, or that trusts us not, is no news.
                Err(error) => tracing::debug!(%error, %peer, "no TLS with a client"),
            }
            drop(place);
        });
    }
}

/// Ends every connection once the calls in flight are answered.
pub async fn drain() {
    let connections = CONNECTIONS.lock().take();
    if let Some(connections) = connections
        && tokio::time::timeout(DRAIN_TIMEOUT, connections.shutdown())
            .await
            .is_err()
    {
        tracing::warn!("calls were still in flight when control ended");
    }
}

async fn connection<S>(control: Arc<Control>, stream: S, peer: SocketAddr, secure: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let control = control.clone();
        async move { Ok::<_, Infallible>(dispatch(control, request, peer, secure).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        // Not pipeline_flush: it buffers answers without limit, a blob of the registry whole in memory.
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(64 * 1024)
        .max_concurrent_streams(256);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    // A client that goes away is no news.
    let watcher = CONNECTIONS.lock().as_ref().map(GracefulShutdown::watcher);
    let _ = match watcher {
        Some(watcher) => watcher.watch(connection).await,
        None => return,
    };
}

async fn dispatch(
    control: Arc<Control>,
    request: ::http::Request<Incoming>,
    peer: SocketAddr,
    secure: bool,
) -> Response<AnswerBody> {
    let path = request.uri().path();
    if path == "/v2" || path.starts_with("/v2/") {
        return super::registry::handle(&control, request, secure).await;
    }
    if path.starts_with("/v1/data-channel/") {
        return super::exec::data_channel(&control, request).await;
    }
    match path {
        "/_honmaru/health" => return text(StatusCode::OK, "ok\n"),
        "/metrics" => return text(StatusCode::OK, metrics(&control)),
        _ => {}
    }
    match receive(request, peer, secure).await {
        Ok(received) => {
            let reply = api::answer(&control, &received).await;
            let mut response = Response::new(full(reply.body));
            *response.status_mut() = reply.status;
            *response.headers_mut() = reply.headers;
            response
        }
        Err((status, message)) => text(status, message),
    }
}

async fn receive(
    request: ::http::Request<Incoming>,
    peer: SocketAddr,
    secure: bool,
) -> Result<Received, (StatusCode, &'static str)> {
    let (mut parts, body) = request.into_parts();
    if !parts.headers.contains_key(header::HOST)
        && let Some(authority) = parts.uri.authority()
        && let Ok(host) = authority.as_str().parse()
    {
        parts.headers.insert(header::HOST, host);
    }
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    let body = match collected {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err((
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than any call needs\n",
            ));
        }
        Ok(Err(_)) => return Err((StatusCode::BAD_REQUEST, "the body is malformed\n")),
        Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n")),
    };
    Ok(Received {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        peer,
        secure,
    })
}

fn metrics(control: &Control) -> String {
    let head = control.engine.head();
    let counts = control.audit.counts();
    let (written, lost) = (
        counts.written.load(Ordering::Relaxed),
        counts.lost.load(Ordering::Relaxed),
    );
    format!(
        "# HELP honmaru_log_head_revision The revision of the last durable record.\n\
         # TYPE honmaru_log_head_revision counter\n\
         honmaru_log_head_revision {head}\n\
         # HELP honmaru_audit_records_total Calls that the audit trail holds, since control started.\n\
         # TYPE honmaru_audit_records_total counter\n\
         honmaru_audit_records_total {written}\n\
         # HELP honmaru_audit_lost_total Calls that the audit trail lost, since control started.\n\
         # TYPE honmaru_audit_lost_total counter\n\
         honmaru_audit_lost_total {lost}\n"
    )
}

/// An answer of plain text.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<AnswerBody> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// A body that is already there.
pub fn full(body: impl Into<Bytes>) -> AnswerBody {
    Full::new(body.into()).map_err(|never| match never {}).boxed()
}
