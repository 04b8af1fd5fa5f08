//! Replication to other clouds: what waits to be sent, in which order, and what became of it. Who sends it asks here.
//!
//! Invariants: a job is removed only by what was done for its own version, or when nobody wants the image there any more;
//! jobs outlive restarts; no push waits for a job.

use super::image::tags_of;
use super::replicate::destinations;
use crate::model::{Content, Image, OtherCloud, ReplicationJob, ReplicationResult, Tag};
use honmaru_base::{Scope, Time, uuid};
use honmaru_machine::{State, Tx};
use std::collections::BTreeSet;

/// Pauses between attempts: they double up to the longest.
const PAUSE_FIRST_S: i64 = 2;
const PAUSE_MAX_S: i64 = 300;
/// A job that could not be done for so long has failed; another push or a back-fill begins afresh.
const JOB_LIFE_S: i64 = 7 * 24 * 3_600;
/// Indexes within indexes at most.
const DEPTH_MAX: usize = 4;
/// The code of what no operator has named a cloud for.
const NOT_MAPPED: &str = "DestinationNotMapped";

/// How an image's copy stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Copied {
    /// It waits, or is being sent.
    InProgress,
    /// It is there.
    Complete,
    /// It is not there, and nobody tries; the code where there is one.
    Failed(Option<String>),
}

/// A manifest to be sent, with what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParcelManifest {
    /// Its digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// Configuration and layers.
    pub blobs: Vec<Content>,
}

/// All that sending an image needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The repository, here and there.
    pub repository: String,
    /// Where it goes.
    pub to: Scope,
    /// The tags that mean it now.
    pub tags: Vec<String>,
    /// What an index names comes before it; the image itself is the last.
    pub manifests: Vec<ParcelManifest>,
    /// The version of the job.
    pub version: String,
}

/// Why a parcel did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undelivered<'a> {
    /// The destination cannot be reached: the one who sends knows when to try again.
    Away,
    /// It may arrive later.
    Later,
    /// No operator has named a cloud for its destination.
    NotMapped,
    /// It was refused, with this code.
    Refused(&'a str),
}

/// Notes which destinations are other clouds. What failed because its destination was none is taken up again.
pub fn set_other_clouds(tx: &mut Tx<'_>, clouds: &[(Scope, String)]) {
    let known: Vec<(Scope, String)> = tx
        .all::<OtherCloud>()
        .map(|(scope, _, row)| (scope.clone(), row.endpoint.clone()))
        .collect();
    for (scope, _) in &known {
        if !clouds.iter().any(|(named, _)| named == scope) {
            tx.delete::<OtherCloud>(scope, OtherCloud::KEY);
        }
    }
    for cloud in clouds.iter().filter(|cloud| !known.contains(cloud)) {
        let (scope, endpoint) = cloud.clone();
        tx.put(&scope, OtherCloud::KEY, OtherCloud { endpoint });
    }
    let scopes: BTreeSet<Scope> = tx
        .all::<ReplicationResult>()
        .map(|(scope, _, _)| scope.clone())
        .collect();
    for scope in scopes {
        let failed: Vec<(String, Option<Scope>)> = tx
            .find::<ReplicationResult>(&scope, "code", NOT_MAPPED)
            .map(|(key, row)| (key.to_owned(), Scope::new(&row.account, &row.region).ok()))
            .collect();
        for (key, to) in failed {
            let image = key.split_once('>').and_then(|(image, _)| image.split_once('@'));
            if let (Some((name, digest)), Some(to)) = (image, to)
                && tx.get::<OtherCloud>(&to, OtherCloud::KEY).is_some()
            {
                let tags = tags_of(tx, &scope, name, digest);
                queue(tx, &scope, &to, name, digest, tags);
            }
        }
    }
}

/// Whether images that go from one scope to another leave this cloud: it serves all regions of an account itself,
/// unless the operator says that another one does.
pub(crate) fn leaves(state: &State, from: &Scope, to: &Scope) -> bool {
    from.account != to.account || state.get::<OtherCloud>(to, OtherCloud::KEY).is_some()
}

