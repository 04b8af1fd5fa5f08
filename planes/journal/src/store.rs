//! All streams of a journal, opened when they are first needed.

use crate::stream::Stream;
use crate::{Cursor, JournalError, Page, Query, Source, Stat, StreamId, failed};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Streams that stay open; beyond that the ones nobody uses are closed.
const OPEN_STREAMS_MAX: usize = 512;

type Shared = Arc<Mutex<Stream>>;

/// A directory of streams. All calls block on the disk: call them from a blocking task.
pub struct Journal {
    root: PathBuf,
    open: Mutex<HashMap<StreamId, Shared>>,
}

/// A name of any characters and length as a directory's name.
fn hashed(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(hash.finalize()).chars().take(40).collect()
}

impl Journal {
    /// A journal in a directory, which is made when it is missing.
    pub fn open(root: &Path) -> Result<Self, JournalError> {
        fs::create_dir_all(root).map_err(failed("make", root))?;
        Ok(Self {
            root: root.to_owned(),
            open: Mutex::new(HashMap::new()),
        })
    }

    fn group_dir(&self, account: &str, region: &str, group: &str) -> PathBuf {
        self.root.join(hashed(&[account, region, group]))
    }

    fn dir(&self, id: &StreamId) -> PathBuf {
        self.group_dir(&id.account, &id.region, &id.group)
            .join(hashed(&[&id.stream]))
    }

    fn stream(&self, id: &StreamId, create: bool) -> Result<Option<Shared>, JournalError> {
        let mut open = self.open.lock();
        if let Some(stream) = open.get(id) {
            return Ok(Some(stream.clone()));
        }
        let Some(stream) = Stream::open(&self.dir(id), create)? else {
            return Ok(None);
        };
        if open.len() >= OPEN_STREAMS_MAX {
            open.retain(|_, stream| Arc::strong_count(stream) > 1);
        }
        let stream = Arc::new(Mutex::new(stream));
        open.insert(id.clone(), stream.clone());
        Ok(Some(stream))
    }

    /// Appends a batch durably. Returns whether it was stored: not when its source has sent it before.
    pub fn append(
        &self,
        id: &StreamId,
        events: &[(i64, String)],
        ingestion: i64,
        source: Option<&Source>,
    ) -> Result<bool, JournalError> {
        match self.stream(id, true)? {
            Some(stream) => stream.lock().append(events, ingestion, source),
            None => Ok(false),
        }
    }

    /// Reads a page of a stream. A stream without events is empty, not an error.
    pub fn read(&self, id: &StreamId, query: &Query) -> Result<Page, JournalError> {
        match self.stream(id, false)? {
            Some(stream) => stream.lock().read(query),
            None => Ok(Page {
                events: Vec::new(),
                backward: query.cursor,
                forward: query.cursor,
            }),
        }
    }

    /// What a stream holds.
    pub fn stat(&self, id: &StreamId) -> Result<Stat, JournalError> {
        Ok(self
            .stream(id, false)?
            .map(|stream| stream.lock().stat())
            .unwrap_or_default())
    }

    /// Removes events older than `before_ms` as far as whole segments go; a segment is at most 16 MiB.
    pub fn trim(&self, id: &StreamId, before_ms: i64) -> Result<(), JournalError> {
        match self.stream(id, false)? {
            Some(stream) => stream.lock().trim(before_ms),
            None => Ok(()),
        }
    }

    /// Removes a stream.
    pub fn delete_stream(&self, id: &StreamId) -> Result<(), JournalError> {
        self.open.lock().remove(id);
        remove(&self.dir(id))
    }

    /// Removes all streams of a group.
    pub fn delete_group(&self, account: &str, region: &str, group: &str) -> Result<(), JournalError> {
        self.open
            .lock()
            .retain(|id, _| !(id.account == account && id.region == region && id.group == group));
        remove(&self.group_dir(account, region, group))
    }

    /// Removes every stream that is not to be kept: those whose group or stream was deleted.
    pub fn retain(&self, keep: &[StreamId]) -> Result<(), JournalError> {
        let keep_dirs: HashSet<PathBuf> = keep.iter().map(|id| self.dir(id)).collect();
        let keep_ids: HashSet<&StreamId> = keep.iter().collect();
        // The lock is held throughout, so that no stream is opened while it is judged.
        let mut open = self.open.lock();
        open.retain(|id, stream| keep_ids.contains(id) || Arc::strong_count(stream) > 1);
        for group in subdirs(&self.root)? {
            let mut is_empty = true;
            for stream in subdirs(&group)? {
                let is_open = open.keys().any(|id| self.dir(id) == stream);
                if keep_dirs.contains(&stream) || is_open {
                    is_empty = false;
                } else {
                    remove(&stream)?;
                }
            }
            if is_empty {
                remove(&group)?;
            }
        }
        Ok(())
    }
}

fn subdirs(dir: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed("list", dir))? {
        let path = entry.map_err(failed("list", dir))?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    Ok(found)
}

fn remove(dir: &Path) -> Result<(), JournalError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", dir)(error)),
        _ => Ok(()),
    }
}

