//! Reading tar: ustar, pax and GNU's long names and sparse files, as layers use them.
//!
//! Why our own: a reader that collects a pax header or a long name of any size lets one entry exhaust the memory.
//! Ref: POSIX.1-2017 `pax`; GNU tar manual, "Basic Tar Format"; OCI image specification, layer.md.

use super::sparse::{self, MapAt, PaxSparse, Sparse};
use super::stream::LayerStream;
use super::{UnpackError, UnpackLimits};
use std::io::Read;

pub(super) const BLOCK: usize = 512;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    HardLink,
    Symlink,
    Directory,
    Fifo,
    /// A character or block device.
    Device,
}

/// One entry, without its content.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) mtime_s: i64,
    pub(super) mtime_ns: u32,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where a file with holes has its content.
    pub(super) sparse: Option<Sparse>,
}

/// A tar being read. After [`Tar::next`], [`Tar::read`] gives the entry's content.
pub(super) struct Tar<'s, 'l, R: Read> {
    stream: &'s mut LayerStream<'l, R>,
    limits: &'l UnpackLimits,
    /// Content of the current entry that was not read yet.
    remaining: u64,
    padding: u64,
}

/// Members that came in headers before the entry's own.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: PaxSparse,
}

impl<'s, 'l, R: Read> Tar<'s, 'l, R> {
    pub(super) fn new(stream: &'s mut LayerStream<'l, R>, limits: &'l UnpackLimits) -> Self {
        Self {
            stream,
            limits,
            remaining: 0,
            padding: 0,
        }
    }

