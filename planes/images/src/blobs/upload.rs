//! Uploads in progress: written in the background of the network, hashed while they are written, resumable at the byte.

use super::error::at;
use super::fair::make_room;
use super::{BlobFile, BlobInfo, BlobStore, StoreError, Uploader, blocking};
use crate::{Algorithm, Digest, Hasher};
use bytes::Bytes;
use parking_lot::Mutex;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// So many bytes are handed to the disk at a time: a thread's wake-up costs little beside them.
const WRITE_BYTES: usize = 1024 * 1024;
/// After so many bytes the disk is told to begin, so that the end of a large blob does not wait for all of it.
const WRITE_BACK_BYTES: u64 = 32 * 1024 * 1024;
/// Free space is looked at again after so many bytes.
const ROOM_CHECK_BYTES: u64 = 64 * 1024 * 1024;
/// Reading a file back to hash it.
const READ_BYTES: usize = 1024 * 1024;

/// The name of an upload: a random id and a mark of its owner, so that it is of no use under another name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UploadId(String);

impl UploadId {
    fn new(owner: &str) -> Self {
        Self(format!("{}-{}", uuid::Uuid::new_v4(), Self::mark(owner)))
    }

    fn mark(owner: &str) -> String {
        Digest::sha256(owner.as_bytes()).hex()[..16].to_owned()
    }

    /// The part of the id that differs between an owner's uploads: a UUID, which is all that some APIs have room for.
    pub fn short(&self) -> &str {
        self.0.rsplit_once('-').map_or(&self.0, |(id, _)| id)
    }

    /// The id of `owner`'s upload with this short form.
    pub fn from_short(short: &str, owner: &str) -> Option<Self> {
        Self::parse(&format!("{short}-{}", Self::mark(owner)), owner)
    }

