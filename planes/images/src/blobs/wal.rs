//! The write-ahead log of small blobs: what makes a manifest or a configuration durable is one write to a file that is
//! there already, synced once for all who wait, and no sync of a new file and of a directory for each.
//!
//! Not here: large blobs, which are synced by themselves; who may see a blob.
//! Invariants: a record is on disk before its blob gets its final name, so that whoever finds the name may acknowledge
//! the blob; a segment is written again only when everything that it told of is on disk under its name; opening the
//! store puts in order what a power failure tore ([`Wal::replay`]).

mod record;

pub(super) use record::Told;

use super::error::at;
use super::{BlobKey, StoreError};
use crate::Digest;
use parking_lot::{Condvar, Mutex};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Larger blobs are synced by themselves: writing them twice would cost more than it saves.
pub(super) const CONTENT_BYTES_MAX: u64 = 64 * 1024;
/// The length of a segment, which is written with zeros once: after that no write changes anything but its content.
const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
/// One is written to while what the other tells of is brought to the disk under its name.
const SEGMENTS: usize = 2;
/// How long a blob waits for a segment to become free before it is synced by itself.
const SEGMENT_PATIENCE: Duration = Duration::from_secs(2);

/// The log of one store.
pub(super) struct Wal {
    dir: PathBuf,
    /// What files are encrypted with.
    key: Option<Arc<BlobKey>>,
    turn: Mutex<Turn>,
    /// A segment has fewer writers, or became free.
    changed: Condvar,
}

struct Turn {
    /// Made with the first small blob.
    segments: Option<[Arc<Segment>; SEGMENTS]>,
    active: usize,
    /// Counts the changes of segment: records of an earlier round are told by it.
    epoch: u64,
    /// Where the next record goes.
    end: usize,
    /// Blobs that have a record and not yet their name, by segment.
    unnamed: [usize; SEGMENTS],
    /// Segments whose records may be all that the disk has of their blobs.
    is_needed: [bool; SEGMENTS],
    /// A sync failed: what the kernel made of the pages is not known, and the log is not used any more.
    is_broken: bool,
}

struct Segment {
    file: File,
    path: PathBuf,
    /// Bytes that were written.
    written: AtomicU64,
    /// Bytes that are on disk; locked while they get there.
    synced: Mutex<u64>,
}

/// A blob that is durable by its record and waits for its name. Dropped when it has it.
pub(super) struct Recorded {
    wal: Arc<Wal>,
    segment: usize,
    of: Arc<Segment>,
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let mut turn = self.wal.turn.lock();
        turn.unnamed[self.segment] -= 1;
        if turn.unnamed[self.segment] == 0 {
            self.wal.changed.notify_all();
        }
    }
}

impl Wal {
    /// The log in the store at `dir`; nothing is read or written yet.
    pub(super) fn new(dir: &Path, key: Option<Arc<BlobKey>>) -> Arc<Self> {
        let turn = Turn {
            segments: None,
            active: 0,
            epoch: 1,
            end: 0,
            unnamed: [0; SEGMENTS],
            is_needed: [false; SEGMENTS],
            is_broken: false,
        };
        Arc::new(Self {
            dir: dir.to_owned(),
            key,
            turn: Mutex::new(turn),
            changed: Condvar::new(),
        })
    }

    fn path(&self, segment: usize) -> PathBuf {
        self.dir.join(format!("small-blobs-{segment}.wal"))
    }

    /// Reads what the log of an earlier process says, in the order in which it was written. The caller puts the blobs
    /// in order, syncs the file system and calls [`Wal::begin`].
    pub(super) fn replay(&self) -> Result<Vec<Told>, StoreError> {
        let mut rounds = Vec::new();
        for segment in 0..SEGMENTS {
            let path = self.path(segment);
            match fs::read(&path) {
                Ok(bytes) => rounds.push(record::read_segment(&bytes, self.key.as_deref())?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at("read", &path)(error)),
            }
        }
        rounds.sort_by_key(|(epoch, _)| *epoch);
        Ok(rounds.into_iter().flat_map(|(_, told)| told).collect())
    }

