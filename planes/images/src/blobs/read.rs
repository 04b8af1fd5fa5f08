//! Reading blobs.

use super::error::at;
use super::{BlobFile, BlobInfo, BlobStore, Pins, StoreError, blocking};
use crate::Digest;
use bytes::Bytes;
use std::fs::File;
use std::io;

impl BlobStore {
    /// Looks for a blob, and keeps it from the collector for the grace period when it is there. While the collector asks
    /// whether it is needed, this waits: a blob that is needed is there all the time.
    pub async fn look(&self, digest: &Digest) -> Result<Option<BlobInfo>, StoreError> {
        let _pins = self.pin(vec![digest.clone()]).await;
        self.stat(digest)
    }

    /// The same without waiting: what the collector asks about counts as absent. For who has pinned it.
    pub fn stat(&self, digest: &Digest) -> Result<Option<BlobInfo>, StoreError> {
        if self.shared.read_only {
            return Ok(self.open_blob(digest)?.map(|(_, size)| BlobInfo { size }));
        }
        let path = self.path(digest);
        match std::fs::metadata(&path) {
            Ok(meta) if self.shared.guards.touch(digest) => {
                Ok(self.content_bytes(meta.len()).map(|size| BlobInfo { size }))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at("look for blob", &path)(error)),
        }
    }

    /// Opens a blob for reading, with its size. An open blob can be read to its end even if it is collected meanwhile.
    pub fn open_blob(&self, digest: &Digest) -> Result<Option<(BlobFile, u64)>, StoreError> {
        let path = self.path(digest);
        match File::open(&path) {
            Ok(file) => {
                let file = BlobFile::open(file, &path, self.key())?;
                let size = file.content_bytes().map_err(at("look at blob", &path))?;
                Ok(Some((file, size)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at("open blob", &path)(error)),
        }
    }

    /// Reads a whole blob of at most `bytes_max` bytes.
    pub async fn read(&self, digest: &Digest, bytes_max: u64) -> Result<Option<Bytes>, StoreError> {
        let (store, digest) = (self.clone(), digest.clone());
        blocking(move || {
            let Some((file, size)) = store.open_blob(&digest)? else {
                return Ok(None);
            };
            if size > bytes_max {
                return Err(StoreError::TooLarge { max: bytes_max });
            }
            let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
            file.read_exact_at(&mut bytes, 0)
                .map_err(at("read blob", &store.path(&digest)))?;
            Ok(Some(bytes.into()))
        })
        .await
    }

    /// Keeps blobs from the collector until the pins are dropped; waits for a removal that is under way.
    /// Look for them after this, not before.
    pub async fn pin(&self, digests: Vec<Digest>) -> Pins {
        self.shared.guards.pin(digests).await
    }
}
