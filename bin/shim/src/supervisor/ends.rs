//! Processes that ended: containers, sessions, their helpers.

use super::{Supervisor, now_ms};
use crate::failure::Failure;
use crate::logs::Stream;
use crate::process::{self, Report};
use crate::session::Session;
use crate::sys;
use crate::unit::{OOM_REASON, Phase};
use honmaru_runtime_protocol::StopCause;
use std::time::Instant;

impl Supervisor {
    /// Reaps whatever has ended. Orphans of containers' helpers are reaped too and mean nothing.
    pub(super) fn reap(&mut self) {
        while let Some((pid, exit_code)) = sys::reap(-1, false) {
            if let Some(index) = self.units.iter().position(|unit| unit.pid() == Some(pid)) {
                self.unit_ended(index, exit_code);
            } else if let Some(id) = self.session_with(|session| session.pid == Some(pid)) {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.exit_code = Some(exit_code);
                }
            } else if let Some(id) = self.session_with(|session| session.helper == Some(pid)) {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.helper = None;
                }
                // Its last words came before its end.
                self.session_reports(id);
            } else {
                // A command may end before its helper's word about it was read.
                self.session_ended_early(pid, exit_code);
            }
        }
    }

    fn session_with(&self, matches: impl Fn(&Session) -> bool) -> Option<u64> {
        self.sessions
            .iter()
            .find(|(_, session)| matches(session))
            .map(|(id, _)| *id)
    }

    fn session_ended_early(&mut self, pid: libc::pid_t, exit_code: i32) {
        let reporting: Vec<u64> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.report.is_some())
            .map(|(id, _)| *id)
            .collect();
        for id in reporting {
            self.session_reports(id);
        }
        if let Some(id) = self.session_with(|session| session.pid == Some(pid))
            && let Some(session) = self.sessions.get_mut(&id)
        {
            session.exit_code = Some(exit_code);
        }
    }

    fn unit_ended(&mut self, index: usize, exit_code: i32) {
        let Some(unit) = self.units.get_mut(index) else { return };
        if let Phase::Starting {
            report, ready, failure, ..
        } = &mut unit.phase
        {
            // It may have exec'd and ended between two looks: its last reports tell.
            while let Ok(found) = process::next_report(report) {
                match found {
                    Report::Ready => *ready = true,
                    Report::Failed(found) => *failure = Some(found),
                    Report::End => break,
                    Report::Terminal(master) => unit.streams.extend(Stream::new(master, 'o').ok()),
                    Report::Pid(_) => {}
                }
            }
            if !*ready || failure.is_some() {
                let found = failure.take().unwrap_or_else(|| {
                    Failure::new(
                        "start",
                        format!("the process ended with {exit_code} before it could run its command"),
                    )
                });
                return self.unit_failed(index, &found);
            }
            unit.first_started.get_or_insert_with(Instant::now);
        }
        // What it wrote last is in the pipes; all writers died with process 1.
        let (log, now) = (&mut unit.log, now_ms());
        for stream in &mut unit.streams {
            while stream.pump(log, now) && stream.has_more() {}
            stream.finish(log, now);
        }
        unit.streams.clear();
        let (started, started_at_ms) = match unit.phase {
            Phase::Running {
                started, started_at_ms, ..
            } => (started, started_at_ms),
            Phase::Waiting { .. } | Phase::Starting { .. } | Phase::Stopped { .. } => (Instant::now(), now),
        };
        unit.oom_watch_until = None;
        (self.changed, self.durable) = (true, true);
        let oom = unit.cgroup.oom_kills() > unit.oom_baseline;
        if self.cause.is_none() && unit.restarts_after(exit_code, started.elapsed()) {
            unit.restarts += 1;
            unit.health = None;
            unit.phase = Phase::Waiting { again: true };
            return;
        }
        let reason = oom.then(|| OOM_REASON.to_string());
        let started_at_ms = Some(started_at_ms);
        unit.phase = Phase::Stopped {
            exit_code: Some(exit_code),
            oom,
            reason,
            started_at_ms,
            stopped_at_ms: now,
        };
        if unit.spec.essential {
            let container = unit.spec.name.clone();
            self.begin_stop(StopCause::EssentialContainerExited { container });
        }
    }
}
