//! When access keys and roles were last used (GetAccessKeyLastUsed, GetRole): noted in memory, written to the state now
//! and then, so that no call pays for it.

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

/// Whose use it is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Used {
    /// A user's access key, by its id.
    Key(String),
    /// A role, by its account and name: whoever has assumed it.
    Role(AccountId, String),
}

/// The last use of one key or role.
struct Use {
    account: AccountId,
    service: String,
    region: Region,
}

#[derive(Default)]
struct Noted {
    /// Uses that the state does not know yet.
    waiting: HashMap<Used, Use>,
    /// Keys whose use was written in this interval: a further use waits for its end.
    written: HashSet<Used>,
}

/// The uses of this interval.
#[derive(Default)]
pub struct KeyUses {
    noted: Mutex<Noted>,
    is_first: Notify,
}

impl KeyUses {
    /// Notes that a user's key or a session of a role signed a call. Other sessions have no such record.
    pub fn note(&self, principal: &Principal, service: &str, region: &Region) {
        let used = match &principal.kind {
            PrincipalKind::User { .. } if !principal.access_key_id.is_empty() => {
                Used::Key(principal.access_key_id.clone())
            }
            PrincipalKind::AssumedRole { role, .. } => Used::Role(principal.account.clone(), role.clone()),
            PrincipalKind::User { .. }
            | PrincipalKind::Root
            | PrincipalKind::FederatedUser { .. }
            | PrincipalKind::Anonymous => return,
        };
        let mut noted = self.noted.lock();
        let is_known = noted.waiting.contains_key(&used);
        if !is_known && noted.waiting.len() >= KEYS_MAX {
            return;
        }
        // The first use of an interval is written at once: whoever tries a new key sees that it was used.
        if !is_known && !noted.written.contains(&used) {
            self.is_first.notify_one();
        }
        let last = Use {
            account: principal.account.clone(),
            service: service.to_owned(),
            region: region.clone(),
        };
        noted.waiting.insert(used, last);
    }

    /// The uses to write: all at the end of an interval, within it those of keys not written yet.
    fn take(&self, is_end: bool) -> Vec<(Used, Use)> {
        let mut noted = self.noted.lock();
        let Noted { waiting, written } = &mut *noted;
        if is_end {
            written.clear();
            return waiting.drain().collect();
        }
        let first: Vec<Used> = waiting.keys().filter(|key| !written.contains(*key)).cloned().collect();
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
        // It can wait for room: a full disk has none for it.
        if !control.engine.has_room() {
            continue;
        }
        let uses = control.key_uses.take(is_end);
        if uses.is_empty() {
            continue;
        }
        let written = control.engine.write(move |tx| -> Result<(), ApiError> {
            for (used, last) in uses {
                let region = last.region.as_str();
                match used {
                    Used::Key(key) => honmaru_iam::note_access_key_use(tx, &last.account, &key, &last.service, region),
                    Used::Role(account, role) => honmaru_iam::note_role_use(tx, &account, &role, region),
                }
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
    use super::{KeyUses, Used};
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
        assert_eq!(
            taken.iter().map(|(used, _)| used).collect::<Vec<_>>(),
            [&Used::Key("AKIA1".to_owned())]
        );
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
    fn a_role_is_noted_once_for_all_its_sessions_and_root_is_not() {
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
        for session in ["a", "b"] {
            let kind = PrincipalKind::AssumedRole {
                role: "app".to_owned(),
                session: session.to_owned(),
            };
            let principal = Principal {
                kind,
                ..user(&format!("ASIA{session}"))
            };
            uses.note(&principal, "ecs", &region);
        }
        let taken = uses.take(true);
        let account = "000000000000".parse().expect("an account");
        assert_eq!(
            taken.iter().map(|(used, _)| used).collect::<Vec<_>>(),
            [&Used::Role(account, "app".to_owned())]
        );
    }
}
