//! One container as the supervisor sees it.

use crate::cgroup::Cgroup;
use crate::failure::Failure;
use crate::health::Monitor;
use crate::logs::{Log, Stream};
use crate::order::Seen;
use honmaru_runtime_protocol::{Container, ContainerPhase, ContainerStatus, Health};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long a container may take from clone3 to exec.
pub const START_MS_MAX: u64 = 30_000;
/// Seconds from the stop signal to SIGKILL when the task says nothing. Ref: ECS `stopTimeout`.
const STOP_TIMEOUT_S: u32 = 30;
/// The text of ECS's agent for a container that ran out of memory.
pub const OOM_REASON: &str = "OutOfMemoryError: Container killed due to memory usage";

/// A container.
pub struct Unit {
    pub spec: Container,
    pub cgroup: Cgroup,
    pub log: Log,
    pub streams: Vec<Stream>,
    pub phase: Phase,
    pub restarts: u32,
    pub health: Option<Monitor>,
    /// When it first exec'd.
    pub first_started: Option<Instant>,
    /// `oom_kill` of its cgroup when it started.
    pub oom_baseline: u64,
    /// v1: becomes readable when memory ran out.
    pub oom_event: Option<OwnedFd>,
    /// Until when `oom_kill` is looked at again: the event comes before the kill.
    pub oom_watch_until: Option<Instant>,
}

/// How far it is.
pub enum Phase {
    /// Not begun, or to be started again.
    Waiting { again: bool },
    /// Cloned; has not exec'd.
    Starting {
        pid: libc::pid_t,
        report: OwnedFd,
        ready: bool,
        failure: Option<Failure>,
        deadline: Instant,
    },
    /// Exec'd.
    Running {
        pid: libc::pid_t,
        started: Instant,
        started_at_ms: i64,
        kill_at: Option<Instant>,
        signalled: bool,
    },
    /// Ended for good.
    Stopped {
        exit_code: Option<i32>,
        oom: bool,
        reason: Option<String>,
        started_at_ms: Option<i64>,
        stopped_at_ms: i64,
    },
}

impl Unit {
    pub fn new(spec: Container, cgroup: Cgroup, log: Log) -> Self {
        Self {
            spec,
            cgroup,
            log,
            streams: Vec::new(),
            phase: Phase::Waiting { again: false },
            restarts: 0,
            health: None,
            first_started: None,
            oom_baseline: 0,
            oom_event: None,
            oom_watch_until: None,
        }
    }

    pub fn stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped { .. })
    }

    /// Its process 1, once it has exec'd.
    pub fn running_pid(&self) -> Option<libc::pid_t> {
        match self.phase {
            Phase::Running { pid, .. } => Some(pid),
            Phase::Waiting { .. } | Phase::Starting { .. } | Phase::Stopped { .. } => None,
        }
    }

    pub fn pid(&self) -> Option<libc::pid_t> {
        match self.phase {
            Phase::Running { pid, .. } | Phase::Starting { pid, .. } => Some(pid),
            Phase::Waiting { .. } | Phase::Stopped { .. } => None,
        }
    }

    pub fn health(&self) -> Health {
        self.health.as_ref().map_or(Health::Unknown, |monitor| monitor.health)
    }

    pub fn stop_timeout(&self) -> Duration {
        Duration::from_secs(self.spec.stop_timeout_s.unwrap_or(STOP_TIMEOUT_S).into())
    }

    pub fn stop_signal(&self) -> i32 {
        self.spec
            .stop_signal
            .as_deref()
            .and_then(signal_number)
            .unwrap_or(libc::SIGTERM)
    }

    /// For those that depend on it.
    pub fn seen(&self, now: Instant) -> Seen {
        let limit = self
            .spec
            .start_timeout_s
            .map(|seconds| Duration::from_secs(seconds.into()));
        let timed_out = match (self.first_started, limit) {
            (Some(started), Some(limit)) => now.saturating_duration_since(started) >= limit,
            (None, _) | (_, None) => false,
        };
        let stopped = match self.phase {
            Phase::Stopped { exit_code, .. } => Some(exit_code),
            Phase::Waiting { .. } | Phase::Starting { .. } | Phase::Running { .. } => None,
        };
        Seen {
            started: self.first_started.is_some(),
            stopped,
            health: self.health(),
            timed_out,
        }
    }

    /// When its start timeout passes, for the loop's time-out.
    pub fn start_timeout_at(&self) -> Option<Instant> {
        let limit = Duration::from_secs(self.spec.start_timeout_s?.into());
        self.first_started.map(|started| started + limit)
    }

    /// Whether an end after `ran` with this code is followed by another start.
    pub fn restarts_after(&self, exit_code: i32, ran: Duration) -> bool {
        self.spec.restart.as_ref().is_some_and(|policy| {
            !policy.ignored_exit_codes.contains(&exit_code) && ran >= Duration::from_millis(policy.attempt_period_ms)
        })
    }

    pub fn status(&self) -> ContainerStatus {
        let phase = match &self.phase {
            Phase::Waiting { .. } | Phase::Starting { .. } => ContainerPhase::Pending,
            Phase::Running { pid, started_at_ms, .. } => ContainerPhase::Running {
                pid: pid.unsigned_abs(),
                started_at_ms: *started_at_ms,
            },
            Phase::Stopped {
                exit_code,
                oom,
                reason,
                started_at_ms,
                stopped_at_ms,
            } => ContainerPhase::Stopped {
                exit_code: *exit_code,
                oom: *oom,
                reason: reason.clone(),
                started_at_ms: *started_at_ms,
                stopped_at_ms: *stopped_at_ms,
            },
        };
        ContainerStatus {
            name: self.spec.name.clone(),
            phase,
            health: self.health(),
            restarts: self.restarts,
            log_bytes_lost: self.log.lost_bytes,
        }
    }
}

/// `SIGQUIT`, `QUIT`, `3`, `SIGRTMIN+3`. Ref: OCI image specification, `StopSignal`.
pub fn signal_number(text: &str) -> Option<i32> {
    const NAMES: [(&str, i32); 19] = [
        ("HUP", libc::SIGHUP),
        ("INT", libc::SIGINT),
        ("QUIT", libc::SIGQUIT),
        ("ILL", libc::SIGILL),
        ("ABRT", libc::SIGABRT),
        ("KILL", libc::SIGKILL),
        ("USR1", libc::SIGUSR1),
        ("USR2", libc::SIGUSR2),
        ("SEGV", libc::SIGSEGV),
        ("PIPE", libc::SIGPIPE),
        ("ALRM", libc::SIGALRM),
        ("TERM", libc::SIGTERM),
        ("CHLD", libc::SIGCHLD),
        ("CONT", libc::SIGCONT),
        ("STOP", libc::SIGSTOP),
        ("TSTP", libc::SIGTSTP),
        ("WINCH", libc::SIGWINCH),
        ("IO", libc::SIGIO),
        ("PWR", libc::SIGPWR),
    ];
    let upper = text.trim().to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let number = match name.strip_prefix("RTMIN") {
        Some("") => Some(34),
        Some(more) => more
            .strip_prefix('+')
            .and_then(|more| more.parse::<i32>().ok())
            .map(|more| 34 + more),
        None => NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, number)| *number)
            .or_else(|| name.parse().ok()),
    };
    number.filter(|number| (1..=64).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_every_name() {
        for (text, number) in [
            ("SIGTERM", Some(15)),
            ("quit", Some(3)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("65", None),
            ("", None),
        ] {
            assert_eq!(signal_number(text), number, "{text}");
        }
    }
}
