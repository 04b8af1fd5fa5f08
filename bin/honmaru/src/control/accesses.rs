//! Which services users and roles called last, for IAM's access advisor: noted by the thread that writes the audit trail,
//! written to the state now and then, so that no call pays for it.

use super::Control;
use honmaru_base::{AccountId, ApiError, Time};
use honmaru_cloudtrail::Recorded;
use honmaru_iam::{Accessed, Accessor, LastUse};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long calls are gathered before they are written together.
const GATHERING: Duration = Duration::from_secs(1);
/// Between two writes at least.
const PAUSE: Duration = Duration::from_secs(10);
/// What was written is not written again for so long.
const FRESH_S: i64 = 3_600;
/// Calls that wait to be written, and written ones that are remembered: beyond that calls are not noted, or noted again.
const NOTED_MAX: usize = 20_000;

/// The caller's unique id, the service's namespace and the action.
type Key = (String, String, String);

#[derive(Default)]
struct Noted {
    waiting: HashMap<Key, Accessed>,
    /// When what was written last.
    written: HashMap<Key, Time>,
}

/// The calls that the state does not know yet.
#[derive(Default)]
pub struct Accesses {
    noted: Mutex<Noted>,
    is_new: Notify,
}

impl Accesses {
    /// Notes a recorded call of a user or a role, refused ones too. Ref: IAM User Guide, "Things to know about last
    /// accessed information": all attempts count.
    pub fn note(&self, record: &Recorded) {
        let Some(accessed) = accessed(record) else { return };
        let key = (accessed.id.clone(), accessed.namespace.clone(), accessed.action.clone());
        let mut noted = self.noted.lock();
        let is_fresh = |at: &Time| at.plus_s(FRESH_S) > record.at;
        if noted.written.get(&key).is_some_and(is_fresh) {
            return;
        }
        let is_first = noted.waiting.is_empty();
        if noted.waiting.len() < NOTED_MAX || noted.waiting.contains_key(&key) {
            noted.waiting.insert(key, accessed);
        }
        if is_first {
            self.is_new.notify_one();
        }
    }

    fn take(&self) -> Vec<Accessed> {
        let mut noted = self.noted.lock();
        let Noted { waiting, written } = &mut *noted;
        if written.len() + waiting.len() > NOTED_MAX {
            written.clear();
        }
        let taken = waiting.drain().map(|(key, accessed)| {
            written.insert(key, accessed.last.at);
            accessed
        });
        taken.collect()
    }
}

/// The call as the advisor knows it; nothing of callers who are neither a user nor a role.
fn accessed(record: &Recorded) -> Option<Accessed> {
    let who = &record.who;
    let by = match who.kind.as_str() {
        "IAMUser" => Accessor::User(who.name.clone()?),
        "AssumedRole" => Accessor::Role(who.role.clone()?),
        _ => return None,
    };
    let account: AccountId = who.arn.as_deref()?.split(':').nth(4)?.parse().ok()?;
    let id = who.id.as_deref()?.split(':').next()?.to_owned();
    let namespace = record.source.strip_suffix(".amazonaws.com")?;
    Some(Accessed {
        account,
        by,
        id,
        // The Tagging API signs as `tagging`, and is `tag` in policies.
        namespace: if namespace == "tagging" { "tag" } else { namespace }.to_owned(),
        action: record.name.clone(),
        last: LastUse {
            at: record.at,
            region: record.region.to_string(),
        },
    })
}

/// Writes what was noted, for ever.
pub async fn run(control: Arc<Control>) {
    let accesses = control.audit.accesses();
    loop {
        accesses.is_new.notified().await;
        tokio::time::sleep(GATHERING).await;
        // It can wait for room: a full disk has none for it.
        while !control.engine.has_room() {
            tokio::time::sleep(PAUSE).await;
        }
        let taken = accesses.take();
        let written = control.engine.write(move |tx| -> Result<(), ApiError> {
            taken
                .into_iter()
                .for_each(|accessed| honmaru_iam::note_access(tx, accessed));
            Ok(())
        });
        // The engine ends only with the process.
        if written.await.is_err() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: &str, id: &str, source: &str, name: &str, at_s: i64) -> Recorded {
        let record = serde_json::json!({
            "at": Time::from_ms(at_s * 1_000), "id": "1", "request_id": "1", "account": "000000000000",
            "region": "us-east-1", "service": "ecs", "source": source, "name": name,
            "who": {"kind": kind, "id": id, "name": "ann", "role": "app",
                    "arn": "arn:aws:iam::111111111111:user/ann"},
            "from": "127.0.0.1", "agent": "", "status": 200, "took_us": 1,
        });
        serde_json::from_value(record).expect("a record")
    }

    #[test]
    fn a_call_is_noted_once_an_hour_for_each_caller_service_and_action() {
        let accesses = Accesses::default();
        for at_s in 0..100 {
            accesses.note(&record("IAMUser", "AIDA1", "ecs.amazonaws.com", "RunTask", at_s));
        }
        accesses.note(&record(
            "AssumedRole",
            "AROA1:s",
            "tagging.amazonaws.com",
            "GetResources",
            100,
        ));
        for other in ["Root", "AWSService", "Unknown", "FederatedUser"] {
            accesses.note(&record(other, "X", "ecs.amazonaws.com", "RunTask", 100));
        }
        let mut taken = accesses.take();
        taken.sort_by(|a, b| a.id.cmp(&b.id));
        let shown: Vec<_> = taken
            .iter()
            .map(|one| (one.id.as_str(), one.namespace.as_str(), one.last.at.as_ms() / 1_000))
            .collect();
        assert_eq!(shown, [("AIDA1", "ecs", 99), ("AROA1", "tag", 100)]);
        assert_eq!(taken[0].by, Accessor::User("ann".to_owned()));
        assert_eq!(taken[1].by, Accessor::Role("app".to_owned()));
        accesses.note(&record("IAMUser", "AIDA1", "ecs.amazonaws.com", "RunTask", 99 + 3_599));
        assert!(accesses.take().is_empty());
        accesses.note(&record("IAMUser", "AIDA1", "ecs.amazonaws.com", "RunTask", 99 + 3_600));
        accesses.note(&record("IAMUser", "AIDA1", "ecs.amazonaws.com", "StopTask", 200));
        assert_eq!(accesses.take().len(), 2);
    }
}
