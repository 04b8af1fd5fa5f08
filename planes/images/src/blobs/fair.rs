//! Who may have how many unfinished uploads: nobody holds everybody else up, and what was given up long ago gives way.
//!
//! Invariants: whoever begins an upload is refused for their own uploads' sake alone, unless nobody has more than they; an
//! upload that somebody writes to at this moment never gives way.

use super::upload::Session;
use super::{StoreError, StoreLimits, UploadId};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Who began an upload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Uploader {
    /// The account; empty where nobody knows any more: the upload was begun before a restart.
    pub account: Arc<str>,
    /// Who of the account; empty where it makes no difference.
    pub principal: Arc<str>,
}

impl Uploader {
    /// Somebody of an account.
    pub fn new(account: &str, principal: &str) -> Self {
        Self {
            account: account.into(),
            principal: principal.into(),
        }
    }

    fn is_known(&self) -> bool {
        !self.account.is_empty()
    }
}

/// Whose uploads a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadsOf {
    /// One principal's.
    Principal,
    /// One account's.
    Account,
    /// Everybody's.
    Everybody,
}

impl std::fmt::Display for UploadsOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Principal => "of this principal",
            Self::Account => "of this account",
            Self::Everybody => "of all accounts",
        })
    }
}

/// One's own limit.
struct Own {
    max: usize,
    of: UploadsOf,
    is_theirs: fn(&Session, &Uploader) -> bool,
}

type Sessions = HashMap<UploadId, Arc<Session>>;

/// Makes room for one more upload of `by`: nothing to be done, or the upload that has to end for it. It is claimed, so that
/// nobody writes to it any more.
pub(super) fn make_room(
    sessions: &Sessions,
    by: &Uploader,
    limits: &StoreLimits,
) -> Result<Option<(UploadId, Arc<Session>)>, StoreError> {
    if by.is_known() {
        let of_principal = Own {
            max: limits.uploads_of_principal_max,
            of: UploadsOf::Principal,
            is_theirs: |session, by| session.by == *by,
        };
        let of_account = Own {
            max: limits.uploads_of_account_max,
            of: UploadsOf::Account,
            is_theirs: |session, by| session.by.account == by.account,
        };
        for Own { max, of, is_theirs } in [of_principal, of_account] {
            let theirs = || sessions.values().filter(|session| is_theirs(session, by)).count();
            // Nobody has as many when all together have fewer.
            if sessions.len() < max || theirs() < max {
                continue;
            }
            let stale = |session: &Session| is_theirs(session, by) && session.idle() >= limits.upload_stale;
            return claim(sessions, stale)
                .map(Some)
                .ok_or(StoreError::TooManyUploads { max, of });
        }
    }
    let max = limits.uploads_max;
    if sessions.len() < max {
        return Ok(None);
    }
    let refused = StoreError::TooManyUploads {
        max,
        of: UploadsOf::Everybody,
    };
    let mut held: HashMap<&str, usize> = HashMap::new();
    for session in sessions.values() {
        *held.entry(&session.by.account).or_default() += 1;
    }
    let own = held.get(&*by.account).copied().unwrap_or(0);
    let Some((most, count)) = held.into_iter().max_by_key(|(_, count)| *count) else {
        return Err(refused);
    };
    // Whoever has the most gives one to whoever has fewer; among equals only what is stale gives way.
    let has_more = count > own + 1;
    let gives_way = |session: &Session| match has_more {
        true => &*session.by.account == most,
        false => session.idle() >= limits.upload_stale,
    };
    claim(sessions, gives_way).map(Some).ok_or(refused)
}

/// The one of them that nobody wrote to for longest, and that nobody writes to now.
fn claim(sessions: &Sessions, is_one: impl Fn(&Session) -> bool) -> Option<(UploadId, Arc<Session>)> {
    let mut found: Vec<_> = sessions.iter().filter(|(_, session)| is_one(session)).collect();
    found.sort_by_key(|(_, session)| std::cmp::Reverse(session.idle()));
    let (id, session) = found
        .into_iter()
        .find(|(_, session)| !session.busy.swap(true, Ordering::AcqRel))?;
    Some((id.clone(), session.clone()))
}
