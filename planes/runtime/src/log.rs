//! Reads container logs by offset.
//!
//! A log is one endless text of which the newest 16 to 32 MiB are kept, in `<container>.log` and, older,
//! `<container>.log.1`. An offset counts bytes from the very first record and stays valid across rotations: each file
//! begins with a header record that says at which offset it starts.

use crate::error::{At, RuntimeError};
use honmaru_runtime_protocol::{LOG_LINE_BYTES_MAX, LOG_PARTIAL};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Longest record: time, stream, flag, text, newline.
const RECORD_BYTES_MAX: u64 = LOG_LINE_BYTES_MAX as u64 + 64;
/// How often a rotation may come between opening two files before we give up.
const ROTATIONS_MAX: u32 = 3;

/// Which stream a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One record of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was read from the container, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Its stream.
    pub stream: LogStream,
    /// Whether the line goes on in the next record of this stream (lines over 16 KiB are split).
    pub partial: bool,
    /// The text, without its newline; any bytes.
    pub text: Vec<u8>,
}

/// What [`read_log`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogChunk {
    /// The records.
    pub lines: Vec<LogLine>,
    /// Where the next read begins.
    pub next_offset: u64,
    /// Bytes between the offset asked for and the first record, that rotation has thrown away.
    pub lost_bytes: u64,
}

/// Reads whole records from `offset` on, at least one if there is one, about `bytes_max` at most. An empty chunk means
/// that there is nothing yet; so does a missing file.
pub fn read_log(path: &Path, offset: u64, bytes_max: u64) -> Result<LogChunk, RuntimeError> {
    for _ in 0..ROTATIONS_MAX {
        let Some(current) = Opened::open(path)? else {
            return Ok(LogChunk {
                next_offset: offset,
                ..LogChunk::default()
            });
        };
        if offset >= current.start {
            return current.read(offset, bytes_max).at("read", path);
        }
        let Some(older) = Opened::open(&older_path(path))? else {
            return current.read_lossy(offset, bytes_max).at("read", path);
        };
        if older.end() == current.start {
            return older.read_lossy(offset, bytes_max).at("read", path);
        }
        // The log was rotated between the two opens, or the older file is not what precedes this one.
        if older.start > current.start {
            continue;
        }
        return current.read_lossy(offset, bytes_max).at("read", path);
    }
    Ok(LogChunk {
        next_offset: offset,
        ..LogChunk::default()
    })
}

fn older_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".1");
    PathBuf::from(name)
}

struct Opened {
    file: BufReader<File>,
    /// The offset of the first record.
    start: u64,
    header_bytes: u64,
    file_bytes: u64,
}

impl Opened {
    /// Nothing when the file is missing or its header is not written yet.
    fn open(path: &Path) -> Result<Option<Self>, RuntimeError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at("open", path),
        };
        let file_bytes = file.metadata().at("examine", path)?.len();
        let mut file = BufReader::new(file);
        let mut header = Vec::new();
        (&mut file)
            .take(RECORD_BYTES_MAX)
            .read_until(b'\n', &mut header)
            .at("read", path)?;
        if header.last() != Some(&b'\n') {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&header);
        let start = text.trim_end().rsplit(' ').next().and_then(|word| word.parse().ok());
        let Some(start) = start.filter(|_| text.contains(" - H ")) else {
            return Err(io::Error::other("it does not begin with a header")).at("read", path);
        };
        Ok(Some(Self {
            file,
            start,
            header_bytes: header.len() as u64,
            file_bytes,
        }))
    }

    fn end(&self) -> u64 {
        self.start + self.file_bytes.saturating_sub(self.header_bytes)
    }

    fn read_lossy(self, offset: u64, bytes_max: u64) -> io::Result<LogChunk> {
        let from = offset.max(self.start);
        let mut chunk = self.read(from, bytes_max)?;
        chunk.lost_bytes = from - offset;
        Ok(chunk)
    }

    fn read(mut self, offset: u64, bytes_max: u64) -> io::Result<LogChunk> {
        self.file
            .seek(SeekFrom::Start(self.header_bytes + (offset - self.start)))?;
        let mut chunk = LogChunk {
            next_offset: offset,
            ..LogChunk::default()
        };
        while chunk.next_offset - offset < bytes_max.max(1) {
            let mut record = Vec::new();
            (&mut self.file).take(RECORD_BYTES_MAX).read_until(b'\n', &mut record)?;
            if record.last() != Some(&b'\n') {
                break;
            }
            chunk.next_offset += record.len() as u64;
            record.pop();
            // A record that the shim could not write whole (a full disk) is passed over.
            chunk.lines.extend(parse(&record));
        }
        Ok(chunk)
    }
}

/// `<ms> <o|e> <F|P> text`
fn parse(record: &[u8]) -> Option<LogLine> {
    let mut parts = record.splitn(4, |byte| *byte == b' ');
    let at_ms = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let stream = match parts.next()? {
        b"o" => LogStream::Stdout,
        b"e" => LogStream::Stderr,
        _ => return None,
    };
    let partial = parts.next()? == [LOG_PARTIAL as u8];
    Some(LogLine {
        at_ms,
        stream,
        partial,
        text: parts.next()?.to_vec(),
    })
}
