//! The one place where the edge reads clocks and draws random numbers.

use honmaru_base::Time;
use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the machine started, plus one: never 0, which marks "not set" in atomics. The coarse clock: a
/// request asks eight times, and the fine one took 3 % of its time. It is at most 10 ms behind (`CONFIG_HZ`).
pub(crate) fn now_ms() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec to a place that is one. It fails only for clocks that do not exist.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
    now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000 + 1
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
