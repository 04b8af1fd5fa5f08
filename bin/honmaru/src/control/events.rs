//! CloudWatch Logs' events in the journal.

use super::tails::Tails;
use honmaru_base::{ApiError, Clock};
use honmaru_engine::{Engine, SystemClock};
use honmaru_journal::{Cursor, Event, Journal, JournalError, Query, StreamId};
use honmaru_logs::{Events, Page, Plan, StoredEvent, StreamRef, StreamStat, Tail};
use honmaru_machine::{BoxFuture, State};
use std::sync::Arc;

/// The keeper of events.
pub struct JournalEvents {
    engine: Engine,
    journal: Arc<Journal>,
    tails: Arc<Tails>,
}

impl JournalEvents {
    /// A keeper over an engine's state and a journal, which tells the live tails what it stores.
    pub fn new(engine: Engine, journal: Arc<Journal>, tails: Arc<Tails>) -> Self {
        Self { engine, journal, tails }
    }
}

/// Where the journal has a stream: under ids, so that a stream made anew has none of the old events.
pub fn stream_id(stream: &StreamRef) -> StreamId {
    StreamId {
        account: stream.scope.account.to_string(),
        region: stream.scope.region.to_string(),
        group: stream.group_id.clone(),
        stream: stream.stream_id.clone(),
    }
}

/// The caller learns that it did not work, the operator why.
fn unavailable(error: &(dyn std::error::Error + 'static)) -> ApiError {
    tracing::error!(err = %honmaru_base::chain(error), "the journal failed");
    ApiError::new(
        "ServiceUnavailableException",
        "The service cannot complete the request.",
    )
}

/// Runs a journal call where it may block.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| unavailable(&error)),
        Err(error) => Err(unavailable(&error)),
    }
}

impl Events for JournalEvents {
    fn look(
        &self,
        look: Box<dyn FnOnce(&State) -> Result<Plan, ApiError> + Send>,
    ) -> BoxFuture<Result<Plan, ApiError>> {
        let engine = self.engine.clone();
        Box::pin(async move { engine.read(look).await.map_err(|error| unavailable(&error))? })
    }

    fn append(&self, stream: StreamRef, events: Vec<(i64, String)>) -> BoxFuture<Result<(), ApiError>> {
        let (journal, tails) = (self.journal.clone(), self.tails.clone());
        let now = SystemClock.now().as_ms();
        Box::pin(on_disk(move || {
            journal.append(&stream_id(&stream), &events, now, None)?;
            tails.offer(&stream, &events, now);
            Ok(())
        }))
    }

    fn read(&self, stream: StreamRef, query: honmaru_logs::Query) -> BoxFuture<Result<Page, ApiError>> {
        let journal = self.journal.clone();
        Box::pin(on_disk(move || {
            let cursor = match query.place {
                Some((timestamp, sequence)) => Cursor { timestamp, sequence },
                None if query.backward => Cursor::END,
                None => Cursor::START,
            };
            let query = Query {
                from_ms: query.from_ms,
                until_ms: query.until_ms,
                cursor,
                backward: query.backward,
                events_max: query.events_max,
                bytes_max: query.bytes_max,
            };
            let page = journal.read(&stream_id(&stream), &query)?;
            let stored = |event: Event| StoredEvent {
                timestamp: event.timestamp,
                ingestion: event.ingestion,
                sequence: event.sequence,
                message: event.message,
            };
            Ok(Page {
                events: page.events.into_iter().map(stored).collect(),
                backward: (page.backward.timestamp, page.backward.sequence),
                forward: (page.forward.timestamp, page.forward.sequence),
            })
        }))
    }

    fn stat(&self, stream: StreamRef) -> BoxFuture<Result<StreamStat, ApiError>> {
        let journal = self.journal.clone();
        Box::pin(on_disk(move || {
            let stat = journal.stat(&stream_id(&stream))?;
            Ok(StreamStat {
                first_ms: stat.first_ms,
                last_ms: stat.last_ms,
                last_ingestion_ms: stat.last_ingestion_ms,
                bytes: stat.bytes,
            })
        }))
    }

    fn follow(&self, tail: Arc<Tail>) -> Result<String, ApiError> {
        self.tails.open(tail)
    }
}
