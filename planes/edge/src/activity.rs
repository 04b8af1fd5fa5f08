//! What is known about each client connection while it lives, and the janitor that ends connections whose time is
//! over: idle ones, old ones, those of closed listeners.
//!
//! One task looks at all connections once a second, so that a request costs no timer of its own.

use crate::clock::now_ms;
use crate::limits::CLOSE_GRACE;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How a connection shall end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Not at all.
    No,
    /// After the requests in flight.
    Graceful,
    /// At once.
    Now,
}

/// One client connection.
#[derive(Debug)]
pub(crate) struct Activity {
    id: u64,
    endpoint: u64,
    born_ms: u64,
    last_ms: AtomicU64,
    closing_ms: AtomicU64,
    end: AtomicU8,
    /// Requests being answered, and since when the one of an HTTP/1 connection waits for its target's answer.
    pub(crate) waiting_ms: AtomicU64,
    expired: AtomicBool,
    idle_s: AtomicU32,
    age_s: AtomicU32,
    waker: AtomicWaker,
}

impl Activity {
    /// Bytes moved.
    fn touch(&self) {
        self.last_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// The load balancer's timeouts, which may change while the connection lives.
    pub(crate) fn set_limits(&self, idle_s: u32, age_s: u32) {
        self.idle_s.store(idle_s, Ordering::Relaxed);
        self.age_s.store(age_s, Ordering::Relaxed);
    }

    /// The request begins to wait for its target's answer.
    pub(crate) fn begin_wait(&self) {
        self.expired.store(false, Ordering::Relaxed);
        self.waiting_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// The answer came, or waiting was given up.
    pub(crate) fn end_wait(&self) {
        self.waiting_ms.store(0, Ordering::Relaxed);
    }

    /// Whether the wait lasted longer than the idle timeout.
    pub(crate) fn is_expired(&self) -> bool {
        self.expired.load(Ordering::Relaxed)
    }

    /// How the connection shall end; call it from the connection's task, which is woken when it changes.
    pub(crate) fn poll_end(&self, cx: &Context<'_>, registered: &mut bool) -> End {
        if !*registered {
            self.waker.register(cx.waker());
            *registered = true;
        }
        match self.end.load(Ordering::Acquire) {
            0 => End::No,
            1 => End::Graceful,
            _ => End::Now,
        }
    }

    fn set_end(&self, end: u8, now_ms: u64) {
        if self.end.fetch_max(end, Ordering::AcqRel) < end {
            self.closing_ms.store(now_ms, Ordering::Relaxed);
            self.waker.wake();
        }
    }

    fn look(&self, now_ms: u64) {
        let idle_ms = u64::from(self.idle_s.load(Ordering::Relaxed)) * 1_000;
        let age_ms = u64::from(self.age_s.load(Ordering::Relaxed)) * 1_000;
        let waiting_ms = self.waiting_ms.load(Ordering::Relaxed);
        if waiting_ms != 0 {
            if now_ms.saturating_sub(waiting_ms) >= idle_ms && !self.expired.swap(true, Ordering::Relaxed) {
                self.waker.wake();
            }
        } else if now_ms.saturating_sub(self.last_ms.load(Ordering::Relaxed)) >= idle_ms {
            self.set_end(2, now_ms);
        } else if now_ms.saturating_sub(self.born_ms) >= age_ms {
            self.set_end(1, now_ms);
        }
        if self.end.load(Ordering::Acquire) == 1
            && now_ms.saturating_sub(self.closing_ms.load(Ordering::Relaxed)) >= CLOSE_GRACE.as_millis() as u64
        {
            self.set_end(2, now_ms);
        }
    }
}

/// All client connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    next: AtomicU64,
    all: Mutex<HashMap<u64, Arc<Activity>>>,
}

impl Connections {
    /// Adds a connection that was accepted by the endpoint of that number.
    pub(crate) fn add(self: &Arc<Self>, endpoint: u64, idle_s: u32, age_s: u32) -> Entered {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let now = now_ms();
        let activity = Arc::new(Activity {
            id,
            endpoint,
            born_ms: now,
            last_ms: AtomicU64::new(now),
            closing_ms: AtomicU64::new(0),
            end: AtomicU8::new(0),
            waiting_ms: AtomicU64::new(0),
            expired: AtomicBool::new(false),
            idle_s: AtomicU32::new(idle_s),
            age_s: AtomicU32::new(age_s),
            waker: AtomicWaker::new(),
        });
        self.all.lock().insert(id, activity.clone());
        Entered {
            connections: self.clone(),
            activity,
        }
    }

    /// Ends the connections of an endpoint, or of all endpoints, after their requests in flight.
    pub(crate) fn close(&self, endpoint: Option<u64>) {
        let now = now_ms();
        for activity in self.all.lock().values() {
            if endpoint.is_none_or(|endpoint| endpoint == activity.endpoint) {
                activity.set_end(1, now);
            }
        }
    }

    /// How many connections are open.
    pub(crate) fn count(&self) -> usize {
        self.all.lock().len()
    }

    /// Looks at all connections once a second, for ever.
    pub(crate) async fn keep_house(self: Arc<Self>) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tick.tick().await;
            let now = now_ms();
            for activity in self.all.lock().values() {
                activity.look(now);
            }
        }
    }
}

/// A connection's place in [`Connections`]; dropping it takes the connection out.
#[derive(Debug)]
pub(crate) struct Entered {
    connections: Arc<Connections>,
    pub(crate) activity: Arc<Activity>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.connections.all.lock().remove(&self.activity.id);
    }
}

/// A client's stream that notes when bytes move.
pub(crate) struct Watched<S> {
    inner: S,
    activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(crate) fn new(inner: S, activity: Arc<Activity>) -> Self {
        Self { inner, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        if result.is_ready() {
            self.activity.touch();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        if result.is_ready() {
            self.activity.touch();
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        if result.is_ready() {
            self.activity.touch();
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
