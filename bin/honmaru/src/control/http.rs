//! The endpoint: one port for the AWS APIs, the registry, exec sessions, health and metrics.

use super::audit::Head;
use super::kept::Kept;
use super::listener::{self, End, Limits, Peer};
use super::patient::Patient;
use super::{Control, api};
use crate::sockets::Keeper;
use ::http::{HeaderMap, Method, Response, StatusCode, Version, header};
use anyhow::Context;
use bytes::{Bytes, BytesMut};
use honmaru_base::Clock;
use honmaru_cloudtrail::Tls;
use honmaru_engine::SystemClock;
use honmaru_wire::{Common, Reply};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

/// A call's body at most: a layer part of ECR is 20 MiB and grows by a third as base64.
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The body of a call without a signature at most: a web identity token has 20,000 bytes.
const UNSIGNED_BODY_BYTES_MAX: usize = 256 * 1024;
/// How long a client may take for a call's body, and for its turn to send one.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Bodies in memory at once, all calls together. Whoever sends one is known only when it is here.
const BODIES_BYTES_MAX: usize = 256 * 1024 * 1024;
/// A body so small asks nobody for room: small calls go on while large ones wait.
const BODY_FREE_BYTES: usize = 64 * 1024;
/// Room is given in pieces of so many bytes.
const ROOM_BYTES: usize = 64 * 1024;
const _: () = assert!(BODIES_BYTES_MAX >= 2 * BODY_BYTES_MAX && ROOM_BYTES <= BODY_FREE_BYTES);

/// The body of an answer.
pub type AnswerBody = BoxBody<Bytes, io::Error>;

/// Room for bodies, in pieces.
static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(BODIES_BYTES_MAX / ROOM_BYTES)));

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
    /// What was agreed on, when it came over TLS.
    pub tls: Option<Tls>,
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

/// Serves the endpoint until `ending`; then the calls in flight are answered.
pub async fn serve(
    control: Arc<Control>,
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    ending: impl Future<Output = End>,
    left: impl FnOnce(),
) -> anyhow::Result<()> {
    let handler = move |request, peer| {
        let control = control.clone();
        async move { dispatch(control, request, peer).await }
    };
    if !listener::serve(listener, acceptor, Limits::default(), handler, ending, left).await? {
        tracing::warn!("calls were still in flight when control ended");
    }
    Ok(())
}

async fn dispatch(control: Arc<Control>, request: ::http::Request<Incoming>, peer: Peer) -> Response<AnswerBody> {
    match request.uri().path() {
        "/_honmaru/health" => return text(StatusCode::OK, "ok\n"),
        "/metrics" => return text(StatusCode::OK, metrics(&control)),
        _ => {}
    }
    // A client that goes away once its call is on its way would otherwise have it done without a record.
    match Kept::new(answer(control, request, peer)).await {
        Ok(answer) => answer,
        Err(_) => {
            tracing::error!("a call failed inside");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the call failed inside\n")
        }
    }
}

async fn answer(control: Arc<Control>, request: ::http::Request<Incoming>, peer: Peer) -> Response<AnswerBody> {
    let path = request.uri().path();
    if path == "/v2" || path.starts_with("/v2/") {
        let (parts, body) = request.into_parts();
        if let Some(message) = ambiguous(&parts) {
            return text(StatusCode::BAD_REQUEST, format!("{message}\n"));
        }
        let body = Patient::new(&parts.headers, body);
        let request = ::http::Request::from_parts(parts, body);
        // Each on the heap, so that a call's future, which is moved, is not as large as the largest of them.
        return Box::pin(super::registry::handle(&control, request, peer)).await;
    }
    if super::public::is_token_request(&request) {
        return Box::pin(super::public::token(&control, &request)).await;
    }
    if path.starts_with("/v1/data-channel/") {
        return Box::pin(super::exec::data_channel(&control, request, peer)).await;
    }
    let (at, began) = (SystemClock.now(), Instant::now());
    let (parts, body) = request.into_parts();
    let mut body = Patient::new(&parts.headers, body);
    let read = match ambiguous(&parts) {
        Some(message) => Err(Unread {
            kind: Common::Unreadable,
            message,
        }),
        None => read(&parts, &mut body).await,
    };
    match read {
        Ok((body, room)) => {
            let received = received(parts, body, peer);
            if received.path.starts_with(super::housekeeping::PATH) {
                return Box::pin(super::housekeeping::answer(&control, &received)).await;
            }
            let (reply, following) = api::answer(&control, &received).await;
            drop(room);
            match following {
                Some(following) => response_with(reply, |begin| following.body(begin)),
                None => response(reply),
            }
        }
        Err(Unread { kind, message }) => {
            let (reply, code) = api::unread(&parts, kind, message);
            let head = Head::of(&parts.method, parts.uri.path(), &parts.headers, peer);
            let status = reply.status.as_u16();
            let record = head.unrouted(&control.home, status, &code, message, at, began.elapsed());
            control.audit.record(record);
            let mut response = response(reply);
            // Where its body ends is not known: nothing after it is a request.
            if parts.version < Version::HTTP_2 {
                let close = header::HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            response
        }
    }
}

/// Why a head may be read by others than us as another request. Ref: RFC 9112, 3.2 and 6.1. A length beside chunks never
/// comes here: hyper takes the chunks, and the length out of the head; the listener closes after every request in chunks.
fn ambiguous(parts: &::http::request::Parts) -> Option<&'static str> {
    let hosts = parts.headers.get_all(header::HOST).iter().count();
    if parts.version == Version::HTTP_11 && hosts != 1 {
        return Some("The request must have one Host header");
    }
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_known = |coding: &header::HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    // Beneath the chunks there would be something that is not what it seems.
    (codings.next().is_some_and(|coding| !is_known(coding)) || codings.next().is_some())
        .then_some("The request must have no transfer coding but chunked")
}

