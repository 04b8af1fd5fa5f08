//! Files with holes, as `tar --sparse` writes them: GNU's own format and the three of pax (0.0, 0.1, 1.0).
//!
//! Invariants: the pieces follow each other, end before the file does, and have together as many bytes as the archive
//! has for the file; how many there may be is bounded by the bytes that a header may have.
//! Ref: GNU tar manual, "Storing Sparse Files" and "Sparse Formats". Go's reader, and so Docker's and containerd's, takes
//! those of pax.

use super::UnpackError;
use super::tar::{BLOCK, number};

/// Where a file with holes has content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sparse {
    /// The file's length in bytes.
    pub(super) size: u64,
    /// Offset and length of each piece.
    pub(super) pieces: Vec<(u64, u64)>,
}

impl Sparse {
    /// Checks a map against the bytes that the archive has for the file.
    pub(super) fn new(size: u64, pieces: Vec<(u64, u64)>, content: u64) -> Result<Self, UnpackError> {
        let (mut end, mut sum) = (0_u64, 0_u64);
        for (offset, length) in &pieces {
            if *offset < end {
                return Err(malformed());
            }
            end = offset.checked_add(*length).ok_or_else(malformed)?;
            // No overflow: the pieces do not overlap.
            sum += length;
        }
        if end > size || sum != content {
            return Err(malformed());
        }
        Ok(Self { size, pieces })
    }
}

pub(super) fn malformed() -> UnpackError {
    UnpackError::Tar("the map of a sparse file is malformed")
}

/// What pax headers say of a file with holes.
#[derive(Debug, Default)]
pub(super) struct PaxSparse {
    /// Versions 0.0 and 0.1 name none.
    version: (u64, u64),
    /// The file's own name: the header's is for readers that know nothing of holes.
    pub(super) name: Option<Vec<u8>>,
    size: Option<u64>,
    pieces: Vec<(u64, u64)>,
    /// An offset whose length has not come yet.
    offset: Option<u64>,
    is_any: bool,
}

/// Where the map of a file with holes stands.
pub(super) enum MapAt {
    /// In the headers: here it is.
    Here(u64, Vec<(u64, u64)>),
    /// Before the content; the file has so many bytes.
    Content(u64),
}

impl PaxSparse {
    /// Takes a record; `key` is what stands behind `GNU.sparse.`.
    pub(super) fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), UnpackError> {
        self.is_any = true;
        let number = || digits(value).ok_or_else(malformed);
        match key {
            b"major" => self.version.0 = number()?,
            b"minor" => self.version.1 = number()?,
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(number()?),
            b"offset" => self.offset = Some(number()?),
            b"numbytes" => self.pieces.push((self.offset.take().ok_or_else(malformed)?, number()?)),
            b"map" => {
                let mut numbers = value.split(|byte| *byte == b',').map(digits);
                while let Some(offset) = numbers.next() {
                    let length = numbers.next().ok_or_else(malformed)?;
                    self.pieces
                        .push((offset.ok_or_else(malformed)?, length.ok_or_else(malformed)?));
                }
            }
            // How many pieces there are is seen from them.
            _ => {}
        }
        Ok(())
    }

    /// Where the map stands; nothing when the file has no holes.
    pub(super) fn map(self) -> Result<Option<MapAt>, UnpackError> {
        if !self.is_any {
            return Ok(None);
        }
        let size = self.size.ok_or_else(malformed)?;
        match self.version {
            (0, 0 | 1) if self.offset.is_none() => Ok(Some(MapAt::Here(size, self.pieces))),
            (1, 0) => Ok(Some(MapAt::Content(size))),
            _ => Err(malformed()),
        }
    }
}

/// The map of version 1.0, which stands before the content: numbers on lines, how many pieces first, filled with NULs up
/// to a whole block. `more` gives the next block.
pub(super) fn read_map(
    bytes_max: u64,
    mut more: impl FnMut(&mut [u8; BLOCK]) -> Result<(), UnpackError>,
) -> Result<Vec<(u64, u64)>, UnpackError> {
    let (mut bytes, mut text) = (0, Vec::new());
    let (mut numbers, mut wanted) = (Vec::new(), 1_u64);
    while (numbers.len() as u64) < wanted {
        let mut block = [0; BLOCK];
        more(&mut block)?;
        bytes += BLOCK as u64;
        if bytes > bytes_max {
            return Err(UnpackError::Limit {
                what: "bytes in the map of a sparse file",
                max: bytes_max,
            });
        }
        for byte in block {
            if (numbers.len() as u64) == wanted {
                break;
            }
            if byte != b'\n' {
                text.push(byte);
                continue;
            }
            let number = digits(&text).ok_or_else(malformed)?;
            text.clear();
            if numbers.is_empty() {
                wanted = number
                    .checked_mul(2)
                    .and_then(|n| n.checked_add(1))
                    .ok_or_else(malformed)?;
            }
            numbers.push(number);
        }
    }
    let mut pairs = numbers.into_iter().skip(1);
    let mut pieces = Vec::new();
    while let (Some(offset), Some(length)) = (pairs.next(), pairs.next()) {
        pieces.push((offset, length));
    }
    Ok(pieces)
}

