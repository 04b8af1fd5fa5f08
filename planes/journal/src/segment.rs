//! One file of a stream: events one after the other, and a sparse index of them in memory.
//!
//! A record is `length (u32) | timestamp (i64) | ingestion (i64) | text`, all little-endian; the length counts what
//! follows it. A record whose timestamp is `i64::MIN` is a mark: `source name NUL offset`, written after a batch.

use crate::{Event, JournalError, Source, failed};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A message is at most this long; CloudWatch Logs' own limit is 1 MiB.
const RECORD_BYTES_MAX: u32 = 2 * 1024 * 1024;
const HEAD_BYTES: u64 = 4;
const TIMES_BYTES: u32 = 16;
const MARK: i64 = i64::MIN;
/// Events in one block of the index.
const BLOCK_EVENTS: u64 = 256;

/// Some events that follow each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub(crate) offset: u64,
    pub(crate) first_sequence: u64,
    pub(crate) events: u64,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
}

/// An open segment.
pub(crate) struct Segment {
    path: PathBuf,
    file: File,
    pub(crate) bytes: u64,
    pub(crate) blocks: Vec<Block>,
    pub(crate) next_sequence: u64,
    /// Whether no event is older than the one before it.
    pub(crate) is_ordered: bool,
    pub(crate) marks: BTreeMap<String, u64>,
    pub(crate) last_ingestion: Option<i64>,
}

impl Segment {
    /// Opens or makes the file, reads its index, and cuts off a torn tail.
    pub(crate) fn open(path: &Path, first_sequence: u64) -> Result<Self, JournalError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path);
        let file = file.map_err(failed("open", path))?;
        let mut segment = Self {
            path: path.to_owned(),
            file,
            bytes: 0,
            blocks: Vec::new(),
            next_sequence: first_sequence,
            is_ordered: true,
            marks: BTreeMap::new(),
            last_ingestion: None,
        };
        let length = segment.file.metadata().map_err(failed("look at", path))?.len();
        let file = segment.file.try_clone().map_err(failed("open", path))?;
        let mut reader = BufReader::new(file);
        reader.seek(SeekFrom::Start(0)).map_err(failed("read", path))?;
        while let Some((timestamp, ingestion, text, size)) = read_record(&mut reader).map_err(failed("read", path))? {
            segment.note(timestamp, ingestion, &text);
            segment.bytes += size;
        }
        if segment.bytes < length {
            segment.file.set_len(segment.bytes).map_err(failed("repair", path))?;
        }
        Ok(segment)
    }

    fn note(&mut self, timestamp: i64, ingestion: i64, text: &[u8]) {
        if timestamp == MARK {
            if let Some((name, offset)) = parse_mark(text) {
                self.marks.insert(name, offset);
            }
            return;
        }
        let max_before = self.blocks.last().map(|block| block.max_ms);
        self.is_ordered &= max_before.is_none_or(|max| max <= timestamp);
        self.last_ingestion = self.last_ingestion.max(Some(ingestion));
        match self.blocks.last_mut() {
            Some(block) if block.events < BLOCK_EVENTS => {
                block.events += 1;
                block.min_ms = block.min_ms.min(timestamp);
                block.max_ms = block.max_ms.max(timestamp);
            }
            _ => self.blocks.push(Block {
                offset: self.bytes,
                first_sequence: self.next_sequence,
                events: 1,
                min_ms: timestamp,
                max_ms: timestamp,
            }),
        }
        self.next_sequence += 1;
    }

    /// Appends events and a mark, durably.
    pub(crate) fn append(
        &mut self,
        events: &[(i64, String)],
        ingestion: i64,
        source: Option<&Source>,
    ) -> Result<(), JournalError> {
        let mut buffer = Vec::new();
        let mark = source.map(|s| (MARK, format!("{}\0{}", s.name, s.offset)));
        let records = events
            .iter()
            .map(|(at, text)| (*at, text))
            .chain(mark.iter().map(|(at, text)| (*at, text)));
        for (timestamp, text) in records {
            let length = TIMES_BYTES
                + u32::try_from(text.len())
                    .unwrap_or(u32::MAX)
                    .min(RECORD_BYTES_MAX - TIMES_BYTES);
            buffer.extend_from_slice(&length.to_le_bytes());
            buffer.extend_from_slice(&timestamp.to_le_bytes());
            buffer.extend_from_slice(&ingestion.to_le_bytes());
            buffer.extend(text.bytes().take((length - TIMES_BYTES) as usize));
        }
        let write = |file: &mut File, at: u64| -> std::io::Result<()> {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&buffer)?;
            file.sync_data()
        };
        if let Err(error) = write(&mut self.file, self.bytes) {
            // What was written of it must not be found by the next open.
            let _ = self.file.set_len(self.bytes);
            return Err(failed("append to", &self.path)(error));
        }
        for (timestamp, text) in events {
            self.note(*timestamp, ingestion, text.as_bytes());
            self.bytes += HEAD_BYTES + u64::from(TIMES_BYTES) + text.len() as u64;
        }
        if let Some((_, text)) = &mark {
            self.note(MARK, ingestion, text.as_bytes());
            self.bytes += HEAD_BYTES + u64::from(TIMES_BYTES) + text.len() as u64;
        }
        Ok(())
    }

    /// The events of one block.
    pub(crate) fn read_block(&self, block: &Block) -> Result<Vec<Event>, JournalError> {
        let file = File::open(&self.path).map_err(failed("open", &self.path))?;
        let mut reader = BufReader::new(file);
        reader
            .seek(SeekFrom::Start(block.offset))
            .map_err(failed("read", &self.path))?;
        let mut events = Vec::new();
        while (events.len() as u64) < block.events {
            let Some((timestamp, ingestion, text, _)) = read_record(&mut reader).map_err(failed("read", &self.path))?
            else {
                break;
            };
            if timestamp != MARK {
                let sequence = block.first_sequence + events.len() as u64;
                let message = String::from_utf8_lossy(&text).into_owned();
                events.push(Event {
                    timestamp,
                    ingestion,
                    sequence,
                    message,
                });
            }
        }
        Ok(events)
    }

    /// Removes the file.
    pub(crate) fn remove(&self) -> Result<(), JournalError> {
        std::fs::remove_file(&self.path).map_err(failed("remove", &self.path))
    }
}

type RawRecord = (i64, i64, Vec<u8>, u64);

/// The next record; nothing at the end or at a torn record.
fn read_record(reader: &mut impl Read) -> std::io::Result<Option<RawRecord>> {
    let mut head = [0; 4];
    if !read_whole(reader, &mut head)? {
        return Ok(None);
    }
    let length = u32::from_le_bytes(head);
    if !(TIMES_BYTES..=RECORD_BYTES_MAX).contains(&length) {
        return Ok(None);
    }
    let (mut timestamp, mut ingestion) = ([0; 8], [0; 8]);
    let mut text = vec![0; (length - TIMES_BYTES) as usize];
    if !(read_whole(reader, &mut timestamp)? && read_whole(reader, &mut ingestion)? && read_whole(reader, &mut text)?) {
        return Ok(None);
    }
    let (timestamp, ingestion) = (i64::from_le_bytes(timestamp), i64::from_le_bytes(ingestion));
    Ok(Some((timestamp, ingestion, text, HEAD_BYTES + u64::from(length))))
}

/// Fills the buffer; `false` when the file ends before.
fn read_whole(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn parse_mark(text: &[u8]) -> Option<(String, u64)> {
    let text = std::str::from_utf8(text).ok()?;
    let (name, offset) = text.rsplit_once('\0')?;
    Some((name.to_owned(), offset.parse().ok()?))
}
