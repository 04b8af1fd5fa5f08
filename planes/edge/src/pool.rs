//! Connections to targets: HTTP/1 ones are kept idle per target and driven by the request that uses them, without a
//! task of their own; HTTP/2 ones are shared.

use crate::body::RequestBody;
use crate::clock::now_ms;
use crate::limits::{IDLE_CONNECTION_MS_MAX, IDLE_CONNECTIONS_MAX};
use crate::link::Link;
use crate::sockets;
use crate::tls;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A stream to a target.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// Why no connection could be had.
#[derive(Debug)]
pub(crate) enum DialError {
    /// Refused, reset, no route, TLS failure.
    Failed(io::Error),
    /// Not in time.
    TimedOut,
}

/// Opens a stream to a target.
pub(crate) async fn dial(
    target: SocketAddr,
    source: Option<Ipv4Addr>,
    use_tls: bool,
    timeout: Duration,
) -> Result<Stream, DialError> {
    let open = async {
        let stream = sockets::connect(target, source).await?;
        if use_tls {
            tls::connect(stream, target.ip()).await
        } else {
            Ok(Stream::Plain(stream))
        }
    };
    match tokio::time::timeout(timeout, open).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(DialError::Failed(error)),
        Err(_) => Err(DialError::TimedOut),
    }
}

/// The idle connections of one target.
#[derive(Default)]
pub(crate) struct Pool {
    #[expect(
        clippy::vec_box,
        reason = "a link moves between pool and request: a pointer moves, not its kilobyte"
    )]
    idle: Mutex<Vec<Box<Link>>>,
    shared: Mutex<Option<http2::SendRequest<RequestBody>>>,
}

impl Pool {
    /// Keeps a connection for another request, when it can carry one.
    pub(crate) fn give_back(&self, mut link: Box<Link>, cx: &mut Context<'_>) {
        if !link.rest(cx) {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(link);
        }
    }

    /// The idle connection that was used last and still works.
    pub(crate) fn take(&self, source: Option<Ipv4Addr>, cx: &mut Context<'_>) -> Option<Box<Link>> {
        loop {
            let mut link = {
                let mut idle = self.idle.lock();
                let at = idle.iter().rposition(|link| link.source == source)?;
                idle.swap_remove(at)
            };
            if link.is_usable(cx) {
                return Some(link);
            }
        }
    }

    /// Drops connections that are closed or were idle for too long.
    pub(crate) fn sweep(&self) {
        let now = now_ms();
        let mut links = std::mem::take(&mut *self.idle.lock());
        if links.is_empty() {
            return;
        }
        let mut cx = Context::from_waker(Waker::noop());
        links.retain_mut(|link| {
            now.saturating_sub(link.idle_since_ms) < IDLE_CONNECTION_MS_MAX && link.is_usable(&mut cx)
        });
        let mut idle = self.idle.lock();
        links.append(&mut idle);
        *idle = links;
    }

    /// Closes all idle connections.
    pub(crate) fn clear(&self) {
        self.idle.lock().clear();
        *self.shared.lock() = None;
    }

    /// The shared HTTP/2 connection, when there is an open one.
    pub(crate) fn shared(&self) -> Option<http2::SendRequest<RequestBody>> {
        self.shared.lock().clone().filter(|sender| !sender.is_closed())
    }

    /// Makes the shared HTTP/2 connection over a stream; its task ends with it.
    pub(crate) async fn share(&self, stream: Stream) -> Result<http2::SendRequest<RequestBody>, hyper::Error> {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .handshake(TokioIo::new(stream))
            .await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(err = %honmaru_base::chain(&error), "connection to a target ended");
            }
        });
        *self.shared.lock() = Some(sender.clone());
        Ok(sender)
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
