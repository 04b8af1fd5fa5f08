//! Connections of an HTTP endpoint: how many there are at once, how long each may be silent, and how they end.
//!
//! Not here: what a request means. HTTP/1.1, HTTP/2 and TLS share one port.
//! Invariants: a connection that moves nothing gives its place up within a named time; whatever was connected before the
//! end is answered, and the end comes within [`Limits::drain`].

mod activity;
mod guarded;
mod seats;
#[cfg(test)]
mod tests;

use super::http::AnswerBody;
use super::tls::{self, Opened};
use ::http::{HeaderValue, Request, Response, StatusCode, Version, header};
use activity::Activity;
use anyhow::Context;
use guarded::{Guarded, Watched};
use honmaru_cloudtrail::Tls;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use seats::{Seat, Seats};
use socket2::{SockFilter, SockRef};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;

/// What connections may cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; a further one waits in the kernel's queue, and idle ones are closed sooner.
    pub connections_max: usize,
    /// Those of them that one address may have; a further one is closed at once.
    pub connections_per_address_max: usize,
    /// The request's head at most.
    pub head_bytes_max: usize,
    /// Requests at once on one connection of HTTP/2.
    pub streams_max: u32,
    /// How long a client may take for the head of a request, the first one or, on HTTP/1, the next.
    pub head: Duration,
    /// How long a connection may be idle, or an answer stand still because nobody takes it.
    pub idle: Duration,
    /// The same for idle connections while all places are taken, or all of their address.
    pub idle_when_full: Duration,
    /// How long a connection has for its last words when it is closed for being idle.
    pub farewell: Duration,
    /// How often connections are looked at.
    pub look: Duration,
    /// Pings of HTTP/2: how often, and how long the answer may take.
    pub ping: Duration,
    /// How long a kept connection may still send a request once the end was asked for: closed at once, it would lose the
    /// one that is on its way.
    pub linger: Duration,
    /// How long requests in flight have once the end was asked for, `linger` included.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            connections_per_address_max: 2_048,
            head_bytes_max: 64 * 1024,
            streams_max: 256,
            head: Duration::from_secs(20),
            idle: Duration::from_secs(60),
            idle_when_full: Duration::from_secs(2),
            farewell: Duration::from_secs(1),
            look: Duration::from_secs(1),
            ping: Duration::from_secs(20),
            linger: Duration::from_millis(500),
            drain: Duration::from_secs(5),
        }
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The client's address.
    pub address: SocketAddr,
    /// Whether it came over TLS.
    pub secure: bool,
    /// What was agreed on, when it came over TLS.
    pub tls: Option<Tls>,
}

/// What becomes of the listening socket at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Another process goes on with it, and answers whoever waits in its queue.
    Handover,
    /// It is closed. Whoever waits in its queue is answered here.
    Last,
}

/// How far the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// No new connections; those that are there are told to close after their next answer.
    Lingering,
    /// Connections close as soon as they are idle.
    Ending,
}

/// What all connections share.
struct Shared<H> {
    limits: Limits,
    places: Arc<Semaphore>,
    seats: Arc<Seats>,
    phase: watch::Sender<Phase>,
    handler: H,
}

