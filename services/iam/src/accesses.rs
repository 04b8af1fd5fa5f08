//! Who called which service last: what the access advisor tells (GenerateServiceLastAccessedDetails).
//!
//! Not here: who notes it. Whoever records calls tells [`note_access`], some time after the call.
//! Invariant: a row is written again only when it is over an hour old, so that a busy key costs no more than 24 writes a
//! day.

use crate::machine::{role_of_name, scope_of, user_of_name};
use crate::model::{Role, User};
use honmaru_base::{AccountId, Scope, Time};
use honmaru_machine::{Resource, Tx};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How old a row may be before it is written again: AWS's reports are up to four hours behind.
const FRESH_S: i64 = 3_600;
/// Ref: IAM User Guide, "Refine permissions using last accessed information": the tracking period is 400 days.
pub(crate) const TRACKED_S: i64 = 400 * 24 * 3_600;
/// How long a report can be asked for. Ref: GenerateServiceLastAccessedDetails: "the job's results are available for 168
/// hours".
pub(crate) const JOB_LIFE_S: i64 = 168 * 3_600;

/// When and where something was called last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUse {
    /// When.
    pub at: Time,
    /// In which region.
    pub region: String,
}

/// The last uses of a service by a user or a role. Its key is their unique id and the service's namespace,
/// `AIDAEXAMPLE/ecs`: a renamed user keeps it, another one of the name does not get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAccess {
    /// Of the service.
    pub last: LastUse,
    /// Of each of its actions.
    pub actions: BTreeMap<String, LastUse>,
}

impl Resource for ServiceAccess {
    const KIND: &'static str = "iam.service_access";
}

impl ServiceAccess {
    pub(crate) fn prefix(entity_id: &str) -> String {
        format!("{entity_id}/")
    }

    pub(crate) fn key(entity_id: &str, namespace: &str) -> String {
        format!("{entity_id}/{namespace}")
    }
}

/// What somebody asked a report about; its key is the job's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessJob {
    /// Whose report it is: the ARN of a user, a group, a role or a policy.
    pub arn: String,
    /// Whether actions are told too.
    pub with_actions: bool,
    /// When it was asked for.
    pub created_at: Time,
}

impl Resource for AccessJob {
    const KIND: &'static str = "iam.access_job";
}

/// Who called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Accessor {
    /// A user, by its name.
    User(String),
    /// A session of a role, by the role's name.
    Role(String),
}

/// One call of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accessed {
    /// The account of the caller.
    pub account: AccountId,
    /// Who called.
    pub by: Accessor,
    /// Its unique id.
    pub id: String,
    /// The service, as policies name it.
    pub namespace: String,
    /// The action, without the service.
    pub action: String,
    /// When and where.
    pub last: LastUse,
}

/// Notes a call, unless the caller is gone, or what is known of it is younger than an hour.
pub fn note_access(tx: &mut Tx<'_>, accessed: Accessed) {
    let Accessed {
        account,
        by,
        id,
        namespace,
        action,
        last,
    } = accessed;
    let entity = match &by {
        Accessor::User(name) => user_of_name(tx, &account, name).map(|user: &User| &user.entity),
        Accessor::Role(name) => role_of_name(tx, &account, name).map(|role: &Role| &role.entity),
    };
    if entity.is_none_or(|entity| entity.id != id) {
        return;
    }
    let (scope, key) = (scope_of(&account), ServiceAccess::key(&id, &namespace));
    let known = tx.get::<ServiceAccess>(&scope, &key);
    let is_fresh = |known: &LastUse| known.at.plus_s(FRESH_S) > last.at;
    if known.is_some_and(|row| row.actions.get(&action).is_some_and(is_fresh)) {
        return;
    }
    let mut row = known.cloned().unwrap_or_else(|| ServiceAccess {
        last: last.clone(),
        actions: BTreeMap::new(),
    });
    if row.last.at <= last.at {
        row.last = last.clone();
    }
    row.actions.insert(action, last);
    tx.put(&scope, &key, row);
}

/// Forgets a user or a role that is deleted.
pub(crate) fn forget(tx: &mut Tx<'_>, scope: &Scope, entity_id: &str) {
    let prefix = ServiceAccess::prefix(entity_id);
    let keys: Vec<String> = tx
        .prefixed::<ServiceAccess>(scope, &prefix)
        .map(|(key, _)| key.to_owned())
        .collect();
    for key in keys {
        tx.delete::<ServiceAccess>(scope, &key);
    }
}
