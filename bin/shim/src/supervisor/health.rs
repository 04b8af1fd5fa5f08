//! Health checks: when they are due, and what came of them.

use super::Supervisor;
use crate::session::Purpose;
use crate::unit::Phase;
use honmaru_runtime_protocol::ExecStart;
use std::time::{Duration, Instant};

impl Supervisor {
    pub(super) fn check_health(&mut self, now: Instant) {
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

    pub(super) fn health_result(&mut self, index: usize, passed: bool) {
        let Some(unit) = self.units.get_mut(index) else { return };
        let (Some(monitor), Some(check)) = (&mut unit.health, &unit.spec.health_check) else {
            return;
        };
        let before = monitor.health;
        monitor.record(check, passed, Instant::now());
        self.changed |= monitor.health != before;
    }
}
