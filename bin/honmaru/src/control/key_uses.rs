//! When access keys were last used (GetAccessKeyLastUsed): noted in memory, written to the state now and then, so that
//! no call pays for it.

use super::Control;
use honmaru_base::{AccountId, ApiError, Region};
use honmaru_machine::{Principal, PrincipalKind};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How old the state's word on a key may be.
const INTERVAL: Duration = Duration::from_secs(60);
/// Keys noted in an interval at most; only keys whose signatures were right are noted.
const KEYS_MAX: usize = 10_000;

/// The last use of one key.
struct Use {
    account: AccountId,
    service: String,
    region: Region,
}

#[derive(Default)]
struct Noted {
    /// Uses that the state does not know yet.
    waiting: HashMap<String, Use>,
    /// Keys whose use was written in this interval: a further use waits for its end.
    written: HashSet<String>,
}

/// The uses of this interval.
#[derive(Default)]
pub struct KeyUses {
    noted: Mutex<Noted>,
    is_first: Notify,
}

impl KeyUses {
    /// Notes that a user's key signed a call. Sessions have no such record.
    pub fn note(&self, principal: &Principal, service: &str, region: &Region) {
        if !matches!(principal.kind, PrincipalKind::User { .. }) || principal.access_key_id.is_empty() {
            return;
        }
        let mut noted = self.noted.lock();
        let is_known = noted.waiting.contains_key(&principal.access_key_id);
        if !is_known && noted.waiting.len() >= KEYS_MAX {
            return;
        }
        let last = Use {
            account: principal.account.clone(),
            service: service.to_owned(),
            region: region.clone(),
        };
        noted.waiting.insert(principal.access_key_id.clone(), last);
        // The first use of an interval is written at once: whoever tries a new key sees that it was used.
        if !is_known && !noted.written.contains(&principal.access_key_id) {
            self.is_first.notify_one();
        }
    }

    /// The uses to write: all at the end of an interval, within it those of keys not written yet.
    fn take(&self, is_end: bool) -> Vec<(String, Use)> {
        let mut noted = self.noted.lock();
        let Noted { waiting, written } = &mut *noted;
        if is_end {
            written.clear();
            return waiting.drain().collect();
        }
        let first: Vec<String> = waiting.keys().filter(|key| !written.contains(*key)).cloned().collect();
        let taken = first.into_iter().filter_map(|key| {
            written.insert(key.clone());
            waiting.remove_entry(&key)
        });
        taken.collect()
    }
}

/// Writes uses, for ever.
pub async fn run(control: Arc<Control>) {
    let mut end = tokio::time::interval(INTERVAL);
    loop {
        let is_end = tokio::select! {
            _ = end.tick() => true,
            () = control.key_uses.is_first.notified() => false,
        };
        let uses = control.key_uses.take(is_end);
        if uses.is_empty() {
            continue;
        }
        let written = control.engine.write(move |tx| -> Result<(), ApiError> {
            for (key, last) in uses {
                honmaru_iam::note_access_key_use(tx, &last.account, &key, &last.service, last.region.as_str());
            }
            Ok(())
        });
        // The engine ends only with the process.
        if written.await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KeyUses;
    use honmaru_machine::{Principal, PrincipalKind};

    fn user(key: &str) -> Principal {
        Principal {
            account: "000000000000".parse().expect("an account"),
            arn: String::new(),
            user_id: String::new(),
            kind: PrincipalKind::User { name: "ann".to_owned() },
            access_key_id: key.to_owned(),
            tags: Vec::new(),
            session_policies: Vec::new(),
            session: None,
        }
    }

    #[test]
    fn the_first_use_is_written_at_once_and_the_rest_at_the_end() {
        let (uses, region) = (KeyUses::default(), "us-east-1".parse().expect("a region"));
        for _ in 0..1_000 {
            uses.note(&user("AKIA1"), "ecs", &region);
        }
        let taken = uses.take(false);
        assert_eq!(taken.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["AKIA1"]);
        uses.note(&user("AKIA1"), "iam", &region);
        uses.note(&user("AKIA2"), "ecs", &region);
        assert_eq!(uses.take(false).len(), 1, "the other key only");
        let end = uses.take(true);
        assert_eq!(
            end.iter().map(|(_, last)| last.service.as_str()).collect::<Vec<_>>(),
            ["iam"]
        );
        assert!(uses.take(true).is_empty());
    }

    #[test]
    fn sessions_and_roots_are_not_noted() {
        let (uses, region) = (KeyUses::default(), "us-east-1".parse().expect("a region"));
        uses.note(
            &Principal {
                kind: PrincipalKind::Root,
                ..user("AKIA1")
            },
            "ecs",
            &region,
        );
        assert!(uses.take(true).is_empty());
    }
}
