//! Health of targets: one task per target checks it, decides its state and tells the group and `control`.
//!
//! A target that was never healthy is checked several times a second and becomes healthy with the first success;
//! its failures count at the pace of the configured interval, so that a slow start is not an unhealthy target.

use crate::clock::now_ms;
use crate::edge::Edge;
use crate::group::{Group, Health, Reason, Target};
use crate::limits::INITIAL_CHECK_PAUSE;
use crate::probe;
use honmaru_contract::edge::HealthCheck;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a check may pause where there is nothing to check: it looks again when the configuration changes too.
const IDLE_PAUSE: Duration = Duration::from_secs(30);

/// Pause between being woken and checking.
const WAKE_PAUSE: Duration = Duration::from_millis(20);

/// Successes and failures in a row, and since when the target waits for its first success.
#[derive(Debug)]
struct Row {
    successes: u32,
    failures: u32,
    began_ms: u64,
}

/// What of the configuration a check depends on: a change makes the next check due at once.
#[derive(Debug, Clone, PartialEq)]
struct Terms {
    check: HealthCheck,
    is_used: bool,
    is_draining: bool,
}

/// Checks a target until the task is aborted.
pub(crate) async fn watch(edge: Arc<Edge>, target: Arc<Target>) {
    let mut row = Row {
        successes: 0,
        failures: 0,
        began_ms: now_ms(),
    };
    let mut terms = None;
    let mut due = Instant::now();
    loop {
        let group = edge.plan.load().groups.get(&target.key.group).cloned();
        if let Some(group) = group {
            let now = Some(terms_of(&group, &target));
            if now != terms || target.is_suspect() || Instant::now() >= due {
                terms = now;
                let pause = look(&edge, &group, &target, &mut row).await;
                due = Instant::now() + pause;
            }
        } else {
            due = Instant::now() + IDLE_PAUSE;
        }
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            // Requests that fail wake the checker; it stays at its fastest pace however many they are.
            () = async { target.recheck.notified().await; tokio::time::sleep(WAKE_PAUSE).await } => {}
        }
    }
}

fn terms_of(group: &Group, target: &Target) -> Terms {
    Terms {
        check: group.check.clone(),
        is_used: group.is_used,
        is_draining: group.draining.iter().any(|other| other.key == target.key),
    }
}

/// One look at a target; returns how long until the next one.
async fn look(edge: &Edge, group: &Group, target: &Target, row: &mut Row) -> Duration {
    let is_draining = group.draining.iter().any(|other| other.key == target.key);
    if is_draining {
        let reason = reason(
            "Target.DeregistrationInProgress",
            "Target deregistration is in progress",
        );
        set(edge, group, target, Health::Draining, reason);
        return IDLE_PAUSE;
    }
    if !group.is_used {
        let reason = reason(
            "Target.NotInUse",
            "Target group is not configured to receive traffic from the load balancer",
        );
        set(edge, group, target, Health::Unused, reason);
        return IDLE_PAUSE;
    }
    if !group.check.enabled {
        let reason = reason(
            "Target.HealthCheckDisabled",
            "Health checks are disabled for this target",
        );
        set(edge, group, target, Health::Unavailable, reason);
        return IDLE_PAUSE;
    }
    if matches!(target.health(), Health::Draining | Health::Unused | Health::Unavailable) {
        *row = Row {
            successes: 0,
            failures: 0,
            began_ms: now_ms(),
        };
        set(edge, group, target, Health::Initial, initial());
    } else if target.health() == Health::Initial {
        set(edge, group, target, Health::Initial, initial());
    }
    let result = probe::check(&group.check, group.version, target.address(), group.source).await;
    judge(edge, group, target, row, result)
}

fn judge(edge: &Edge, group: &Group, target: &Target, row: &mut Row, result: Result<(), Reason>) -> Duration {
    let interval = Duration::from_secs(u64::from(group.check.interval_s.max(1)));
    let before = target.health();
    match result {
        Ok(()) => {
            row.failures = 0;
            row.successes = row.successes.saturating_add(1);
            let is_enough = before == Health::Initial || row.successes >= group.check.healthy_threshold;
            if before == Health::Healthy || is_enough {
                if before != Health::Healthy {
                    group.begin_slow_start(target);
                }
                target.trust();
                set(edge, group, target, Health::Healthy, Reason::default());
            }
            interval
        }
        Err(reason) => {
            row.successes = 0;
            row.failures = row.failures.saturating_add(1);
            if before == Health::Initial {
                let patience_ms = u64::from(group.check.unhealthy_threshold.max(1)) * interval.as_millis() as u64;
                if now_ms().saturating_sub(row.began_ms) < patience_ms {
                    return INITIAL_CHECK_PAUSE.min(interval);
                }
                set(edge, group, target, Health::Unhealthy, reason);
            } else if before == Health::Unhealthy || row.failures >= group.check.unhealthy_threshold {
                target.pool.clear();
                set(edge, group, target, Health::Unhealthy, reason);
            }
            interval
        }
    }
}

fn initial() -> Reason {
    reason("Elb.InitialHealthChecking", "Initial health checks in progress")
}

fn reason(code: &'static str, description: &str) -> Reason {
    Reason {
        code: Some(code),
        description: Some(description.to_owned()),
    }
}

fn set(edge: &Edge, group: &Group, target: &Target, health: Health, reason: Reason) {
    let before = target.health();
    if !target.set_health(health, reason) {
        return;
    }
    if before != health {
        // The plan may have been swapped while the check ran: the group of today chooses its live targets.
        group.refresh();
        if let Some(group) = edge.plan.load().groups.get(&target.key.group) {
            group.refresh();
        }
        tracing::info!(target = %target.address(), group = %target.key.group, from = before.name(), to = health.name(), "target health");
    }
    edge.tell_health(target.report());
}
