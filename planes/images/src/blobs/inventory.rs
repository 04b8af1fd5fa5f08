//! What lies in the store, file by file: for whoever compares it with what ought to be there.

use super::collect::{age, entries, named};
use super::error::at;
use super::upload::hash_file;
use super::{ALGORITHMS, BlobFile, BlobStore, PUT_PREFIX, StoreError, StoreLimits, UploadId, blocking};
use crate::Digest;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A file among the finished blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Where it lies.
    pub path: PathBuf,
    /// The digest that its name says; nothing when it is no digest: then it is none of ours.
    pub digest: Option<Digest>,
    /// Its length in bytes.
    pub size: u64,
    /// How long ago it was written.
    pub age: Duration,
}

/// An upload in progress, or one that was left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its bytes so far.
    pub bytes: u64,
    /// How long nobody has written to it.
    pub idle: Duration,
    name: String,
}

impl UploadFile {
    /// Whether the upload was begun by `owner`.
    pub fn is_of(&self, owner: &str) -> bool {
        UploadId::parse(&self.name, owner).is_some()
    }

    /// Whether it is a small blob on its way, which no client can resume.
    pub fn is_whole_blob(&self) -> bool {
        self.name.starts_with(PUT_PREFIX)
    }
}

/// What a look at a blob's content found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Its content has the digest that its name says.
    Whole {
        /// Its length in bytes.
        size: u64,
    },
    /// Its content has another one.
    Damaged {
        /// The digest of its content.
        actual: Digest,
        /// Its length in bytes.
        size: u64,
    },
    /// There is no such blob.
    Absent,
}

/// How much the store may still take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes of all finished blobs, as they count against the quota.
    pub used_bytes: u64,
    /// Bytes that all blobs together may have; nothing: as much as the disk holds.
    pub quota_bytes: Option<u64>,
    /// Free bytes of the disk.
    pub free_bytes: u64,
    /// Bytes of the disk that stay free.
    pub reserve_bytes: u64,
}

impl Room {
    /// Whether the store is nearly full: it may take less than a tenth of what it holds and may hold.
    pub fn is_short(&self) -> bool {
        let of_disk = self.free_bytes.saturating_sub(self.reserve_bytes);
        let of_quota = self.quota_bytes.map(|quota| quota.saturating_sub(self.used_bytes));
        let left = of_quota.map_or(of_disk, |quota| quota.min(of_disk));
        left.saturating_mul(10) < self.used_bytes.saturating_add(left)
    }
}

impl BlobStore {
    /// The limits that the store was opened with.
    pub fn limits(&self) -> &StoreLimits {
        &self.shared.limits
    }

    /// Every file among the finished blobs, in the order of their names.
    pub async fn files(&self) -> Result<Vec<StoredFile>, StoreError> {
        let store = self.clone();
        blocking(move || {
            let mut files = Vec::new();
            for algorithm in ALGORITHMS {
                for entry in entries(&store.blobs_dir(algorithm))? {
                    let path = entry.path();
                    let size = match entry.metadata() {
                        Ok(meta) => store.weight(meta.len()),
                        // Collected since the directory was read.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        Err(error) => return Err(at("look at blob", &path)(error)),
                    };
                    files.push(StoredFile {
                        digest: named(algorithm, &path),
                        size,
                        age: age(&path).unwrap_or_default(),
                        path,
                    });
                }
            }
            files.sort_by(|a, b| a.path.cmp(&b.path));
            Ok(files)
        })
        .await
    }

    /// Every upload in progress or left behind.
    pub async fn uploads(&self) -> Result<Vec<UploadFile>, StoreError> {
        let store = self.clone();
        blocking(move || {
            let mut uploads = Vec::new();
            for entry in entries(&store.uploads_dir())? {
                let path = entry.path();
                // One that was completed since the directory was read is none any more.
                let Ok(meta) = entry.metadata() else { continue };
                uploads.push(UploadFile {
                    bytes: store.weight(meta.len()),
                    idle: age(&path).unwrap_or_default(),
                    name: entry.file_name().to_string_lossy().into_owned(),
                    path,
                });
            }
            Ok(uploads)
        })
        .await
    }

    /// Reads a blob and compares its content with its name.
    pub async fn check(&self, digest: &Digest) -> Result<Checked, StoreError> {
        let (store, digest) = (self.clone(), digest.clone());
        blocking(move || {
            let path = store.path(&digest);
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Checked::Absent),
                Err(error) => return Err(at("open blob", &path)(error)),
            };
            let file = BlobFile::open(file, &path, store.key())?;
            let (hasher, size) = hash_file(&file, digest.algorithm()).map_err(at("read blob", &path))?;
            let actual = hasher.finish();
            Ok(if actual == digest {
                Checked::Whole { size }
            } else {
                Checked::Damaged { actual, size }
            })
        })
        .await
    }

    /// How much the store may still take.
    pub fn room(&self) -> Result<Room, StoreError> {
        let disk =
            rustix::fs::statvfs(self.dir()).map_err(|error| at("look at the disk of", self.dir())(error.into()))?;
        Ok(Room {
            used_bytes: self.shared.used_bytes.load(std::sync::atomic::Ordering::Relaxed),
            quota_bytes: self.shared.limits.total_bytes_max,
            free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            reserve_bytes: self.shared.limits.free_bytes_min,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Room;

    #[test]
    fn a_store_is_short_when_less_than_a_tenth_is_left() {
        let check = |used_bytes, quota_bytes, free_bytes, expected| {
            let room = Room {
                used_bytes,
                quota_bytes,
                free_bytes,
                reserve_bytes: 5,
            };
            assert_eq!(room.is_short(), expected, "{room:?}");
        };
        check(0, None, 1_000, false);
        check(90, None, 15, false);
        check(90, None, 14, true);
        check(90, None, 5, true);
        check(90, Some(100), 1_000, false);
        check(91, Some(100), 1_000, true);
        check(120, Some(100), 1_000, true);
        check(10, Some(100), 6, true);
    }
}
