//! The layer as a stream: hashed as transported, decompressed, hashed again, and counted against the limits.

use super::{Expected, UnpackError, UnpackLimits};
use crate::{Digest, Hasher};
use std::cell::RefCell;
use std::io::{self, BufReader, Cursor, Read};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Read from the source, and handed to the decompressor, at a time.
const BUFFER_BYTES: usize = 128 * 1024;
/// Memory of a zstd window: 2^27 bytes, the decoder's own default.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How a layer is compressed, told by its first bytes as Docker and containerd do, not by its media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip, of one or many members.
    Gzip,
    /// zstd, of one or many frames.
    Zstd,
}

impl Compression {
    /// Tells it from the first bytes of a stream; four are enough.
    pub fn detect(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable zstd frame, with which estargz-like layers (zstd:chunked) may begin.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

struct Transported {
    hasher: Hasher,
    bytes: u64,
    failed: bool,
    /// How long the source let us wait.
    waited: Duration,
    began: Instant,
    work_time_max: Duration,
}

impl Transported {
    fn is_over_time(&self) -> bool {
        self.began.elapsed().saturating_sub(self.waited) > self.work_time_max
    }

    fn over_time(&self) -> UnpackError {
        UnpackError::Limit {
            what: "seconds of work",
            max: self.work_time_max.as_secs(),
        }
    }
}

struct Source<R> {
    inner: R,
    seen: Rc<RefCell<Transported>>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let asked = Instant::now();
        let read = self.inner.read(buffer);
        let mut seen = self.seen.borrow_mut();
        seen.waited += asked.elapsed();
        match &read {
            Ok(n) => {
                seen.hasher.update(buffer.get(..*n).unwrap_or_default());
                seen.bytes += *n as u64;
            }
            Err(error) => seen.failed = error.kind() != io::ErrorKind::Interrupted,
        }
        // Also here, because a decompressor that meets empty members, one after the other, does not come back.
        if seen.is_over_time() {
            seen.failed = true;
            return Err(io::ErrorKind::TimedOut.into());
        }
        read
    }
}

type Prefixed<R> = BufReader<io::Chain<Cursor<Vec<u8>>, Source<R>>>;

enum Decoder<R: Read> {
    None(Prefixed<R>),
    Gzip(Box<flate2::bufread::MultiGzDecoder<Prefixed<R>>>),
    Zstd(Box<zstd::Decoder<'static, Prefixed<R>>>),
}

/// The tar inside a layer, as bytes.
pub(super) struct LayerStream<'a, R: Read> {
    decoder: Decoder<R>,
    seen: Rc<RefCell<Transported>>,
    diff: Hasher,
    bytes: u64,
    limits: &'a UnpackLimits,
}

impl<'a, R: Read> LayerStream<'a, R> {
    pub(super) fn new(inner: R, expected: &Expected, limits: &'a UnpackLimits) -> Result<Self, UnpackError> {
        let hasher = Hasher::new(expected.digest.algorithm());
        let seen = Rc::new(RefCell::new(Transported {
            hasher,
            bytes: 0,
            failed: false,
            waited: Duration::ZERO,
            began: Instant::now(),
            work_time_max: limits.work_time_max,
        }));
        let mut source = Source {
            inner,
            seen: seen.clone(),
        };
        let mut first = Vec::with_capacity(4);
        source
            .by_ref()
            .take(4)
            .read_to_end(&mut first)
            .map_err(UnpackError::Read)?;
        let compression = Compression::detect(&first);
        let prefixed = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(first).chain(source));
        let decoder = match compression {
            Compression::None => Decoder::None(prefixed),
            Compression::Gzip => Decoder::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(prefixed))),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(prefixed).map_err(UnpackError::Decompress)?;
                decoder
                    .window_log_max(ZSTD_WINDOW_LOG_MAX)
                    .map_err(UnpackError::Decompress)?;
                Decoder::Zstd(Box::new(decoder))
            }
        };
        Ok(Self {
            decoder,
            seen,
            diff: Hasher::new(expected.diff_id.algorithm()),
            bytes: 0,
            limits,
        })
    }

    /// Reads some bytes of the tar; 0 at its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, UnpackError> {
        loop {
            let read = match &mut self.decoder {
                Decoder::None(decoder) => decoder.read(buffer),
                Decoder::Gzip(decoder) => decoder.read(buffer),
                Decoder::Zstd(decoder) => decoder.read(buffer),
            };
            let n = match read {
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if self.seen.borrow().failed => return Err(self.source_failed(error)),
                Err(error) => return Err(UnpackError::Decompress(error)),
            };
            self.diff.update(buffer.get(..n).unwrap_or_default());
            self.bytes += n as u64;
            self.check()?;
            return Ok(n);
        }
    }

    /// Fills the whole buffer, or as much as there is before the end.
    pub(super) fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize, UnpackError> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read(rest)? {
                0 => break,
                n => filled += n,
            }
        }
        Ok(filled)
    }

    fn check(&self) -> Result<(), UnpackError> {
        let limits = self.limits;
        if self.bytes > limits.tar_bytes_max {
            return Err(UnpackError::Limit {
                what: "bytes",
                max: limits.tar_bytes_max,
            });
        }
        let transported = self.seen.borrow().bytes;
        if self.bytes > limits.ratio_from_bytes && self.bytes / limits.ratio_max > transported {
            return Err(UnpackError::Limit {
                what: "bytes for each compressed byte",
                max: limits.ratio_max,
            });
        }
        let seen = self.seen.borrow();
        if seen.is_over_time() {
            return Err(seen.over_time());
        }
        Ok(())
    }

    fn source_failed(&self, error: io::Error) -> UnpackError {
        let seen = self.seen.borrow();
        match error.kind() {
            io::ErrorKind::TimedOut if seen.is_over_time() => seen.over_time(),
            _ => UnpackError::Read(error),
        }
    }

    /// Reads to the end, so that both digests cover everything, and returns them with the transported length.
    pub(super) fn finish(mut self) -> Result<(Digest, u64, Digest), UnpackError> {
        let mut buffer = vec![0; BUFFER_BYTES];
        while self.read(&mut buffer)? > 0 {}
        // What follows the compressed stream belongs to the transported bytes all the same.
        let rest = match &mut self.decoder {
            Decoder::None(rest) => rest,
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Zstd(decoder) => decoder.get_mut(),
        };
        let passed_over = io::copy(rest, &mut io::sink());
        passed_over.map_err(|error| self.source_failed(error))?;
        let seen = self.seen.borrow();
        Ok((seen.hasher.clone().finish(), seen.bytes, self.diff.finish()))
    }
}
