//! Starting containers: which one's turn it is, and what a starting one reports.

use super::{Supervisor, now_ms};
use crate::failure::Failure;
use crate::health::Monitor;
use crate::logs::Stream;
use crate::order::{Readiness, readiness};
use crate::process::{self, Report};
use crate::sys;
use crate::unit::{Phase, START_MS_MAX, Unit};
use honmaru_runtime_protocol::{StartFailure, StopCause};
use std::io;
use std::time::{Duration, Instant};

impl Supervisor {
    /// A container that is starting reported.
    pub(super) fn unit_reports(&mut self, index: usize) {
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

    pub(super) fn unit_failed(&mut self, index: usize, failure: &Failure) {
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

    /// Starts what is ready, until nothing more becomes ready by it.
    pub(super) fn start_units(&mut self, now: Instant) {
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
}
