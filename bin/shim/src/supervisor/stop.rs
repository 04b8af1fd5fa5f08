//! Stopping containers: in which order, and what happens to those that take too long.

use super::{Supervisor, now_ms};
use crate::failure::Failure;
use crate::sys;
use crate::unit::{Phase, START_MS_MAX};
use honmaru_runtime_protocol::StopCause;
use std::time::{Duration, Instant};

impl Supervisor {
    /// The first cause stays.
    pub(super) fn begin_stop(&mut self, cause: StopCause) {
        if self.cause.is_none() {
            self.cause = Some(cause);
            self.changed = true;
        }
    }

    /// Dependents first: a container is signalled when no container that depends on it runs any more.
    pub(super) fn stop_units(&mut self, now: Instant) {
        let at_once = !self.told && matches!(self.cause, Some(StopCause::StartFailed(_)));
        for index in 0..self.units.len() {
            let Some(unit) = self.units.get(index) else { continue };
            let name = &unit.spec.name;
            let needed = self.units.iter().any(|other| {
                other.pid().is_some()
                    && other
                        .spec
                        .depends_on
                        .iter()
                        .any(|dependency| dependency.container == *name)
            });
            let Some(unit) = self.units.get_mut(index) else {
                continue;
            };
            let (timeout, stop_signal) = (unit.stop_timeout(), unit.stop_signal());
            match &mut unit.phase {
                Phase::Waiting { .. } => {
                    unit.phase = Phase::Stopped {
                        exit_code: None,
                        oom: false,
                        reason: None,
                        started_at_ms: None,
                        stopped_at_ms: now_ms(),
                    };
                    self.changed = true;
                }
                Phase::Starting { pid, .. } => sys::kill(*pid, libc::SIGKILL),
                Phase::Running { pid, .. } if at_once => sys::kill(*pid, libc::SIGKILL),
                Phase::Running {
                    pid,
                    signalled,
                    kill_at,
                    ..
                } if !needed && !*signalled => {
                    *signalled = true;
                    *kill_at = Some(now + timeout);
                    sys::kill(*pid, stop_signal);
                }
                Phase::Running { .. } | Phase::Stopped { .. } => {}
            }
        }
    }

    pub(super) fn enforce_deadlines(&mut self, now: Instant) {
        for unit in &mut self.units {
            match &mut unit.phase {
                Phase::Starting {
                    pid, failure, deadline, ..
                } if now >= *deadline => {
                    *failure = Some(Failure::new("start", format!("it took longer than {START_MS_MAX} ms")));
                    *deadline = now + Duration::from_millis(START_MS_MAX);
                    sys::kill(*pid, libc::SIGKILL);
                }
                Phase::Running { pid, kill_at, .. } if kill_at.is_some_and(|at| now >= at) => {
                    *kill_at = None;
                    sys::kill(*pid, libc::SIGKILL);
                }
                Phase::Waiting { .. } | Phase::Starting { .. } | Phase::Running { .. } | Phase::Stopped { .. } => {}
            }
        }
        for session in self.sessions.values_mut() {
            if session.deadline.is_some_and(|deadline| now >= deadline) {
                session.deadline = None;
                session.cgroup.kill_session();
                session.helper.into_iter().for_each(|pid| sys::kill(pid, libc::SIGKILL));
            }
        }
    }
}