impl Query {
    /// Everything from the oldest event on.
    pub fn from_start(events_max: usize, bytes_max: usize) -> Self {
        let cursor = Cursor::START;
        Self {
            from_ms: i64::MIN,
            until_ms: i64::MAX,
            cursor,
            backward: false,
            events_max,
            bytes_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn id() -> StreamId {
        let text = str::to_owned;
        StreamId {
            account: text("000000000000"),
            region: text("us-east-1"),
            group: text("/g"),
            stream: text("s/1"),
        }
    }

    fn batch(range: std::ops::Range<i64>) -> Vec<(i64, String)> {
        range.map(|n| (n * 10, format!("line {n}"))).collect()
    }

    fn messages(page: &Page) -> Vec<&str> {
        page.events.iter().map(|e| e.message.as_str()).collect()
    }

    #[test]
    fn pages_forward_and_backward_cover_every_event_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(dir.path()).expect("open");
        for start in (0..1_000).step_by(100) {
            assert!(
                journal
                    .append(&id(), &batch(start..start + 100), 5, None)
                    .expect("append")
            );
        }
        for backward in [false, true] {
            let mut query = Query {
                backward,
                ..Query::from_start(77, usize::MAX)
            };
            query.cursor = if backward { Cursor::END } else { Cursor::START };
            let mut seen = Vec::new();
            loop {
                let page = journal.read(&id(), &query).expect("read");
                if page.events.is_empty() {
                    break;
                }
                query.cursor = if backward { page.backward } else { page.forward };
                seen.extend(page.events.iter().map(|e| e.sequence));
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..1_000).collect::<Vec<_>>(), "backward: {backward}");
        }
    }

    #[test]
    fn a_batch_sent_again_is_stored_once_even_after_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let source = |offset| Source {
            name: "task/web".to_owned(),
            offset,
        };
        let journal = Journal::open(dir.path()).expect("open");
        assert!(
            journal
                .append(&id(), &batch(0..2), 1, Some(&source(20)))
                .expect("append")
        );
        assert!(
            !journal
                .append(&id(), &batch(0..2), 1, Some(&source(20)))
                .expect("append")
        );
        let journal = Journal::open(dir.path()).expect("reopen");
        assert!(
            !journal
                .append(&id(), &batch(0..2), 1, Some(&source(20)))
                .expect("append")
        );
        assert!(
            journal
                .append(&id(), &batch(2..3), 1, Some(&source(30)))
                .expect("append")
        );
        let page = journal.read(&id(), &Query::from_start(10, usize::MAX)).expect("read");
        assert_eq!(messages(&page), ["line 0", "line 1", "line 2"]);
    }

    #[test]
    fn what_has_expired_leaves_the_disk_and_the_sequence_goes_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(dir.path()).expect("open");
        journal.append(&id(), &batch(0..3), 1, None).expect("append");
        journal.trim(&id(), 20).expect("trim");
        assert_eq!(
            journal.stat(&id()).expect("stat").events,
            3,
            "one event has not expired"
        );
        journal.trim(&id(), 21).expect("trim");
        journal.trim(&id(), 21).expect("trim again");
        let stat = journal.stat(&id()).expect("stat");
        assert_eq!((stat.events, stat.bytes), (0, 0));
        let on_disk: u64 = fs::read_dir(journal.dir(&id()))
            .expect("the directory")
            .map(|entry| entry.and_then(|entry| entry.metadata()).expect("a file").len())
            .sum();
        assert_eq!(on_disk, 0);
        journal.append(&id(), &batch(3..4), 1, None).expect("append");
        let journal = Journal::open(dir.path()).expect("reopen");
        let page = journal.read(&id(), &Query::from_start(10, usize::MAX)).expect("read");
        let seen: Vec<u64> = page.events.iter().map(|event| event.sequence).collect();
        assert_eq!((messages(&page), seen), (vec!["line 3"], vec![3]));
    }

    #[test]
    fn a_torn_tail_is_cut_off() {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(dir.path()).expect("open");
        journal.append(&id(), &batch(0..3), 1, None).expect("append");
        let file = journal.dir(&id()).join(format!("{:020}.log", 0));
        let mut file = fs::OpenOptions::new().append(true).open(file).expect("the segment");
        file.write_all(&[40, 0, 0, 0, 1, 2, 3]).expect("write half a record");
        let journal = Journal::open(dir.path()).expect("reopen");
        journal.append(&id(), &batch(3..4), 1, None).expect("append");
        let page = journal.read(&id(), &Query::from_start(10, usize::MAX)).expect("read");
        assert_eq!(messages(&page), ["line 0", "line 1", "line 2", "line 3"]);
    }

    #[test]
    fn events_out_of_order_come_back_in_order() {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(dir.path()).expect("open");
        journal.append(&id(), &batch(5..7), 1, None).expect("append");
        journal.append(&id(), &batch(0..2), 1, None).expect("append");
        let page = journal.read(&id(), &Query::from_start(10, usize::MAX)).expect("read");
        assert_eq!(messages(&page), ["line 0", "line 1", "line 5", "line 6"]);
        let late = Query {
            from_ms: 10,
            until_ms: 60,
            ..Query::from_start(10, usize::MAX)
        };
        assert_eq!(
            messages(&journal.read(&id(), &late).expect("read")),
            ["line 1", "line 5"]
        );
    }

    #[test]
    fn a_page_keeps_to_its_bytes_but_never_comes_empty() {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(dir.path()).expect("open");
        journal.append(&id(), &batch(0..4), 1, None).expect("append");
        let page = journal.read(&id(), &Query::from_start(10, 12)).expect("read");
        assert_eq!(messages(&page), ["line 0", "line 1"]);
        let page = journal.read(&id(), &Query::from_start(10, 1)).expect("read");
        assert_eq!(messages(&page), ["line 0"]);
    }
}
