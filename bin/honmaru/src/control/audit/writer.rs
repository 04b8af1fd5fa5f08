//! The thread that writes the trail.

use super::segment::{Segment, list};
use super::{Counts, Line, Message};
use honmaru_base::{Clock, Time};
use honmaru_engine::SystemClock;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

/// A file at most; then the next one is begun.
pub const SEGMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Records written at once.
const BATCH_MAX: usize = 512;
/// How long written records may wait for the disk's own cache.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Ref: CloudTrail User Guide, "Working with CloudTrail event history": 90 days.
const HISTORY_MS: i64 = 90 * 24 * 3_600 * 1_000;
/// All files together at most; a flood of refused calls must not fill the disk.
const TRAIL_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Owner of the newest file.
pub struct Writer {
    folder: PathBuf,
    counts: Arc<Counts>,
    said_lost: u64,
    segment: Segment,
    file: File,
    bytes: u64,
    is_dirty: bool,
    last_sync: Instant,
}

impl Writer {
    /// Goes on with the newest file of a folder, or begins the first.
    pub fn open(folder: &Path, counts: Arc<Counts>) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let first = Segment {
            number: 1,
            begun_ms: SystemClock.now().as_ms(),
        };
        let segment = list(folder)?.pop().unwrap_or(first);
        let (file, bytes) = open_file(&segment.path(folder))?;
        Ok(Self {
            folder: folder.to_owned(),
            counts,
            said_lost: 0,
            segment,
            file,
            bytes,
            is_dirty: false,
            last_sync: Instant::now(),
        })
    }

    /// Writes until nobody can record any more.
    pub fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let first = match messages.recv_timeout(SYNC_INTERVAL) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let more = messages.try_iter().take(BATCH_MAX - 1);
            self.batch(first.into_iter().chain(more));
            self.sync();
        }
        self.last_sync = Instant::now() - SYNC_INTERVAL;
        self.sync();
    }

    /// Writes some records and then tells those who wait for them.
    pub fn batch(&mut self, messages: impl Iterator<Item = Message>) {
        let mut text = Vec::new();
        let mut records = 0;
        let mut waiting: Vec<SyncSender<()>> = Vec::new();
        for message in messages {
            match message {
                Message::Record(record) => {
                    records += 1;
                    push(&mut text, &Line::Call(record));
                }
                Message::Settle(done) => waiting.push(done),
            }
        }
        let lost = self.counts.lost.load(Ordering::Relaxed);
        if lost > self.said_lost {
            let more = lost - self.said_lost;
            tracing::warn!(lost = more, "calls are missing in the audit trail");
            push(
                &mut text,
                &Line::Lost {
                    at: SystemClock.now(),
                    lost: more,
                },
            );
        }
        if !text.is_empty() {
            match self.append(&text) {
                Ok(()) => {
                    self.said_lost = lost;
                    self.counts.written.fetch_add(records, Ordering::Relaxed);
                }
                Err(error) => {
                    tracing::error!(%error, records, "failed to write the audit trail");
                    self.counts.lost.fetch_add(records, Ordering::Relaxed);
                }
            }
        }
        for done in waiting {
            // Whoever waited may have given up.
            let _ = done.try_send(());
        }
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if self.bytes >= SEGMENT_BYTES_MAX {
            self.rotate()?;
        }
        if let Err(error) = self.file.write_all(text) {
            // What was written of it must not stand in the middle of the next line.
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += text.len() as u64;
        self.is_dirty = true;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        let now = SystemClock.now();
        let next = Segment {
            number: self.segment.number + 1,
            begun_ms: now.as_ms(),
        };
        (self.file, self.bytes) = open_file(&next.path(&self.folder))?;
        self.segment = next;
        self.forget(now)
    }

    /// Removes files that are too old or too many.
    fn forget(&self, now: Time) -> io::Result<()> {
        let segments = list(&self.folder)?;
        let mut bytes = 0;
        // From the newest on; a file ends when the next one begins.
        let mut ended_ms = now.as_ms();
        for segment in segments.iter().rev() {
            let path = segment.path(&self.folder);
            bytes += path.metadata()?.len();
            if now.as_ms() - ended_ms > HISTORY_MS || bytes > TRAIL_BYTES_MAX {
                tracing::info!(path = %path.display(), "an old part of the audit trail is removed");
                std::fs::remove_file(&path)?;
            }
            ended_ms = segment.begun_ms;
        }
        Ok(())
    }

    fn sync(&mut self) {
        if !self.is_dirty || self.last_sync.elapsed() < SYNC_INTERVAL {
            return;
        }
        if let Err(error) = self.file.sync_data() {
            tracing::error!(%error, "failed to bring the audit trail to disk");
        }
        (self.is_dirty, self.last_sync) = (false, Instant::now());
    }
}

fn push(text: &mut Vec<u8>, line: &Line) {
    let before = text.len();
    match serde_json::to_writer(&mut *text, line) {
        Ok(()) => text.push(b'\n'),
        // Plain data cannot fail; if it did, half a line must not stay.
        Err(_) => text.truncate(before),
    }
}

/// Opens a file to append; a line that a crash cut off is ended, so that the next one stands alone.
fn open_file(path: &Path) -> io::Result<(File, u64)> {
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(path)?;
    let mut bytes = file.metadata()?.len();
    if bytes > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            bytes += 1;
        }
    }
    Ok((file, bytes))
}