fn response(reply: Reply) -> Response<AnswerBody> {
    response_with(reply, full)
}

fn response_with(reply: Reply, body: impl FnOnce(Vec<u8>) -> AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body(reply.body));
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    response
}

/// Why a body was not read to its end.
#[derive(Debug)]
struct Unread {
    kind: Common,
    message: &'static str,
}

/// Reads a body and returns it with the room that it takes, which is given back with the value.
async fn read<B>(parts: &::http::request::Parts, body: B) -> Result<(Bytes, Vec<OwnedSemaphorePermit>), Unread>
where
    B: Body<Data = Bytes> + Unpin,
{
    let is_signed = parts.headers.contains_key(header::AUTHORIZATION)
        || parts
            .uri
            .query()
            .is_some_and(|query| query.contains("X-Amz-Signature="));
    let bytes_max = if is_signed {
        BODY_BYTES_MAX
    } else {
        UNSIGNED_BODY_BYTES_MAX
    };
    let late = |_| Unread {
        kind: Common::TooSlow,
        message: "The request body was not received in time",
    };
    tokio::time::timeout(BODY_TIMEOUT, collect(body, bytes_max, &ROOM))
        .await
        .map_err(late)?
}

async fn collect<B>(
    mut body: B,
    bytes_max: usize,
    room: &Arc<Semaphore>,
) -> Result<(Bytes, Vec<OwnedSemaphorePermit>), Unread>
where
    B: Body<Data = Bytes> + Unpin,
{
    let too_large = || Unread {
        kind: Common::TooLarge,
        message: "The request body is larger than any operation takes",
    };
    let said = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if said > bytes_max {
        return Err(too_large());
    }
    let (mut held, mut granted) = (Vec::new(), BODY_FREE_BYTES);
    let mut grow = async |wanted: usize| {
        if wanted > granted {
            let pieces = (wanted - granted).div_ceil(ROOM_BYTES);
            let pieces_u32 = u32::try_from(pieces).unwrap_or(u32::MAX);
            // The semaphore is never closed.
            held.extend(room.clone().acquire_many_owned(pieces_u32).await);
            granted += pieces * ROOM_BYTES;
        }
    };
    // What is announced is asked for at once: two large bodies cannot wait for each other.
    grow(said).await;
    let mut collected = BytesMut::with_capacity(said);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Unread {
            kind: Common::Unreadable,
            message: "The request body is malformed or incomplete",
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let wanted = collected.len() + data.len();
        if wanted > bytes_max {
            return Err(too_large());
        }
        grow(wanted).await;
        collected.extend_from_slice(&data);
    }
    Ok((collected.freeze(), held))
}

fn received(mut parts: ::http::request::Parts, body: Bytes, peer: Peer) -> Received {
    if !parts.headers.contains_key(header::HOST)
        && let Some(authority) = parts.uri.authority()
        && let Ok(host) = authority.as_str().parse()
    {
        parts.headers.insert(header::HOST, host);
    }
    Received {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        peer: peer.address,
        secure: peer.secure,
        tls: peer.tls,
    }
}