    /// Forgets what an earlier process wrote: everything of it is on disk under its name.
    pub(super) fn begin(&self) -> Result<(), StoreError> {
        for segment in 0..SEGMENTS {
            let path = self.path(segment);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at("remove", &path)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes a blob durable, whose file is `raw`. Nothing when the log cannot take it: then the blob must be synced by itself.
    pub(super) fn record(self: &Arc<Self>, digest: &Digest, raw: &[u8]) -> Option<Recorded> {
        let (recorded, end) = self.append(digest, Some(raw), SEGMENT_PATIENCE)?;
        match recorded.of.sync_to(end) {
            Ok(()) => Some(recorded),
            Err(error) => {
                tracing::error!(%error, path = %recorded.of.path.display(), "the log of small blobs cannot be synced; they are synced one by one from now on");
                self.turn.lock().is_broken = true;
                None
            }
        }
    }

    /// Notes that a blob is gone, so that the next start does not bring it back. It need not be durable, and is not made
    /// where there is no room just now: a blob that came back is collected again.
    pub(super) fn note_removal(self: &Arc<Self>, digest: &Digest) {
        let is_in_use = self.turn.lock().segments.is_some();
        if is_in_use {
            let _ = self.append(digest, None, Duration::ZERO);
        }
    }

    /// Writes a record, and says where it ends. Waits up to `patience` for a segment to become free.
    fn append(self: &Arc<Self>, digest: &Digest, raw: Option<&[u8]>, patience: Duration) -> Option<(Recorded, u64)> {
        let mut record = record::write(digest, raw, self.key.is_some())?;

        let mut turn = self.turn.lock();
        while !turn.is_broken && turn.end + record.len() > SEGMENT_BYTES {
            let next = (turn.active + 1) % SEGMENTS;
            if turn.is_needed[next] {
                if patience.is_zero() || self.changed.wait_for(&mut turn, patience).timed_out() {
                    return None;
                }
            } else {
                self.change_segment(&mut turn, next);
            }
        }
        if turn.is_broken {
            return None;
        }
        if turn.segments.is_none() {
            match self.make_segments() {
                Ok(made) => turn.segments = Some(made),
                Err(error) => {
                    let error = honmaru_base::chain(&error);
                    tracing::warn!(err = %error, "small blobs have no log; they are synced one by one");
                    turn.is_broken = true;
                }
            }
        }
        let segment = turn.segments.as_ref()?[turn.active].clone();
        record::set_epoch(&mut record, turn.epoch);
        if let Err(error) = segment.file.write_all_at(&record, turn.end as u64) {
            tracing::error!(%error, path = %segment.path.display(), "the log of small blobs cannot be written");
            turn.is_broken = true;
            return None;
        }
        turn.end += record.len();
        let end = turn.end as u64;
        segment.written.store(end, Ordering::Release);
        let active = turn.active;
        turn.unnamed[active] += 1;
        let recorded = Recorded {
            wal: self.clone(),
            segment: active,
            of: segment,
        };
        Some((recorded, end))
    }

    /// Goes on in a segment that nobody needs, and brings to the disk what the one before tells of.
    fn change_segment(self: &Arc<Self>, turn: &mut Turn, next: usize) {
        let before = turn.active;
        turn.is_needed[before] = true;
        turn.active = next;
        turn.epoch += 1;
        turn.end = 0;
        if let Some(segments) = &turn.segments {
            segments[next].written.store(0, Ordering::Release);
            *segments[next].synced.lock() = 0;
        }
        let wal = self.clone();
        let retiring = std::thread::Builder::new()
            .name("small-blobs-wal".to_owned())
            .spawn(move || wal.retire(before));
        if let Err(error) = retiring {
            tracing::warn!(%error, "no thread for the log of small blobs; they are synced one by one");
            turn.is_broken = true;
        }
    }

    /// Waits until every blob of a segment has its name, and until the disk has the names and the content.
    fn retire(&self, segment: usize) {
        let mut turn = self.turn.lock();
        while turn.unnamed[segment] > 0 {
            self.changed.wait(&mut turn);
        }
        drop(turn);
        let synced = sync_file_system(&self.dir);
        let mut turn = self.turn.lock();
        match synced {
            Ok(()) => turn.is_needed[segment] = false,
            Err(error) => {
                tracing::error!(err = %honmaru_base::chain(&error), "small blobs stay in their log; new ones are synced one by one");
                turn.is_broken = true;
            }
        }
        self.changed.notify_all();
    }

    fn make_segments(&self) -> Result<[Arc<Segment>; SEGMENTS], StoreError> {
        let make = |segment| -> Result<Arc<Segment>, StoreError> {
            let path = self.path(segment);
            let file = File::create_new(&path).map_err(at("create", &path))?;
            file.write_all_at(&vec![0; SEGMENT_BYTES], 0)
                .and_then(|()| file.sync_all())
                .map_err(at("write", &path))?;
            Ok(Arc::new(Segment {
                file,
                path,
                written: AtomicU64::new(0),
                synced: Mutex::new(0),
            }))
        };
        let made = make(0).and_then(|first| Ok([first, make(1)?]));
        let made = made.and_then(|made| super::sync_dir(&self.dir).map(|()| made));
        if made.is_err() {
            // On a full disk half a log would be in the way of what still fits.
            for segment in 0..SEGMENTS {
                let _ = fs::remove_file(self.path(segment));
            }
        }
        made
    }
}

impl Segment {
    /// Waits until the disk has the first `end` bytes. Whoever comes while another syncs finds its own done too, or
    /// syncs for all who came meanwhile.
    fn sync_to(&self, end: u64) -> io::Result<()> {
        let mut synced = self.synced.lock();
        if *synced < end {
            let written = self.written.load(Ordering::Acquire);
            self.file.sync_data()?;
            *synced = written;
        }
        Ok(())
    }
}

/// Brings everything that was written in the store's file system to the disk. Ref: syncfs(2).
pub(super) fn sync_file_system(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| rustix::fs::syncfs(&dir).map_err(io::Error::from))
        .map_err(at("sync the file system of", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(told: &[Told]) -> Vec<String> {
        told.iter()
            .map(|told| match told {
                Told::Written(digest, content) => {
                    assert_eq!(*digest, Digest::sha256(content));
                    String::from_utf8_lossy(content).into_owned()
                }
                Told::Removed(digest) => format!("-{digest}"),
            })
            .collect()
    }

    #[tokio::test]
    async fn what_was_recorded_is_read_again_up_to_a_torn_record() {
        let dir = tempfile::tempdir().unwrap();
        let wal = Wal::new(dir.path(), None);
        let gone = Digest::sha256(b"one");
        wal.note_removal(&gone);
        for content in ["one", "two", ""] {
            drop(
                wal.record(&Digest::sha256(content.as_bytes()), content.as_bytes())
                    .unwrap(),
            );
        }
        wal.note_removal(&gone);
        drop(wal.record(&Digest::sha256(b"last"), b"last").unwrap());
        let again = Wal::new(dir.path(), None);
        let all = ["one", "two", "", &format!("-{gone}"), "last"];
        assert_eq!(digests(&again.replay().unwrap()), all);
        // The last record's last byte never reached the disk.
        let end = wal.turn.lock().end as u64;
        let file = File::options().write(true).open(wal.path(0)).unwrap();
        file.write_all_at(b"\0", end - 1).unwrap();
        assert_eq!(digests(&again.replay().unwrap()), all[..4]);
        again.begin().unwrap();
        assert!(again.replay().unwrap().is_empty());
        // Records of an earlier process behind the new ones are not taken for theirs.
        drop(again.record(&Digest::sha256(b"new"), b"new").unwrap());
        assert_eq!(digests(&Wal::new(dir.path(), None).replay().unwrap()), ["new"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn segments_take_turns_and_none_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let wal = Wal::new(dir.path(), None);
        let content = |n: u32| {
            let mut content = vec![7; 60_000];
            content[..4].copy_from_slice(&n.to_le_bytes());
            content
        };
        let fits = u32::try_from(SEGMENT_BYTES / 60_100).unwrap();
        let many = fits * 5;
        let held = tokio::task::spawn_blocking({
            let wal = wal.clone();
            move || {
                let mut held = Vec::new();
                for n in 0..many {
                    let content = content(n);
                    let recorded = wal
                        .record(&Digest::sha256(&content), &content)
                        .expect("the log takes it");
                    // The last segment's blobs have no names yet.
                    if n >= many - fits {
                        held.push(recorded);
                    }
                }
                held
            }
        });
        let held = held.await.unwrap();
        assert!(wal.turn.lock().epoch >= 4);
        let told = Wal::new(dir.path(), None).replay().unwrap();
        let last = Digest::sha256(&content(many - 1));
        assert!(matches!(told.last(), Some(Told::Written(digest, _)) if *digest == last));
        for n in many - fits..many {
            let digest = Digest::sha256(&content(n));
            assert!(
                told.iter()
                    .any(|told| matches!(told, Told::Written(written, _) if *written == digest)),
                "{n} is gone"
            );
        }
        drop(held);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_segment_whose_blobs_have_no_names_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let wal = Wal::new(dir.path(), None);
        let taken = tokio::task::spawn_blocking({
            let wal = wal.clone();
            move || {
                let mut held = Vec::new();
                for n in 0..10_000_u32 {
                    let content = [&n.to_le_bytes()[..], &[1; 60_000]].concat();
                    match wal.record(&Digest::sha256(&content), &content) {
                        Some(recorded) => held.push(recorded),
                        None => break,
                    }
                }
                held.len()
            }
        });
        let taken = taken.await.unwrap();
        assert!(
            (SEGMENT_BYTES / 60_100..=SEGMENTS * SEGMENT_BYTES / 60_000).contains(&taken),
            "{taken}"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_removal_does_not_wait_for_a_segment() {
        let dir = tempfile::tempdir().unwrap();
        let wal = Wal::new(dir.path(), None);
        let waited = tokio::task::spawn_blocking(move || {
            let mut held = Vec::new();
            let content = |n: u32| [&n.to_le_bytes()[..], &[1; 60_000]].concat();
            // Both segments are full, and nothing in them has its name.
            while let Some(recorded) = wal.record(
                &Digest::sha256(&content(held.len() as u32)),
                &content(held.len() as u32),
            ) {
                held.push(recorded);
            }
            // Nor is there room for a mark.
            let mark = Digest::sha256(b"mark");
            while wal.append(&mark, None, Duration::ZERO).is_some() {}
            let begin = std::time::Instant::now();
            for n in 0..3_u32 {
                wal.note_removal(&Digest::sha256(&n.to_le_bytes()));
            }
            begin.elapsed()
        });
        assert!(waited.await.unwrap() < SEGMENT_PATIENCE);
    }

    /// Draws numbers that are the same in every run. Ref: Marsaglia, "Xorshift RNGs".
    struct Draw(u64);

    impl Draw {
        fn below(&mut self, max: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % max
        }
    }

    /// Goal: whatever a power failure keeps of what was written since the last sync, everything that was acknowledged is
    /// told. Method: records and removals as they come, then some that are written and not synced; of their sectors
    /// each is on disk or is not, and a disk writes them in any order.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_power_failure_at_any_write_loses_nothing_that_was_acknowledged() {
        const SECTOR: usize = 512;
        let work = |seed: u64| {
            let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let dir = tempfile::tempdir().unwrap();
            let wal = Wal::new(dir.path(), None);
            let content = |draw: &mut Draw| {
                let length = [20, 700, 5_000, 64_000][draw.below(4) as usize];
                let which = draw.below(150) as u8;
                vec![which; length]
            };
            // What is only in the log: acknowledged in this segment or in the one before, and not removed since.
            let mut acknowledged: Vec<(u64, Digest)> = Vec::new();
            for _ in 0..60 + draw.below(250) {
                let content = content(&mut draw);
                let digest = Digest::sha256(&content);
                acknowledged.retain(|(_, known)| *known != digest);
                if draw.below(5) == 0 {
                    wal.note_removal(&digest);
                } else {
                    let recorded = wal.record(&digest, &content).expect("the log takes it");
                    let epoch = wal.turn.lock().epoch;
                    drop(recorded);
                    acknowledged.push((epoch, digest));
                }
            }
            let images = || [0, 1].map(|segment| fs::read(wal.path(segment)).unwrap());
            let synced = images();
            for _ in 0..draw.below(30) {
                let content = content(&mut draw);
                let digest = Digest::sha256(&content);
                let before = wal.turn.lock().epoch;
                if draw.below(3) == 0 {
                    acknowledged.retain(|(_, known)| *known != digest);
                    wal.note_removal(&digest);
                } else {
                    let _ = wal.append(&digest, Some(&content), SEGMENT_PATIENCE);
                }
                if wal.turn.lock().epoch != before {
                    break;
                }
            }
            // A segment is written again only when its blobs have their names on disk.
            let last = wal.turn.lock().epoch;
            acknowledged.retain(|(epoch, _)| *epoch == last);
            let torn = tempfile::tempdir().unwrap();
            let log = Wal::new(torn.path(), None);
            for (segment, (old, new)) in synced.iter().zip(images()).enumerate() {
                let mut disk = old.clone();
                for (to, from) in disk.chunks_mut(SECTOR).zip(new.chunks(SECTOR)) {
                    if draw.below(2) == 0 {
                        to.copy_from_slice(from);
                    }
                }
                fs::write(log.path(segment), disk).unwrap();
            }
            // Twice: the power may fail again before the log begins anew.
            for _ in 0..2 {
                let mut known = std::collections::HashMap::new();
                for told in log.replay().unwrap() {
                    match told {
                        Told::Written(digest, content) => {
                            assert_eq!(Digest::sha256(&content), digest);
                            known.insert(digest, true);
                        }
                        Told::Removed(digest) => drop(known.insert(digest, false)),
                    }
                }
                for (_, digest) in &acknowledged {
                    assert_eq!(known.get(digest), Some(&true), "seed {seed}: {digest} is lost");
                }
            }
            acknowledged.len()
        };
        let checked = tokio::task::spawn_blocking(move || (1..=12).map(work).sum::<usize>());
        assert!(checked.await.unwrap() > 100, "hardly anything was checked");
    }
}
