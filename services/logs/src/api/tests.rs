//! What several tests need, and reading as a caller sees it, over events in memory.

use super::read;
use crate::events::{Events, Look, Page, Plan, Query, StoredEvent, StreamStat};
use crate::machine::{ensure_group, ensure_stream};
use crate::model::StreamRef;
use crate::tail::Tail;
use crate::types;
use honmaru_base::{ApiError, Rng, Scope, SeededRng, Time};
use honmaru_machine::{BoxFuture, Call, Principal, PrincipalKind, State, Tx};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

pub(crate) fn call() -> Call {
    let scope = Scope::new("000000000000", "us-east-1").expect("a scope");
    Call {
        principal: Principal {
            account: scope.account.clone(),
            arn: "arn:aws:iam::000000000000:user/ann".to_owned(),
            user_id: "ID".to_owned(),
            kind: PrincipalKind::Root,
            access_key_id: "AKIA1".to_owned(),
            tags: Vec::new(),
            session_policies: Vec::new(),
            session: None,
        },
        scope,
        request_id: String::new(),
        now: Time::from_ms(1_790_000_000_000),
        source_ip: None,
        user_agent: String::new(),
        referer: String::new(),
        host: String::new(),
        secure: false,
    }
}

/// Does something to a state with the group `g`.
pub(crate) fn in_tx<T>(work: impl FnOnce(&mut Tx<'_>) -> T) -> T {
    let mut state = State::new();
    crate::register(&mut state);
    let mut rng = SeededRng::from_u64(1);
    let mut tx = Tx::new(&mut state, call().now, &mut rng);
    ensure_group(&mut tx, &call().scope, "g");
    work(&mut tx)
}

/// What a future yields that never waits.
pub(crate) fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("memory never waits"),
    }
}

/// A group's streams `s`, `t` and `u`, and their events.
pub(crate) struct Memory {
    state: Mutex<State>,
    events: Mutex<BTreeMap<String, Vec<StoredEvent>>>,
}

impl Memory {
    pub(crate) fn new() -> Arc<Self> {
        let mut state = State::new();
        crate::register(&mut state);
        let mut rng = SeededRng::from_u64(1);
        let mut tx = Tx::new(&mut state, call().now, &mut rng);
        ensure_group(&mut tx, &call().scope, "g");
        for name in ["s", "t", "u"] {
            ensure_stream(&mut tx, &call().scope, "g", name).expect("a stream");
        }
        tx.commit();
        Arc::new(Self {
            state: Mutex::new(state),
            events: Mutex::default(),
        })
    }

    fn store(&self, stream: &str, timestamp: i64, message: String) {
        let mut events = self.events.lock().expect("no panic");
        let events = events.entry(stream.to_owned()).or_default();
        let sequence = events.len() as u64;
        events.push(StoredEvent {
            timestamp,
            ingestion: timestamp,
            sequence,
            message,
        });
    }
}

impl Events for Memory {
    fn look(&self, look: Look) -> BoxFuture<Result<Plan, ApiError>> {
        let plan = look(&self.state.lock().expect("no panic"));
        Box::pin(std::future::ready(plan))
    }

    fn append(&self, _: StreamRef, _: Vec<(i64, String)>) -> BoxFuture<Result<(), ApiError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn read(&self, stream: StreamRef, query: Query) -> BoxFuture<Result<Page, ApiError>> {
        let end = if query.backward {
            (i64::MAX, u64::MAX)
        } else {
            (i64::MIN, 0)
        };
        let place = query.place.unwrap_or(end);
        let at = |event: &StoredEvent| (event.timestamp, event.sequence);
        let all = self.events.lock().expect("no panic");
        let mut events = all.get(&stream.name).cloned().unwrap_or_default();
        events.sort_by_key(at);
        events.retain(|event| {
            let side = if query.backward {
                at(event) < place
            } else {
                at(event) >= place
            };
            side && (query.from_ms..query.until_ms).contains(&event.timestamp)
        });
        let page = Page {
            backward: events.first().map_or(place, at),
            forward: events
                .last()
                .map_or(place, |event| (event.timestamp, event.sequence + 1)),
            events,
        };
        Box::pin(std::future::ready(Ok(page)))
    }

    fn stat(&self, _: StreamRef) -> BoxFuture<Result<StreamStat, ApiError>> {
        Box::pin(std::future::ready(Ok(StreamStat::default())))
    }

    fn follow(&self, _: Arc<Tail>) -> Result<String, ApiError> {
        Ok("session".to_owned())
    }
}

fn get(events: &Arc<Memory>, token: Option<&String>) -> types::GetLogEventsResponse {
    let input = types::GetLogEventsRequest {
        log_group_name: Some("g".to_owned()),
        log_stream_name: "s".to_owned(),
        next_token: token.cloned(),
        ..Default::default()
    };
    now_or_never(read::get(events.clone(), call(), input)).expect("events")
}