fn metrics(control: &Control) -> String {
    let head = control.engine.head();
    let append_s = control.engine.append_cpu().as_secs_f64();
    let counts = control.audit.counts();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (written, lost, folded) = (count(&counts.written), count(&counts.lost), count(&counts.folded));
    format!(
        "# HELP honmaru_log_head_revision The revision of the last durable record.\n\
         # TYPE honmaru_log_head_revision counter\n\
         honmaru_log_head_revision {head}\n\
         # HELP honmaru_log_append_cpu_seconds_total CPU time of appending to the log, since control started.\n\
         # TYPE honmaru_log_append_cpu_seconds_total counter\n\
         honmaru_log_append_cpu_seconds_total {append_s}\n\
         # HELP honmaru_audit_records_total Calls that the audit trail holds, since control started.\n\
         # TYPE honmaru_audit_records_total counter\n\
         honmaru_audit_records_total {written}\n\
         # HELP honmaru_audit_folded_total Refused calls that the trail holds as a count only, since control started.\n\
         # TYPE honmaru_audit_folded_total counter\n\
         honmaru_audit_folded_total {folded}\n\
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

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use std::convert::Infallible;

    fn chunks(count: usize, bytes: usize) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let frames = (0..count).map(move |_| Ok(Frame::data(Bytes::from(vec![b'x'; bytes]))));
        StreamBody::new(futures_util::stream::iter(frames))
    }

    #[tokio::test]
    async fn a_body_has_a_limit_whether_it_is_announced_or_not() {
        let room = Arc::new(Semaphore::new(64));
        let collected = collect(chunks(10, 1_000), 10_000, &room).await;
        assert_eq!(collected.map(|(body, _)| body.len()).ok(), Some(10_000));
        let Err(refused) = collect(chunks(11, 1_000), 10_000, &room).await else {
            panic!("it is too large");
        };
        assert_eq!(refused.kind, Common::TooLarge);
        let announced = Full::new(Bytes::from(vec![b'x'; 10_001]));
        assert!(collect(announced, 10_000, &room).await.is_err());
    }

    #[test]
    fn a_head_that_others_may_read_otherwise_is_refused() {
        let refused = |version: Version, headers: &[(&str, &str)]| {
            let mut request = ::http::Request::builder().version(version);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).expect("a request").into_parts();
            ambiguous(&parts).is_some()
        };
        let (old, new, host) = (Version::HTTP_10, Version::HTTP_11, ("host", "a"));
        assert!(refused(new, &[]) && refused(new, &[host, host]) && !refused(new, &[host]));
        assert!(!refused(old, &[]) && !refused(Version::HTTP_2, &[]));
        let coded = |coding| ("transfer-encoding", coding);
        assert!(!refused(new, &[host, coded("Chunked")]));
        assert!(refused(new, &[host, coded("gzip, chunked")]));
        assert!(refused(new, &[host, coded("chunked"), coded("chunked")]));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_malformed() {
        let broken = StreamBody::new(futures_util::stream::iter([
            Ok(Frame::data(Bytes::from_static(b"{"))),
            Err(io::Error::other("the chunks are none")),
        ]));
        let refused = collect(broken, 10_000, &Arc::new(Semaphore::new(64))).await;
        assert_eq!(refused.err().map(|unread| unread.kind), Some(Common::Unreadable));
    }

    #[tokio::test]
    async fn large_bodies_wait_for_room_and_small_ones_do_not() {
        let room = Arc::new(Semaphore::new(16));
        let large = || Full::new(Bytes::from(vec![b'x'; BODY_FREE_BYTES + 16 * ROOM_BYTES]));
        let Ok((_, held)) = collect(large(), usize::MAX, &room).await else {
            panic!("there is room");
        };
        let small = collect(chunks(1, BODY_FREE_BYTES), usize::MAX, &room).await;
        assert!(small.is_ok_and(|(_, held)| held.is_empty()));
        let waiting = collect(large(), usize::MAX, &room);
        let waited = tokio::time::timeout(Duration::from_millis(50), waiting).await;
        assert!(waited.is_err(), "it had no room");
        let waiting = collect(large(), usize::MAX, &room);
        let (collected, ()) = tokio::join!(waiting, async { drop(held) });
        assert!(collected.is_ok());
        assert_eq!(room.available_permits(), 0);
    }
}
