//! The audit trail: a record of every call, in files that are only ever appended to (`<state>/control/audit/`).
//!
//! Calls do not wait for it: records go through a bounded queue to one thread that writes them in batches. When the
//! queue is full, or the disk does not take them, records are lost, and how many is said in the log, in the metrics
//! and in the trail itself. Refused calls that repeat themselves are counted instead (`gate`).
//! Invariant: inputs, and outputs of calls that change something, are recorded after what is secret was taken out of
//! them; outputs of reads never.

mod gate;
mod input;
mod output;
mod reader;
mod segment;
mod writer;

pub use input::{Ended, Head, Noted, What, resources};
pub use output::Told;

use super::accesses::Accesses;
use anyhow::Context;
use gate::Gate;
use honmaru_base::{AccountId, ApiError, Region, Time};
use honmaru_cloudtrail::{Found, Recorded, Trail, Wanted};
use honmaru_machine::BoxFuture;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use writer::Writer;

/// Records that wait for the disk; at some 2 KB each, 16 MB.
const QUEUE_MAX: usize = 8_192;
/// How long a question waits for the records before it to be written.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the thread is told.
enum Message {
    Record(Box<Recorded>),
    /// Write what came before, then say so.
    Settle(SyncSender<()>),
    /// The same at the end: what is only counted so far is written too.
    Finish(SyncSender<()>),
}

/// How long the trail is, in time and on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Files whose last record is older are removed.
    pub days: u32,
    /// All files together at most; the oldest go first.
    pub bytes_max: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            days: DAYS_DEFAULT,
            bytes_max: u64::from(MIB_DEFAULT) << 20,
        }
    }
}

/// Ref: CloudTrail User Guide, "Working with CloudTrail event history": 90 days.
pub const DAYS_DEFAULT: u32 = 90;
/// What 90 days of calls take: some 4 million.
pub const MIB_DEFAULT: u32 = 4_096;

/// How many records there were, for the metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Written to the file.
    pub written: AtomicU64,
    /// Lost: the queue was full, or the disk refused them.
    pub lost: AtomicU64,
    /// Refused calls that are in the trail as a count only.
    pub folded: AtomicU64,
}

/// The trail.
pub struct Audit {
    queue: SyncSender<Message>,
    folder: PathBuf,
    counts: Arc<Counts>,
    gate: Arc<Mutex<Gate>>,
    accesses: Arc<Accesses>,
}

impl Audit {
    /// Opens the trail and starts its thread.
    pub fn open(folder: &Path, bounds: Bounds) -> anyhow::Result<Self> {
        let audit = Self::with_queue(folder, bounds, QUEUE_MAX)?;
        let (audit, writer, messages) = audit;
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(&messages))
            .context("failed to start the thread of the audit trail")?;
        Ok(audit)
    }

    fn with_queue(folder: &Path, bounds: Bounds, places: usize) -> anyhow::Result<(Self, Writer, Receiver<Message>)> {
        let (counts, gate) = (Arc::new(Counts::default()), Arc::new(Mutex::new(Gate::new())));
        let accesses = Arc::new(Accesses::default());
        let writer = Writer::open(folder, bounds, counts.clone(), gate.clone(), accesses.clone())
            .with_context(|| format!("failed to open the audit trail in {}", folder.display()))?;
        let (queue, messages) = sync_channel(places);
        Ok((
            Self {
                queue,
                folder: folder.to_owned(),
                counts,
                gate,
                accesses,
            },
            writer,
            messages,
        ))
    }

    /// Records a call; never waits.
    pub fn record(&self, record: Recorded) {
        let Some(record) = self.gate.lock().pass(record) else {
            self.counts.folded.fetch_add(1, Ordering::Relaxed);
            return;
        };
        match self.queue.try_send(Message::Record(Box::new(record))) {
            Ok(()) => {}
            // The writer says it: in the log and in the trail.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.counts.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// What the thread saw of users and roles that the state does not know yet.
    pub fn accesses(&self) -> Arc<Accesses> {
        self.accesses.clone()
    }

    /// How many records there were.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Waits, for a while, until everything recorded so far is written. It may block.
    pub fn settle(&self) {
        self.wait_for(Message::Settle);
    }

    /// The same at the end of the process: what is only counted so far is written too.
    pub fn finish(&self) {
        self.wait_for(Message::Finish);
    }

    fn wait_for(&self, message: impl FnOnce(SyncSender<()>) -> Message) {
        let deadline = std::time::Instant::now() + SETTLE_TIMEOUT;
        let (done, is_done) = sync_channel(1);
        let mut message = message(done);
        while let Err(TrySendError::Full(refused)) = self.queue.try_send(message) {
            if std::time::Instant::now() > deadline {
                return;
            }
            message = refused;
            std::thread::yield_now();
        }
        let _ = is_done.recv_timeout(SETTLE_TIMEOUT);
    }
}

/// The records as CloudTrail's handlers ask for them.
pub struct Kept(pub Arc<Audit>);

impl Trail for Kept {
    fn look_up(&self, wanted: Wanted) -> BoxFuture<Result<Found, ApiError>> {
        let audit = self.0.clone();
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || {
                audit.settle();
                reader::look_up(&audit.folder, &wanted)
            });
            let failed = |error: &dyn std::fmt::Display| {
                tracing::error!(%error, "failed to read the audit trail");
                ApiError::new("InternalFailure", "The trail cannot be read.").with_status(500)
            };
            match read.await {
                Ok(Ok(found)) => Ok(found),
                Ok(Err(error)) => Err(failed(&error)),
                Err(error) => Err(failed(&error)),
            }
        })
    }
}

/// What a line of the trail holds.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
enum Line {
    Call(Box<Recorded>),
    /// Records were lost before this line.
    Lost {
        at: Time,
        lost: u64,
    },
}

/// Account and region of a call that was refused before it was known whose it was.
#[derive(Debug, Clone)]
pub struct Home {
    /// The default account.
    pub account: AccountId,
    /// The region of the first start.
    pub region: Region,
}

#[cfg(test)]
mod secrets;
#[cfg(test)]
mod tests;
