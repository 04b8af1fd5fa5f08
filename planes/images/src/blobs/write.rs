//! Publishing: from a finished temporary file to a blob's final name.

use super::error::at;
use super::wal::{self, CONTENT_BYTES_MAX, Recorded, Told};
use super::{BlobFile, BlobStore, PUT_PREFIX, StoreError, blocking, sync_dir};
use crate::{Algorithm, Digest};
use bytes::Bytes;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::Ordering;

impl BlobStore {
    /// Stores bytes that are in memory (a manifest) and returns their digest. Durable when it returns.
    pub async fn put(&self, algorithm: Algorithm, bytes: Bytes) -> Result<Digest, StoreError> {
        self.writable()?;
        let digest = Digest::of(algorithm, &bytes);
        // The pin makes a removal under way end first, and keeps the blob until the caller can name it.
        let pins = self.pin(vec![digest.clone()]).await;
        let store = self.clone();
        blocking(move || {
            let _pins = pins;
            // A file of another length is a broken one: this repairs it.
            if store
                .stat(&digest)?
                .is_some_and(|there| there.size == bytes.len() as u64)
            {
                store.settle_name(&digest)?;
                return Ok(digest);
            }
            store.room_for(bytes.len() as u64)?;
            let path = store
                .uploads_dir()
                .join(format!("{PUT_PREFIX}{}", uuid::Uuid::new_v4()));
            let file = BlobFile::new(store.shared.spares.create(&path)?, store.key())?;
            let size = bytes.len() as u64;
            let written = file.write_all_at(&[bytes], 0).map_err(at("write", &path));
            let done = written.and_then(|()| store.publish(&file, &path, &digest, size));
            if done.is_err() {
                let _ = fs::remove_file(&path);
            }
            done.map(|()| digest)
        })
        .await
    }