/// Pieces in a block of GNU's own format, from `at` on; whether it says that a further block follows.
pub(super) fn gnu_pieces(
    block: &[u8; BLOCK],
    at: std::ops::Range<usize>,
    pieces: &mut Vec<(u64, u64)>,
) -> Result<bool, UnpackError> {
    let more = at.end;
    for entry in block.get(at).unwrap_or_default().chunks_exact(24) {
        let (offset, length) = entry.split_at(12);
        // The first that is not used ends the list.
        if offset.iter().all(|byte| *byte == 0) {
            return Ok(false);
        }
        let number = |field| number(field).ok_or_else(malformed);
        pieces.push((number(offset)?, number(length)?));
    }
    Ok(block.get(more).is_some_and(|flag| *flag != 0 && *flag != b'0'))
}

/// A decimal number without sign.
fn digits(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_lie_are_refused() {
        let good = Sparse::new(100, vec![(0, 10), (20, 5), (100, 0)], 15).unwrap();
        assert_eq!(good.pieces.len(), 3);
        for (size, pieces, content) in [
            (100, vec![(0, 10), (5, 10)], 20),
            (100, vec![(20, 5), (0, 10)], 15),
            (100, vec![(95, 10)], 10),
            (100, vec![(0, 10)], 11),
            (100, vec![(u64::MAX, 2)], 2),
            (9, vec![(0, 10)], 10),
        ] {
            assert!(Sparse::new(size, pieces.clone(), content).is_err(), "{pieces:?}");
        }
    }

    #[test]
    fn reads_the_records_of_pax() {
        let read = |records: &[(&str, &str)]| {
            let mut sparse = PaxSparse::default();
            for (key, value) in records {
                sparse.record(key.as_bytes(), value.as_bytes())?;
            }
            match sparse.map()? {
                Some(MapAt::Here(size, pieces)) => Ok((size, Some(pieces))),
                Some(MapAt::Content(size)) => Ok((size, None)),
                None => Err(malformed()),
            }
        };
        let pieces = Some(vec![(0, 4), (8, 0)]);
        let first = [("size", "8"), ("numblocks", "2"), ("offset", "0"), ("numbytes", "4")];
        let first = [&first[..], &[("offset", "8"), ("numbytes", "0")]].concat();
        assert_eq!(read(&first).unwrap(), (8, pieces.clone()));
        assert_eq!(read(&[("size", "8"), ("map", "0,4,8,0")]).unwrap(), (8, pieces));
        let new = [("major", "1"), ("minor", "0"), ("name", "x"), ("realsize", "8")];
        assert_eq!(read(&new).unwrap(), (8, None));
        for bad in [
            &[("map", "0,4")][..],
            &[("size", "8"), ("map", "0,4,8")],
            &[("size", "8"), ("map", "0,-4")],
            &[("size", "8"), ("offset", "1")],
            &[("size", "8"), ("numbytes", "1")],
            &[("size", "+8")],
            &[("size", "8"), ("major", "2")],
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn reads_the_map_before_the_content() {
        let read = |text: &str, bytes_max| {
            let mut rest = text.as_bytes();
            read_map(bytes_max, |block| {
                let (now, later) = rest.split_at(rest.len().min(BLOCK));
                block.fill(0);
                block[..now.len()].copy_from_slice(now);
                rest = later;
                Ok(())
            })
        };
        assert_eq!(read("2\n0\n5\n9\n1\n", 1_024).unwrap(), [(0, 5), (9, 1)]);
        assert_eq!(read("0\n", 1_024).unwrap(), []);
        let many: String = (0..200).map(|n| format!("{}\n1\n", n * 10)).collect();
        assert_eq!(read(&format!("200\n{many}"), 1 << 20).unwrap().len(), 200);
        // One that never ends is refused by its length, one of a hostile count too.
        assert!(matches!(read("x", 1_024), Err(UnpackError::Limit { .. })));
        assert!(matches!(
            read("9223372036854775807\n1\n", 1_024),
            Err(UnpackError::Limit { .. } | UnpackError::Tar(_))
        ));
        assert!(read("18446744073709551615\n", 1_024).is_err());
        assert!(read("1\n-1\n2\n", 1_024).is_err());
    }
}
