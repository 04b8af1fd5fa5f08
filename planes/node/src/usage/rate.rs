//! From counters to rates.

use honmaru_base::Time;

/// What a counter grew by each second, on average. One that began anew grew by what it shows.
pub(crate) fn per_second(before: u64, after: u64, elapsed_ms: i64) -> f64 {
    let grown = if after >= before { after - before } else { after };
    if elapsed_ms <= 0 {
        return 0.0;
    }
    grown as f64 * 1_000.0 / elapsed_ms as f64
}

/// Milliseconds since something began; at least one, so that a rate has a meaning.
pub(crate) fn since_start_ms(started_at: Time, now: Time) -> i64 {
    now.as_ms().saturating_sub(started_at.as_ms()).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_averages_and_counters_may_begin_anew() {
        assert_eq!(per_second(1_000, 4_000, 2_000), 1_500.0);
        assert_eq!(per_second(4_000, 500, 1_000), 500.0);
        assert_eq!(per_second(0, 500, 0), 0.0);
        assert_eq!(since_start_ms(Time::from_ms(5), Time::from_ms(5)), 1);
    }
}
