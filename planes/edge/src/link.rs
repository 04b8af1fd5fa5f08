//! One HTTP/1 connection to a target, driven by the request that uses it, without a task or a channel of its own.
//! Requests are written and answers are read at the same time: a target may answer before it has the whole request.
//!
//! Not hyper's client: its dispatcher and channels cost a third of what a whole request costs here. The parsers are
//! the same (httparse).

mod decoder;
mod request;
mod response;

pub(crate) use response::Malformed;

use crate::body::RequestBody;
use crate::clock::now_ms;
use crate::limits::READ_BUFFER_BYTES_MAX;
use crate::pool::Stream;
use bytes::{Buf, Bytes, BytesMut};
use decoder::{Decoder, Step};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use hyper::body::{Body as _, Frame};
use request::Sending;
use std::fmt::Write;
use std::io::{self, IoSlice};
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

/// Bytes that are read at once: at first, and while a large body comes.
const READ_BYTES_MIN: usize = 8 * 1024;
const READ_BYTES_MAX: usize = 128 * 1024;

/// Why an exchange broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The target closed or reset the connection too early.
    #[error("the target ended the connection")]
    Closed,
    /// What the target sent is not HTTP.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The client broke off while its body was being sent.
    #[error("the client broke off its request")]
    Client(#[source] Option<hyper::Error>),
}

/// The head of an answer.
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

/// A connection.
pub(crate) struct Link {
    stream: Stream,
    pub(crate) source: Option<Ipv4Addr>,
    /// Whether it carried a request before: it may have been closed by the target meanwhile.
    pub(crate) is_reused: bool,
    pub(crate) idle_since_ms: u64,
    /// What was read and not yet used.
    inbound: BytesMut,
    read_bytes: usize,
    /// What is to be written, in this order.
    head: BytesMut,
    data: Bytes,
    tail: &'static [u8],
    sending: Sending,
    body: RequestBody,
    is_flushed: bool,
    /// Writing failed: nothing more is sent, and what the target answered before is still read.
    is_cut: bool,
    has_sent_head: bool,
    method: Method,
    decoder: Decoder,
    keeps_alive: bool,
}

impl Link {
    /// A fresh connection over a stream.
    pub(crate) fn new(stream: Stream, source: Option<Ipv4Addr>) -> Box<Link> {
        Box::new(Link {
            stream,
            source,
            is_reused: false,
            idle_since_ms: 0,
            inbound: BytesMut::new(),
            read_bytes: READ_BYTES_MIN,
            head: BytesMut::new(),
            data: Bytes::new(),
            tail: b"",
            sending: Sending::Nothing,
            body: RequestBody::Empty,
            is_flushed: true,
            is_cut: false,
            has_sent_head: false,
            method: Method::GET,
            decoder: Decoder::empty(),
            keeps_alive: true,
        })
    }

    /// Begins an exchange: the request is written as the link is polled.
    pub(crate) fn begin(&mut self, parts: &Parts, body: RequestBody) {
        self.head.clear();
        self.sending = request::encode(&mut self.head, parts, &body);
        self.body = body;
        self.method = parts.method.clone();
        self.keeps_alive = false;
        self.has_sent_head = false;
    }

    /// Whether the target may have got the request's head whole: it may have acted on it.
    pub(crate) fn has_sent_head(&self) -> bool {
        self.has_sent_head
    }