/// Serves connections until `ending`, then lets the requests in flight finish. Returns whether all of them did. `left` is
/// called when nothing more is accepted.
pub async fn serve<H, F>(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    limits: Limits,
    handler: H,
    ending: impl Future<Output = End>,
    left: impl FnOnce(),
) -> anyhow::Result<bool>
where
    H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Response<AnswerBody>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let shared = Arc::new(Shared {
        places: places.clone(),
        seats: Arc::new(Seats::new(limits.connections_per_address_max)),
        phase: watch::Sender::new(Phase::Serving),
        limits,
        handler,
    });
    // Every connection holds a sender: when all are gone, so are the connections.
    let (alive, mut gone) = mpsc::channel::<Infallible>(1);
    let open = |stream, peer: SocketAddr, place: Option<OwnedSemaphorePermit>| {
        let Some(seat) = shared.seats.take(peer.ip()) else {
            tracing::debug!(address = %peer, "a client has all the connections that one address may have");
            return;
        };
        let (shared, acceptor, alive) = (shared.clone(), acceptor.clone(), alive.clone());
        tokio::spawn(async move {
            shared.open(acceptor.as_ref(), stream, peer, &seat).await;
            drop((seat, place, alive));
        });
    };
    let mut ending = pin!(ending);
    let end = loop {
        let accepted = tokio::select! {
            biased;
            end = &mut ending => break end,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => open(stream, peer, Some(place)),
            Err(error) => {
                // Out of descriptors, or a connection that broke at once: neither ends the endpoint.
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    let until = tokio::time::Instant::now() + shared.limits.drain;
    shared.phase.send_replace(Phase::Lingering);
    let waiting = match end {
        End::Handover => Vec::new(),
        End::Last => empty(&listener)?,
    };
    left();
    drop(listener);
    for (stream, peer) in waiting {
        open(stream, peer, None);
    }
    drop(alive);
    if tokio::time::timeout(shared.limits.linger, gone.recv()).await.is_ok() {
        return Ok(true);
    }
    shared.phase.send_replace(Phase::Ending);
    Ok(tokio::time::timeout_at(until, gone.recv()).await.is_ok())
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

/// Lets nobody in any more and returns the connections that wait in the kernel's queue: their clients were let in.
fn empty(listener: &TcpListener) -> anyhow::Result<Vec<(TcpStream, SocketAddr)>> {
    // Without it, whoever connects between the last accept and the close is reset, with a request on its way. Packets
    // that are dropped are sent again, and refused then. Ref: socket(7), SO_ATTACH_FILTER; one instruction: `ret #0`.
    let nothing = SockFilter::new(0x06, 0, 0, 0);
    let socket = SockRef::from(listener);
    if let Err(error) = socket.attach_filter(&[nothing]) {
        tracing::warn!(%error, "new connections cannot be turned away while the endpoint closes");
    }
    let mut waiting = Vec::new();
    loop {
        match socket.accept() {
            Ok((stream, peer)) => {
                stream.set_nonblocking(true)?;
                let peer = peer.as_socket().context("a peer without an address")?;
                waiting.push((TcpStream::from_std(stream.into())?, peer));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(waiting),
            // A connection that broke while it waited.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                return Ok(waiting);
            }
        }
    }
}

impl<H, F> Shared<H>
where
    H: Fn(Request<Incoming>, Peer) -> F + Send + Sync + 'static,
    F: Future<Output = Response<AnswerBody>> + Send + 'static,
{
    async fn open(
        self: &Arc<Self>,
        acceptor: Option<&TlsAcceptor>,
        stream: TcpStream,
        address: SocketAddr,
        seat: &Seat,
    ) {
        let _ = stream.set_nodelay(true);
        let peer = |tls: Option<Tls>, secure| Peer { address, secure, tls };
        let opened = tokio::time::timeout(self.limits.head, tls::open(acceptor, stream)).await;
        match opened.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the handshake took too long"))) {
            Ok(Opened::Plain(stream)) => self.connection(stream, peer(None, false), seat).await,
            Ok(Opened::Secure(stream)) => {
                let peer = peer(tls::agreed(&stream), true);
                self.connection(stream, peer, seat).await;
            }
            // A client that goes away, or that trusts us not, is no news.
            Err(error) => tracing::debug!(%error, %address, "no TLS with a client"),
        }
    }

    async fn connection<S>(self: &Arc<Self>, stream: S, peer: Peer, seat: &Seat)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.limits;
        let activity = Arc::new(Activity::new());
        let service = {
            let (shared, activity) = (self.clone(), activity.clone());
            service_fn(move |request| {
                let (shared, activity) = (shared.clone(), activity.clone());
                async move { Ok::<_, Infallible>(shared.answer(request, peer, &activity).await) }
            })
        };
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            // A client that closes its side right after its request is answered, or at least served and recorded; otherwise
            // the connection would end with whatever of the body was not yet handed on.
            .half_close(true)
            // Not pipeline_flush: it buffers answers without limit, a blob of the registry whole in memory.
            .max_buf_size(limits.head_bytes_max);
        // h2's own limits stay: 20 streams that are reset before they are answered, then the connection ends with
        // ENHANCE_YOUR_CALM; one ping and one change of settings at a time are answered before the next is read.
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
            .max_concurrent_streams(limits.streams_max)
            .keep_alive_interval(limits.ping)
            .keep_alive_timeout(limits.ping);
        let stream = Guarded::new(stream, activity.clone());
        let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let mut phase = self.phase.subscribe();
        let ends = async {
            // A client of HTTP/2 is told which of its requests are answered: nothing can be lost.
            let ends = |phase: &Phase| *phase == Phase::Ending || (*phase == Phase::Lingering && activity.is_http2());
            let _ = phase.wait_for(ends).await;
        };
        let farewell = tokio::select! {
            // A client that goes away is no news.
            _ = connection.as_mut() => return,
            () = self.stalled(&activity, seat) => limits.farewell,
            () = ends => limits.drain,
        };
        connection.as_mut().graceful_shutdown();
        // Whoever has not taken its answer by then is left.
        let _ = tokio::time::timeout(farewell, connection).await;
    }

    /// Waits until a connection has moved nothing for too long.
    async fn stalled(&self, activity: &Activity, seat: &Seat) {
        let limits = &self.limits;
        loop {
            tokio::time::sleep(limits.look).await;
            let is_full = self.places.available_permits() == 0 || seat.is_last();
            let limit = match (activity.is_idle(), activity.has_asked()) {
                (true, _) if is_full => limits.idle_when_full,
                (_, false) => limits.head,
                (_, true) => limits.idle,
            };
            if activity.silent_for().is_some_and(|silent| silent >= limit) {
                return;
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>, peer: Peer, activity: &Arc<Activity>) -> Response<AnswerBody> {
        let is_http1 = request.version() < Version::HTTP_2;
        // hyper takes a Content-Length beside the chunks out of the head, and nobody learns of it: what another may have
        // read as the next request is none. Ref: RFC 9112, 6.1: "the server MUST close the connection".
        let is_chunked = is_http1 && request.headers().contains_key(header::TRANSFER_ENCODING);
        let work = activity.begin(!is_http1);
        let answer = (self.handler)(request, peer).await;
        let mut answer = answer.map(|body| Watched::new(body, activity.clone()).boxed());
        drop(work);
        let is_last = is_chunked || *self.phase.borrow() != Phase::Serving;
        if is_last && is_http1 && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            answer
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}
