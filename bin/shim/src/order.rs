//! The order of containers: who may start, who may be stopped. Decides only.
//! Ref: ECS `ContainerDependency`; `startTimeout` belongs to the container that is waited for.

use honmaru_runtime_protocol::{Condition, Health};

/// What is seen of a container that another one depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Whether it has ever exec'd.
    pub started: bool,
    /// Whether it ended for good, and with which code.
    pub stopped: Option<Option<i32>>,
    pub health: Health,
    /// Whether its start timeout has passed since it started.
    pub timed_out: bool,
}

/// Whether a container may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    Wait,
    /// Its dependency can never be met: why.
    Never(String),
}

/// Judges one dependency.
pub fn readiness(name: &str, condition: Condition, seen: Seen) -> Readiness {
    let never_started = Readiness::Never(format!("dependency `{name}` did not start"));
    let verdict = match (condition, seen.stopped) {
        (Condition::Start, _) if seen.started => Readiness::Ready,
        (_, Some(_)) if !seen.started => return never_started,
        (Condition::Start, _) => Readiness::Wait,
        (Condition::Complete, Some(_)) | (Condition::Success, Some(Some(0))) => Readiness::Ready,
        (Condition::Success, Some(code)) => {
            let code = code.map_or("no exit code".to_string(), |code| format!("exit code {code}"));
            return Readiness::Never(format!("dependency `{name}` ended with {code}"));
        }
        (Condition::Healthy, Some(_)) => {
            return Readiness::Never(format!("dependency `{name}` ended before it was healthy"));
        }
        (Condition::Healthy, None) if seen.started && seen.health == Health::Healthy => Readiness::Ready,
        (Condition::Complete | Condition::Success | Condition::Healthy, None) => Readiness::Wait,
    };
    if verdict == Readiness::Wait && seen.timed_out {
        let what = match condition {
            Condition::Start => "START",
            Condition::Complete => "COMPLETE",
            Condition::Success => "SUCCESS",
            Condition::Healthy => "HEALTHY",
        };
        return Readiness::Never(format!(
            "dependency `{name}` did not reach {what} within its start timeout"
        ));
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use Condition::{Complete, Healthy, Start, Success};

    const WAITING: Seen = Seen {
        started: false,
        stopped: None,
        health: Health::Unknown,
        timed_out: false,
    };
    const RUNNING: Seen = Seen {
        started: true,
        ..WAITING
    };
    const LATE: Seen = Seen {
        timed_out: true,
        ..RUNNING
    };

    fn ended(code: i32) -> Seen {
        Seen {
            stopped: Some(Some(code)),
            ..RUNNING
        }
    }

    #[test]
    fn each_condition_waits_for_its_own_thing() {
        for (condition, seen, ready) in [
            (Start, WAITING, false),
            (Start, RUNNING, true),
            (Start, ended(1), true),
            (Complete, RUNNING, false),
            (Complete, ended(1), true),
            (Success, RUNNING, false),
            (Success, ended(0), true),
            (Healthy, RUNNING, false),
            (
                Healthy,
                Seen {
                    health: Health::Unhealthy,
                    ..RUNNING
                },
                false,
            ),
            (
                Healthy,
                Seen {
                    health: Health::Healthy,
                    ..LATE
                },
                true,
            ),
        ] {
            let expected = if ready { Readiness::Ready } else { Readiness::Wait };
            assert_eq!(readiness("db", condition, seen), expected, "{condition:?} {seen:?}");
        }
    }

    #[test]
    fn what_cannot_come_any_more_is_said() {
        let never_started = Seen {
            stopped: Some(None),
            ..WAITING
        };
        for (condition, seen, why) in [
            (Start, never_started, "dependency `db` did not start"),
            (Complete, never_started, "dependency `db` did not start"),
            (Success, ended(3), "dependency `db` ended with exit code 3"),
            (Healthy, ended(0), "dependency `db` ended before it was healthy"),
            (
                Complete,
                LATE,
                "dependency `db` did not reach COMPLETE within its start timeout",
            ),
        ] {
            assert_eq!(readiness("db", condition, seen), Readiness::Never(why.into()));
        }
    }
}
