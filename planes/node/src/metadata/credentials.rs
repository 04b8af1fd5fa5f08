//! Credentials of task roles: asked of control once, kept until shortly before they end.

use crate::clock::now;
use crate::shared::Shared;
use honmaru_contract::node::{FromNode, TaskCredentials};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// With less than this to go, new ones are asked for; SDKs refresh five minutes before the end.
const FRESH_S: i64 = 300;

/// How long control may take, and how often it is asked within that: it may be starting anew.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// By task ARN. One asker for each task: all others wait for the same answer.
#[derive(Default)]
pub(crate) struct Credentials(Mutex<BTreeMap<String, watch::Sender<Option<TaskCredentials>>>>);

impl Credentials {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, watch::Sender<Option<TaskCredentials>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer of control's. What nobody asked for is not kept.
    pub fn arrived(&self, credentials: TaskCredentials) {
        if credentials.execution_role {
            return;
        }
        if let Some(place) = self.all().get(&credentials.task_arn) {
            place.send_replace(Some(credentials));
        }
    }

    pub fn forget(&self, task_arn: &str) {
        self.all().remove(task_arn);
    }

    /// The credentials of a task's role, or why there are none.
    pub async fn get(&self, shared: &Shared, task_arn: &str) -> Result<TaskCredentials, String> {
        let mut place = self.all().entry(task_arn.to_owned()).or_default().subscribe();
        let left_s = |c: &TaskCredentials| c.expiration.since_ms(now()) / 1_000;
        let present = place.borrow_and_update().clone().filter(|c| c.error.is_none());
        if let Some(present) = present.as_ref().filter(|c| left_s(c) > FRESH_S) {
            return Ok(present.clone());
        }
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        while Instant::now() < deadline {
            shared.tell(FromNode::CredentialsWanted {
                task_arn: task_arn.to_owned(),
                execution_role: false,
            });
            let Ok(Ok(())) = timeout(ASK_AGAIN, place.changed()).await else {
                continue;
            };
            let answer = place.borrow_and_update().clone();
            match answer {
                Some(TaskCredentials { error: Some(error), .. }) => return Err(error),
                Some(credentials) => return Ok(credentials),
                None => {}
            }
        }
        // Old ones that still hold are better than none.
        present
            .filter(|c| left_s(c) > 0)
            .ok_or_else(|| "the control plane did not answer in time".to_owned())
    }
}
