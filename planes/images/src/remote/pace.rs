//! How slowly a body may come: never silent for long, never slower than a poor link, and not for ever.
//!
//! Only time spent waiting for the other side counts: a reader that is slow itself is nobody else's fault.

use super::RemoteLimits;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Why a body came to no end.
#[derive(Debug)]
pub(super) enum Stopped {
    /// It is silent, or slower than one may be, or has taken all its time.
    TooSlow,
    /// The connection broke.
    Broken(hyper::Error),
}

/// The pace of one body.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Waited since the last byte.
    silent: Duration,
    /// Waited since the window began.
    window: Duration,
    window_bytes: u64,
    /// Waited for the whole body.
    total: Duration,
}

impl Pace {
    /// The next bytes of a body; nothing at its end.
    pub(super) async fn next(&mut self, body: &mut Incoming, limits: &RemoteLimits) -> Result<Option<Bytes>, Stopped> {
        loop {
            let began = Instant::now();
            let frame = timeout(self.patience(limits), body.frame()).await;
            self.wait(began.elapsed());
            let data = match frame {
                Err(_) => None,
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => frame.map_err(Stopped::Broken)?.into_data().ok(),
            };
            // What is no data (a trailer) is no progress either.
            let data = data.filter(|data| !data.is_empty());
            self.came(data.as_ref().map_or(0, Bytes::len));
            if !self.keeps(limits) {
                return Err(Stopped::TooSlow);
            }
            if data.is_some() {
                return Ok(data);
            }
        }
    }

    /// Until the next limit is to be looked at.
    fn patience(&self, limits: &RemoteLimits) -> Duration {
        let left = [
            limits.idle_timeout.saturating_sub(self.silent),
            limits.slow_window.saturating_sub(self.window),
            limits.body_timeout.saturating_sub(self.total),
        ];
        left.into_iter().min().unwrap_or_default()
    }

    fn wait(&mut self, waited: Duration) {
        self.silent += waited;
        self.window += waited;
        self.total += waited;
    }

    fn came(&mut self, bytes: usize) {
        self.window_bytes += bytes as u64;
        if bytes > 0 {
            self.silent = Duration::ZERO;
        }
    }

    /// Whether the limits are kept; begins a new window where one is over.
    fn keeps(&mut self, limits: &RemoteLimits) -> bool {
        if self.silent >= limits.idle_timeout || self.total >= limits.body_timeout {
            return false;
        }
        if self.window < limits.slow_window {
            return true;
        }
        let fast_enough = self.window_bytes >= limits.window_bytes_min;
        (self.window, self.window_bytes) = (Duration::ZERO, 0);
        fast_enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a body that brings `bytes` every `every`: after how long it is given up, nothing when its
    /// `size` is there before.
    fn check(bytes: usize, every: Duration, size: u64, expected: Option<Duration>) {
        let (limits, mut pace) = (RemoteLimits::default(), Pace::default());
        let (mut time, mut received) = (Duration::ZERO, 0);
        let given_up = loop {
            if received >= size {
                break None;
            }
            let mut until = every;
            while until > Duration::ZERO {
                let waited = pace.patience(&limits).min(until);
                pace.wait(waited);
                (until, time) = (until - waited, time + waited);
                if until > Duration::ZERO && !pace.keeps(&limits) {
                    break;
                }
            }
            pace.came(if until > Duration::ZERO { 0 } else { bytes });
            received += bytes as u64;
            if until > Duration::ZERO || !pace.keeps(&limits) {
                break Some(time);
            }
        };
        assert_eq!(given_up, expected, "{bytes} bytes every {every:?}");
    }

    #[test]
    fn a_slow_link_is_good_enough_and_a_trickle_is_not() {
        let gib = 1 << 30;
        let second = Duration::from_secs(1);
        // 1 MB/s, and a tenth of it as four layers of four images have it.
        check(1_000_000, second, gib, None);
        check(60_000, second, gib, None);
        // Bursts with pauses between them.
        check(4 << 20, 50 * second, gib, None);
        // The largest layer that there may be, over 1 MB/s.
        check(1_000_000, second, 52_000 << 20, None);
        check(1, second, gib, Some(60 * second));
        check(1_000, second, gib, Some(60 * second));
        check(1, 59 * second, gib, Some(60 * second));
        check(1 << 20, 61 * second, gib, Some(60 * second));
        // Whoever keeps the pace has a day all the same.
        check(20_000, second, u64::MAX, Some(24 * 3_600 * second));
    }
}