    /// The next entry, or nothing at the end of the archive.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, UnpackError> {
        let mut extended = Extended::default();
        // An entry has at most a pax header, a long name and a long link before it; more are pointless.
        for _ in 0..8 {
            self.skip()?;
            let mut header = [0; BLOCK];
            match self.stream.read_full(&mut header)? {
                0 => return Ok(None),
                BLOCK => {}
                _ => return Err(UnpackError::Tar("it ends inside a header")),
            }
            if header.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            check_sum(&header)?;
            let size = number(&header[124..136]).ok_or(UnpackError::Tar("a size is malformed"))?;
            match header[156] {
                b'x' => {
                    let data = self.header_data(size)?;
                    parse_pax(&data, &mut extended)?;
                    self.check_xattrs(&extended)?;
                }
                b'g' => self.begin_content(size),
                b'L' => extended.path = Some(until_nul(&self.header_data(size)?).to_vec()),
                b'K' => extended.link = Some(until_nul(&self.header_data(size)?).to_vec()),
                kind => return self.entry(&header, kind, size, extended).map(Some),
            }
        }
        Err(UnpackError::Tar("too many headers for one entry"))
    }

    /// Reads content of the current entry; 0 at its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, UnpackError> {
        let want = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        let n = self.stream.read(buffer.get_mut(..want).unwrap_or_default())?;
        if n == 0 {
            return Err(UnpackError::Tar("it ends inside a file"));
        }
        self.remaining -= n as u64;
        Ok(n)
    }

    fn entry(&mut self, header: &[u8; BLOCK], kind: u8, size: u64, ext: Extended) -> Result<Entry, UnpackError> {
        let is_gnu_sparse = kind == b'S';
        let mut holes = ext.sparse;
        let path = holes.name.take().or(ext.path).unwrap_or_else(|| ustar_path(header));
        let kind = match kind {
            b'0' | 0 | b'7' if path.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' | b'4' => Kind::Device,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            _ => return Err(UnpackError::Tar("an entry has a type that is not supported")),
        };
        // Only files have content; some writers give links the size of what they name.
        let size = if kind == Kind::File {
            ext.size.unwrap_or(size)
        } else {
            0
        };
        let sparse = match kind {
            Kind::File if is_gnu_sparse => Some(self.gnu_sparse(header, size)?),
            Kind::File => self.pax_sparse(holes, size)?,
            _ => {
                self.begin_content(size);
                None
            }
        };
        let field = |range: std::ops::Range<usize>| header.get(range).and_then(number);
        let malformed = || UnpackError::Tar("a number in a header is malformed");
        let mtime_s = i64::try_from(field(136..148).unwrap_or(0)).unwrap_or(0);
        let (mtime_s, mtime_ns) = ext.mtime.unwrap_or((mtime_s, 0));
        Ok(Entry {
            path,
            link: ext.link.unwrap_or_else(|| until_nul(&header[157..257]).to_vec()),
            kind,
            mode: (field(100..108).ok_or_else(malformed)? & 0o7777) as u32,
            uid: ext.uid.or_else(|| field(108..116)).ok_or_else(malformed)?,
            gid: ext.gid.or_else(|| field(116..124)).ok_or_else(malformed)?,
            mtime_s,
            mtime_ns,
            xattrs: ext.xattrs,
            sparse,
        })
    }

    /// Begins a file of GNU's own format with holes: its map stands in the header and in blocks behind it.
    fn gnu_sparse(&mut self, header: &[u8; BLOCK], content: u64) -> Result<Sparse, UnpackError> {
        let mut pieces = Vec::new();
        let mut more = sparse::gnu_pieces(header, 386..482, &mut pieces)?;
        let mut bytes = 0;
        while more {
            bytes += BLOCK as u64;
            if bytes > self.limits.header_bytes_max {
                return Err(UnpackError::Limit {
                    what: "bytes in the map of a sparse file",
                    max: self.limits.header_bytes_max,
                });
            }
            let mut block = [0; BLOCK];
            if self.stream.read_full(&mut block)? != BLOCK {
                return Err(sparse::malformed());
            }
            more = sparse::gnu_pieces(&block, 0..504, &mut pieces)?;
        }
        let size = header.get(483..495).and_then(number).ok_or_else(sparse::malformed)?;
        self.begin_content(content);
        Sparse::new(size, pieces, content)
    }

    /// Begins a file, which may have holes that pax headers tell of.
    fn pax_sparse(&mut self, holes: PaxSparse, content: u64) -> Result<Option<Sparse>, UnpackError> {
        let map = holes.map()?;
        self.begin_content(content);
        let (size, pieces) = match map {
            None => return Ok(None),
            Some(MapAt::Here(size, pieces)) => (size, pieces),
            Some(MapAt::Content(size)) => {
                let bytes_max = self.limits.header_bytes_max;
                let pieces = sparse::read_map(bytes_max, |block| {
                    let mut filled = 0;
                    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                        match self.read(rest)? {
                            0 => return Err(sparse::malformed()),
                            n => filled += n,
                        }
                    }
                    Ok(())
                })?;
                (size, pieces)
            }
        };
        Sparse::new(size, pieces, self.remaining).map(Some)
    }

    /// An entry may have several headers, each with attributes.
    fn check_xattrs(&self, extended: &Extended) -> Result<(), UnpackError> {
        let max = self.limits.xattr_bytes_max;
        let bytes: usize = extended
            .xattrs
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if bytes as u64 > max {
            return Err(UnpackError::Limit {
                what: "bytes of attributes of one file",
                max,
            });
        }
        Ok(())
    }

    fn begin_content(&mut self, size: u64) {
        self.remaining = size;
        // Not `next_multiple_of`, which overflows for the sizes that only a hostile header has.
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    fn header_data(&mut self, size: u64) -> Result<Vec<u8>, UnpackError> {
        let max = self.limits.header_bytes_max;
        if size > max {
            return Err(UnpackError::Limit {
                what: "bytes in a header",
                max,
            });
        }
        self.begin_content(size);
        let mut data = vec![0; size as usize];
        let mut filled = 0;
        while let Some(rest) = data.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += self.read(rest)?;
        }
        Ok(data)
    }

    /// Passes over what is left of the current entry. The last one's padding may be missing, as in tars of writers that
    /// end right after the content; Go's reader, and so Docker's and containerd's, takes them.
    fn skip(&mut self) -> Result<(), UnpackError> {
        let mut buffer = [0; 8192];
        while self.remaining > 0 {
            self.read(&mut buffer)?;
        }
        let padding = usize::try_from(std::mem::take(&mut self.padding)).unwrap_or(BLOCK);
        self.stream.read_full(buffer.get_mut(..padding).unwrap_or_default())?;
        Ok(())
    }
}

fn check_sum(header: &[u8; BLOCK]) -> Result<(), UnpackError> {
    let said = number(&header[148..156]);
    let bytes = || {
        header
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte })
    };
    let unsigned: u64 = bytes().map(u64::from).sum();
    // Old writers summed signed characters.
    let signed: i64 = bytes().map(|byte| i64::from(byte as i8)).sum();
    if said == Some(unsigned) || said.and_then(|said| i64::try_from(said).ok()) == Some(signed) {
        Ok(())
    } else {
        Err(UnpackError::Tar("a header's checksum is wrong"))
    }
}

