//! What this service asks of whoever keeps the events.

use crate::model::StreamRef;
use crate::tail::Tail;
use honmaru_base::ApiError;
use honmaru_machine::{BoxFuture, State};
use std::sync::Arc;

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// When it happened: milliseconds since the epoch.
    pub timestamp: i64,
    /// When it was stored.
    pub ingestion: i64,
    /// Its position in the stream.
    pub sequence: u64,
    /// The text.
    pub message: String,
}

/// A place in a stream: before the event of this time and sequence.
pub type Place = (i64, u64);

/// A question to one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Events at or after this time.
    pub from_ms: i64,
    /// Events before this time.
    pub until_ms: i64,
    /// Where to begin; nothing: at the first event, or backward at the last.
    pub place: Option<Place>,
    /// Towards older events.
    pub backward: bool,
    /// Events at most.
    pub events_max: usize,
    /// Bytes of messages at most.
    pub bytes_max: usize,
}

/// Events in the order of time, and where older and newer ones continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events.
    pub events: Vec<StoredEvent>,
    /// Where older ones continue.
    pub backward: Place,
    /// Where newer ones continue.
    pub forward: Place,
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamStat {
    /// The oldest event's time.
    pub first_ms: Option<i64>,
    /// The newest event's time.
    pub last_ms: Option<i64>,
    /// When the last event was stored.
    pub last_ingestion_ms: Option<i64>,
    /// Bytes stored.
    pub bytes: u64,
}

/// Streams that a call means, found by looking at the state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The streams, in the order of their names.
    pub streams: Vec<StreamRef>,
    /// When each was made, in the same order.
    pub created_ms: Vec<i64>,
    /// The group's retention.
    pub retention_days: Option<i32>,
}

/// A look at the state that yields a [`Plan`].
pub type Look = Box<dyn FnOnce(&State) -> Result<Plan, ApiError> + Send>;

/// The keeper of events.
pub trait Events: Send + Sync {
    /// Looks at the state.
    fn look(&self, look: Look) -> BoxFuture<Result<Plan, ApiError>>;
    /// Appends events, durably.
    fn append(&self, stream: StreamRef, events: Vec<(i64, String)>) -> BoxFuture<Result<(), ApiError>>;
    /// Reads a page.
    fn read(&self, stream: StreamRef, query: Query) -> BoxFuture<Result<Page, ApiError>>;
    /// What a stream holds.
    fn stat(&self, stream: StreamRef) -> BoxFuture<Result<StreamStat, ApiError>>;
    /// Gives the session every event that is stored from here on, until nobody takes its updates any more; returns its
    /// id. `LimitExceededException` when its account and region have too many.
    fn follow(&self, tail: Arc<Tail>) -> Result<String, ApiError>;
}
