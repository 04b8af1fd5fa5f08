//! A container's log: one writer for both streams, a line a record, rotated, never blocking the container for long.
//!
//! `<ms> <o|e> <F|P> text`: `P` when the line goes on in the next record of the same stream. Each file begins with
//! `<ms> - H <offset>`: the offset of its first record in the endless text of this log, so that a reader's offset stays
//! valid across rotations.

use honmaru_runtime_protocol::{LOG_FILE_BYTES_MAX, LOG_LINE_BYTES_MAX, LOG_PARTIAL, LOG_WHOLE};
use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Bytes taken from one stream before others have their turn.
const TURN_BYTES_MAX: usize = 256 * 1024;
const READ_BYTES: usize = 32 * 1024;

/// The log's file and where it stands.
pub struct Log {
    path: String,
    file: Option<fs::File>,
    /// Offset of the next record in the endless text.
    offset: u64,
    /// Bytes of records in this file.
    file_bytes: u64,
    /// Bytes of this file's header.
    header_bytes: u64,
    /// Bytes of output that could not be written.
    pub lost_bytes: u64,
}

/// One of a container's streams.
pub struct Stream {
    descriptor: OwnedFd,
    letter: char,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
}

impl Log {
    pub fn new(path: String) -> Self {
        Self {
            path,
            file: None,
            offset: 0,
            file_bytes: 0,
            header_bytes: 0,
            lost_bytes: 0,
        }
    }

    /// Writes records; what cannot be written (a full disk) is counted and forgotten: the container goes on.
    fn append(&mut self, records: &[u8], now_ms: i64) {
        let written = self.write(records, now_ms);
        if written.is_err() {
            self.lost_bytes += records.len() as u64;
            return;
        }
        self.offset += records.len() as u64;
        self.file_bytes += records.len() as u64;
        if self.file_bytes >= LOG_FILE_BYTES_MAX {
            self.rotate();
            // The new file is there at once, for readers that look for its header.
            let _next_time = self.open(now_ms);
        }
    }

    fn write(&mut self, records: &[u8], now_ms: i64) -> io::Result<()> {
        self.open(now_ms)?;
        let good_bytes = self.header_bytes + self.file_bytes;
        let file = self.open(now_ms)?;
        file.write_all(records).inspect_err(|_| {
            // A record may be there in part: take it back, so that what follows is whole.
            let _readers_pass_over_it = file.set_len(good_bytes);
        })
    }

    fn rotate(&mut self) {
        self.file = None;
        self.file_bytes = 0;
        let _kept_and_appended_to = fs::rename(&self.path, format!("{}.1", self.path));
    }

    fn open(&mut self, now_ms: i64) -> io::Result<&mut fs::File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                // Under another name until its header is in it.
                let temporary = format!("{}.new", self.path);
                let _none_left = fs::remove_file(&temporary);
                let mut file = fs::OpenOptions::new().create_new(true).append(true).open(&temporary)?;
                let header = format!("{now_ms} - H {}\n", self.offset);
                file.write_all(header.as_bytes())?;
                self.header_bytes = header.len() as u64;
                fs::rename(&temporary, &self.path)?;
                file
            }
        };
        Ok(self.file.insert(file))
    }
}

impl Stream {
    /// A stream by its letter: `o` or `e`.
    pub fn new(descriptor: OwnedFd, letter: char) -> io::Result<Self> {
        crate::sys::set_nonblocking(&descriptor)?;
        Ok(Self {
            descriptor,
            letter,
            line: Vec::new(),
        })
    }

    pub fn descriptor(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }

    /// Moves what there is into the log; false at the stream's end.
    pub fn pump(&mut self, log: &mut Log, now_ms: i64) -> bool {
        let mut buffer = [0; READ_BYTES];
        let mut taken = 0;
        while taken < TURN_BYTES_MAX {
            match crate::sys::read(self.descriptor.as_raw_fd(), &mut buffer) {
                Ok(read @ 1..) => {
                    taken += read;
                    let records = self.records(buffer.get(..read).unwrap_or_default(), now_ms);
                    if !records.is_empty() {
                        log.append(&records, now_ms);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                // An end; a terminal's master answers EIO when its last slave is closed.
                Ok(_) | Err(_) => {
                    self.finish(log, now_ms);
                    return false;
                }
            }
        }
        true
    }

    /// Whether more can be read at this moment.
    pub fn has_more(&self) -> bool {
        let mut set = [libc::pollfd {
            fd: self.descriptor.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        }];
        crate::sys::poll(&mut set, 0);
        set.iter().any(|one| one.revents & libc::POLLIN != 0)
    }

    /// Writes a last line that has no newline.
    pub fn finish(&mut self, log: &mut Log, now_ms: i64) {
        if !self.line.is_empty() {
            let mut records = Vec::new();
            self.end_record(&mut records, now_ms, LOG_WHOLE);
            log.append(&records, now_ms);
        }
    }

    fn records(&mut self, data: &[u8], now_ms: i64) -> Vec<u8> {
        let mut records = Vec::with_capacity(data.len() + 64);
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                Some(_) | None => (piece, false),
            };
            let mut rest = text;
            while self.line.len() + rest.len() > LOG_LINE_BYTES_MAX {
                let (now, later) = rest.split_at(LOG_LINE_BYTES_MAX - self.line.len());
                self.line.extend(now);
                self.end_record(&mut records, now_ms, LOG_PARTIAL);
                rest = later;
            }
            self.line.extend(rest);
            if ends {
                self.end_record(&mut records, now_ms, LOG_WHOLE);
            }
        }
        records
    }

    fn end_record(&mut self, records: &mut Vec<u8>, now_ms: i64, flag: char) {
        records.extend(format!("{now_ms} {} {flag} ", self.letter).bytes());
        records.append(&mut self.line);
        records.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&str], expected: &str) {
        let (read, _write) = crate::sys::pipe().unwrap();
        let mut stream = Stream::new(read, 'o').unwrap();
        let mut records: Vec<u8> = pieces
            .iter()
            .flat_map(|piece| stream.records(piece.as_bytes(), 7))
            .collect();
        if !stream.line.is_empty() {
            stream.end_record(&mut records, 7, LOG_WHOLE);
        }
        assert_eq!(String::from_utf8(records).unwrap(), expected);
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        check(&["a\nb", "c\n", "\n"], "7 o F a\n7 o F bc\n7 o F \n");
        check(&["no newline"], "7 o F no newline\n");
    }

    #[test]
    fn a_long_line_is_split_and_says_so() {
        let long = "x".repeat(LOG_LINE_BYTES_MAX);
        check(&[&format!("{long}\n")], &format!("7 o F {long}\n"));
        check(&[&format!("{long}yz\n")], &format!("7 o P {long}\n7 o F yz\n"));
        check(&[&long, "y"], &format!("7 o P {long}\n7 o F y\n"));
    }
}
