//! A container's health: when to check, and what a result means. Decides only; time is passed in.

use honmaru_runtime_protocol::{Health, HealthCheck};
use std::time::{Duration, Instant};

/// Counts results. Ref: ECS `HealthCheck`, Docker HEALTHCHECK.
#[derive(Debug, Clone)]
pub struct Monitor {
    pub health: Health,
    /// When the next check is due; nothing while one runs.
    pub next: Option<Instant>,
    failures: u32,
    start_period_until: Instant,
    passed_once: bool,
}

impl Monitor {
    /// For a container that started now.
    pub fn new(check: &HealthCheck, now: Instant) -> Self {
        Self {
            health: Health::Unknown,
            next: Some(now + Duration::from_millis(check.interval_ms)),
            failures: 0,
            start_period_until: now + Duration::from_millis(check.start_period_ms),
            passed_once: false,
        }
    }

    /// Takes a check's result and sets the next one.
    pub fn record(&mut self, check: &HealthCheck, passed: bool, now: Instant) {
        self.next = Some(now + Duration::from_millis(check.interval_ms));
        if passed {
            self.failures = 0;
            self.passed_once = true;
            self.health = Health::Healthy;
        } else if self.passed_once || now >= self.start_period_until {
            self.failures = self.failures.saturating_add(1);
            if self.failures >= check.retries.max(1) {
                self.health = Health::Unhealthy;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_after_the_start_period_or_the_first_success() {
        let check = HealthCheck {
            command: vec![],
            interval_ms: 1_000,
            timeout_ms: 1_000,
            retries: 2,
            start_period_ms: 10_000,
        };
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut monitor = Monitor::new(&check, begin);
        assert_eq!(monitor.next, Some(at(1)));
        for second in 1..9 {
            monitor.record(&check, false, at(second));
            assert_eq!(monitor.health, Health::Unknown);
        }
        monitor.record(&check, true, at(9));
        assert_eq!((monitor.health, monitor.next), (Health::Healthy, Some(at(10))));
        monitor.record(&check, false, at(9));
        assert_eq!(monitor.health, Health::Healthy);
        monitor.record(&check, false, at(9));
        assert_eq!(monitor.health, Health::Unhealthy);
        monitor.record(&check, true, at(11));
        assert_eq!(monitor.health, Health::Healthy);
    }
}
