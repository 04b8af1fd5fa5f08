//! The real clock and the real randomness: the one place from which the machines get both.

use honmaru_base::{Clock, SeededRng, Time};
use std::time::{SystemTime, UNIX_EPOCH};

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A generator seeded from the system's randomness.
///
/// # Panics
/// When the system has none to give, which Linux does not do after boot.
pub fn system_rng() -> SeededRng {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("Linux has randomness after boot");
    SeededRng::from_seed(seed)
}