/// Asks for an image to be sent, with these tags beside those that it waits with.
pub(super) fn queue(
    tx: &mut Tx<'_>,
    scope: &Scope,
    to: &Scope,
    name: &str,
    digest: &str,
    tags: impl IntoIterator<Item = String>,
) {
    let key = ReplicationJob::key(name, digest, to);
    let mut all: BTreeSet<String> = tx
        .get::<ReplicationJob>(scope, &key)
        .map(|row| row.tags.iter().cloned().collect())
        .unwrap_or_default();
    all.extend(tags);
    let row = ReplicationJob {
        repository: name.to_owned(),
        digest: digest.to_owned(),
        account: to.account.to_string(),
        region: to.region.to_string(),
        tags: all.into_iter().collect(),
        version: uuid(tx.rng()),
        queued_at: tx.now(),
        attempts: 0,
        not_before: None,
    };
    tx.put(scope, &key, row);
}

/// Forgets what was to be sent of an image, and what was.
pub(super) fn forget(tx: &mut Tx<'_>, scope: &Scope, name: &str, digest: &str) {
    let prefix = ReplicationJob::prefix(name, digest);
    let jobs: Vec<String> = tx
        .prefixed::<ReplicationJob>(scope, &prefix)
        .map(|(key, _)| key.to_owned())
        .collect();
    for key in jobs {
        tx.delete::<ReplicationJob>(scope, &key);
    }
    let results: Vec<String> = tx
        .prefixed::<ReplicationResult>(scope, &prefix)
        .map(|(key, _)| key.to_owned())
        .collect();
    for key in results {
        tx.delete::<ReplicationResult>(scope, &key);
    }
}

/// How the copy of an image stands at one of its destinations.
pub(crate) fn copied(state: &State, scope: &Scope, to: &Scope, name: &str, digest: &str) -> Copied {
    if !leaves(state, scope, to) {
        return match state.get::<Image>(to, &Image::key(name, digest)) {
            Some(_) => Copied::Complete,
            None => {
                let result = state.get::<ReplicationResult>(scope, &ReplicationJob::key(name, digest, to));
                Copied::Failed(result.and_then(|row| row.failure_code.clone()))
            }
        };
    }
    let key = ReplicationJob::key(name, digest, to);
    if state.get::<ReplicationJob>(scope, &key).is_some() {
        return Copied::InProgress;
    }
    match state.get::<ReplicationResult>(scope, &key) {
        Some(row) if row.failure_code.is_none() => Copied::Complete,
        Some(row) => Copied::Failed(row.failure_code.clone()),
        // Images that were pushed before the rule was made are not copied. Ref: "Private image replication".
        None => Copied::Failed(None),
    }
}

/// How many images wait to be sent to a destination, and how many could not be.
pub(crate) fn outstanding(state: &State, scope: &Scope, to: &Scope) -> (usize, usize) {
    let to = to.to_string();
    let waiting = state.find::<ReplicationJob>(scope, "to", &to).count();
    (waiting, state.find::<ReplicationResult>(scope, "failed", &to).count())
}

/// At most `max` jobs that are due, the oldest first and none for whose scope, repository and destination `is_free`
/// says no; and when the next one is. Jobs of one repository and destination must be done one after the other, so that
/// the last tag wins: at most one of them is returned.
pub fn due_parcels(
    state: &State,
    now: Time,
    max: usize,
    is_free: impl Fn(&Scope, &str, &Scope) -> bool,
) -> (Vec<(Scope, String)>, Option<Time>) {
    let mut next: Option<Time> = None;
    let mut due = Vec::new();
    for (scope, key, row) in state.all::<ReplicationJob>() {
        let Some(to) = row.to() else { continue };
        match row.not_before.filter(|at| *at > now) {
            Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
            None if is_free(scope, &row.repository, &to) => due.push((row.queued_at, scope, key, &row.repository, to)),
            None => {}
        }
    }
    due.sort_by_key(|(queued_at, ..)| *queued_at);
    let mut taken = BTreeSet::new();
    let mut first = Vec::new();
    for (_, scope, key, repository, to) in due {
        if first.len() < max && taken.insert((scope, repository, to)) {
            first.push((scope.clone(), key.to_owned()));
        }
    }
    (first, next)
}

