//! The one place where the edge reads clocks and draws random numbers.

use honmaru_base::Time;
use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the process first asked, plus one: never 0, which marks "not set" in atomics.
pub(crate) fn now_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1
}

/// The present moment by the wall clock.
pub(crate) fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_ms(since.as_millis() as i64)
}

thread_local! {
    static SEED: Cell<u64> = Cell::new(fresh_seed());
}

fn fresh_seed() -> u64 {
    // Not for secrets: without the system's randomness the clock must do.
    getrandom::u64().unwrap_or_else(|_| wall().as_ms() as u64) | 1
}

/// A random number for choices and trace ids; not for secrets (xorshift64*).
pub(crate) fn random() -> u64 {
    SEED.with(|seed| {
        let mut x = seed.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        seed.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    })
}

/// A random number below `bound`, which must not be 0.
pub(crate) fn below(bound: u64) -> u64 {
    // The bias is below bound / 2^64.
    ((u128::from(random()) * u128::from(bound)) >> 64) as u64
}
