//! What a connection does: requests that are worked on, answers that are being sent, and when it last moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Kept by the parts of one connection; none of it orders anything else.
#[derive(Debug)]
pub(super) struct Activity {
    begun: Instant,
    /// Requests whose answer is not there yet.
    working: AtomicUsize,
    /// Answers that are not sent yet.
    answering: AtomicUsize,
    has_asked: AtomicBool,
    is_http2: AtomicBool,
    /// Milliseconds after `begun`.
    moved_ms: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            working: AtomicUsize::new(0),
            answering: AtomicUsize::new(0),
            has_asked: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            moved_ms: AtomicU64::new(0),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Something moved.
    pub(super) fn touch(&self) {
        self.moved_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Bytes went out. On HTTP/2 that alone is no sign of life: an answer to a ping is bytes too.
    pub(super) fn wrote(&self) {
        if !self.is_http2() {
            self.touch();
        }
    }

    /// A request came; it is worked on until the value goes.
    pub(super) fn begin(self: &Arc<Self>, is_http2: bool) -> Work {
        self.has_asked.store(true, Ordering::Relaxed);
        self.is_http2.store(is_http2, Ordering::Relaxed);
        self.working.fetch_add(1, Ordering::Relaxed);
        self.touch();
        Work(self.clone())
    }

    /// An answer's body is there.
    pub(super) fn answer_begins(&self) {
        self.answering.fetch_add(1, Ordering::Relaxed);
    }

    /// It is sent, or nobody wants it any more.
    pub(super) fn answer_ends(&self) {
        self.answering.fetch_sub(1, Ordering::Relaxed);
        self.touch();
    }

    /// Whether there was a request at all.
    pub(super) fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    /// Whether the last request came over HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.is_http2.load(Ordering::Relaxed)
    }

    /// Whether nothing is asked for and nothing is being answered.
    pub(super) fn is_idle(&self) -> bool {
        self.working.load(Ordering::Relaxed) == 0 && self.answering.load(Ordering::Relaxed) == 0
    }

    /// How long nothing has moved; nothing while a request is worked on, which has time-outs of its own.
    pub(super) fn silent_for(&self) -> Option<Duration> {
        if self.working.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let silent_ms = self.now_ms().saturating_sub(self.moved_ms.load(Ordering::Relaxed));
        Some(Duration::from_millis(silent_ms))
    }
}

/// A request that is worked on.
pub(super) struct Work(Arc<Activity>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::Relaxed);
        self.0.touch();
    }
}
