//! A live tail: the events that a session wants, from when they are stored until somebody takes them.
//!
//! Not here: who hands the events in and who takes the updates, and when (`bin/honmaru`'s control).
//! Invariant: what waits to be taken is bounded, however much is stored and however slow the client is.

use crate::filter::Filter;
use crate::model::StreamRef;
use crate::types::{
    LiveTailSessionLogEvent, LiveTailSessionMetadata, LiveTailSessionUpdate, StartLiveTailResponseStream,
};
use honmaru_base::Scope;
use honmaru_wire::tree::Tree;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Ref: StartLiveTail: "Live Tail sessions time out after three hours".
pub const SESSION_LIFE_S: u64 = 3 * 60 * 60;
/// Ref: CloudWatch Logs quotas, "Live Tail sessions": 15 at once in an account and region.
pub const SESSIONS_MAX: usize = 15;
/// Ref: StartLiveTail: "Every second, a LiveTailSessionUpdate object is sent".
pub const UPDATE_EVERY_MS: i64 = 1_000;
/// Ref: as above: "as many as 500 log events".
const EVENTS_MAX: usize = 500;
/// Messages of one update at most, in bytes. Ref: none; AWS tells of no limit, an event stream's message has one of 16 MiB.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Ref: as above: "buffers up to 10 LiveTailSessionUpdate events [...] after which it starts dropping the oldest".
const UPDATES_MAX: usize = 10;
/// What all of them hold together, in bytes of messages.
const WAITING_BYTES_MAX: usize = 2 * BYTES_MAX;

/// Which streams a session looks at.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) scope: Scope,
    /// The groups: their ids, and as what the caller named them.
    pub(crate) groups: Vec<(String, String)>,
    pub(crate) names: Option<Vec<String>>,
    pub(crate) prefixes: Option<Vec<String>>,
    pub(crate) filter: Filter,
}

/// What one update holds.
#[derive(Debug, Default)]
struct Second {
    began_ms: i64,
    events: Vec<LiveTailSessionLogEvent>,
    bytes: usize,
    sampled: bool,
}

/// A session.
#[derive(Debug)]
pub struct Tail {
    wanted: Wanted,
    waiting: Mutex<VecDeque<Second>>,
}

impl Tail {
    pub(crate) fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            waiting: Mutex::default(),
        }
    }

    /// The account and region that it belongs to.
    pub fn scope(&self) -> &Scope {
        &self.wanted.scope
    }

    /// The group as the caller named it, when the session wants the stream.
    fn wants(&self, stream: &StreamRef) -> Option<&str> {
        let wanted = &self.wanted;
        let group = wanted.groups.iter().find(|(id, _)| *id == stream.group_id)?;
        let is_named = wanted.names.as_ref().is_none_or(|names| names.contains(&stream.name));
        let begins = |prefixes: &Vec<String>| prefixes.iter().any(|prefix| stream.name.starts_with(prefix.as_str()));
        let is_wanted = wanted.scope == stream.scope && is_named && wanted.prefixes.as_ref().is_none_or(begins);
        is_wanted.then_some(group.1.as_str())
    }

    /// Takes note of events that were stored: their times and texts.
    pub fn offer(&self, stream: &StreamRef, events: &[(i64, String)], now_ms: i64) {
        let Some(group) = self.wants(stream) else { return };
        // Patterns are tried before anybody is kept waiting.
        let passing: Vec<_> = events
            .iter()
            .filter(|(_, text)| self.wanted.filter.passes(text))
            .collect();
        if passing.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting
            .back()
            .is_none_or(|second| now_ms - second.began_ms >= UPDATE_EVERY_MS)
        {
            waiting.push_back(Second {
                began_ms: now_ms,
                ..Second::default()
            });
        }
        if let Some(second) = waiting.back_mut() {
            for (timestamp, message) in passing {
                if second.events.len() >= EVENTS_MAX || second.bytes + message.len() > BYTES_MAX {
                    second.sampled = true;
                    break;
                }
                second.bytes += message.len();
                second.events.push(LiveTailSessionLogEvent {
                    log_group_identifier: Some(group.to_owned()),
                    log_stream_name: Some(stream.name.clone()),
                    timestamp: Some(*timestamp),
                    ingestion_time: Some(now_ms),
                    message: Some(message.clone()),
                });
            }
        }
        let bytes = |waiting: &VecDeque<Second>| waiting.iter().map(|second| second.bytes).sum::<usize>();
        while waiting.len() > UPDATES_MAX || (waiting.len() > 1 && bytes(&waiting) > WAITING_BYTES_MAX) {
            waiting.pop_front();
        }
    }

    /// The updates that are due, as events of the answer's stream: what was stored since, or one without events.
    pub fn updates(&self) -> Vec<Value> {
        let mut taken: Vec<Second> = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
            .collect();
        if taken.is_empty() {
            taken.push(Second::default());
        }
        taken.into_iter().map(update).collect()
    }

    /// The last event of a session that has had its time.
    pub fn timeout() -> Value {
        let message = "The Live Tail session has timed out.";
        serde_json::json!({ "SessionTimeoutException": { "message": message } })
    }
}