    /// Reads an id that a client sends back, and checks that it is `owner`'s.
    pub fn parse(text: &str, owner: &str) -> Option<Self> {
        let (id, mark) = text.rsplit_once('-')?;
        let valid = id.len() == 36 && uuid::Uuid::try_parse(id).is_ok_and(|uuid| uuid.to_string() == id);
        (valid && mark == Self::mark(owner)).then(|| Self(text.to_owned()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(super) struct Session {
    path: PathBuf,
    pub(super) by: Uploader,
    pub(super) busy: AtomicBool,
    /// When somebody last wrote to it, or began to.
    used_at: Mutex<Instant>,
    syncing: AtomicBool,
    progress: Mutex<Progress>,
}

struct Progress {
    file: Arc<BlobFile>,
    offset: u64,
    hasher: Hasher,
    written_back: u64,
    room_checked: u64,
}

impl Session {
    /// A session that nobody writes to yet.
    fn new(path: PathBuf, by: Uploader, file: BlobFile, offset: u64, hasher: Hasher) -> Arc<Self> {
        let progress = Progress {
            file: Arc::new(file),
            offset,
            hasher,
            written_back: offset,
            room_checked: 0,
        };
        Arc::new(Self {
            path,
            by,
            busy: AtomicBool::new(false),
            used_at: Mutex::new(Instant::now()),
            syncing: AtomicBool::new(false),
            progress: Mutex::new(progress),
        })
    }

    /// For how long nobody wrote to it.
    pub(super) fn idle(&self) -> Duration {
        self.used_at.lock().elapsed()
    }

    fn append(self: &Arc<Self>, store: &BlobStore, chunks: &[Bytes]) -> Result<(), StoreError> {
        let mut progress = self.progress.lock();
        let progress = &mut *progress;
        if progress.offset >= progress.room_checked {
            store.room_for(progress.offset)?;
            progress.room_checked = progress.offset + ROOM_CHECK_BYTES;
        }
        if chunks.is_empty() {
            return Ok(());
        }
        let written = progress.file.write_all_at(chunks, progress.offset);
        written.map_err(at("write upload", &self.path))?;
        for chunk in chunks {
            progress.hasher.update(chunk);
            progress.offset += chunk.len() as u64;
        }
        crate::fault::point("upload.written");
        if progress.offset - progress.written_back >= WRITE_BACK_BYTES && !self.syncing.swap(true, Ordering::AcqRel) {
            progress.written_back = progress.offset;
            let (session, file) = (self.clone(), progress.file.clone());
            // An error here is met again, and reported, by the sync before the rename.
            tokio::task::spawn_blocking(move || {
                let _ = file.sync_data();
                session.syncing.store(false, Ordering::Release);
            });
        }
        Ok(())
    }
}

/// The right to write to an upload; whoever holds the last clone frees it.
struct Permit(Arc<Session>);

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.used_at.lock() = Instant::now();
        self.0.busy.store(false, Ordering::Release);
    }
}

/// Writes to one upload. Dropping it keeps what was written so far, for a resume.
pub struct BlobWriter {
    store: BlobStore,
    id: UploadId,
    permit: Arc<Permit>,
    offset: u64,
    buffer: Vec<Bytes>,
    buffered: usize,
    pending: Option<JoinHandle<Result<(), StoreError>>>,
}

impl BlobStore {
    /// Begins an upload. `owner` (a repository) must be named again to go on with it; `by` is whose upload it counts as.
    /// Where they have as many as they may, the one that they gave up longest ago ends.
    pub async fn begin_upload(
        &self,
        owner: &str,
        by: Uploader,
        algorithm: Algorithm,
    ) -> Result<BlobWriter, StoreError> {
        self.writable()?;
        // Not one that could take nothing, and would lie there until it is given up.
        self.room_for(0)?;
        let id = UploadId::new(owner);
        let path = self.uploads_dir().join(id.as_str());
        let session = {
            let mut sessions = self.shared.sessions.lock();
            if let Some((ended, session)) = make_room(&sessions, &by, &self.shared.limits)? {
                // Under the lock, or its client could find the file and go on with it.
                sessions.remove(&ended);
                fs::remove_file(&session.path).map_err(at("remove", &session.path))?;
            }
            // Under the lock, or the collector could see a file that no session owns. Creating an empty file in the
            // page cache does not wait for the disk.
            let file = BlobFile::new(self.shared.spares.create(&path)?, self.key())?;
            let session = Session::new(path, by, file, 0, Hasher::new(algorithm));
            // Claimed before the collector can see it: it would end it as one that nobody writes to.
            session.busy.store(true, Ordering::Release);
            sessions.insert(id.clone(), session.clone());
            session
        };
        crate::fault::point("upload.begun");
        Ok(BlobWriter::new(self, id, session))
    }

    /// Goes on with an upload; after a restart what was written is read back once.
    pub async fn resume_upload(&self, id: &UploadId) -> Result<BlobWriter, StoreError> {
        self.writable()?;
        let session = self.session(id).await?;
        self.writer(id.clone(), session)
    }

    /// How many bytes of an upload have been taken.
    pub async fn upload_offset(&self, id: &UploadId) -> Result<u64, StoreError> {
        let session = self.session(id).await?;
        blocking(move || Ok(session.progress.lock().offset)).await
    }

    /// Ends an upload and removes what was written.
    pub async fn cancel_upload(&self, id: &UploadId) -> Result<(), StoreError> {
        self.writable()?;
        let session = self.session(id).await?;
        if session.busy.swap(true, Ordering::AcqRel) {
            return Err(StoreError::UploadBusy);
        }
        self.shared.sessions.lock().remove(id);
        blocking(move || fs::remove_file(&session.path).map_err(at("remove", &session.path))).await
    }

    fn writer(&self, id: UploadId, session: Arc<Session>) -> Result<BlobWriter, StoreError> {
        if session.busy.swap(true, Ordering::AcqRel) {
            return Err(StoreError::UploadBusy);
        }
        // A cancel, a commit or the collector may have ended it between the look-up and the claim.
        let mut sessions = self.shared.sessions.lock();
        let is_current = sessions.get(&id).is_some_and(|current| Arc::ptr_eq(current, &session));
        if !is_current || !session.path.exists() {
            if is_current {
                sessions.remove(&id);
            }
            return Err(StoreError::UploadUnknown);
        }
        drop(sessions);
        Ok(BlobWriter::new(self, id, session))
    }

    /// The file of an upload that an earlier process began; one to which nothing was written begins anew.
    fn upload_file(&self, file: File, path: &Path) -> Result<BlobFile, StoreError> {
        let again = BlobFile::open(file.try_clone().map_err(at("open upload", path))?, path, self.key())?;
        if again.is_encrypted() || self.key().is_none() {
            return Ok(again);
        }
        file.set_len(0).map_err(at("truncate upload", path))?;
        BlobFile::new(file, self.key())
    }

    async fn session(&self, id: &UploadId) -> Result<Arc<Session>, StoreError> {
        if let Some(session) = self.shared.sessions.lock().get(id) {
            return Ok(session.clone());
        }
        let (store, id) = (self.clone(), id.clone());
        blocking(move || {
            let path = store.uploads_dir().join(id.as_str());
            let file = match File::options().read(true).write(true).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(StoreError::UploadUnknown),
                Err(error) => return Err(at("open upload", &path)(error)),
            };
            let file = store.upload_file(file, &path)?;
            let (hasher, offset) = hash_file(&file, Algorithm::Sha256).map_err(at("read upload", &path))?;
            let session = Session::new(path, Uploader::default(), file, offset, hasher);
            Ok(store.shared.sessions.lock().entry(id).or_insert(session).clone())
        })
        .await
    }
}

/// Hashes the content of a file from its beginning, and says how long it is.
pub(super) fn hash_file(file: &BlobFile, algorithm: Algorithm) -> std::io::Result<(Hasher, u64)> {
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; READ_BYTES];
    let mut offset = 0;
    loop {
        match file.read_at(&mut buffer, offset)? {
            0 => return Ok((hasher, offset)),
            n => {
                hasher.update(&buffer[..n]);
                offset += n as u64;
            }
        }
    }
}

