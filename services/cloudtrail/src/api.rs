//! LookupEvents.

use crate::record::Recorded;
use crate::trail::{Attribute, Place, Trail, Wanted, resource_type, shown};
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Access, AsyncHandler, BoxFuture, Call, Handler, Operation};
use honmaru_wire::tree::Tree;
use serde_json::Value;
use std::sync::Arc;

/// Ref: LookupEvents: events of the last 90 days.
const HISTORY_MS: i64 = 90 * 24 * 3_600 * 1_000;
/// Ref: LookupEvents, MaxResults: 1 to 50, 50 without.
const RECORDS_MAX: usize = 50;

/// Every operation that this service implements, over a keeper of the trail.
pub fn operations(trail: &Arc<dyn Trail>) -> Vec<Operation> {
    let trail = trail.clone();
    let handler: AsyncHandler = Arc::new(move |call, input| -> BoxFuture<Result<Value, ApiError>> {
        let trail = trail.clone();
        Box::pin(async move { Ok(look_up(trail, call, Tree::from_tree(input)).await?.into_tree()) })
    });
    vec![Operation {
        name: "LookupEvents",
        access: |_, _, _| vec![Access::any("cloudtrail:LookupEvents")],
        handler: Handler::Async(handler),
    }]
}

fn bad_attribute(why: &str) -> ApiError {
    ApiError::new("InvalidLookupAttributesException", why)
}

fn attribute(asked: Vec<types::LookupAttribute>) -> Result<Option<Attribute>, ApiError> {
    let mut asked = asked.into_iter();
    let Some(types::LookupAttribute {
        attribute_key,
        attribute_value,
    }) = asked.next()
    else {
        return Ok(None);
    };
    // Ref: LookupEvents, LookupAttributes: the list can contain only one item.
    if asked.next().is_some() {
        return Err(bad_attribute("You can specify only one lookup attribute."));
    }
    let attribute = match attribute_key.as_str() {
        "EventId" => Attribute::EventId(attribute_value),
        "EventName" => Attribute::EventName(attribute_value),
        "ReadOnly" => match attribute_value.as_str() {
            "true" => Attribute::ReadOnly(true),
            "false" => Attribute::ReadOnly(false),
            _ => return Err(bad_attribute("The value of ReadOnly must be true or false.")),
        },
        "Username" => Attribute::Username(attribute_value),
        "ResourceType" => Attribute::ResourceType(attribute_value),
        "ResourceName" => Attribute::ResourceName(attribute_value),
        "EventSource" => Attribute::EventSource(attribute_value),
        "AccessKeyId" => Attribute::AccessKeyId(attribute_value),
        _ => return Err(bad_attribute("The lookup attribute key is not valid.")),
    };
    Ok(Some(attribute))
}

/// Seconds since the epoch as milliseconds; the cast saturates.
fn ms(seconds: f64) -> i64 {
    (seconds * 1_000.0) as i64
}

/// A token ends with what was asked, so that it cannot go on with another question.
fn token(place: Place, asked: &str) -> String {
    format!("hm1-{}-{}-{asked}", place.segment, place.offset)
}

fn place(token: &str, asked: &str) -> Option<Place> {
    let mut parts = token.strip_prefix("hm1-")?.splitn(3, '-');
    let (segment, offset) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (parts.next()? == asked).then_some(Place { segment, offset })
}

/// A short mark of the question that a page belongs to (FNV-1a): no secret, and no protection either.
fn mark(attribute: Option<&Attribute>, input: &types::LookupEventsRequest) -> String {
    let text = format!("{attribute:?} {:?} {:?}", input.start_time, input.end_time);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

async fn look_up(
    trail: Arc<dyn Trail>,
    call: Call,
    mut input: types::LookupEventsRequest,
) -> Result<types::LookupEventsResponse, ApiError> {
    let attribute = attribute(input.lookup_attributes.take().unwrap_or_default())?;
    let records_max = match input.max_results {
        Some(n) => usize::try_from(n)
            .ok()
            .filter(|n| (1..=RECORDS_MAX).contains(n))
            .ok_or_else(|| {
                ApiError::new(
                    "InvalidMaxResultsException",
                    "The value of MaxResults must be from 1 to 50.",
                )
            })?,
        None => RECORDS_MAX,
    };
    let now = call.now.as_ms();
    let from_ms = input
        .start_time
        .map_or(i64::MIN, ms)
        .max(now.saturating_sub(HISTORY_MS));
    let until_ms = input.end_time.map_or(now, ms);
    if input.start_time.is_some() && input.end_time.is_some() && ms(input.start_time.unwrap_or_default()) > until_ms {
        return Err(ApiError::new(
            "InvalidTimeRangeException",
            "The start time must not be after the end time.",
        ));
    }
    let asked = mark(attribute.as_ref(), &input);
    let place = match input.next_token.as_deref() {
        Some(token) => Some(place(token, &asked).ok_or_else(|| {
            ApiError::new(
                "InvalidNextTokenException",
                "The next token is not valid for this question.",
            )
        })?),
        None => None,
    };
    // Ref: LookupEvents, EventCategory: the one value asks for insight events instead, and there are none here.
    if input.event_category.is_some() {
        return Ok(types::LookupEventsResponse {
            events: Some(Vec::new()),
            next_token: None,
        });
    }
    let wanted = Wanted {
        scope: call.scope,
        from_ms,
        until_ms,
        attribute,
        place,
        records_max,
    };
    let found = trail.look_up(wanted).await?;
    Ok(types::LookupEventsResponse {
        events: Some(found.records.iter().map(view).collect()),
        next_token: found.next.map(|place| token(place, &asked)),
    })
}

fn view(record: &Recorded) -> types::Event {
    let resource = |arn: &String| types::Resource {
        resource_type: resource_type(arn),
        resource_name: Some(shown(arn).to_owned()),
    };
    types::Event {
        event_id: Some(record.id.clone()),
        event_name: Some(record.name.clone()),
        read_only: Some(crate::is_read_only(&record.name).to_string()),
        access_key_id: record.who.key.clone(),
        // CloudTrail's times are whole seconds.
        event_time: Some(record.at.as_epoch_s().floor()),
        event_source: Some(record.source.clone()),
        username: record.who.name.clone(),
        resources: Some(record.resources.iter().map(resource).collect()),
        cloud_trail_event: Some(record.document().to_string()),
    }
}
