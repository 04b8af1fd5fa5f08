//! Live tails: the sessions that are open, and the answers that go on as long as they are.
//!
//! Not here: which events a session wants (`services/logs`).
//! Invariant: a session ends with its answer, and its answer with the session's time, with the client, or with control.

use super::http::{AnswerBody, full};
use bytes::Bytes;
use futures_util::stream;
use honmaru_base::{ApiError, uuid};
use honmaru_engine::system_rng;
use honmaru_logs::{SESSION_LIFE_S, SESSIONS_MAX, StreamRef, Tail, UPDATE_EVERY_MS};
use honmaru_wire::Target;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use parking_lot::RwLock;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// The open sessions.
#[derive(Default)]
pub struct Tails {
    open: RwLock<HashMap<String, Arc<Tail>>>,
    /// How many they are: whoever stores events asks often, and mostly there are none.
    count: AtomicUsize,
    is_over: watch::Sender<bool>,
}

impl Tails {
    /// Opens a session and returns its id.
    pub fn open(&self, tail: Arc<Tail>) -> Result<String, ApiError> {
        let mut open = self.open.write();
        if open.values().filter(|other| other.scope() == tail.scope()).count() >= SESSIONS_MAX {
            let message = "The limit of concurrent Live Tail sessions is reached.";
            return Err(ApiError::new("LimitExceededException", message));
        }
        let id = uuid(&mut system_rng());
        open.insert(id.clone(), tail);
        self.count.store(open.len(), Ordering::Relaxed);
        Ok(id)
    }

    fn close(&self, id: &str) {
        let mut open = self.open.write();
        open.remove(id);
        self.count.store(open.len(), Ordering::Relaxed);
    }

    /// Tells the sessions of events that were stored.
    pub fn offer(&self, stream: &StreamRef, events: &[(i64, String)], now_ms: i64) {
        if self.count.load(Ordering::Relaxed) > 0 {
            for tail in self.open.read().values() {
                tail.offer(stream, events, now_ms);
            }
        }
    }

    /// Ends every session: control ends.
    pub fn end(&self) {
        self.is_over.send_replace(true);
    }

    /// What follows the begin of an answer, when the answer is that of a live tail.
    pub fn follow(self: &Arc<Self>, target: &Target, output: &Value) -> Option<Following> {
        if target.operation.name() != "StartLiveTail" {
            return None;
        }
        let id = output["responseStream"]["sessionStart"]["sessionId"].as_str()?;
        let tail = self.open.read().get(id)?.clone();
        let mut every = tokio::time::interval(Duration::from_millis(UPDATE_EVERY_MS.unsigned_abs()));
        // A client that was slow gets what waits at once, and no update more often than others.
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        every.reset();
        Some(Following {
            tails: self.clone(),
            id: id.to_owned(),
            tail,
            target: *target,
            every,
            until: Instant::now() + Duration::from_secs(SESSION_LIFE_S),
            is_over: self.is_over.subscribe(),
            has_ended: false,
        })
    }
}

/// An answer that goes on; dropped, its session ends.
pub struct Following {
    tails: Arc<Tails>,
    id: String,
    tail: Arc<Tail>,
    target: Target,
    every: Interval,
    until: Instant,
    is_over: watch::Receiver<bool>,
    has_ended: bool,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.tails.close(&self.id);
    }
}

impl Following {
    /// The whole answer: its begin, and what follows.
    pub fn body(self, begin: Vec<u8>) -> AnswerBody {
        let begin = full(begin).into_data_stream();
        let begin = futures_util::StreamExt::map(begin, |bytes| bytes.map(Frame::data));
        let rest = stream::unfold(self, |mut following| async {
            let bytes = following.next().await?;
            Some((Ok(Frame::data(bytes)), following))
        });
        StreamBody::new(futures_util::StreamExt::chain(begin, rest)).boxed()
    }

    async fn next(&mut self) -> Option<Bytes> {
        if self.has_ended {
            return None;
        }
        let events = tokio::select! {
            biased;
            _ = self.is_over.wait_for(|is_over| *is_over) => {
                self.has_ended = true;
                let message = "The session ended on the server's side; start another.";
                vec![json!({ "SessionStreamingException": { "message": message } })]
            }
            () = tokio::time::sleep_until(self.until) => {
                self.has_ended = true;
                vec![Tail::timeout()]
            }
            _ = self.every.tick() => self.tail.updates(),
        };
        Some(honmaru_wire::further_events(&self.target, &Value::Array(events)).into())
    }
}
