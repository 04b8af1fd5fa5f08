//! Housekeeping off the commit path: checkpoints, and snapshots that let the log forget what they cover.

use crate::engine::Shared;
use honmaru_log::{Log, Revision};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Records after which a snapshot is taken and the log is compacted.
const SNAPSHOT_RECORDS: u64 = 100_000;
/// How often the log is maintained and the need of a snapshot is looked at.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(5);

/// Maintains the log and takes snapshots, off the commit path, as long as the engine lives.
pub(crate) async fn maintain(shared: std::sync::Weak<Shared>, log: Arc<dyn Log>, opened_at: Revision) {
    let last = log.snapshot_get().unwrap_or_else(|error| {
        // As if there were none: the next one comes sooner than it must.
        tracing::warn!(err = %honmaru_base::chain(&error), "failed to look for the last snapshot");
        None
    });
    let mut snapshot_at = last.map_or(0, |(revision, _)| revision).min(opened_at);
    loop {
        tokio::time::sleep(MAINTENANCE_INTERVAL).await;
        let Some(shared) = shared.upgrade() else { return };
        let (due, head) = {
            let head = shared.head.load(Ordering::Acquire);
            (head.saturating_sub(snapshot_at) >= SNAPSHOT_RECORDS, head)
        };
        let log = log.clone();
        let done = tokio::task::spawn_blocking(move || -> Result<Option<Revision>, honmaru_log::LogError> {
            // A snapshot is as large as all rows are: it waits for room, and the log goes on being longer.
            let taken = if due && log.has_room() {
                Some(snapshot(&shared, log.as_ref())?)
            } else {
                None
            };
            log.maintain()?;
            Ok(taken)
        })
        .await;
        match done {
            Ok(Ok(Some(revision))) => snapshot_at = revision,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(err = %honmaru_base::chain(&error), head, "failed to maintain the log"),
            Err(error) => tracing::warn!(%error, "log maintenance panicked"),
        }
    }
}

/// Writes the whole state as a snapshot and forgets the records that it covers.
fn snapshot(shared: &Shared, log: &dyn Log) -> Result<Revision, honmaru_log::LogError> {
    // Rows may be seen here whose records are not appended yet. The revision must not be ahead of the rows, and may
    // be behind them: replaying a record twice gives the same row.
    let mut bytes = Vec::new();
    let revision = {
        let state = shared.state.read();
        state.dump(&mut |record| {
            bytes.extend(record);
            bytes.push(b'\n');
        });
        shared.head.load(Ordering::Acquire)
    };
    log.snapshot_put(revision, &bytes)?;
    log.compact(revision)?;
    Ok(revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, EngineConfig, SystemClock, replay};
    use honmaru_base::{Scope, SeededRng};
    use honmaru_log::SqliteLog;
    use honmaru_machine::{Resource, State};
    use serde::{Deserialize, Serialize};
    use std::sync::atomic::{AtomicBool, AtomicU64};

    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Row(u64);

    impl Resource for Row {
        const KIND: &'static str = "test.row";
    }

    const CALLERS: usize = 16;
    const ROWS: u64 = 8;
    const SNAPSHOTS: usize = 25;

    fn empty() -> State {
        let mut state = State::new();
        state.register::<Row>();
        state
    }

    fn scope() -> Scope {
        Scope::new("000000000000", "us-east-1").expect("a scope")
    }

    /// What a process that starts now would find: for each caller the value of its rows, which one write sets to one
    /// value, or removes.
    fn found(path: &std::path::Path) -> Vec<Vec<Option<u64>>> {
        let mut state = empty();
        let log = SqliteLog::open(path).expect("the log opens");
        // The engine's own housekeeping may forget records between the snapshot and the rest. A start has the file alone.
        for again in (0..10).rev() {
            match replay(&log, &mut state) {
                Err(crate::OpenError::Gap { .. }) if again > 0 => state = empty(),
                replayed => {
                    replayed.expect("the log is whole");
                    break;
                }
            }
        }
        let value = |caller: usize, row: u64| state.get::<Row>(&scope(), &format!("{caller}/{row}")).map(|row| row.0);
        (0..CALLERS)
            .map(|caller| (0..ROWS).map(|row| value(caller, row)).collect())
            .collect()
    }

    /// Goal: snapshots and compactions at any moment lose no acknowledged write and tear none apart.
    /// Method: callers write several rows at once, again and again, while snapshots are taken without a pause; after
    /// each, the file is opened as a process that starts after a crash would open it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn snapshots_beside_writes_lose_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log.db");
        let log: Arc<dyn Log> = Arc::new(SqliteLog::open(&path).expect("the log opens"));
        let engine = Engine::open(EngineConfig {
            log: log.clone(),
            state: empty(),
            reconcilers: Vec::new(),
            clock: Arc::new(SystemClock),
            rng: SeededRng::from_u64(1),
            on_failure: Box::new(|error| panic!("the log failed: {error}")),
        })
        .expect("the engine opens");
        let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..CALLERS).map(|_| AtomicU64::new(0)).collect());
        let stop = Arc::new(AtomicBool::new(false));
        let mut callers = Vec::new();
        for caller in 0..CALLERS {
            let (engine, acknowledged, stop) = (engine.clone(), acknowledged.clone(), stop.clone());
            callers.push(tokio::spawn(async move {
                let mut value = 0;
                while !stop.load(Ordering::Relaxed) {
                    value += 1;
                    let written = engine.write(move |tx| {
                        for row in 0..ROWS {
                            // Every fourth write removes the rows: a removal must not come back either.
                            match value % 4 {
                                0 => drop(tx.delete::<Row>(&scope(), &format!("{caller}/{row}"))),
                                _ => tx.put(&scope(), &format!("{caller}/{row}"), Row(value)),
                            }
                        }
                        Ok::<_, ()>(())
                    });
                    written.await.expect("the engine runs").expect("the write is taken");
                    acknowledged[caller].store(value, Ordering::Release);
                }
            }));
        }
        for _ in 0..SNAPSHOTS {
            let (shared, taking) = (engine.shared(), log.clone());
            tokio::task::spawn_blocking(move || snapshot(&shared, taking.as_ref()))
                .await
                .expect("no panic")
                .expect("a snapshot");
            let before: Vec<u64> = acknowledged.iter().map(|value| value.load(Ordering::Acquire)).collect();
            for (caller, rows) in found(&path).into_iter().enumerate() {
                assert!(
                    rows.windows(2).all(|two| two[0] == two[1]),
                    "a write of {caller} is torn: {rows:?}"
                );
                // Gone means that a fourth write was the last.
                if let Some(value) = rows[0] {
                    assert!(value >= before[caller], "{caller}: {value} after {}", before[caller]);
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.expect("the caller ends");
        }
        for (caller, rows) in found(&path).into_iter().enumerate() {
            let last = acknowledged[caller].load(Ordering::Acquire);
            assert!(last > 4, "{caller} wrote {last} times");
            assert_eq!(
                rows[0],
                (!last.is_multiple_of(4)).then_some(last),
                "the last write of {caller}"
            );
        }
        let left = log.read(1, 1).expect("the log is readable");
        let first = left.first().map(|(revision, _)| *revision);
        assert!(first != Some(1), "the log forgets nothing");
    }
}
