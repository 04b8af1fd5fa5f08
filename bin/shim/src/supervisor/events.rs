//! What the loop waits for: descriptors and the clock. Whoever has something gets its turn.

use super::memory::OOM_LOOK_MS;
use super::{Supervisor, now_ms};
use crate::sys;
use crate::unit::Phase;
use honmaru_runtime_protocol::StopCause;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// The loop's longest sleep: a safety net, not a tick.
const SLEEP_MS_MAX: u64 = 60_000;

/// What a descriptor in the poll set belongs to.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Signals,
    Listener,
    Stream(usize),
    UnitReport(usize),
    Oom(usize),
    SessionReport(u64),
    Client(u64),
}

impl Supervisor {
    pub(super) fn poll_set(&self) -> (Vec<libc::pollfd>, Vec<Source>) {
        let mut set = (Vec::new(), Vec::new());
        let mut add = |descriptor: RawFd, events: i16, source: Source| {
            set.0.push(libc::pollfd {
                fd: descriptor,
                events,
                revents: 0,
            });
            set.1.push(source);
        };
        add(self.signals.as_raw_fd(), libc::POLLIN, Source::Signals);
        add(self.listener.as_raw_fd(), libc::POLLIN, Source::Listener);
        for (index, unit) in self.units.iter().enumerate() {
            for stream in &unit.streams {
                add(stream.descriptor(), libc::POLLIN, Source::Stream(index));
            }
            if let Phase::Starting { report, .. } = &unit.phase {
                add(report.as_raw_fd(), libc::POLLIN, Source::UnitReport(index));
            }
            if let Some(event) = &unit.oom_event {
                add(event.as_raw_fd(), libc::POLLIN, Source::Oom(index));
            }
        }
        for (id, session) in &self.sessions {
            if let Some(report) = &session.report {
                add(report.as_raw_fd(), libc::POLLIN, Source::SessionReport(*id));
            }
        }
        for (id, client) in &self.clients {
            let write = if client.wants_to_write() { libc::POLLOUT } else { 0 };
            let read = if client.wants_to_read() { libc::POLLIN } else { 0 };
            add(client.descriptor(), read | write, Source::Client(*id));
        }
        set
    }

    /// Until the next thing that is due by the clock.
    pub(super) fn sleep_ms(&self) -> i32 {
        let now = Instant::now();
        let mut due = now + Duration::from_millis(SLEEP_MS_MAX);
        let mut consider = |at: Option<Instant>| due = at.map_or(due, |at| due.min(at));
        for unit in &self.units {
            match &unit.phase {
                Phase::Starting { deadline, .. } => consider(Some(*deadline)),
                Phase::Running { kill_at, .. } => {
                    consider(*kill_at);
                    consider(unit.health.as_ref().and_then(|monitor| monitor.next));
                }
                Phase::Waiting { .. } | Phase::Stopped { .. } => {}
            }
            consider(unit.start_timeout_at().filter(|at| *at > now));
            consider(unit.oom_watch_until.map(|_| now + Duration::from_millis(OOM_LOOK_MS)));
        }
        for session in self.sessions.values() {
            consider(session.deadline);
        }
        // Rounded up: waking early would spin.
        i32::try_from(due.saturating_duration_since(now).as_micros().div_ceil(1_000)).unwrap_or(i32::MAX)
    }

    pub(super) fn take(&mut self, source: Source) {
        match source {
            Source::Signals => self.take_signals(),
            Source::Listener => self.accept(),
            Source::Stream(index) => self.pump(index),
            Source::UnitReport(index) => self.unit_reports(index),
            Source::Oom(index) => self.memory_ran_out(index),
            Source::SessionReport(id) => self.session_reports(id),
            Source::Client(id) => self.serve(id),
        }
    }

    fn take_signals(&mut self) {
        while let Some(signal) = sys::next_signal(self.signals.as_raw_fd()) {
            // The machine is shutting down, or somebody wants the shim to end: the containers get their time.
            if signal == libc::SIGTERM {
                self.begin_stop(StopCause::Asked);
            }
        }
    }

    pub(super) fn pump(&mut self, index: usize) {
        let Some(unit) = self.units.get_mut(index) else { return };
        let lost_before = unit.log.lost_bytes;
        let (log, now) = (&mut unit.log, now_ms());
        unit.streams.retain_mut(|stream| stream.pump(log, now));
        self.changed |= unit.log.lost_bytes != lost_before;
    }
}