/// What a job has to send. Nothing when nobody wants it any more: the image is gone, or the rule.
pub fn parcel(state: &State, scope: &Scope, key: &str) -> Option<Parcel> {
    let job = state.get::<ReplicationJob>(scope, key)?;
    let to = job.to()?;
    if !destinations(state, scope, &job.repository).contains(&to) {
        return None;
    }
    let mut manifests = Vec::new();
    gather(state, scope, &job.repository, &job.digest, DEPTH_MAX, &mut manifests)?;
    let means_it = |tag: &&String| {
        let row = state.get::<Tag>(scope, &Tag::key(&job.repository, tag));
        row.is_some_and(|row| row.digest == job.digest)
    };
    Some(Parcel {
        repository: job.repository.clone(),
        tags: job.tags.iter().filter(means_it).cloned().collect(),
        to,
        manifests,
        version: job.version.clone(),
    })
}

fn gather(
    state: &State,
    scope: &Scope,
    name: &str,
    digest: &str,
    depth: usize,
    into: &mut Vec<ParcelManifest>,
) -> Option<()> {
    let image = state.get::<Image>(scope, &Image::key(name, digest))?;
    if depth > 0 {
        for entry in &image.manifests {
            // What a mirror's index names need not be here.
            let _ = gather(state, scope, name, &entry.digest, depth - 1, into);
        }
    }
    if into.iter().all(|known| known.digest != digest) {
        into.push(ParcelManifest {
            digest: image.digest.clone(),
            media_type: image.media_type.clone(),
            blobs: image.blobs.clone(),
        });
    }
    Some(())
}

/// A parcel arrived. What was asked for meanwhile is still to be done.
pub fn parcel_arrived(tx: &mut Tx<'_>, scope: &Scope, key: &str, version: &str) {
    end(tx, scope, key, version, None);
}

/// Nobody wants a job's image any more.
pub fn drop_parcel(tx: &mut Tx<'_>, scope: &Scope, key: &str) {
    // Wanted again since somebody looked?
    if parcel(tx, scope, key).is_none() {
        tx.delete::<ReplicationJob>(scope, key);
    }
}

/// A parcel did not arrive. Whether it is tried again.
pub fn parcel_undelivered(tx: &mut Tx<'_>, scope: &Scope, key: &str, version: &str, why: Undelivered<'_>) -> bool {
    let now = tx.now();
    let Some(row) = tx.get::<ReplicationJob>(scope, key) else {
        return false;
    };
    if row.version != version {
        return true;
    }
    let code = match why {
        Undelivered::Later if now < row.queued_at.plus_s(JOB_LIFE_S) => {
            let exponent = row.attempts.min(16);
            let pause = PAUSE_FIRST_S.saturating_mul(1 << exponent).min(PAUSE_MAX_S);
            tx.update::<ReplicationJob>(scope, key, |row| {
                row.attempts = row.attempts.saturating_add(1);
                row.not_before = Some(now.plus_s(pause));
            });
            return true;
        }
        Undelivered::Away if now < row.queued_at.plus_s(JOB_LIFE_S) => return true,
        Undelivered::Later | Undelivered::Away => "DestinationUnavailable",
        Undelivered::NotMapped => NOT_MAPPED,
        Undelivered::Refused(code) => code,
    };
    end(tx, scope, key, version, Some(code.to_owned()));
    false
}

fn end(tx: &mut Tx<'_>, scope: &Scope, key: &str, version: &str, failure_code: Option<String>) {
    let Some(row) = tx
        .get::<ReplicationJob>(scope, key)
        .filter(|row| row.version == version)
    else {
        return;
    };
    let result = ReplicationResult {
        account: row.account.clone(),
        region: row.region.clone(),
        at: tx.now(),
        failure_code,
    };
    tx.delete::<ReplicationJob>(scope, key);
    tx.put(scope, key, result);
}
