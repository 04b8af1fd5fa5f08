//! What the task's state is, and who is told of it.

use super::Supervisor;
use crate::setup::tell;
use crate::status;
use crate::unit::{Phase, Unit};
use honmaru_runtime_protocol::{PROTOCOL, Response, StartOutcome, StopCause, TaskPhase, TaskStatus};

impl Supervisor {
    pub(super) fn status(&self) -> TaskStatus {
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
    pub(super) fn publish(&mut self) {
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
}
