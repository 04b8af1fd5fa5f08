//! What a roll-out shall reach, and how long what is wrong with it may stand.

use crate::cli::deploy::GRACE_DEFAULT_S;
use crate::cli::observed::Service;
use crate::cli::rollout::cause::Cause;
use honmaru_base::Clock;
use honmaru_engine::SystemClock;

/// An app that answers has started: a wrong answer that comes so many seconds after the task's start stays. Somebody
/// who has named a grace of his own is believed.
const WRONG_ANSWER_STANDS_S: u32 = 10;
/// After a change of the path the old answer stands until the next checks, which are 5 s apart.
const OTHER_PATH_STANDS_S: u32 = 20;
/// An app that listens on other ports may still be about to open the right one, for example after its debugger's.
const OTHER_PORT_STANDS_S: u32 = 20;
/// An app that listens for itself only does not come to think better of it. It is looked at once a second at first.
const LOOPBACK_STANDS_S: u32 = 3;

/// How a roll-out ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolledOut {
    /// Tasks that serve.
    pub healthy: u64,
    /// Tasks that were wanted.
    pub desired: u64,
}

/// What a roll-out shall reach.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// The deployment's id.
    pub deployment: String,
    /// Tasks and events before that moment do not count. Epoch seconds.
    pub since_s: f64,
    /// How long a task may be unhealthy after its start.
    pub grace_s: u32,
    /// Whether it brings another version, or the same one anew; otherwise the number of tasks changes.
    pub is_new: bool,
    /// Whether nobody has said that the app has the path of the health check.
    pub may_lack_path: bool,
    /// The moment at which the path of the health check was changed meanwhile: what was seen before says nothing.
    pub path_since_s: Option<f64>,
}

impl Goal {
    /// The goal of the deployment that is in force after a call that changed the service.
    pub fn of(after: &Service, before: Option<&Service>) -> Self {
        let primary = after.primary().cloned().unwrap_or_default();
        let is_new = before
            .and_then(Service::primary)
            .is_none_or(|earlier| earlier.id != primary.id);
        let since_s = if is_new {
            primary.created_at
        } else {
            SystemClock.now().as_epoch_s()
        };
        Self {
            deployment: primary.id,
            since_s,
            grace_s: after.grace_s,
            is_new,
            may_lack_path: false,
            path_since_s: None,
        }
    }

    /// How long after its start a task may be unhealthy for that reason, in seconds.
    pub(super) fn forgives_s(&self, cause: &Cause) -> u32 {
        let may_be_starting = |code: &str| matches!(code, "502" | "503" | "504");
        match cause {
            Cause::WrongStatus { .. } if self.path_since_s.is_some() => self.grace_s.min(OTHER_PATH_STANDS_S),
            Cause::WrongStatus { code, .. } if !may_be_starting(code) && self.grace_s <= GRACE_DEFAULT_S => {
                self.grace_s.min(WRONG_ANSWER_STANDS_S)
            }
            Cause::OnlyLoopback { .. } => self.grace_s.min(LOOPBACK_STANDS_S),
            Cause::OtherPort { .. } => self.grace_s.min(OTHER_PORT_STANDS_S),
            _ => self.grace_s,
        }
    }
}
