//! One stream: its segments, oldest first, of which only the last grows.

use crate::segment::Segment;
use crate::{Cursor, Event, JournalError, Page, Query, Source, failed};
use std::fs;
use std::path::{Path, PathBuf};

/// A segment that has grown to this is followed by a new one.
const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;

/// What a stream holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stat {
    /// The oldest event's time.
    pub first_ms: Option<i64>,
    /// The newest event's time.
    pub last_ms: Option<i64>,
    /// When the last event was stored.
    pub last_ingestion_ms: Option<i64>,
    /// Bytes on disk.
    pub bytes: u64,
    /// Events.
    pub events: u64,
}

/// An open stream.
pub(crate) struct Stream {
    dir: PathBuf,
    segments: Vec<Segment>,
}

fn segment_path(dir: &Path, first_sequence: u64) -> PathBuf {
    dir.join(format!("{first_sequence:020}.log"))
}

impl Stream {
    /// Opens the stream in `dir`; nothing when there is none and none shall be made.
    pub(crate) fn open(dir: &Path, create: bool) -> Result<Option<Self>, JournalError> {
        if !dir.is_dir() {
            if !create {
                return Ok(None);
            }
            fs::create_dir_all(dir).map_err(failed("make", dir))?;
        }
        let mut firsts: Vec<u64> = Vec::new();
        for entry in fs::read_dir(dir).map_err(failed("list", dir))? {
            let name = entry.map_err(failed("list", dir))?.file_name();
            let first: Option<u64> = name
                .to_str()
                .and_then(|name| name.strip_suffix(".log"))
                .and_then(|first| first.parse().ok());
            firsts.extend(first);
        }
        firsts.sort_unstable();
        let mut stream = Self {
            dir: dir.to_owned(),
            segments: Vec::new(),
        };
        for first in firsts {
            stream.segments.push(Segment::open(&segment_path(dir, first), first)?);
        }
        Ok(Some(stream))
    }

    /// Appends a batch, unless its source has sent it before. Returns whether it was stored.
    pub(crate) fn append(
        &mut self,
        events: &[(i64, String)],
        ingestion: i64,
        source: Option<&Source>,
    ) -> Result<bool, JournalError> {
        if let Some(source) = source
            && self
                .segments
                .iter()
                .rev()
                .find_map(|s| s.marks.get(&source.name))
                .is_some_and(|at| *at >= source.offset)
        {
            return Ok(false);
        }
        let full = self
            .segments
            .last()
            .is_none_or(|segment| segment.bytes >= SEGMENT_BYTES);
        if full {
            let next = self.segments.last().map_or(0, |segment| segment.next_sequence);
            let segment = self.new_segment(next)?;
            self.segments.push(segment);
        }
        if let Some(segment) = self.segments.last_mut() {
            segment.append(events, ingestion, source)?;
        }
        Ok(true)
    }

    /// A new file, whose name is on disk before anything is written to it.
    fn new_segment(&self, first_sequence: u64) -> Result<Segment, JournalError> {
        let segment = Segment::open(&segment_path(&self.dir, first_sequence), first_sequence)?;
        fs::File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(failed("sync", &self.dir))?;
        Ok(segment)
    }

    fn is_ordered(&self) -> bool {
        let ends = |segment: &Segment| Some((segment.blocks.first()?.min_ms, segment.blocks.last()?.max_ms));
        let ends: Vec<(i64, i64)> = self.segments.iter().filter_map(ends).collect();
        self.segments.iter().all(|segment| segment.is_ordered)
            && ends
                .windows(2)
                .all(|pair| matches!(pair, [(_, max), (min, _)] if max <= min))
    }

    /// Answers a query.
    pub(crate) fn read(&self, query: &Query) -> Result<Page, JournalError> {
        let mut blocks: Vec<_> = self
            .segments
            .iter()
            .flat_map(|segment| segment.blocks.iter().map(move |block| (segment, block)))
            .filter(|(_, block)| block.max_ms >= query.from_ms && block.min_ms < query.until_ms)
            .filter(|(_, block)| {
                if query.backward {
                    block.min_ms <= query.cursor.timestamp
                } else {
                    block.max_ms >= query.cursor.timestamp
                }
            })
            .collect();
        if query.backward {
            blocks.reverse();
        }
        let is_ordered = self.is_ordered();
        let mut events: Vec<Event> = Vec::new();
        for (segment, block) in blocks {
            let mut some = segment.read_block(block)?;
            some.retain(|event| {
                let place = Cursor::before(event);
                let side = if query.backward {
                    place < query.cursor
                } else {
                    place >= query.cursor
                };
                side && event.timestamp >= query.from_ms && event.timestamp < query.until_ms
            });
            if query.backward {
                some.reverse();
            }
            events.extend(some);
            // A stream in order of time needs no look at later blocks once the page is full.
            if is_ordered && events.len() >= query.events_max {
                break;
            }
        }
        if !is_ordered {
            events.sort_by_key(Cursor::before);
            if query.backward {
                events.reverse();
            }
        }
        let mut bytes = 0;
        let fits = |event: &Event| {
            let first = bytes == 0;
            bytes += event.message.len().max(1);
            first || bytes <= query.bytes_max
        };
        let mut events: Vec<Event> = events
            .into_iter()
            .take(query.events_max)
            .scan(fits, |fits, e| fits(&e).then_some(e))
            .collect();
        if query.backward {
            events.reverse();
        }
        let backward = events.first().map_or(query.cursor, Cursor::before);
        let forward = events.last().map_or(query.cursor, Cursor::after);
        Ok(Page {
            events,
            backward,
            forward,
        })
    }

    /// What the stream holds.
    pub(crate) fn stat(&self) -> Stat {
        let blocks = || self.segments.iter().flat_map(|segment| &segment.blocks);
        Stat {
            first_ms: blocks().map(|block| block.min_ms).min(),
            last_ms: blocks().map(|block| block.max_ms).max(),
            last_ingestion_ms: self.segments.iter().filter_map(|segment| segment.last_ingestion).max(),
            bytes: self.segments.iter().map(|segment| segment.bytes).sum(),
            events: blocks().map(|block| block.events).sum(),
        }
    }

    /// Removes segments in which every event is older than `before_ms`. In the last one's place comes an empty one, which
    /// keeps the sequence: a stream that nobody writes to any more does not stay on disk for ever.
    pub(crate) fn trim(&mut self, before_ms: i64) -> Result<(), JournalError> {
        while self.segments.len() > 1
            && let Some(first) = self.segments.first()
            && first.blocks.iter().all(|block| block.max_ms < before_ms)
        {
            first.remove()?;
            self.segments.remove(0);
        }
        if let [last] = &self.segments[..]
            && !last.blocks.is_empty()
            && last.blocks.iter().all(|block| block.max_ms < before_ms)
        {
            let next = last.next_sequence;
            let empty = self.new_segment(next)?;
            last.remove()?;
            self.segments = vec![empty];
        }
        Ok(())
    }
}
