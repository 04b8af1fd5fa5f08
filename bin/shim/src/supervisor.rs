//! The loop: one task, its containers, sessions and clients. Everything that happens arrives here through poll.
//!
//! A turn is: take what descriptors bring, reap, decide (`advance`), publish what changed. Deciding is done from state
//! alone, so that the order in which things arrive does not matter.

mod ends;
mod events;
mod health;
mod memory;
mod report;
mod serve;
mod start;
mod stop;

use crate::cgroup::Cgroup;
use crate::client::Client;
use crate::process::Surroundings;
use crate::session::Session;
use crate::setup::tell;
use crate::sys;
use crate::unit::Unit;
use honmaru_runtime_protocol::{SOCKET_FILE, StartOutcome, StopCause};
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Most connections at once. More are closed at once.
const CLIENTS_MAX: usize = 64;
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
