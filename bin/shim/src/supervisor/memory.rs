//! Memory that ran out: containers whose kill is still to come.

use super::Supervisor;
use crate::sys;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// How often and how long `oom_kill` is looked at after memory ran out (the event comes before the kill).
pub(super) const OOM_LOOK_MS: u64 = 10;
const OOM_LOOK_MS_MAX: u64 = 5_000;

impl Supervisor {
    /// v1: some cgroup above or at this container's is out of memory. The kill follows.
    pub(super) fn memory_ran_out(&mut self, index: usize) {
        let Some(unit) = self.units.get_mut(index) else { return };
        if let Some(event) = &unit.oom_event {
            let mut count = [0; 8];
            if sys::read(event.as_raw_fd(), &mut count).is_err() {
                unit.oom_event = None;
            }
        }
        unit.oom_watch_until = Some(Instant::now() + Duration::from_millis(OOM_LOOK_MS_MAX));
    }

    pub(super) fn watch_memory(&mut self, now: Instant) {
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
}
