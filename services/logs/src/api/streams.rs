//! Log streams.

use crate::events::{Events, Plan};
use crate::machine::{ensure_stream, group_exists, stream_ref};
use crate::model::{LogStream, stream_key};
use crate::names::{SEQUENCE_TOKEN, group_arn, group_of, invalid, no_group, no_stream};
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, Tx};
use honmaru_wire::page;
use std::sync::Arc;

/// Ref: DescribeLogStreams, `limit`: 1 to 50.
const PAGE_MAX: usize = 50;

pub(super) fn create(tx: &mut Tx<'_>, call: &Call, input: types::CreateLogStreamRequest) -> Result<(), ApiError> {
    let (group, name) = (input.log_group_name, input.log_stream_name);
    if !group_exists(tx, &call.scope, &group) {
        return Err(no_group());
    }
    if stream_ref(tx, &call.scope, &group, &name).is_some() {
        return Err(ApiError::new(
            "ResourceAlreadyExistsException",
            "The specified log stream already exists",
        ));
    }
    ensure_stream(tx, &call.scope, &group, &name).map(drop)
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteLogStreamRequest) -> Result<(), ApiError> {
    if !group_exists(tx, &call.scope, &input.log_group_name) {
        return Err(no_group());
    }
    let key = stream_key(&input.log_group_name, &input.log_stream_name);
    tx.delete::<LogStream>(&call.scope, &key)
        .map(drop)
        .ok_or_else(no_stream)
}

pub(super) async fn describe(
    events: Arc<dyn Events>,
    call: Call,
    input: types::DescribeLogStreamsRequest,
) -> Result<types::DescribeLogStreamsResponse, ApiError> {
    let group = group_of(&call.scope, input.log_group_name, input.log_group_identifier)?;
    let by_time = input.order_by.as_deref() == Some("LastEventTime");
    let prefix = input.log_stream_name_prefix;
    if by_time && prefix.is_some() {
        return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let max = input
        .limit
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(PAGE_MAX)
        .min(PAGE_MAX);
    let scope = call.scope.clone();
    let name = group.clone();
    let plan = events
        .look(Box::new(move |state| {
            if !group_exists(state, &scope, &name) {
                return Err(no_group());
            }
            let mut plan = Plan::default();
            let prefix = stream_key(&name, prefix.as_deref().unwrap_or_default());
            for (_, stream) in state.prefixed::<LogStream>(&scope, &prefix) {
                if let Some(found) = stream_ref(state, &scope, &name, &stream.name) {
                    plan.streams.push(found);
                    plan.created_ms.push(stream.created_at.as_ms());
                }
            }
            Ok(plan)
        }))
        .await?;
    let arn = group_arn(&call.scope, &group);
    let mut views = Vec::new();
    for (stream, created) in plan.streams.into_iter().zip(plan.created_ms) {
        let stat = events.stat(stream.clone()).await?;
        let last = stat.last_ms.unwrap_or(0);
        // Sorted as text: by time first where that is asked for, then by name.
        let key = if by_time {
            format!("{last:020}\0{}", stream.name)
        } else {
            stream.name.clone()
        };
        let view = types::LogStream {
            arn: Some(format!("{arn}:log-stream:{}", stream.name)),
            log_stream_name: Some(stream.name),
            creation_time: Some(created),
            first_event_timestamp: stat.first_ms,
            last_event_timestamp: stat.last_ms,
            last_ingestion_time: stat.last_ingestion_ms,
            upload_sequence_token: stat.last_ms.map(|_| SEQUENCE_TOKEN.to_owned()),
            // Deprecated, 0 for every stream since 2019. Ref: LogStream, `storedBytes`.
            stored_bytes: Some(0),
        };
        views.push((key, view));
    }
    views.sort_by(|(a, _), (b, _)| a.cmp(b));
    let descending = input.descending.unwrap_or(false);
    if descending {
        // A page goes upwards through its keys: turn the order round by turning every byte of the key.
        for (key, _) in &mut views {
            *key = key.bytes().map(|b| format!("{:02x}", !b)).collect::<String>() + "~";
        }
        views.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    let page = page(views, |(key, _)| key, input.next_token.as_deref(), max)
        .map_err(|_| invalid("The specified nextToken is invalid."))?;
    let log_streams = page.items.into_iter().map(|(_, view)| view).collect();
    Ok(types::DescribeLogStreamsResponse {
        log_streams: Some(log_streams),
        next_token: page.next,
    })
}
