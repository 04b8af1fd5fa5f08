//! Changes to groups and streams that other services make too.

use crate::model::{LogGroup, LogStream, StreamRef, stream_key};
use crate::names::no_group;
use honmaru_base::{ApiError, Scope, Time, uuid};
use honmaru_machine::{State, Tx};
use std::collections::BTreeMap;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Whether there is a group of that name.
pub fn group_exists(state: &State, scope: &Scope, group: &str) -> bool {
    state.get::<LogGroup>(scope, group).is_some()
}

/// Makes a group unless there is one: `awslogs-create-group`.
pub fn ensure_group(tx: &mut Tx<'_>, scope: &Scope, group: &str) {
    if !group_exists(tx, scope, group) {
        make_group(tx, scope, group, None);
    }
}

/// Makes a group unless there is one; a new one keeps its events for so many days.
pub fn ensure_group_kept_for(tx: &mut Tx<'_>, scope: &Scope, group: &str, retention_days: i32) {
    if !group_exists(tx, scope, group) {
        make_group(tx, scope, group, Some(retention_days));
    }
}

fn make_group(tx: &mut Tx<'_>, scope: &Scope, group: &str, retention_days: Option<i32>) {
    let id = uuid(tx.rng());
    let row = LogGroup {
        name: group.to_owned(),
        id,
        created_at: tx.now(),
        retention_days,
        class: "STANDARD".to_owned(),
        deletion_protection: false,
        tags: BTreeMap::new(),
    };
    tx.put(scope, group, row);
}

/// The stream of that name, made when it is missing. `ResourceNotFoundException` when the group does not exist.
pub fn ensure_stream(tx: &mut Tx<'_>, scope: &Scope, group: &str, stream: &str) -> Result<StreamRef, ApiError> {
    if !group_exists(tx, scope, group) {
        return Err(no_group());
    }
    if let Some(found) = stream_ref(tx, scope, group, stream) {
        return Ok(found);
    }
    let id = uuid(tx.rng());
    let row = LogStream {
        group: group.to_owned(),
        name: stream.to_owned(),
        id,
        created_at: tx.now(),
    };
    tx.put(scope, &stream_key(group, stream), row);
    stream_ref(tx, scope, group, stream).ok_or_else(no_group)
}

/// The stream of that name, if there is one.
pub fn find_stream(state: &State, scope: &Scope, group: &str, stream: &str) -> Option<StreamRef> {
    stream_ref(state, scope, group, stream)
}

/// Where the events of a stream lie.
pub(crate) fn stream_ref(state: &State, scope: &Scope, group: &str, stream: &str) -> Option<StreamRef> {
    let group_row = state.get::<LogGroup>(scope, group)?;
    let stream_row = state.get::<LogStream>(scope, &stream_key(group, stream))?;
    Some(StreamRef {
        scope: scope.clone(),
        group_id: group_row.id.clone(),
        stream_id: stream_row.id.clone(),
        name: stream_row.name.clone(),
    })
}

/// Every stream of every account and region with its group's retention in days: what the journal must keep.
pub fn streams(state: &State) -> Vec<(StreamRef, Option<i32>)> {
    state
        .all::<LogStream>()
        .filter_map(|(scope, _, stream)| {
            let found = stream_ref(state, scope, &stream.group, &stream.name)?;
            let group = state.get::<LogGroup>(scope, &stream.group)?;
            Some((found, group.retention_days))
        })
        .collect()
}

/// Before which time events of a group with that retention have expired.
pub fn cutoff_ms(now: Time, retention_days: i32) -> i64 {
    now.as_ms() - i64::from(retention_days) * DAY_MS
}