/// Octal digits, padded with spaces or NULs; or, with the highest bit set, a big-endian binary number.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // Bit 0x40 is the sign: a negative size, owner or time is of no use to us.
        if first & 0x40 != 0 {
            return None;
        }
        return rest.iter().try_fold(u64::from(first & 0x3f), |sum, byte| {
            sum.checked_mul(256)?.checked_add(u64::from(*byte))
        });
    }
    let text = until_nul(field).trim_ascii();
    text.iter().try_fold(0_u64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn ustar_path(header: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_nul(&header[..100]);
    let prefix = until_nul(&header[345..500]);
    // GNU's own format has the same first five bytes but keeps times where ustar has the prefix.
    if &header[257..263] == b"ustar\0" && !prefix.is_empty() {
        [prefix, b"/", name].concat()
    } else {
        name.to_vec()
    }
}

/// Records of the form `LENGTH KEY=VALUE\n`.
fn parse_pax(mut data: &[u8], extended: &mut Extended) -> Result<(), UnpackError> {
    let malformed = || UnpackError::Tar("a pax header is malformed");
    while !data.is_empty() {
        let space = data.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
        let (digits, _) = data.split_at(space);
        let length: usize = text(digits)?.parse().map_err(|_| malformed())?;
        let record = data.get(space + 1..length).ok_or_else(malformed)?;
        let record = record.strip_suffix(b"\n").ok_or_else(malformed)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            // An empty value takes back what an earlier header said. Ref: POSIX `pax`, "pax Extended Header".
            b"path" if value.is_empty() => extended.path = None,
            b"linkpath" if value.is_empty() => extended.link = None,
            b"size" if value.is_empty() => extended.size = None,
            b"uid" if value.is_empty() => extended.uid = None,
            b"gid" if value.is_empty() => extended.gid = None,
            b"mtime" if value.is_empty() => extended.mtime = None,
            b"path" => extended.path = Some(value.to_vec()),
            b"linkpath" => extended.link = Some(value.to_vec()),
            b"size" => extended.size = Some(text(value)?.parse().map_err(|_| malformed())?),
            b"uid" => extended.uid = Some(text(value)?.parse().map_err(|_| malformed())?),
            b"gid" => extended.gid = Some(text(value)?.parse().map_err(|_| malformed())?),
            b"mtime" => extended.mtime = Some(pax_time(text(value)?).ok_or_else(malformed)?),
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    extended.xattrs.push((name.to_vec(), value.to_vec()));
                } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    extended.sparse.record(key, value)?;
                }
            }
        }
        data = data.get(length..).ok_or_else(malformed)?;
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Result<&str, UnpackError> {
    std::str::from_utf8(bytes).map_err(|_| UnpackError::Tar("a pax header is malformed"))
}

/// Seconds since the epoch with a fraction, perhaps negative.
fn pax_time(value: &str) -> Option<(i64, u32)> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    match (value.starts_with('-'), nanos) {
        // -1.25 is 750 ms after second -2.
        (true, 1..) => Some((seconds.checked_sub(1)?, 1_000_000_000 - nanos)),
        _ => Some((seconds, nanos)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_in_both_forms() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"9\0"), None);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0]), Some(0x0200_0000));
        assert_eq!(number(&[0xff; 12]), None);
        assert_eq!(
            number(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            None
        );
    }

    #[test]
    fn reads_pax_times() {
        assert_eq!(pax_time("12.5"), Some((12, 500_000_000)));
        assert_eq!(pax_time("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(pax_time("7"), Some((7, 0)));
        assert_eq!(pax_time("1.x"), None);
    }

    #[test]
    fn refuses_malformed_pax() {
        for bad in [&b"x"[..], b"5 a=b", b"99 a=b\n", b"0 a=b\n", b"6 ab\n\n"] {
            assert!(parse_pax(bad, &mut Extended::default()).is_err(), "{bad:?}");
        }
        let mut extended = Extended::default();
        parse_pax(b"9 path=a\n", &mut extended).unwrap();
        assert_eq!(extended.path.as_deref(), Some(&b"a"[..]));
    }
}