impl BlobWriter {
    /// A writer of a session whose `busy` the caller has set.
    fn new(store: &BlobStore, id: UploadId, session: Arc<Session>) -> Self {
        let offset = session.progress.lock().offset;
        Self {
            store: store.clone(),
            id,
            permit: Arc::new(Permit(session)),
            offset,
            buffer: Vec::new(),
            buffered: 0,
            pending: None,
        }
    }

    /// The upload's id.
    pub fn id(&self) -> &UploadId {
        &self.id
    }

    /// How many bytes were taken, also those that are still on their way to the disk.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes more bytes; waits while the disk is behind. At most two pieces of 1 MiB are in memory.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        let max = self.store.shared.limits.blob_bytes_max;
        if self.offset.saturating_add(bytes.len() as u64) > max {
            return Err(StoreError::TooLarge { max });
        }
        self.offset += bytes.len() as u64;
        self.buffered += bytes.len();
        self.buffer.push(bytes);
        if self.buffered >= WRITE_BYTES {
            self.settle().await?;
            let (store, permit, chunks) = (
                self.store.clone(),
                self.permit.clone(),
                std::mem::take(&mut self.buffer),
            );
            self.buffered = 0;
            self.pending = Some(tokio::task::spawn_blocking(move || permit.0.append(&store, &chunks)));
        }
        Ok(())
    }

    /// Writes what is buffered and gives the upload back; returns how many bytes it has.
    pub async fn pause(mut self) -> Result<u64, StoreError> {
        self.settle().await?;
        let (store, permit, chunks) = (
            self.store.clone(),
            self.permit.clone(),
            std::mem::take(&mut self.buffer),
        );
        if !chunks.is_empty() {
            blocking(move || permit.0.append(&store, &chunks)).await?;
        }
        Ok(self.offset)
    }

    /// Ends the upload: the content must have the digest `expected`. Durable when it returns.
    /// On a mismatch the upload is removed and nothing of it remains.
    pub async fn commit(mut self, expected: Digest) -> Result<BlobInfo, StoreError> {
        self.settle().await?;
        let pins = self.store.pin(vec![expected.clone()]).await;
        let (store, permit, chunks) = (
            self.store.clone(),
            self.permit.clone(),
            std::mem::take(&mut self.buffer),
        );
        let id = self.id.clone();
        blocking(move || {
            let _pins = pins;
            let session = &permit.0;
            session.append(&store, &chunks)?;
            let progress = session.progress.lock();
            let hasher = if progress.hasher.algorithm() == expected.algorithm() {
                progress.hasher.clone()
            } else {
                hash_file(&progress.file, expected.algorithm())
                    .map_err(at("read upload", &session.path))?
                    .0
            };
            let actual = hasher.finish();
            if actual != expected {
                store.shared.sessions.lock().remove(&id);
                fs::remove_file(&session.path).map_err(at("remove", &session.path))?;
                return Err(StoreError::DigestMismatch { expected, actual });
            }
            // A write that failed halfway and was repeated from an earlier offset may have left a longer file.
            progress
                .file
                .set_content_bytes(progress.offset)
                .map_err(at("truncate upload", &session.path))?;
            let published = store
                .quota_for(progress.offset)
                .and_then(|()| store.publish(&progress.file, &session.path, &expected, progress.offset));
            if let Err(error @ StoreError::Full { .. }) = published {
                // It cannot succeed later either without being sent again: nothing of it stays.
                store.shared.sessions.lock().remove(&id);
                fs::remove_file(&session.path).map_err(at("remove", &session.path))?;
                return Err(error);
            }
            published?;
            store.shared.sessions.lock().remove(&id);
            Ok(BlobInfo { size: progress.offset })
        })
        .await
    }

    async fn settle(&mut self) -> Result<(), StoreError> {
        match self.pending.take() {
            Some(pending) => match pending.await {
                Ok(result) => result,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            None => Ok(()),
        }
    }
}