#[test]
fn who_waits_at_an_empty_stream_gets_its_first_event() {
    let events = Memory::new();
    let empty = get(&events, None);
    let again = get(&events, empty.next_forward_token.as_ref());
    // Ref: GetLogEvents, `nextForwardToken`: at the end the same token comes back.
    assert_eq!(again.next_forward_token, empty.next_forward_token);
    events.store("s", 5, "at 5".to_owned());
    let later = get(&events, empty.next_forward_token.as_ref());
    let messages = |page: &types::GetLogEventsResponse| -> Vec<String> {
        page.events
            .iter()
            .flatten()
            .filter_map(|event| event.message.clone())
            .collect()
    };
    assert_eq!(messages(&later), ["at 5"]);
    let end = get(&events, later.next_forward_token.as_ref());
    assert!(messages(&end).is_empty());
    assert_eq!(end.next_forward_token, later.next_forward_token);
    assert_eq!(
        messages(&get(&events, later.next_backward_token.as_ref())),
        Vec::<String>::new()
    );
    assert_eq!(messages(&get(&events, end.next_backward_token.as_ref())), ["at 5"]);
}

#[test]
fn pages_of_large_events_are_small_and_cover_each_once() {
    let events = Memory::new();
    for n in 0..5_i64 {
        events.store("s", n / 2, format!("{n}{}", "x".repeat(600_000)));
    }
    let (mut token, mut seen) = (None, Vec::new());
    for _ in 0..10 {
        let input = types::FilterLogEventsRequest {
            log_group_name: Some("g".to_owned()),
            next_token: token,
            ..Default::default()
        };
        let page = now_or_never(read::filter(events.clone(), call(), input)).expect("a page");
        let of_page: Vec<String> = page
            .events
            .into_iter()
            .flatten()
            .filter_map(|event| event.message)
            .collect();
        let bytes: usize = of_page.iter().map(String::len).sum();
        assert!(bytes <= 1_048_576, "{bytes} bytes");
        seen.extend(of_page.iter().filter_map(|text| text.chars().next()));
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(seen, ['0', '1', '2', '3', '4']);
}

#[test]
fn pages_over_several_streams_are_in_the_order_of_time_and_cover_each_event_once() {
    for seed in 0..40 {
        let (events, mut rng) = (Memory::new(), SeededRng::from_u64(seed));
        let mut draw = |below: u64| rng.next_u64() % below;
        let count = draw(60);
        for n in 0..count {
            let stream = ["s", "t", "u"][usize::try_from(draw(3)).expect("small")];
            // Few times for many events; now and then one that fills half a page.
            let length = if draw(6) == 0 { 500_000 } else { 3 };
            let message = format!("{n} {}", "x".repeat(length));
            events.store(stream, i64::try_from(draw(20)).expect("small"), message);
        }
        let limit = i32::try_from(1 + draw(9)).expect("small");
        let (mut token, mut times, mut seen) = (None, Vec::new(), Vec::<u64>::new());
        loop {
            let input = types::FilterLogEventsRequest {
                log_group_name: Some("g".to_owned()),
                limit: Some(limit),
                next_token: token,
                ..Default::default()
            };
            let page = now_or_never(read::filter(events.clone(), call(), input)).expect("a page");
            let of_page = page.events.unwrap_or_default();
            assert!(of_page.len() <= usize::try_from(limit).expect("small"), "seed {seed}");
            times.extend(of_page.iter().filter_map(|event| event.timestamp));
            let number =
                |event: &types::FilteredLogEvent| event.message.as_deref()?.split(' ').next()?.parse::<u64>().ok();
            seen.extend(of_page.iter().filter_map(number));
            token = page.next_token;
            if token.is_none() {
                break;
            }
            assert!(!of_page.is_empty(), "seed {seed}: a page of nothing with a next one");
        }
        assert!(times.is_sorted(), "seed {seed}: {times:?}");
        seen.sort_unstable();
        assert_eq!(seen, (0..count).collect::<Vec<u64>>(), "seed {seed}");
    }
}

#[test]
fn a_batch_may_span_a_day_of_what_is_kept() {
    use super::write;
    const HOUR_MS: i64 = 60 * 60 * 1_000;
    let now = call().now.as_ms();
    let put = |hours: &[i64]| {
        let event = |hour: &i64| types::InputLogEvent {
            timestamp: now + hour * HOUR_MS,
            message: "m".to_owned(),
        };
        let input = types::PutLogEventsRequest {
            log_group_name: "g".to_owned(),
            log_stream_name: "s".to_owned(),
            log_events: hours.iter().map(event).collect(),
            ..Default::default()
        };
        now_or_never(write::put(Memory::new(), call(), input)).map(|put| put.rejected_log_events_info)
    };
    assert_eq!(put(&[-24, 0]).expect("a day"), None);
    assert_eq!(put(&[-25, 0]).expect_err("more").code, "InvalidParameterException");
    // What is rejected does not count. Ref: PutLogEvents: "For valid events [...]".
    let rejected = put(&[-500, -400, -1, 0, 5])
        .expect("a day of valid ones")
        .expect("some are rejected");
    assert_eq!(rejected.too_old_log_event_end_index, Some(2));
    assert_eq!(rejected.too_new_log_event_start_index, Some(4));
    assert_eq!(put(&[0, -1]).expect_err("no order").code, "InvalidParameterException");
}
