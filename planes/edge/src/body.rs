//! Bodies: what goes to the client ([`Body`]) and what goes to a target ([`RequestBody`]).
//! Both stream; a request's body is kept up to a limit so that it can be sent again.

use crate::group::InFlight;
use crate::limits::REPLAY_BYTES_MAX;
use crate::link::{Link, LinkError};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The body of an answer.
pub(crate) enum Body {
    Empty,
    Full(Bytes),
    Proxied(Proxied),
}

impl Body {
    /// A body that is there already.
    pub(crate) fn full(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Body::Empty
        } else {
            Body::Full(bytes)
        }
    }
}

/// A target's body on its way to the client.
pub(crate) enum Proxied {
    /// It drives the HTTP/1 connection that it comes from and gives it back to the pool at its end.
    Link(Option<Box<Link>>, Option<InFlight>),
    /// Its connection is driven elsewhere.
    Incoming {
        incoming: Incoming,
        /// Counts until the body ends.
        _in_flight: InFlight,
    },
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// On a connection of our own.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// On one of hyper's.
    #[error(transparent)]
    Incoming(#[from] hyper::Error),
}

impl Body {
    /// The body of an answer whose head came over this link.
    pub(crate) fn of_link(mut link: Box<Link>, in_flight: InFlight, cx: &mut Context<'_>) -> Self {
        // Short ones are there with the head: the connection is free at once.
        match link.whole_body() {
            Some(bytes) => {
                in_flight.target().pool.give_back(link, cx);
                Body::full(bytes)
            }
            None => Body::Proxied(Proxied::Link(Some(link), Some(in_flight))),
        }
    }

    /// The body of an answer that came through hyper's client.
    pub(crate) fn of_incoming(incoming: Incoming, in_flight: InFlight) -> Self {
        // The size hint of an answer to HEAD tells the length of what GET would give; hyper keeps the header.
        if incoming.is_end_stream() {
            return Body::Empty;
        }
        Body::Proxied(Proxied::Incoming {
            incoming,
            _in_flight: in_flight,
        })
    }
}

impl Proxied {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Proxied::Incoming { incoming, .. } => Pin::new(incoming).poll_frame(cx).map_err(BodyError::from),
            Proxied::Link(place, in_flight) => {
                let Some(link) = place else {
                    return Poll::Ready(None);
                };
                let frame = std::task::ready!(link.poll_body(cx));
                let is_over = !matches!(frame, Some(Ok(_))) || link.is_done();
                if is_over && let (Some(link), Some(in_flight)) = (place.take(), in_flight.take()) {
                    in_flight.target().pool.give_back(link, cx);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Proxied::Incoming { incoming, .. } => incoming.is_end_stream(),
            Proxied::Link(link, _) => link.as_ref().is_none_or(|link| link.is_done()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Proxied::Incoming { incoming, .. } => incoming.size_hint(),
            Proxied::Link(link, _) => link
                .as_ref()
                .map_or(Some(0), |link| link.left())
                .map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Body::Empty => Poll::Ready(None),
            Body::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Body::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Body::Proxied(proxied) => proxied.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Empty => true,
            Body::Full(bytes) => bytes.is_empty(),
            Body::Proxied(proxied) => proxied.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty => SizeHint::with_exact(0),
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Proxied(proxied) => proxied.size_hint(),
        }
    }
}

/// The body of a request on its way to a target.
pub(crate) enum RequestBody {
    Empty,
    Replay(Replay),
}

/// A body that streams from the client and remembers its begin.
#[derive(Clone)]
pub(crate) struct Replay(Arc<Mutex<Kept>>);

struct Kept {
    incoming: Incoming,
    chunks: Vec<Bytes>,
    bytes: usize,
    /// The next chunk to send again.
    position: usize,
    /// More went by than is kept.
    is_cut: bool,
    ended: bool,
    client_failed: bool,
    size: SizeHint,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming) -> Self {
        if incoming.is_end_stream() {
            return RequestBody::Empty;
        }
        let size = incoming.size_hint();
        RequestBody::Replay(Replay(Arc::new(Mutex::new(Kept {
            incoming,
            chunks: Vec::new(),
            bytes: 0,
            position: 0,
            is_cut: false,
            ended: false,
            client_failed: false,
            size,
        }))))
    }

    /// The same body from its begin, or nothing when too much of it is gone.
    pub(crate) fn again(&self) -> Option<RequestBody> {
        match self {
            RequestBody::Empty => Some(RequestBody::Empty),
            RequestBody::Replay(replay) => {
                let mut kept = replay.0.lock();
                if kept.is_cut || kept.client_failed {
                    return None;
                }
                kept.position = 0;
                drop(kept);
                Some(RequestBody::Replay(replay.clone()))
            }
        }
    }

    /// Whether the client broke off before its body's end.
    pub(crate) fn client_failed(&self) -> bool {
        match self {
            RequestBody::Empty => false,
            RequestBody::Replay(replay) => replay.0.lock().client_failed,
        }
    }

    /// Whether there is no body.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, RequestBody::Empty)
    }

    /// Reads until `wanted` bytes are kept or the body ends, and returns them with whether there is more.
    /// An error means that the client broke off.
    pub(crate) async fn peek(&self, wanted: usize) -> Result<(Vec<u8>, bool), hyper::Error> {
        let RequestBody::Replay(replay) = self else {
            return Ok((Vec::new(), false));
        };
        std::future::poll_fn(|cx| {
            let mut kept = replay.0.lock();
            while kept.bytes <= wanted && !kept.ended && !kept.incoming.is_end_stream() {
                match std::task::ready!(kept.poll_more(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(error)),
                    None => break,
                }
            }
            kept.position = 0;
            Poll::Ready(Ok(()))
        })
        .await?;
        let kept = replay.0.lock();
        let mut begin = Vec::with_capacity(wanted.min(kept.bytes));
        for chunk in &kept.chunks {
            let room = wanted - begin.len();
            begin.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        }
        let is_cut = kept.bytes > wanted || !(kept.ended || kept.incoming.is_end_stream());
        Ok((begin, is_cut))
    }
}

impl Kept {
    /// Takes the next frame from the client and keeps its data.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    // What the firewall wants may lie above the replay limit; its own limit bounds `bytes` then.
                    self.bytes += data.len();
                    if !self.is_cut {
                        self.chunks.push(data.clone());
                        self.position += 1;
                    }
                }
            }
            Some(Err(_)) => self.client_failed = true,
            None => self.ended = true,
        }
        Poll::Ready(frame)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(chunk) = self.chunks.get(self.position) {
            self.position += 1;
            return Poll::Ready(Some(Ok(Frame::data(chunk.clone()))));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        if self.bytes > REPLAY_BYTES_MAX && !self.is_cut {
            self.is_cut = true;
            self.chunks = Vec::new();
            self.position = 0;
        }
        self.poll_more(cx)
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &*self {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Replay(replay) => replay.0.lock().poll_next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Replay(replay) => {
                let kept = replay.0.lock();
                kept.position >= kept.chunks.len() && (kept.ended || kept.incoming.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Replay(replay) => replay.0.lock().size,
        }
    }
}
