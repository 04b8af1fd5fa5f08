//! GetLogEvents and FilterLogEvents.

use crate::events::{Events, Place, Plan, Query, StoredEvent};
use crate::filter::Filter;
use crate::machine::{cutoff_ms, group_exists, stream_ref};
use crate::model::{LogGroup, LogStream, StreamRef, stream_key};
use crate::names::{group_of, invalid, no_group, no_stream};
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State};
use std::sync::Arc;

/// Ref: GetLogEvents and FilterLogEvents: at most 10,000 events or 1 MiB.
const EVENTS_MAX: usize = 10_000;
const BYTES_MAX: usize = 1_048_576;
/// Ref: FilterLogEvents, `logStreamNames`: at most 100 when given; a prefix or none searches all.
const STREAMS_MAX: usize = 10_000;

/// Before every event.
const NOWHERE: Place = (i64::MIN, 0);

fn limit(asked: Option<i32>) -> usize {
    asked
        .and_then(|n| usize::try_from(n).ok())
        .map_or(EVENTS_MAX, |n| n.clamp(1, EVENTS_MAX))
}

fn place(text: &str) -> Option<Place> {
    let (timestamp, sequence) = text.split_once('/')?;
    Some((timestamp.parse().ok()?, sequence.parse().ok()?))
}

/// Expired events are gone, even while their segment is still on disk.
fn floor(call: &Call, plan: &Plan) -> i64 {
    plan.retention_days.map_or(i64::MIN, |days| cutoff_ms(call.now, days))
}

pub(super) async fn get(
    events: Arc<dyn Events>,
    call: Call,
    input: types::GetLogEventsRequest,
) -> Result<types::GetLogEventsResponse, ApiError> {
    let group = group_of(&call.scope, input.log_group_name, input.log_group_identifier)?;
    let bad_token = || invalid("The specified nextToken is invalid.");
    let (backward, at) = match input.next_token.as_deref() {
        Some(token) => match token.split_once('/') {
            Some(("f", rest)) => (false, Some(place(rest).ok_or_else(bad_token)?)),
            Some(("b", rest)) => (true, Some(place(rest).ok_or_else(bad_token)?)),
            _ => return Err(bad_token()),
        },
        None => (!input.start_from_head.unwrap_or(false), None),
    };
    let (scope, stream) = (call.scope.clone(), input.log_stream_name);
    let plan = events
        .look(Box::new(move |state| {
            if !group_exists(state, &scope, &group) {
                return Err(no_group());
            }
            let found = stream_ref(state, &scope, &group, &stream).ok_or_else(no_stream)?;
            Ok(Plan {
                streams: vec![found],
                retention_days: retention(state, &scope, &group),
                ..Plan::default()
            })
        }))
        .await?;
    let from_ms = input.start_time.unwrap_or(i64::MIN).max(floor(&call, &plan));
    let stream = plan.streams.into_iter().next().ok_or_else(no_stream)?;
    let query = Query {
        from_ms,
        until_ms: input.end_time.unwrap_or(i64::MAX),
        place: at,
        backward,
        events_max: limit(input.limit),
        bytes_max: BYTES_MAX,
    };
    let is_first = at.is_none();
    let mut page = events.read(stream, query).await?;
    // Nothing there yet: what comes later is newer, whichever way the call looked.
    if is_first && page.events.is_empty() {
        (page.backward, page.forward) = (NOWHERE, NOWHERE);
    }
    let view = |event: StoredEvent| types::OutputLogEvent {
        timestamp: Some(event.timestamp),
        message: Some(event.message),
        ingestion_time: Some(event.ingestion),
    };
    let token = |side: &str, (timestamp, sequence): Place| Some(format!("{side}/{timestamp}/{sequence}"));
    Ok(types::GetLogEventsResponse {
        next_forward_token: token("f", page.forward),
        next_backward_token: token("b", page.backward),
        events: Some(page.events.into_iter().map(view).collect()),
    })
}

fn retention(state: &State, scope: &honmaru_base::Scope, group: &str) -> Option<i32> {
    state
        .get::<LogGroup>(scope, group)
        .and_then(|group| group.retention_days)
}

