//! The loop: one task, its containers, sessions and clients. Everything that happens arrives here through poll.
//!
//! A turn is: take what descriptors bring, reap, decide (`advance`), publish what changed. Deciding is done from state
//! alone, so that the order in which things arrive does not matter.

use crate::cgroup::Cgroup;
use crate::client::Client;
use crate::failure::Failure;
use crate::health::Monitor;
use crate::logs::Stream;
use crate::order::{Readiness, readiness};
use crate::process::{self, Report, Surroundings};
use crate::session::{Purpose, Session};
use crate::setup::tell;
use crate::status;
use crate::sys;
use crate::unit::{OOM_REASON, Phase, START_MS_MAX, Unit};
use honmaru_runtime_protocol::{
    ExecStart, PROTOCOL, Response, SOCKET_FILE, StartFailure, StartOutcome, StopCause, TaskPhase, TaskStatus,
};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

mod serve;

/// Most connections at once. More are closed at once.
const CLIENTS_MAX: usize = 64;
/// The loop's longest sleep: a safety net, not a tick.
const SLEEP_MS_MAX: u64 = 60_000;
/// How often and how long `oom_kill` is looked at after memory ran out (the event comes before the kill).
const OOM_LOOK_MS: u64 = 10;
const OOM_LOOK_MS_MAX: u64 = 5_000;
/// How long the last answers may take to be read.
const FAREWELL_MS_MAX: u64 = 500;

/// A task at work.
pub struct Supervisor {
    task_id: String,
    boot_id: String,
    around: Surroundings,
    cgroup: Cgroup,
    units: Vec<Unit>,
    sessions: BTreeMap<u64, Session>,
    clients: BTreeMap<u64, Client>,
    listener: UnixListener,
    signals: OwnedFd,
    next_id: u64,
    sequence: u64,
    cause: Option<StopCause>,
    /// Whether the parent has been told how the start went.
    told: bool,
    ended: bool,
    /// Something that the status shows has changed; and whether it must be durable.
    changed: bool,
    durable: bool,
}

