//! Back-fills: images that were pushed before a replication rule was made are copied to its destination.
//! Ref: ECR API, StartReplicationBackfill.
//!
//! Invariant: images are looked at in the order of their keys, a bounded number in one step; what is pushed meanwhile
//! is replicated by its push.

use crate::machine::{copy_image, destinations, leaves, outstanding, tags_of};
use crate::model::{Backfill, BackfillState, Image, ReplicationJob};
use honmaru_base::{Scope, Time};
use honmaru_machine::{Reconciler, Resource, State, Tx};

/// Images looked at in one step; the rest follow at once in the next.
const STEP_MAX: usize = 200;

/// Copies what back-fills still have to copy.
pub(crate) struct BackfillRunner;

impl Reconciler for BackfillRunner {
    fn name(&self) -> &'static str {
        "ecr.backfill"
    }

    fn watches(&self) -> &'static [&'static str] {
        &[Backfill::KIND, ReplicationJob::KIND]
    }

    fn reconcile(&mut self, tx: &mut Tx<'_>) -> Option<Time> {
        let under_way: Vec<(Scope, String)> = tx
            .all::<Backfill>()
            .filter(|(_, _, row)| row.state == BackfillState::InProgress)
            .map(|(scope, id, _)| (scope.clone(), id.to_owned()))
            .collect();
        let mut more = false;
        for (scope, id) in under_way {
            more |= go_on(tx, &scope, &id);
        }
        more.then(|| tx.now().plus_ms(1))
    }
}

/// One step of one back-fill. Whether there is more to do.
fn go_on(tx: &mut Tx<'_>, scope: &Scope, id: &str) -> bool {
    let Some(row) = tx.get::<Backfill>(scope, id).cloned() else {
        return false;
    };
    let Some(to) = destination(scope, &row) else {
        return false;
    };
    let after = row.cursor.as_deref();
    let images: Vec<(String, String, String, bool)> = tx
        .list::<Image>(scope)
        .filter(|(key, _)| after.is_none_or(|after| *key > after))
        .take(STEP_MAX)
        .map(|(key, image)| {
            (
                key.to_owned(),
                image.repository.clone(),
                image.digest.clone(),
                image.archive.holds,
            )
        })
        .collect();
    let is_over = images.len() < STEP_MAX;
    let cursor = images.last().map(|(key, ..)| key.clone()).or(row.cursor.clone());
    let mut copied = 0;
    for (_, name, digest, is_archived) in images {
        // The rule may have gone meanwhile, and with it what it covered.
        if is_archived || !destinations(tx, scope, &name).contains(&to) {
            continue;
        }
        copied += 1;
        let tags = tags_of(tx, scope, &name, &digest);
        copy_image(tx, scope, &to, &name, &digest, tags.first().map(String::as_str));
        for tag in tags.iter().skip(1) {
            copy_image(tx, scope, &to, &name, &digest, Some(tag));
        }
    }
    let now = tx.now();
    let (waiting, failed) = if leaves(tx, scope, &to) {
        outstanding(tx, scope, &to)
    } else {
        (0, 0)
    };
    if is_over && waiting > 0 && copied == 0 && cursor == row.cursor {
        // All that is to be sent waits; it is looked at again when one of them is done.
        return false;
    }
    tx.update::<Backfill>(scope, id, |row| {
        row.cursor = cursor;
        row.copied += copied;
        if is_over && waiting == 0 {
            row.failed = failed as u64;
            row.state = BackfillState::Complete;
            row.ended_at = Some(now);
        }
    });
    !is_over
}

/// The scope that a back-fill copies to.
pub(crate) fn destination(scope: &Scope, row: &Backfill) -> Option<Scope> {
    let account = row.account.as_deref().unwrap_or(scope.account.as_str());
    Scope::new(account, &row.region).ok()
}

/// The images that a registry replicates to a scope, with their keys.
pub(crate) fn covered<'a>(
    state: &'a State,
    scope: &'a Scope,
    to: &'a Scope,
) -> impl Iterator<Item = (&'a str, &'a Image)> {
    let mut last: Option<(&str, bool)> = None;
    let active = state.list::<Image>(scope).filter(|(_, image)| !image.archive.holds);
    active.filter(move |(_, image)| match last {
        // Images of one repository follow each other.
        Some((name, is_covered)) if name == image.repository => is_covered,
        _ => {
            let is_covered = destinations(state, scope, &image.repository).contains(to);
            last = Some((&image.repository, is_covered));
            is_covered
        }
    })
}