pub(super) async fn filter(
    events: Arc<dyn Events>,
    call: Call,
    input: types::FilterLogEventsRequest,
) -> Result<types::FilterLogEventsResponse, ApiError> {
    let group = group_of(&call.scope, input.log_group_name, input.log_group_identifier)?;
    let filter = Filter::parse(input.filter_pattern.as_deref().unwrap_or_default())?;
    let (names, prefix) = (input.log_stream_names, input.log_stream_name_prefix);
    if names.is_some() && prefix.is_some() {
        let message = "logStreamNames and logStreamNamePrefix are mutually exclusive parameters.";
        return Err(invalid(message));
    }
    let scope = call.scope.clone();
    let plan = events
        .look(Box::new(move |state| {
            if !group_exists(state, &scope, &group) {
                return Err(no_group());
            }
            let streams: Vec<StreamRef> = match &names {
                Some(names) => names
                    .iter()
                    .map(|name| stream_ref(state, &scope, &group, name).ok_or_else(no_stream))
                    .collect::<Result<_, _>>()?,
                None => {
                    let prefix = stream_key(&group, prefix.as_deref().unwrap_or_default());
                    let streams = state.prefixed::<LogStream>(&scope, &prefix).take(STREAMS_MAX);
                    streams
                        .filter_map(|(_, s)| stream_ref(state, &scope, &group, &s.name))
                        .collect()
                }
            };
            Ok(Plan {
                streams,
                retention_days: retention(state, &scope, &group),
                ..Plan::default()
            })
        }))
        .await?;
    let from_ms = input.start_time.unwrap_or(i64::MIN).max(floor(&call, &plan));
    let until_ms = input.end_time.map_or(i64::MAX, |end| end.saturating_add(1));
    let max = limit(input.limit);
    // A token says after which event, in the order of time, stream id and sequence, the next page begins.
    let after = match input.next_token.as_deref() {
        Some(token) => Some(after(token).ok_or_else(|| invalid("The specified nextToken is invalid."))?),
        None => None,
    };
    let mut found: Vec<(Key, StreamRef, StoredEvent)> = Vec::new();
    let (mut more, mut until_ms) = (false, until_ms);
    for stream in plan.streams {
        let from_ms = after
            .as_ref()
            .map_or(from_ms, |(timestamp, ..)| from_ms.max(*timestamp));
        let of_stream = matching(&events, &stream, &filter, &after, from_ms, until_ms, max).await?;
        if of_stream.is_empty() {
            continue;
        }
        found.extend(of_stream.into_iter().map(|(key, event)| (key, stream.clone(), event)));
        found.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        // However many streams there are, no more than a page is held.
        let fits = page_of(found.iter().map(|(.., event)| event), max);
        more |= fits < found.len();
        found.truncate(fits);
        // What is later than the last of a full page is on no page yet.
        if let Some(((timestamp, ..), ..)) = found.last().filter(|_| more) {
            until_ms = until_ms.min(timestamp.saturating_add(1));
        }
    }
    let next_token = match found.last() {
        Some(((timestamp, stream, sequence), ..)) if more => Some(format!("{timestamp}/{sequence}/{stream}")),
        _ => None,
    };
    let view = |(_, stream, event): (Key, StreamRef, StoredEvent)| types::FilteredLogEvent {
        // Unique and in the order of time within a stream, as AWS's 56 digits are.
        event_id: Some(format!(
            "{:020}{:020}{}",
            event.timestamp,
            event.sequence,
            digits(&stream.stream_id)
        )),
        log_stream_name: Some(stream.name),
        timestamp: Some(event.timestamp),
        message: Some(event.message),
        ingestion_time: Some(event.ingestion),
    };
    Ok(types::FilterLogEventsResponse {
        events: Some(found.into_iter().map(view).collect()),
        // Always empty since 2019. Ref: FilterLogEvents, `searchedLogStreams`.
        searched_log_streams: Some(Vec::new()),
        next_token,
    })
}

/// How many of some events a page holds: at least one.
fn page_of<'e>(events: impl Iterator<Item = &'e StoredEvent>, max: usize) -> usize {
    let mut bytes = 0;
    let fits = |event: &&StoredEvent| {
        let is_first = bytes == 0;
        bytes += event.message.len().max(1);
        is_first || bytes <= BYTES_MAX
    };
    events.take(max).take_while(fits).count()
}

type Key = (i64, String, u64);

fn after(token: &str) -> Option<Key> {
    let mut parts = token.splitn(3, '/');
    let (timestamp, sequence, stream) = (parts.next()?, parts.next()?, parts.next()?);
    Some((timestamp.parse().ok()?, stream.to_owned(), sequence.parse().ok()?))
}

/// 16 decimal digits of a stream's id.
fn digits(id: &str) -> String {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| {
        (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{:016}", hash % 10_000_000_000_000_000)
}

/// The first matching events of one stream, one more than a page holds, by number or by bytes.
async fn matching(
    events: &Arc<dyn Events>,
    stream: &StreamRef,
    filter: &Filter,
    after: &Option<Key>,
    from_ms: i64,
    until_ms: i64,
    max: usize,
) -> Result<Vec<(Key, StoredEvent)>, ApiError> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    let mut place = None;
    loop {
        let query = Query {
            from_ms,
            until_ms,
            place,
            backward: false,
            events_max: EVENTS_MAX,
            bytes_max: 4 * BYTES_MAX,
        };
        let page = events.read(stream.clone(), query).await?;
        let is_last = page.events.is_empty();
        place = Some(page.forward);
        for event in page.events {
            let key = (event.timestamp, stream.stream_id.clone(), event.sequence);
            if after.as_ref().is_none_or(|after| key > *after) && filter.passes(&event.message) {
                bytes += event.message.len();
                found.push((key, event));
            }
            if found.len() > max || (bytes > BYTES_MAX && found.len() > 1) {
                return Ok(found);
            }
        }
        if is_last {
            return Ok(found);
        }
    }
}
