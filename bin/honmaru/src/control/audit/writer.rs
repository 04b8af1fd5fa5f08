//! The thread that writes the trail.

use super::super::accesses::Accesses;
use super::gate::Gate;
use super::segment::{Segment, list};
use super::{Bounds, Counts, Line, Message};
use honmaru_base::{Clock, Time};
use honmaru_cloudtrail::Recorded;
use honmaru_engine::SystemClock;
use parking_lot::Mutex;
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
/// How long records are gathered before they are written together.
const GATHERING: Duration = Duration::from_millis(5);
/// How long written records may wait for the disk's own cache.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// A file is ended after this time even if it is small: files are removed as a whole.
const SEGMENT_MS_MAX: i64 = 24 * 3_600 * 1_000;
/// How often old files are looked for.
const FORGET_INTERVAL: Duration = Duration::from_secs(3_600);

/// Owner of the newest file.
pub struct Writer {
    folder: PathBuf,
    bounds: Bounds,
    counts: Arc<Counts>,
    gate: Arc<Mutex<Gate>>,
    accesses: Arc<Accesses>,
    said_lost: u64,
    segment: Segment,
    file: File,
    bytes: u64,
    is_dirty: bool,
    last_sync: Instant,
    last_forget: Instant,
}

impl Writer {
    /// Goes on with the newest file of a folder, or begins the first.
    pub fn open(
        folder: &Path,
        bounds: Bounds,
        counts: Arc<Counts>,
        gate: Arc<Mutex<Gate>>,
        accesses: Arc<Accesses>,
    ) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let first = Segment {
            number: 1,
            begun_ms: SystemClock.now().as_ms(),
        };
        let segment = list(folder)?.pop().unwrap_or(first);
        let (file, bytes) = open_file(&segment.path(folder))?;
        let writer = Self {
            folder: folder.to_owned(),
            bounds,
            counts,
            gate,
            accesses,
            said_lost: 0,
            segment,
            file,
            bytes,
            is_dirty: false,
            last_sync: Instant::now(),
            last_forget: Instant::now(),
        };
        // The bounds may be tighter than those of the start before.
        writer.forget(SystemClock.now());
        Ok(writer)
    }

    /// Writes until nobody can record any more.
    pub fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let first = match messages.recv_timeout(SYNC_INTERVAL) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if matches!(first, Some(Message::Record(_))) {
                // Nobody waits for a record, and a thread that is woken for each one costs more than the record.
                std::thread::sleep(GATHERING);
            }
            let more = messages.try_iter().take(BATCH_MAX - 1);
            self.batch(first.into_iter().chain(more));
            self.sync();
            if self.last_forget.elapsed() >= FORGET_INTERVAL {
                self.forget(SystemClock.now());
                self.last_forget = Instant::now();
            }
        }
        self.last_sync = Instant::now() - SYNC_INTERVAL;
        self.sync();
    }

    /// Writes some records and then tells those who wait for them.
    pub fn batch(&mut self, messages: impl Iterator<Item = Message>) {
        let mut text = Vec::new();
        let mut records = 0;
        let mut waiting: Vec<SyncSender<()>> = Vec::new();
        let mut counted = self.gate.lock().due(SystemClock.now());
        for message in messages {
            match message {
                Message::Record(record) => {
                    records += 1;
                    self.accesses.note(&record);
                    push(&mut text, *record);
                }
                Message::Settle(done) => waiting.push(done),
                Message::Finish(done) => {
                    counted.extend(self.gate.lock().rest());
                    waiting.push(done);
                }
            }
        }
        for record in counted {
            records += 1;
            push(&mut text, record);
        }
        let lost = self.counts.lost.load(Ordering::Relaxed);
        if lost > self.said_lost {
            let more = lost - self.said_lost;
            tracing::warn!(lost = more, "calls are missing in the audit trail");
            let line = Line::Lost {
                at: SystemClock.now(),
                lost: more,
            };
            // Numbers alone: there is no way to fail.
            let _ = serde_json::to_writer(&mut text, &line);
            text.push(b'\n');
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
        let age_ms = SystemClock.now().as_ms().saturating_sub(self.segment.begun_ms);
        let is_full = self.bytes >= SEGMENT_BYTES_MAX.min(self.bounds.bytes_max / 4);
        if is_full || (self.bytes > 0 && age_ms >= SEGMENT_MS_MAX) {
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
        self.forget(now);
        Ok(())
    }

    /// Removes files that are too old or too many; never the one that is written to.
    fn forget(&self, now: Time) {
        let segments = match list(&self.folder) {
            Ok(segments) => segments,
            Err(error) => {
                tracing::error!(%error, "failed to look for old parts of the audit trail");
                return;
            }
        };
        let history_ms = i64::from(self.bounds.days) * 24 * 3_600 * 1_000;
        let mut bytes = 0;
        // From the newest on; a file ends when the next one begins.
        let mut ended_ms = now.as_ms();
        for segment in segments.iter().rev() {
            let path = segment.path(&self.folder);
            bytes += path.metadata().map_or(0, |metadata| metadata.len());
            let is_over = now.as_ms().saturating_sub(ended_ms) > history_ms || bytes > self.bounds.bytes_max;
            if is_over && segment.number != self.segment.number {
                tracing::info!(path = %path.display(), "an old part of the audit trail is removed");
                if let Err(error) = std::fs::remove_file(&path) {
                    tracing::error!(%error, path = %path.display(), "an old part of the audit trail stays");
                }
            }
            ended_ms = segment.begun_ms;
        }
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

fn push(text: &mut Vec<u8>, record: Recorded) {
    // Plain data has no way to fail.
    if let Err(error) = record.write_line(text) {
        tracing::error!(%error, "a record of the audit trail cannot be written");
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
