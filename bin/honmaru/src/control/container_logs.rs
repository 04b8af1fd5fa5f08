//! What containers write: from the node's batches into the journal.

use super::{Control, events::stream_id};
use anyhow::Context;
use honmaru_base::{ApiError, Clock, Scope};
use honmaru_contract::node::LogBatch;
use honmaru_engine::SystemClock;
use honmaru_journal::{JournalError, Source};
use honmaru_logs::StreamRef;

/// Stores a batch, once however often it is sent. Lines of a log group that is gone are dropped, as AWS drops them.
pub async fn store(control: &Control, batch: LogBatch) -> anyhow::Result<()> {
    let Some(stream) = stream(control, &batch).await? else {
        return Ok(());
    };
    let (journal, tails) = (control.journal.clone(), control.tails.clone());
    let now = SystemClock.now().as_ms();
    let source = Source {
        name: format!("{}/{}", batch.task_id, batch.container),
        offset: batch.offset,
    };
    let lines: Vec<(i64, String)> = batch
        .events
        .into_iter()
        .map(|event| (event.at.as_ms(), event.message))
        .collect();
    let stored = move || {
        // What a node sends again is nothing new.
        if journal.append(&stream_id(&stream), &lines, now, Some(&source))? {
            tails.offer(&stream, &lines, now);
        }
        Ok::<(), JournalError>(())
    };
    tokio::task::spawn_blocking(stored)
        .await
        .context("the journal's task panicked")?
        .context("failed to store container logs")
}

async fn stream(control: &Control, batch: &LogBatch) -> anyhow::Result<Option<StreamRef>> {
    let scope = Scope::new(&batch.account, &batch.region).context("a node sent logs of no account")?;
    let (group, stream) = (batch.group.clone(), batch.stream.clone());
    let found: Result<StreamRef, ApiError> = control
        .engine
        .write(move |tx| honmaru_logs::ensure_stream(tx, &scope, &group, &stream))
        .await?;
    Ok(match found {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::warn!(%error, group = batch.group, "log lines of a container are dropped");
            None
        }
    })
}
