//! The writer's turn: collect commands, apply them, run the reconcilers, append once, answer everybody.

use crate::engine::Shared;
use crate::reconcilers::Reconcilers;
use honmaru_base::{Clock, SeededRng, Time};
use honmaru_log::{Log, Revision};
use honmaru_machine::Tx;
use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;

/// Commands in one group at most.
pub(crate) const GROUP_COMMANDS_MAX: usize = 512;
/// Rounds of reconcilers in one turn at most; what is left goes on in the next turn.
const ROUNDS_MAX: usize = 32;
/// The longest sleep, so that a clock that jumps does not stop the timers for long.
const SLEEP_MS_MAX: i64 = 1_000;

/// Tells a caller, once the group is durable.
pub(crate) type Answer = Box<dyn FnOnce() + Send>;
/// A command: applies itself, says whether its changes stay, and how its caller is told.
/// When it panics it is dropped with its channel, and the caller learns that from the channel.
pub(crate) type Command = Box<dyn FnOnce(&mut Tx<'_>, &Room<'_>) -> (bool, Answer) + Send>;

/// Whether the log has room, looked at once a turn, if anybody asks.
pub(crate) struct Room<'a> {
    log: &'a dyn Log,
    seen: OnceCell<bool>,
}

impl<'a> Room<'a> {
    fn of(log: &'a dyn Log) -> Self {
        Self {
            log,
            seen: OnceCell::new(),
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        *self.seen.get_or_init(|| self.log.has_room())
    }
}

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) head: Revision,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: SeededRng,
    pub(crate) reconcilers: Reconcilers,
    pub(crate) commands: mpsc::Receiver<Command>,
}

impl Writer {
    /// Works until every sender is gone, or the log fails: then it returns the failure.
    pub(crate) fn run(mut self, runtime: &tokio::runtime::Handle) -> Result<(), honmaru_log::LogError> {
        let mut more = true;
        loop {
            let mut group = Vec::new();
            if !more {
                let wait = self.until_next_wake();
                let first = runtime.block_on(async { tokio::time::timeout(wait, self.commands.recv()).await });
                match first {
                    Ok(Some(command)) => group.push(command),
                    Ok(None) => return Ok(()),
                    Err(_) => {}
                }
            }
            while group.len() < GROUP_COMMANDS_MAX {
                match self.commands.try_recv() {
                    Ok(command) => group.push(command),
                    Err(_) => break,
                }
            }
            more = self.turn(group)?;
        }
    }

    fn until_next_wake(&self) -> Duration {
        let ms = self
            .reconcilers
            .next_wake()
            .map_or(SLEEP_MS_MAX, |at| at - self.clock.now());
        Duration::from_millis(ms.clamp(0, SLEEP_MS_MAX).unsigned_abs())
    }

    /// One turn; returns whether reconcilers still have something to do.
    fn turn(&mut self, group: Vec<Command>) -> Result<bool, honmaru_log::LogError> {
        let now = self.clock.now();
        let mut records = Vec::new();
        let mut answers = Vec::with_capacity(group.len());
        let mut is_changed = false;
        let mut left = true;
        let applied = {
            let (shared, log) = (self.shared.clone(), self.log.clone());
            let room = Room::of(log.as_ref());
            let mut state = shared.state.write();
            for command in group {
                let command = |tx: &mut Tx<'_>| command(tx, &room);
                self.apply(&mut state, now, command, &mut records, &mut answers, &mut is_changed);
            }
            for _ in 0..ROUNDS_MAX {
                left = self
                    .reconcilers
                    .run_due(&mut state, now, &mut self.rng, &mut records, &mut is_changed);
                if !left {
                    break;
                }
            }
            if is_changed {
                self.shared.applied.fetch_add(1, Ordering::AcqRel) + 1
            } else {
                self.shared.applied.load(Ordering::Acquire)
            }
        };
        if !records.is_empty() {
            let before = thread_cpu_ns();
            let appended = self.log.append(self.head, &records);
            let spent = thread_cpu_ns().saturating_sub(before);
            self.shared.append_cpu_ns.fetch_add(spent, Ordering::Relaxed);
            self.head = match appended {
                Ok(head) => head,
                Err(error) => {
                    // Closed first, so that callers whose answers are dropped learn that the engine has stopped.
                    self.commands.close();
                    return Err(error);
                }
            };
            self.shared.head.store(self.head, Ordering::Release);
        }
        if is_changed {
            self.shared.durable.send_replace(applied);
        }
        for answer in answers {
            if catch_unwind(AssertUnwindSafe(answer)).is_err() {
                tracing::error!("an answer panicked; its change is kept, and its caller told that it failed inside");
            }
        }
        Ok(left)
    }

    fn apply(
        &mut self,
        state: &mut honmaru_machine::State,
        now: Time,
        command: impl FnOnce(&mut Tx<'_>) -> (bool, Answer),
        records: &mut Vec<Vec<u8>>,
        answers: &mut Vec<Answer>,
        is_changed: &mut bool,
    ) {
        let mut tx = Tx::new(state, now, &mut self.rng);
        match catch_unwind(AssertUnwindSafe(|| command(&mut tx))) {
            Ok((true, answer)) => {
                *is_changed |= tx.is_changed();
                records.extend(tx.commit());
                answers.push(answer);
            }
            Ok((false, answer)) => {
                tx.roll_back();
                answers.push(answer);
            }
            Err(_) => {
                tx.roll_back();
                tracing::error!("a command panicked; its changes are undone");
            }
        }
    }
}

/// CPU time of this thread so far. Ref: clock_gettime(2), CLOCK_THREAD_CPUTIME_ID.
fn thread_cpu_ns() -> u64 {
    let at = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(at.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(at.tv_nsec).unwrap_or(0)
}