/// What a descriptor in the poll set belongs to.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Listener,
    Stream(usize),
    UnitReport(usize),
    Oom(usize),
    SessionReport(u64),
    Client(u64),
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Supervisor {
    pub fn new(
        task_id: String,
        around: Surroundings,
        cgroup: Cgroup,
        units: Vec<Unit>,
        listener: UnixListener,
        signals: OwnedFd,
    ) -> Self {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default()
            .trim()
            .to_string();
        Self {
            task_id,
            boot_id,
            around,
            cgroup,
            units,
            sessions: BTreeMap::new(),
            clients: BTreeMap::new(),
            listener,
            signals,
            next_id: 0,
            sequence: 0,
            cause: None,
            told: false,
            ended: false,
            changed: true,
            durable: false,
        }
    }

    /// Runs the task to its end.
    pub fn run(mut self) {
        loop {
            self.advance();
            if self.over() {
                return self.finish();
            }
            self.publish();
            let (mut descriptors, sources) = self.poll_set();
            sys::poll(&mut descriptors, self.sleep_ms());
            for (descriptor, source) in descriptors.iter().zip(sources) {
                if descriptor.revents != 0 {
                    self.take(source);
                }
            }
            self.reap();
        }
    }

    fn poll_set(&self) -> (Vec<libc::pollfd>, Vec<Source>) {
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
    fn sleep_ms(&self) -> i32 {
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

    fn take(&mut self, source: Source) {
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

    fn pump(&mut self, index: usize) {
        let Some(unit) = self.units.get_mut(index) else { return };
        let lost_before = unit.log.lost_bytes;
        let (log, now) = (&mut unit.log, now_ms());
        unit.streams.retain_mut(|stream| stream.pump(log, now));
        self.changed |= unit.log.lost_bytes != lost_before;
    }

    /// A container that is starting reported.
    fn unit_reports(&mut self, index: usize) {
        loop {
            let Some(unit) = self.units.get_mut(index) else { return };
            let Phase::Starting {
                pid,
                report,
                ready,
                failure,
                ..
            } = &mut unit.phase
            else {
                return;
            };
            match process::next_report(report) {
                Ok(Report::Ready) => *ready = true,
                Ok(Report::Failed(found)) => *failure = Some(found),
                Ok(Report::Terminal(master)) => {
                    // A terminal that cannot be made non-blocking cannot be watched.
                    if let Ok(stream) = Stream::new(master, 'o') {
                        unit.streams.push(stream);
                    }
                }
                Ok(Report::Pid(_)) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(Report::End) | Err(_) if !*ready || failure.is_some() => {
                    let found = failure
                        .take()
                        .unwrap_or_else(|| Failure::new("start", "the process ended before it could run its command"));
                    let pid = *pid;
                    sys::kill(pid, libc::SIGKILL);
                    sys::reap(pid, true);
                    return self.unit_failed(index, &found);
                }
                Ok(Report::End) | Err(_) => {
                    let (pid, started) = (*pid, Instant::now());
                    let (kill_at, signalled) = (None, false);
                    unit.phase = Phase::Running {
                        pid,
                        started,
                        started_at_ms: now_ms(),
                        kill_at,
                        signalled,
                    };
                    unit.first_started.get_or_insert(started);
                    unit.health = unit
                        .spec
                        .health_check
                        .as_ref()
                        .map(|check| Monitor::new(check, started));
                    self.changed = true;
                    return;
                }
            }
        }
    }

    fn unit_failed(&mut self, index: usize, failure: &Failure) {
        let Some(unit) = self.units.get_mut(index) else { return };
        let message = if failure.step == "exec" || failure.step == "user" {
            format!("CannotStartContainerError: {}", failure.message)
        } else {
            format!("CannotStartContainerError: {}: {}", failure.step, failure.message)
        };
        unit.phase = Phase::Stopped {
            exit_code: None,
            oom: false,
            reason: Some(message.clone()),
            started_at_ms: None,
            stopped_at_ms: now_ms(),
        };
        unit.streams.clear();
        (self.changed, self.durable) = (true, true);
        if unit.spec.essential {
            let container = unit.spec.name.clone();
            let failure = StartFailure {
                container,
                step: failure.step.clone(),
                message,
            };
            self.begin_stop(StopCause::StartFailed(failure));
        }
    }

    /// v1: some cgroup above or at this container's is out of memory. The kill follows.
    fn memory_ran_out(&mut self, index: usize) {
        let Some(unit) = self.units.get_mut(index) else { return };
        if let Some(event) = &unit.oom_event {
            let mut count = [0; 8];
            if sys::read(event.as_raw_fd(), &mut count).is_err() {
                unit.oom_event = None;
            }
        }
        unit.oom_watch_until = Some(Instant::now() + Duration::from_millis(OOM_LOOK_MS_MAX));
    }

    /// Reaps whatever has ended. Orphans of containers' helpers are reaped too and mean nothing.
    fn reap(&mut self) {
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

    /// The first cause stays.
    fn begin_stop(&mut self, cause: StopCause) {
        if self.cause.is_none() {
            self.cause = Some(cause);
            self.changed = true;
        }
    }

    /// Does everything that is due.
    fn advance(&mut self) {
        let now = Instant::now();
        self.close_sessions();
        self.watch_memory(now);
        if self.cause.is_some() {
            self.stop_units(now);
        } else {
            self.start_units(now);
            self.check_health(now);
        }
        self.enforce_deadlines(now);
        if self.units.iter().all(Unit::stopped) {
            self.begin_stop(StopCause::AllExited);
        }
    }

    fn watch_memory(&mut self, now: Instant) {
        for unit in &mut self.units {
            let Some(until) = unit.oom_watch_until else { continue };
            if unit.cgroup.oom_kills() > unit.oom_baseline {
                // v1 kills one process only. A container that has lost one is no longer what was started, and AWS's
                // users look for 137: it ends as a whole, as it does on v2 (memory.oom.group).
                unit.oom_watch_until = None;
                unit.pid().into_iter().for_each(|pid| sys::kill(pid, libc::SIGKILL));
            } else if now >= until {
                unit.oom_watch_until = None;
            }
        }
    }

    /// Starts what is ready, until nothing more becomes ready by it.
    fn start_units(&mut self, now: Instant) {
        for index in 0..self.units.len() {
            let Some(unit) = self.units.get(index) else { continue };
            let Phase::Waiting { again } = unit.phase else { continue };
            let verdict = if again {
                Readiness::Ready
            } else {
                self.readiness(unit, now)
            };
            match verdict {
                Readiness::Ready => self.start_unit(index, now),
                Readiness::Wait => {}
                Readiness::Never(why) => self.unit_never_starts(index, why),
            }
            if self.cause.is_some() {
                return;
            }
        }
    }

    fn readiness(&self, unit: &Unit, now: Instant) -> Readiness {
        for dependency in &unit.spec.depends_on {
            let Some(other) = self.units.iter().find(|other| other.spec.name == dependency.container) else {
                return Readiness::Never(format!(
                    "dependency `{}` is no container of the task",
                    dependency.container
                ));
            };
            let verdict = readiness(&dependency.container, dependency.condition, other.seen(now));
            if verdict != Readiness::Ready {
                return verdict;
            }
        }
        Readiness::Ready
    }

    fn unit_never_starts(&mut self, index: usize, why: String) {
        let Some(unit) = self.units.get_mut(index) else { return };
        let (started_at_ms, stopped_at_ms) = (None, now_ms());
        unit.phase = Phase::Stopped {
            exit_code: None,
            oom: false,
            reason: Some(why),
            started_at_ms,
            stopped_at_ms,
        };
        self.changed = true;
        if unit.spec.essential {
            let container = unit.spec.name.clone();
            self.begin_stop(StopCause::EssentialContainerExited { container });
        }
    }

    fn start_unit(&mut self, index: usize, now: Instant) {
        let Some(unit) = self.units.get_mut(index) else { return };
        let begun = unit.cgroup.create_for_container(&unit.spec.limits).and_then(|()| {
            unit.oom_baseline = unit.cgroup.oom_kills();
            if unit.oom_event.is_none() {
                // Without the event a kill is still seen when process 1 ends.
                unit.oom_event = unit.cgroup.oom_event().unwrap_or_default();
            }
            process::start_container(&unit.spec, &self.around, &unit.cgroup)
        });
        let starting = match begun {
            Ok(starting) => starting,
            Err(failure) => return self.unit_failed(index, &failure),
        };
        let stdout = starting.stdout.and_then(|descriptor| Stream::new(descriptor, 'o').ok());
        let stderr = starting.stderr.and_then(|descriptor| Stream::new(descriptor, 'e').ok());
        unit.streams = [stdout, stderr].into_iter().flatten().collect();
        unit.phase = Phase::Starting {
            pid: starting.pid,
            report: starting.report,
            ready: false,
            failure: None,
            deadline: now + Duration::from_millis(START_MS_MAX),
        };
        self.changed = true;
    }

    /// Dependents first: a container is signalled when no container that depends on it runs any more.
    fn stop_units(&mut self, now: Instant) {
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

    fn check_health(&mut self, now: Instant) {
        for index in 0..self.units.len() {
            let Some(unit) = self.units.get_mut(index) else {
                continue;
            };
            let (Phase::Running { .. }, Some(monitor), Some(check)) =
                (&unit.phase, &mut unit.health, &unit.spec.health_check)
            else {
                continue;
            };
            if monitor.next.is_none_or(|next| next > now) {
                continue;
            }
            monitor.next = None;
            let request = ExecStart {
                command: check.command.clone(),
                ..ExecStart::default()
            };
            let deadline = now + Duration::from_millis(check.timeout_ms);
            if self
                .open_session(index, &request, Purpose::Health, Some(deadline))
                .is_err()
            {
                self.health_result(index, false);
            }
        }
    }

    fn health_result(&mut self, index: usize, passed: bool) {
        let Some(unit) = self.units.get_mut(index) else { return };
        let (Some(monitor), Some(check)) = (&mut unit.health, &unit.spec.health_check) else {
            return;
        };
        let before = monitor.health;
        monitor.record(check, passed, Instant::now());
        self.changed |= monitor.health != before;
    }

    fn enforce_deadlines(&mut self, now: Instant) {
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

    fn status(&self) -> TaskStatus {
        let waiting = !self.told && self.units.iter().all(|unit| unit.running_pid().is_none());
        let phase = match &self.cause {
            _ if self.ended => TaskPhase::Ended,
            Some(_) => TaskPhase::Stopping,
            None if waiting => TaskPhase::Starting,
            None => TaskPhase::Running,
        };
        TaskStatus {
            task_id: self.task_id.clone(),
            protocol: PROTOCOL,
            boot_id: self.boot_id.clone(),
            shim_pid: std::process::id(),
            sequence: self.sequence,
            phase,
            cause: self.cause.clone(),
            containers: self.units.iter().map(Unit::status).collect(),
        }
    }

    /// Writes and pushes the status if it changed; tells the parent once the first containers run.
    fn publish(&mut self) {
        if self.changed {
            self.sequence += 1;
            let status = self.status();
            // A full disk: subscribers still hear it, and the next change is written again.
            let saved = status::save(&self.around.task_dir, &status, self.durable);
            self.durable &= saved.is_err();
            self.changed = false;
            for client in self.clients.values_mut().filter(|client| client.subscribed) {
                client.answer(&Response::Status(status.clone()), Vec::new());
            }
        }
        let starting = self
            .units
            .iter()
            .any(|unit| matches!(unit.phase, Phase::Starting { .. }));
        let failed = matches!(self.cause, Some(StopCause::StartFailed(_)));
        if !self.told && !starting && !failed {
            self.told = true;
            tell(&StartOutcome::Started(self.status()));
        }
    }

    fn over(&self) -> bool {
        self.units.iter().all(|unit| unit.stopped() && unit.streams.is_empty()) && self.sessions.is_empty()
    }

    /// Cgroups first: whoever reads the final status finds them gone.
    fn finish(mut self) {
        for unit in &self.units {
            unit.cgroup.remove();
        }
        self.cgroup.remove();
        // Exits were recorded when they happened; this adds that nothing else will.
        (self.ended, self.changed, self.durable) = (true, true, true);
        let failure = match (&self.cause, self.told) {
            (Some(StopCause::StartFailed(failure)), false) => Some(failure.clone()),
            (_, _) => None,
        };
        self.told |= failure.is_some();
        self.publish();
        // The listener's path goes before the last words, so that nobody connects to a shim that is leaving.
        let _already_gone = fs::remove_file(format!("{}/{SOCKET_FILE}", self.around.task_dir));
        self.say_farewell();
        if let Some(failure) = failure {
            tell(&StartOutcome::Failed(failure));
        }
    }
}
