//! Questions to the trail: its files from the newest to the oldest, each from its end.

use super::Line;
use super::segment::{Segment, list};
use honmaru_cloudtrail::{Found, Place, Recorded, Wanted};
use std::io;
use std::path::Path;

/// Bytes that one question looks at; the answer then says where to go on.
const SCAN_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A call is written when it is answered. None takes longer than this.
const CALL_MS_MAX: i64 = 10 * 60 * 1_000;

/// The records that are meant, newest first.
pub fn look_up(folder: &Path, wanted: &Wanted) -> io::Result<Found> {
    let segments = list(folder)?;
    let mut found = Found::default();
    let mut scanned = 0;
    let mut ended_ms = i64::MAX;
    for segment in segments.iter().rev() {
        let (begun_ms, end_ms) = (segment.begun_ms, std::mem::replace(&mut ended_ms, segment.begun_ms));
        if wanted.place.is_some_and(|place| segment.number > place.segment) {
            continue;
        }
        // Everything here, and in all older files, was over before.
        if end_ms < wanted.from_ms {
            break;
        }
        if begun_ms.saturating_sub(CALL_MS_MAX) > wanted.until_ms {
            continue;
        }
        let bytes = match std::fs::read(segment.path(folder)) {
            Ok(bytes) => bytes,
            // Removed meanwhile, being too old.
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        scan(segment, &bytes, wanted, &mut found);
        if found.records.len() >= wanted.records_max {
            return Ok(found);
        }
        scanned += bytes.len() as u64;
        if scanned >= SCAN_BYTES_MAX {
            found.next = Some(Place {
                segment: segment.number,
                offset: 0,
            });
            return Ok(found);
        }
    }
    found.next = None;
    Ok(found)
}

fn scan(segment: &Segment, bytes: &[u8], wanted: &Wanted, found: &mut Found) {
    let end = match wanted.place {
        Some(place) if place.segment == segment.number => usize::try_from(place.offset).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let mut rest = bytes.get(..end.min(bytes.len())).unwrap_or_default();
    while let Some(line) = rest.strip_suffix(b"\n") {
        let begin = line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let text = line.get(begin..).unwrap_or_default();
        rest = rest.get(..begin).unwrap_or_default();
        let Some(record) = record(text).filter(|record| wanted.fits(record)) else {
            continue;
        };
        found.records.push(record);
        if found.records.len() >= wanted.records_max {
            found.next = Some(Place {
                segment: segment.number,
                offset: begin as u64,
            });
            return;
        }
    }
}

/// The record of a line; a line that a crash cut off has none.
fn record(line: &[u8]) -> Option<Recorded> {
    match serde_json::from_slice(line) {
        Ok(Line::Call(record)) => Some(*record),
        Ok(Line::Lost { .. }) | Err(_) => None,
    }
}
