//! How often a desired state is computed: right after a change, but never more than a share of one processor.

use std::future::Future;
use std::time::{Duration, Instant};

/// Computing may take one part in so many of the time.
const SHARE: u32 = 4;

/// Measures a computation and rests accordingly.
#[derive(Debug, Default)]
pub struct Pace(Duration);

impl Pace {
    /// Runs the computation and remembers what it took.
    pub async fn measure<T>(&mut self, computation: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let result = computation.await;
        self.0 = started.elapsed();
        result
    }

    /// Rests so that the computation keeps to its share.
    pub async fn rest(&self) {
        tokio::time::sleep(self.0 * (SHARE - 1)).await;
    }
}
