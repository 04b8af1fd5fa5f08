//! PutLogEvents.

use crate::events::{Events, Plan};
use crate::machine::{cutoff_ms, group_exists, stream_ref};
use crate::model::LogGroup;
use crate::names::{SEQUENCE_TOKEN, invalid, no_group, no_stream};
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::Call;
use std::sync::Arc;

/// Ref: PutLogEvents: a batch has at most 1,048,576 bytes, each event counting 26 more than its message.
const BATCH_BYTES_MAX: usize = 1_048_576;
const EVENT_EXTRA_BYTES: usize = 26;
const HOUR_MS: i64 = 60 * 60 * 1_000;
/// Ref: as above: no event more than 2 hours in the future, 14 days old, or apart by more than 24 hours.
const FUTURE_MS_MAX: i64 = 2 * HOUR_MS;
const AGE_MS_MAX: i64 = 14 * 24 * HOUR_MS;
const SPAN_MS_MAX: i64 = 24 * HOUR_MS;

pub(super) async fn put(
    events: Arc<dyn Events>,
    call: Call,
    input: types::PutLogEventsRequest,
) -> Result<types::PutLogEventsResponse, ApiError> {
    let batch: Vec<(i64, String)> = input.log_events.into_iter().map(|e| (e.timestamp, e.message)).collect();
    let bytes: usize = batch.iter().map(|(_, message)| message.len() + EVENT_EXTRA_BYTES).sum();
    if bytes > BATCH_BYTES_MAX {
        return Err(invalid(format!(
            "Upload too large: {bytes} bytes exceeds limit of {BATCH_BYTES_MAX}"
        )));
    }
    if batch.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a > b)) {
        return Err(invalid(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    let (scope, group, stream) = (call.scope.clone(), input.log_group_name, input.log_stream_name);
    let plan = events
        .look(Box::new(move |state| {
            if !group_exists(state, &scope, &group) {
                return Err(no_group());
            }
            let found = stream_ref(state, &scope, &group, &stream).ok_or_else(no_stream)?;
            let retention_days = state
                .get::<LogGroup>(&scope, &group)
                .and_then(|group| group.retention_days);
            Ok(Plan {
                streams: vec![found],
                retention_days,
                ..Plan::default()
            })
        }))
        .await?;
    let stream = plan.streams.into_iter().next().ok_or_else(no_stream)?;
    let now = call.now.as_ms();
    let too_old = batch.iter().take_while(|(at, _)| *at < now - AGE_MS_MAX).count();
    let expired = plan.retention_days.map_or(0, |days| {
        let cutoff = cutoff_ms(call.now, days);
        batch.iter().take_while(|(at, _)| *at < cutoff).count()
    });
    let too_new = batch.iter().position(|(at, _)| *at > now + FUTURE_MS_MAX);
    let end = too_new.unwrap_or(batch.len());
    let count = batch.len();
    let kept: Vec<_> = batch.into_iter().take(end).skip(too_old.max(expired)).collect();
    // Ref: PutLogEvents: "For valid events (within 14 days in the past to 2 hours in future), the time span in a single
    // batch cannot exceed 24 hours."
    if let (Some((first, _)), Some((last, _))) = (kept.first(), kept.last())
        && last - first > SPAN_MS_MAX
    {
        let message = "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.";
        return Err(invalid(message));
    }
    let index = |n: usize| i32::try_from(n).ok();
    let rejected = (kept.len() < count).then(|| types::RejectedLogEventsInfo {
        too_new_log_event_start_index: too_new.and_then(index),
        too_old_log_event_end_index: (too_old > 0).then(|| index(too_old)).flatten(),
        expired_log_event_end_index: (expired > too_old).then(|| index(expired)).flatten(),
    });
    if !kept.is_empty() {
        events.append(stream, kept).await?;
    }
    Ok(types::PutLogEventsResponse {
        next_sequence_token: Some(SEQUENCE_TOKEN.to_owned()),
        rejected_log_events_info: rejected,
        ..types::PutLogEventsResponse::default()
    })
}
