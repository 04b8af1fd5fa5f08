//! What keeps a blob from the collector while nothing durable names it yet: recent use, and pins.

use crate::Digest;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Touches are forgotten in one sweep when so many have gathered.
const TOUCHES_SWEEP_AT: usize = 65_536;

#[derive(Default)]
pub(super) struct Guards {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    marks: Mutex<Marks>,
    freed: Notify,
}

#[derive(Default)]
struct Marks {
    touched: HashMap<Digest, Instant>,
    pinned: HashMap<Digest, usize>,
    removing: HashSet<Digest>,
}

/// Blobs that the collector leaves alone until this is dropped.
#[must_use = "dropping the pins gives the blobs up"]
pub struct Pins {
    digests: Vec<Digest>,
    inner: Arc<Inner>,
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut marks = self.inner.marks.lock();
        for digest in &self.digests {
            if let Some(count) = marks.pinned.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    marks.pinned.remove(digest);
                }
            }
        }
    }
}

impl Guards {
    /// Notes that somebody was told of this blob. False when it is being removed: then it counts as absent.
    pub(super) fn touch(&self, digest: &Digest) -> bool {
        let mut marks = self.inner.marks.lock();
        if marks.removing.contains(digest) {
            return false;
        }
        if marks.touched.len() >= TOUCHES_SWEEP_AT {
            // A touch older than an hour only shortens the grace of blobs that live on an unusual setting.
            let oldest = Duration::from_secs(3_600);
            marks.touched.retain(|_, at| at.elapsed() < oldest);
        }
        marks.touched.insert(digest.clone(), Instant::now());
        true
    }

    /// Pins blobs, waiting for a removal of any of them to end first.
    pub(super) async fn pin(&self, digests: Vec<Digest>) -> Pins {
        loop {
            let freed = self.inner.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            {
                let mut marks = self.inner.marks.lock();
                if !digests.iter().any(|digest| marks.removing.contains(digest)) {
                    for digest in &digests {
                        *marks.pinned.entry(digest.clone()).or_default() += 1;
                    }
                    drop(marks);
                    return Pins {
                        digests,
                        inner: self.inner.clone(),
                    };
                }
            }
            freed.await;
        }
    }

    /// Claims those of `digests` for removal that nobody pinned or touched within `grace`.
    pub(super) fn claim(&self, digests: Vec<Digest>, grace: Duration) -> Removal {
        let mut marks = self.inner.marks.lock();
        let claimed: Vec<Digest> = digests
            .into_iter()
            .filter(|digest| {
                !marks.pinned.contains_key(digest)
                    && !marks.removing.contains(digest)
                    && marks.touched.get(digest).is_none_or(|at| at.elapsed() >= grace)
            })
            .collect();
        marks.removing.extend(claimed.iter().cloned());
        drop(marks);
        Removal {
            digests: claimed,
            inner: self.inner.clone(),
        }
    }
}

/// Blobs claimed for removal; until this is dropped they count as absent and cannot be pinned.
pub(super) struct Removal {
    pub(super) digests: Vec<Digest>,
    inner: Arc<Inner>,
}

impl Drop for Removal {
    fn drop(&mut self) {
        let mut marks = self.inner.marks.lock();
        for digest in &self.digests {
            marks.removing.remove(digest);
            marks.touched.remove(digest);
        }
        drop(marks);
        self.inner.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pin_waits_for_a_removal_and_then_keeps_the_next_one_away() {
        let guards = Guards::default();
        let digest = Digest::sha256(b"x");
        let removal = guards.claim(vec![digest.clone()], Duration::ZERO);
        assert_eq!(removal.digests.len(), 1);
        assert!(!guards.touch(&digest));
        let pin = guards.pin(vec![digest.clone()]);
        tokio::pin!(pin);
        assert!(futures_poll_once(pin.as_mut()).await.is_none());
        drop(removal);
        let pins = pin.await;
        assert!(guards.claim(vec![digest.clone()], Duration::ZERO).digests.is_empty());
        drop(pins);
        assert!(guards.touch(&digest));
        assert!(
            guards
                .claim(vec![digest.clone()], Duration::from_secs(60))
                .digests
                .is_empty()
        );
        assert_eq!(guards.claim(vec![digest], Duration::ZERO).digests.len(), 1);
    }

    async fn futures_poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match future.as_mut().poll(cx) {
                std::task::Poll::Ready(value) => Some(value),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
