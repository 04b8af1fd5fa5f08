//! The bodies of answers: bytes in memory, or a part of a blob, read as the connection takes it.

use bytes::Bytes;
use honmaru_images::BlobFile;
use hyper::body::{Body, Frame, SizeHint};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;

/// Read and handed to the connection at a time.
const CHUNK_BYTES: u64 = 256 * 1024;
/// The same of what is read ahead: a thread that is woken for it should have something to do.
const AHEAD_BYTES: u64 = 1024 * 1024;
/// From how much on it pays that another processor reads and decrypts while this one sends.
const AHEAD_FROM_BYTES: u64 = 4 * 1024 * 1024;
/// So many bodies are read ahead at a time: each takes some MiB for as long as its reader likes, and more keep all
/// processors busy as it is.
static READERS_AHEAD: Semaphore = Semaphore::const_new(16);

/// The body of an answer.
pub struct RegistryBody(Kind);

enum Kind {
    Full(Option<Bytes>),
    Blob(BlobPart),
}

struct BlobPart {
    file: Arc<BlobFile>,
    /// Where the next read begins.
    offset: u64,
    /// What the connection has got.
    handed: u64,
    end: u64,
    /// With this the next chunk is read while the connection sends the one before.
    ahead: Option<SemaphorePermit<'static>>,
    /// Whether the file system can say "not in memory" instead of waiting for the disk.
    try_nowait: bool,
    spare: Arc<Spare>,
    pending: Option<JoinHandle<io::Result<Bytes>>>,
}

impl RegistryBody {
    /// Nothing.
    pub fn empty() -> Self {
        Self(Kind::Full(None))
    }

    /// Bytes that are in memory.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(Kind::Full((!bytes.is_empty()).then_some(bytes)))
    }

    /// The bytes from `start` to before `end` of a blob.
    pub(crate) fn blob(file: BlobFile, start: u64, end: u64) -> Self {
        Self(Kind::Blob(BlobPart {
            file: Arc::new(file),
            offset: start,
            handed: start,
            end,
            ahead: (end.saturating_sub(start) >= AHEAD_FROM_BYTES)
                .then(|| READERS_AHEAD.try_acquire().ok())
                .flatten(),
            try_nowait: true,
            spare: Arc::default(),
            pending: None,
        }))
    }
}

/// The memory of chunks that the connection is done with. The next ones take it: new memory would have to be filled with
/// zeros first.
#[derive(Default)]
struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    /// Room for so many bytes.
    fn take(self: &Arc<Self>, length: usize) -> Chunk {
        let spare = self.chunks().pop();
        Chunk {
            memory: spare
                .filter(|memory| memory.len() >= length)
                .unwrap_or_else(|| vec![0; length]),
            length,
            spare: Arc::clone(self),
        }
    }

    fn chunks(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory that goes back when nobody reads it any more.
struct Chunk {
    memory: Vec<u8>,
    length: usize,
    spare: Arc<Spare>,
}

impl Chunk {
    /// Where to read to.
    fn room(&mut self) -> &mut [u8] {
        self.memory.get_mut(..self.length).unwrap_or_default()
    }

    /// The first bytes of it, as the connection takes them.
    fn into_bytes(mut self, length: usize) -> Bytes {
        self.length = length;
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.spare.chunks().push(std::mem::take(&mut self.memory));
    }
}

impl BlobPart {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let read = match self.pending.take() {
            Some(mut pending) => match Pin::new(&mut pending).poll(cx) {
                Poll::Ready(read) => read.unwrap_or_else(|error| Err(io::Error::other(error))),
                Poll::Pending => {
                    self.pending = Some(pending);
                    return Poll::Pending;
                }
            },
            None if self.offset == self.end => return Poll::Ready(None),
            None => match self.read_now() {
                Some(read) => read,
                None => {
                    self.start(CHUNK_BYTES);
                    return self.poll(cx);
                }
            },
        };
        Poll::Ready(Some(read.inspect(|bytes| {
            self.handed += bytes.len() as u64;
            if self.ahead.is_some() && self.offset < self.end {
                self.start(AHEAD_BYTES);
            }
        })))
    }

    /// What lies in the page cache is copied here and now: a thread's wake-up costs more than the copy. Nothing where the
    /// disk must be waited for.
    fn read_now(&mut self) -> Option<io::Result<Bytes>> {
        if !self.try_nowait {
            return None;
        }
        let mut buffer = self.spare.take(self.length(CHUNK_BYTES));
        match self.file.read_cached_at(buffer.room(), self.offset) {
            Ok(n @ 1..) => {
                self.offset += n as u64;
                Some(Ok(buffer.into_bytes(n)))
            }
            Ok(_) => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => None,
            Err(_) => {
                self.try_nowait = false;
                None
            }
        }
    }

    /// Reads the next chunk on a thread that may wait.
    fn start(&mut self, bytes_max: u64) {
        let (file, offset, length) = (self.file.clone(), self.offset, self.length(bytes_max));
        let mut buffer = self.spare.take(length);
        self.offset += length as u64;
        self.pending = Some(tokio::task::spawn_blocking(move || {
            file.read_exact_at(buffer.room(), offset)?;
            Ok(buffer.into_bytes(length))
        }));
    }

    fn length(&self, bytes_max: u64) -> usize {
        (self.end - self.offset).min(bytes_max) as usize
    }
}

impl Body for RegistryBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.0 {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Blob(part) => part.poll(cx).map(|next| next.map(|read| read.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Blob(part) => part.handed == part.end,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Blob(part) => SizeHint::with_exact(part.end - part.handed),
        }
    }
}
