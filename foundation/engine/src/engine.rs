//! The engine's front: commands in, answers out, reads that never see what could still be lost.

use crate::OpenError;
use crate::reconcilers::Reconcilers;
use crate::writer::{Command, Writer};
use honmaru_base::{Clock, SeededRng};
use honmaru_log::{Log, Revision};
use honmaru_machine::{Reconciler, State, Tx};
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Commands that may wait for the writer; a further caller waits for a place.
const COMMANDS_QUEUED_MAX: usize = 4_096;
/// Records after which a snapshot is taken and the log is compacted.
const SNAPSHOT_RECORDS: u64 = 100_000;
/// How often the log is maintained and the need of a snapshot is looked at.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(5);

/// Why the engine did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The writer has ended: the process is going down.
    #[error("the engine has stopped")]
    Stopped,
    /// The command panicked. Nothing of it was kept.
    #[error("the command failed inside")]
    Panicked,
}

pub(crate) struct Shared {
    pub(crate) state: RwLock<State>,
    /// Turns that changed the state so far, durable or not.
    pub(crate) applied: AtomicU64,
    /// Turns whose records are durable.
    pub(crate) durable: watch::Sender<u64>,
    /// The log's head.
    pub(crate) head: AtomicU64,
}

/// What an engine is made of.
pub struct EngineConfig {
    /// Where records go.
    pub log: Arc<dyn Log>,
    /// A state with every table registered and no rows.
    pub state: State,
    /// The controllers.
    pub reconcilers: Vec<Box<dyn Reconciler>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where ids and secrets come from.
    pub rng: SeededRng,
    /// Called when the log failed. Memory is then ahead of the log: end the process.
    pub on_failure: Box<dyn FnOnce(honmaru_log::LogError) + Send>,
}

/// The driver. Cheap to clone; the writer ends when the last clone is gone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl Engine {
    /// Replays the log and starts the writer. Call it inside a tokio runtime.
    pub fn open(config: EngineConfig) -> Result<Self, OpenError> {
        let EngineConfig {
            log,
            mut state,
            reconcilers,
            clock,
            rng,
            on_failure,
        } = config;
        let head = crate::replay(log.as_ref(), &mut state)?;
        let shared = Arc::new(Shared {
            state: RwLock::new(state),
            applied: AtomicU64::new(0),
            durable: watch::Sender::new(0),
            head: AtomicU64::new(head),
        });
        let (sender, commands) = mpsc::channel(COMMANDS_QUEUED_MAX);
        let writer = Writer {
            shared: shared.clone(),
            log: log.clone(),
            head,
            clock,
            rng,
            reconcilers: Reconcilers::new(reconcilers),
            commands,
        };
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new()
            .name("engine-writer".to_owned())
            .spawn(move || {
                if let Err(error) = writer.run(&runtime) {
                    on_failure(error);
                }
            })
            .map_err(|source| {
                OpenError::Log(honmaru_log::LogError::Storage {
                    doing: "start the writer",
                    source: Box::new(source),
                })
            })?;
        tokio::spawn(maintain(Arc::downgrade(&shared), log, head));
        Ok(Self {
            shared,
            commands: sender,
        })
    }

    /// Looks at the state. The answer waits until all that was seen is durable.
    pub async fn read<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, EngineError> {
        let (answer, applied) = {
            let state = self.shared.state.read();
            (look(&state), self.shared.applied.load(Ordering::Acquire))
        };
        if *self.shared.durable.borrow() < applied {
            let mut durable = self.shared.durable.subscribe();
            let stopped = self.commands.closed();
            tokio::select! {
                seen = durable.wait_for(|at| *at >= applied) => { seen.map_err(|_| EngineError::Stopped)?; }
                () = stopped => return Err(EngineError::Stopped),
            }
        }
        Ok(answer)
    }

    /// Changes the state. `Ok` comes back once it is durable; after `Err` nothing of it was kept.
    pub async fn write<T, E>(
        &self,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, EngineError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let command: Command = Box::new(move |tx| {
            let answer = change(tx);
            let keep = answer.is_ok();
            // The caller may have gone away; then there is nobody to tell.
            (keep, Box::new(move || drop(tell.send(answer))))
        });
        self.commands.send(command).await.map_err(|_| EngineError::Stopped)?;
        told.await.map_err(|_| {
            if self.commands.is_closed() {
                EngineError::Stopped
            } else {
                EngineError::Panicked
            }
        })
    }

    /// Wakes whenever something changed and is durable. The number itself means nothing.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.durable.subscribe()
    }

    /// The log's head.
    pub fn head(&self) -> Revision {
        self.shared.head.load(Ordering::Acquire)
    }
}

/// Maintains the log and takes snapshots, off the commit path, as long as the engine lives.
async fn maintain(shared: std::sync::Weak<Shared>, log: Arc<dyn Log>, opened_at: Revision) {
    let mut snapshot_at = log
        .snapshot_get()
        .ok()
        .flatten()
        .map_or(0, |(revision, _)| revision)
        .min(opened_at);
    loop {
        tokio::time::sleep(MAINTENANCE_INTERVAL).await;
        let Some(shared) = shared.upgrade() else { return };
        let (due, head) = {
            let head = shared.head.load(Ordering::Acquire);
            (head.saturating_sub(snapshot_at) >= SNAPSHOT_RECORDS, head)
        };
        let log = log.clone();
        let done = tokio::task::spawn_blocking(move || -> Result<Option<Revision>, honmaru_log::LogError> {
            let taken = if due {
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
    let (records, revision) = {
        let state = shared.state.read();
        (state.dump(), shared.head.load(Ordering::Acquire))
    };
    let mut bytes = Vec::new();
    for record in &records {
        serde_json::to_writer(&mut bytes, record).expect("a record is plain data");
        bytes.push(b'\n');
    }
    log.snapshot_put(revision, &bytes)?;
    log.compact(revision)?;
    Ok(revision)
}
