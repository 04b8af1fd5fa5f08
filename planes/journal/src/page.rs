//! What is asked of a stream, and what comes back.

use crate::Event;

/// A place between two events: before the event with this time and sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// The event's sequence.
    pub sequence: u64,
}

impl Cursor {
    /// Before everything.
    pub const START: Self = Self {
        timestamp: i64::MIN,
        sequence: 0,
    };
    /// After everything.
    pub const END: Self = Self {
        timestamp: i64::MAX,
        sequence: u64::MAX,
    };

    /// The place before an event.
    pub fn before(event: &Event) -> Self {
        Self {
            timestamp: event.timestamp,
            sequence: event.sequence,
        }
    }

    /// The place after an event.
    pub fn after(event: &Event) -> Self {
        Self {
            timestamp: event.timestamp,
            sequence: event.sequence + 1,
        }
    }
}

/// A question to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Events at or after this time.
    pub from_ms: i64,
    /// Events before this time.
    pub until_ms: i64,
    /// Where to begin.
    pub cursor: Cursor,
    /// Towards older events, ending at the cursor, instead of towards newer ones.
    pub backward: bool,
    /// Events at most.
    pub events_max: usize,
    /// Bytes of messages at most; at least one event is returned.
    pub bytes_max: usize,
}

/// An answer: events in the order of time, and the places before and after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The events.
    pub events: Vec<Event>,
    /// Where older events continue.
    pub backward: Cursor,
    /// Where newer events continue.
    pub forward: Cursor,
}
