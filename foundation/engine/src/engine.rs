//! The engine's front: commands in, answers out, reads that say nothing before what they saw cannot be lost any more.

use crate::OpenError;
use crate::reconcilers::Reconcilers;
use crate::snapshots;
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

/// What becomes of a change that leaves records where the log has no room for more than what must go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It is undone, and its caller gets [`EngineError::Full`].
    Refuse,
    /// It is written into what the log keeps for such: what was seen of the host, what takes away.
    Write,
}

/// Why the engine did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The writer has ended: the process is going down. Whether a command was kept nobody knows.
    #[error("the engine has stopped")]
    Stopped,
    /// The command panicked, and nothing of it was kept; or what makes its answer did ([`Engine::write_then`]).
    #[error("the command failed inside")]
    Panicked,
    /// There is no room for what the command would leave; nothing of it was kept.
    #[error("there is no space left for the log")]
    Full,
}

pub(crate) struct Shared {
    pub(crate) state: RwLock<State>,
    /// Turns that changed the state so far, durable or not.
    pub(crate) applied: AtomicU64,
    /// Turns whose records are durable.
    pub(crate) durable: watch::Sender<u64>,
    /// The log's head.
    pub(crate) head: AtomicU64,
    /// CPU nanoseconds that appending to the log took so far.
    pub(crate) append_cpu_ns: AtomicU64,
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
    log: Arc<dyn Log>,
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
            append_cpu_ns: AtomicU64::new(0),
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
        tokio::spawn(snapshots::maintain(Arc::downgrade(&shared), log.clone(), head));
        Ok(Self {
            shared,
            log,
            commands: sender,
        })
    }

    /// Looks at the state. The answer waits until all that was seen is durable.
    pub async fn read<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, EngineError> {
        let (answer, applied) = {
            let state = self.shared.state.read();
            (look(&state), self.shared.applied.load(Ordering::Acquire))
        };
        self.durable(applied).await?;
        Ok(answer)
    }

    /// Looks at the state as it is now. A crash may still take back what is seen: nobody may be told of it, and nothing
    /// done for it, before [`Engine::settled`] or a later [`Engine::read`] or [`Engine::write`] has come back.
    pub fn peek<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.state.read())
    }

    /// Waits until all that could be seen up to now is durable.
    pub async fn settled(&self) -> Result<(), EngineError> {
        // A turn counts as applied before the state is let go: whoever saw its rows sees its number.
        self.durable(self.shared.applied.load(Ordering::Acquire)).await
    }

    async fn durable(&self, applied: u64) -> Result<(), EngineError> {
        if *self.shared.durable.borrow() >= applied {
            return Ok(());
        }
        let mut durable = self.shared.durable.subscribe();
        let stopped = self.commands.closed();
        tokio::select! {
            seen = durable.wait_for(|at| *at >= applied) => seen.map(drop).map_err(|_| EngineError::Stopped),
            () = stopped => Err(EngineError::Stopped),
        }
    }

    /// Changes the state. The change's `Ok` comes back once it is durable; after its `Err` nothing of it was kept.
    pub async fn write<T, E>(
        &self,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, EngineError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.write_then(WhenFull::Write, change, |answer| answer).await
    }

    /// The same for a change that can wait: while the log has no room it is undone, and the answer is
    /// [`EngineError::Full`].
    pub async fn write_if_room<T, E>(
        &self,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, EngineError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.write_then(WhenFull::Refuse, change, |answer| answer).await
    }

    /// Whether the log has room for more than what must go on.
    pub fn has_room(&self) -> bool {
        self.log.has_room()
    }

    /// The same; what the change gives is made into an answer by the writer, once it is durable and the state is let go.
    /// For large values that are used up on the way: freed by the thread that made them, they cost half. A `finish` that
    /// panics is [`EngineError::Panicked`], and its change stays.
    pub async fn write_then<T, E, U>(
        &self,
        when_full: WhenFull,
        change: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        finish: impl FnOnce(T) -> U + Send + 'static,
    ) -> Result<Result<U, E>, EngineError>
    where
        T: Send + 'static,
        E: Send + 'static,
        U: Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let command: Command = Box::new(move |tx, room| {
            let answer = change(tx);
            if answer.is_ok() && when_full == WhenFull::Refuse && tx.is_changed() && !room.is_there() {
                return (false, Box::new(move || drop(tell.send(Err(EngineError::Full)))));
            }
            let keep = answer.is_ok();
            // The caller may have gone away; then there is nobody to tell.
            (keep, Box::new(move || drop(tell.send(Ok(answer.map(finish))))))
        });
        self.commands.send(command).await.map_err(|_| EngineError::Stopped)?;
        told.await.unwrap_or_else(|_| {
            Err(if self.commands.is_closed() {
                EngineError::Stopped
            } else {
                EngineError::Panicked
            })
        })
    }

    /// Wakes whenever something changed and is durable. The number itself means nothing.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.shared.durable.subscribe()
    }

    /// What the writer and the readers share.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// CPU time of the log's appends so far: what durability costs beside the calls themselves.
    pub fn append_cpu(&self) -> Duration {
        Duration::from_nanos(self.shared.append_cpu_ns.load(Ordering::Relaxed))
    }

    /// The log's head.
    pub fn head(&self) -> Revision {
        self.shared.head.load(Ordering::Acquire)
    }
}