    /// Writes what can be written, then waits for the answer's head.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, LinkError>> {
        self.send(cx)?;
        loop {
            if !self.inbound.is_empty()
                && let Some(head) = response::parse(&mut self.inbound, &self.method)?
            {
                self.decoder = head.decoder;
                self.keeps_alive = head.keeps_alive;
                return Poll::Ready(Ok(Head {
                    status: head.status,
                    headers: head.headers,
                }));
            }
            if self.inbound.len() > READ_BUFFER_BYTES_MAX {
                return Poll::Ready(Err(Malformed.into()));
            }
            if ready!(self.poll_read(cx)).unwrap_or(0) == 0 {
                return Poll::Ready(Err(LinkError::Closed));
            }
        }
    }

    /// The next piece of the answer's body; goes on writing the request.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, LinkError>>> {
        if let Err(error) = self.send(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            match self.decoder.step(&mut self.inbound) {
                Ok(Step::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Ok(Step::Trailers(trailers)) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Ok(Step::End) => return Poll::Ready(None),
                Ok(Step::More) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            if ready!(self.poll_read(cx)).unwrap_or(0) == 0 {
                let is_over = self.decoder.ends_with_connection();
                return Poll::Ready((!is_over).then_some(Err(LinkError::Closed)));
            }
        }
    }

    /// The body, when all of it is there already and is short.
    pub(crate) fn whole_body(&mut self) -> Option<Bytes> {
        let left = usize::try_from(self.decoder.left()?).ok()?;
        if left > self.inbound.len() {
            return None;
        }
        self.decoder = Decoder::empty();
        Some(self.inbound.split_to(left).freeze())
    }

    /// Whether the answer is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.decoder.is_done()
    }

    /// The bytes of the body that are to come, where they are known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.decoder.left()
    }

    /// Makes it an idle connection; whether it can carry another request.
    pub(crate) fn rest(&mut self, cx: &mut Context<'_>) -> bool {
        let is_whole = self.keeps_alive && self.decoder.is_done() && self.is_sent();
        if !is_whole || !self.is_usable(cx) {
            return false;
        }
        self.body = RequestBody::Empty;
        self.read_bytes = READ_BYTES_MIN;
        self.is_reused = true;
        self.idle_since_ms = now_ms();
        true
    }

    /// Whether the target keeps the idle connection open and says nothing that nobody asked for.
    pub(crate) fn is_usable(&mut self, cx: &mut Context<'_>) -> bool {
        self.inbound.is_empty() && self.poll_read(cx).is_pending()
    }

    fn is_sent(&self) -> bool {
        self.sending == Sending::Nothing && !self.has_outbound() && self.is_flushed && !self.is_cut
    }

    fn has_outbound(&self) -> bool {
        self.head.has_remaining() || self.data.has_remaining() || !self.tail.is_empty()
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.inbound.capacity() - self.inbound.len() < self.read_bytes / 2 {
            self.inbound.reserve(self.read_bytes);
        }
        let read = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.inbound))?;
        if read >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        }
        Poll::Ready(Ok(read))
    }

    /// Writes as much as the target takes now.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), LinkError> {
        while !self.is_cut {
            if self.has_outbound() {
                match self.poll_write(cx) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0) | Err(_)) => self.cut(),
                }
                continue;
            }
            match self.sending {
                Sending::Nothing => {
                    self.flush(cx);
                    return Ok(());
                }
                Sending::Length(_) | Sending::Chunked => match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Pending => {
                        self.flush(cx);
                        return Ok(());
                    }
                    Poll::Ready(frame) => self.queue(frame)?,
                },
            }
        }
        Ok(())
    }

    /// Takes a piece of the client's body.
    fn queue(&mut self, frame: Option<Result<Frame<Bytes>, hyper::Error>>) -> Result<(), LinkError> {
        match (
            frame.transpose().map_err(|error| LinkError::Client(Some(error)))?,
            self.sending,
        ) {
            (Some(frame), sending) => {
                // Trailers of requests are not handed on. Ref: RFC 9110, 6.5.1.
                let data = frame.into_data().unwrap_or_default();
                if data.is_empty() {
                    return Ok(());
                }
                if let Sending::Length(left) = sending {
                    let left = left.checked_sub(data.len() as u64).ok_or(LinkError::Client(None))?;
                    self.sending = Sending::Length(left);
                } else {
                    // A BytesMut takes whatever is written.
                    let _ = write!(self.head, "{:x}\r\n", data.len());
                    self.tail = b"\r\n";
                }
                self.data = data;
            }
            (None, Sending::Length(1..)) => return Err(LinkError::Client(None)),
            (None, sending) => {
                if sending == Sending::Chunked {
                    self.tail = b"0\r\n\r\n";
                }
                self.sending = Sending::Nothing;
            }
        }
        Ok(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let written = if self.data.is_empty() && self.tail.is_empty() {
            // The usual request has no body, and send(2) costs the kernel less than writev(2).
            ready!(stream.poll_write(cx, &self.head))?
        } else {
            let slices = [
                IoSlice::new(&self.head),
                IoSlice::new(&self.data),
                IoSlice::new(self.tail),
            ];
            ready!(stream.poll_write_vectored(cx, &slices))?
        };
        self.is_flushed = false;
        let of_head = written.min(self.head.len());
        self.head.advance(of_head);
        self.has_sent_head |= self.head.is_empty();
        let of_data = (written - of_head).min(self.data.len());
        self.data.advance(of_data);
        self.tail = self.tail.get(written - of_head - of_data..).unwrap_or_default();
        Poll::Ready(Ok(written))
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        if !self.is_flushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.is_flushed = true,
                Poll::Ready(Err(_)) => self.cut(),
            }
        }
    }

    fn cut(&mut self) {
        self.is_cut = true;
        self.head.clear();
        self.data = Bytes::new();
        self.tail = b"";
        self.sending = Sending::Nothing;
    }
}