    /// Gives a whole and verified temporary file its final name. Consumes the file at `path` when it succeeds.
    pub(super) fn publish(&self, file: &BlobFile, path: &Path, digest: &Digest, size: u64) -> Result<(), StoreError> {
        let target = self.path(digest);
        let there = match fs::metadata(&target) {
            // One that is too short to be a blob counts as none: it is replaced.
            Ok(meta) => self.content_bytes(meta.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(at("look for blob", &target)(error)),
        };
        // A file of another length is a broken one: this push repairs it.
        if there == Some(size) {
            // Another upload of the same content was first: one copy is enough.
            self.settle_name(digest)?;
            fs::remove_file(path).map_err(at("remove", path))?;
            self.shared.guards.touch(digest);
            return Ok(());
        }
        match self.record_small(file, path, digest, size)? {
            Some(recorded) => {
                crate::fault::point("blob.synced");
                fs::rename(path, &target).map_err(at("rename into the store", path))?;
                crate::fault::point("blob.renamed");
                drop(recorded);
            }
            None => self.publish_synced(file, path, digest)?,
        }
        self.shared.used_bytes.fetch_add(size, Ordering::Relaxed);
        self.shared.used_bytes.fetch_sub(there.unwrap_or(0), Ordering::Relaxed);
        self.shared.guards.touch(digest);
        Ok(())
    }

    /// Makes a small blob durable by its record in the log. Nothing for large ones, or when the log cannot take it.
    fn record_small(
        &self,
        file: &BlobFile,
        path: &Path,
        digest: &Digest,
        size: u64,
    ) -> Result<Option<Recorded>, StoreError> {
        if size > CONTENT_BYTES_MAX {
            return Ok(None);
        }
        let raw = file.raw(size).map_err(at("read", path))?;
        Ok(self.shared.wal.record(digest, &raw))
    }

    /// Brings a file to the disk, gives it its name, and brings that to the disk.
    fn publish_synced(&self, file: &BlobFile, path: &Path, digest: &Digest) -> Result<(), StoreError> {
        file.sync_all().map_err(at("sync", path))?;
        crate::fault::point("blob.synced");
        // Before the name can be seen, so that nobody takes it for durable.
        self.shared.unsynced.lock().insert(digest.clone());
        if let Err(error) = fs::rename(path, self.path(digest)) {
            self.shared.unsynced.lock().remove(digest);
            return Err(at("rename into the store", path)(error));
        }
        crate::fault::point("blob.renamed");
        sync_dir(&self.blobs_dir(digest.algorithm()))?;
        self.shared.unsynced.lock().remove(digest);
        Ok(())
    }

    /// Puts in order what a power failure did to small blobs: those that an earlier process acknowledged are whole and on
    /// disk when this returns.
    pub(super) fn replay(&self) -> Result<(), StoreError> {
        let told = self.shared.wal.replay()?;
        let mut last: HashMap<Digest, Option<Vec<u8>>> = HashMap::new();
        for told in told {
            match told {
                Told::Written(digest, content) => last.insert(digest, Some(content)),
                Told::Removed(digest) => last.insert(digest, None),
            };
        }
        let is_any = !last.is_empty();
        for (digest, content) in last {
            let Some(content) = content else { continue };
            let target = self.path(&digest);
            let was = match self.content_at(&target) {
                Ok(there) if there == content => continue,
                Ok(there) => format!("there with {} bytes, not its own", there.len()),
                Err(error) => honmaru_base::chain(&error),
            };
            let path = self.uploads_dir().join(format!("{PUT_PREFIX}{}", uuid::Uuid::new_v4()));
            let file = BlobFile::new(File::create_new(&path).map_err(at("create", &path))?, self.key())?;
            let bytes = content.len();
            file.write_all_at(&[content.into()], 0).map_err(at("write", &path))?;
            file.sync_all().map_err(at("sync", &path))?;
            fs::rename(&path, &target).map_err(at("rename into the store", &path))?;
            // Said aloud: a disk that changes what lies on it looks the same as a power failure, and `verify` cannot tell
            // of it any more.
            tracing::warn!(%digest, was, bytes, "a small blob was restored from the log");
        }
        if is_any {
            wal::sync_file_system(self.dir())?;
        }
        self.shared.wal.begin()
    }

    fn content_at(&self, path: &Path) -> Result<Vec<u8>, StoreError> {
        let file = File::open(path).map_err(at("open blob", path))?;
        let mut content = Vec::new();
        let mut reader = BlobFile::open(file, path, self.key())?.into_reader();
        reader.read_to_end(&mut content).map_err(at("read blob", path))?;
        Ok(content)
    }

    /// Makes sure that a blob that was found under its final name is there after a power failure too: the upload that
    /// gave it the name may still be about to.
    fn settle_name(&self, digest: &Digest) -> Result<(), StoreError> {
        let is_pending = self.shared.unsynced.lock().contains(digest);
        if is_pending {
            sync_dir(&self.blobs_dir(digest.algorithm()))?;
        }
        Ok(())
    }

    /// Refuses when a blob of `more` bytes would pass the quota.
    pub(super) fn quota_for(&self, more: u64) -> Result<(), StoreError> {
        let used = self.shared.used_bytes.load(Ordering::Relaxed);
        match self.shared.limits.total_bytes_max {
            Some(max) if used.saturating_add(more) > max => Err(StoreError::Full { used }),
            _ => Ok(()),
        }
    }

    /// Refuses when `more` bytes would pass the quota or the disk's reserve.
    pub(super) fn room_for(&self, more: u64) -> Result<(), StoreError> {
        let used = self.shared.used_bytes.load(Ordering::Relaxed);
        let limits = &self.shared.limits;
        if limits
            .total_bytes_max
            .is_some_and(|max| used.saturating_add(more) > max)
        {
            return Err(StoreError::Full { used });
        }
        let disk =
            rustix::fs::statvfs(self.dir()).map_err(|error| at("look at the disk of", self.dir())(error.into()))?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < limits.free_bytes_min.saturating_add(more) {
            return Err(StoreError::Full { used });
        }
        Ok(())
    }
}