fn update(second: Second) -> Value {
    StartLiveTailResponseStream {
        session_update: Some(LiveTailSessionUpdate {
            session_metadata: Some(LiveTailSessionMetadata {
                sampled: Some(second.sampled),
            }),
            session_results: Some(second.events),
        }),
        ..StartLiveTailResponseStream::default()
    }
    .into_tree()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::call;

    fn tail(names: Option<&str>, prefixes: Option<&str>, pattern: &str) -> Tail {
        let list = |one: Option<&str>| one.map(|one| vec![one.to_owned()]);
        Tail::new(Wanted {
            scope: call().scope,
            groups: vec![("G".to_owned(), "arn:g".to_owned())],
            names: list(names),
            prefixes: list(prefixes),
            filter: Filter::parse(pattern).expect("a pattern"),
        })
    }

    fn stream(group_id: &str, name: &str) -> StreamRef {
        StreamRef {
            scope: call().scope,
            group_id: group_id.to_owned(),
            stream_id: "S".to_owned(),
            name: name.to_owned(),
        }
    }

    fn lines(texts: &[&str]) -> Vec<(i64, String)> {
        texts.iter().map(|text| (7, (*text).to_owned())).collect()
    }

    fn results(update: &Value) -> Vec<&str> {
        let results = update["sessionUpdate"]["sessionResults"].as_array().expect("results");
        results.iter().filter_map(|event| event["message"].as_str()).collect()
    }

    #[test]
    fn a_session_gets_what_it_wants_and_nothing_else() {
        let tail = tail(None, Some("web/"), "error");
        tail.offer(&stream("G", "web/1"), &lines(&["an error", "fine", "error 2"]), 100);
        tail.offer(&stream("G", "db/1"), &lines(&["error of another stream"]), 100);
        tail.offer(&stream("H", "web/1"), &lines(&["error of another group"]), 100);
        let updates = tail.updates();
        let [one] = &updates[..] else { panic!("{updates:?}") };
        assert_eq!(results(one), ["an error", "error 2"]);
        let event = &one["sessionUpdate"]["sessionResults"][0];
        assert_eq!(
            (&event["logGroupIdentifier"], &event["ingestionTime"]),
            (&"arn:g".into(), &100.into())
        );
        assert_eq!(one["sessionUpdate"]["sessionMetadata"]["sampled"], false);
        // Nothing more: an update that says so.
        assert_eq!(results(&tail.updates()[0]), Vec::<&str>::new());
    }

    #[test]
    fn streams_are_named_whole() {
        let tail = tail(Some("web"), None, "");
        tail.offer(&stream("G", "web"), &lines(&["a"]), 0);
        tail.offer(&stream("G", "web2"), &lines(&["b"]), 0);
        assert_eq!(results(&tail.updates()[0]), ["a"]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let tail = tail(None, None, "");
        let many = vec![(1, "x".to_owned()); EVENTS_MAX + 1];
        tail.offer(&stream("G", "a"), &many, 0);
        tail.offer(&stream("G", "a"), &lines(&["of the same second"]), UPDATE_EVERY_MS - 1);
        tail.offer(&stream("G", "a"), &lines(&["next"]), UPDATE_EVERY_MS);
        let updates = tail.updates();
        assert_eq!(updates.len(), 2);
        assert_eq!(results(&updates[0]).len(), EVENTS_MAX);
        assert_eq!(updates[0]["sessionUpdate"]["sessionMetadata"]["sampled"], true);
        assert_eq!(results(&updates[1]), ["next"]);
        // A client that takes nothing loses the oldest.
        for second in 0..20 {
            let text = second.to_string();
            tail.offer(&stream("G", "a"), &lines(&[&text]), second * UPDATE_EVERY_MS);
        }
        let updates = tail.updates();
        assert_eq!((updates.len(), results(&updates[0])), (UPDATES_MAX, vec!["10"]));
        let large = vec![(1, "x".repeat(1_000_000)); 4];
        for second in 0..9 {
            tail.offer(&stream("G", "a"), &large, second * UPDATE_EVERY_MS);
        }
        assert_eq!(tail.updates().len(), 2);
    }
}
