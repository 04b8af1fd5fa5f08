//! Housekeeping: what the store holds, whether it is whole, and the removal of what nobody needs.

use super::error::at;
use super::upload::hash_file;
use super::{ALGORITHMS, BlobFile, BlobStore, PUT_PREFIX, StoreError, UploadId, blocking, wal};
use crate::{Algorithm, Digest};
use std::fs::{self, File};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// So many blobs are claimed and asked about at a time: pushes wait for one batch at most.
const BATCH: usize = 256;
/// A file of a small blob that is being written is left alone for so long, whatever grace is asked for.
const PUT_IDLE_MIN: Duration = Duration::from_secs(60);

/// What the store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreUsage {
    /// Finished blobs.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Uploads in progress or left behind.
    pub uploads: u64,
    /// Their bytes.
    pub upload_bytes: u64,
}

/// What a collection removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs removed.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Abandoned uploads removed.
    pub uploads: u64,
    /// Their bytes.
    pub upload_bytes: u64,
}

/// A blob that is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file's path.
    pub path: std::path::PathBuf,
    /// The digest in its name, when it is one.
    pub expected: Option<Digest>,
    /// The digest of its content.
    pub actual: Option<Digest>,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Blobs whose content matches.
    pub whole: u64,
    /// Bytes read.
    pub bytes: u64,
    /// The others.
    pub damaged: Vec<Damage>,
}

impl BlobStore {
    /// What the store holds, counted on disk.
    pub async fn usage(&self) -> Result<StoreUsage, StoreError> {
        let store = self.clone();
        blocking(move || store.scan()).await
    }

    pub(super) fn scan(&self) -> Result<StoreUsage, StoreError> {
        let mut usage = StoreUsage::default();
        for algorithm in ALGORITHMS {
            let (files, bytes) = self.weigh(&self.blobs_dir(algorithm))?;
            usage.blobs += files;
            usage.blob_bytes += bytes;
        }
        (usage.uploads, usage.upload_bytes) = self.weigh(&self.uploads_dir())?;
        Ok(usage)
    }

    fn weigh(&self, dir: &std::path::Path) -> Result<(u64, u64), StoreError> {
        let mut sum = (0, 0);
        for entry in entries(dir)? {
            if let Ok(meta) = entry.metadata() {
                sum.0 += 1;
                sum.1 += self.weight(meta.len());
            }
        }
        Ok(sum)
    }

    /// Reads every blob and compares its content with its name.
    pub async fn verify(&self) -> Result<Verified, StoreError> {
        let store = self.clone();
        blocking(move || {
            let mut verified = Verified::default();
            for algorithm in ALGORITHMS {
                let dir = store.blobs_dir(algorithm);
                for entry in entries(&dir)? {
                    let path = entry.path();
                    let expected = named(algorithm, &path);
                    let file = match File::open(&path) {
                        Ok(file) => file,
                        // Collected since the directory was read.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        Err(error) => return Err(at("open blob", &path)(error)),
                    };
                    let file = BlobFile::open(file, &path, store.key())?;
                    let (hasher, bytes) = hash_file(&file, algorithm).map_err(at("read blob", &path))?;
                    let actual = hasher.finish();
                    verified.bytes += bytes;
                    if expected.as_ref() == Some(&actual) {
                        verified.whole += 1;
                    } else {
                        verified.damaged.push(Damage {
                            path,
                            expected,
                            actual: Some(actual),
                        });
                    }
                }
            }
            Ok(verified)
        })
        .await
    }

    /// Removes blobs that are older than `grace`, that nobody pinned or asked for within `grace`, and that `are_live`
    /// does not want; and uploads that nobody has written to for `idle`. Pushes go on meanwhile.
    ///
    /// `are_live` gets digests and answers for each whether something durable names it. While it is asked, those blobs
    /// cannot be pinned: a manifest that names one is either durable before, and then it is live, or waits.
    pub async fn collect<F, E>(&self, grace: Duration, idle: Duration, mut are_live: F) -> Result<Collected, StoreError>
    where
        F: AsyncFnMut(&[Digest]) -> Result<Vec<bool>, E>,
        E: std::fmt::Display,
    {
        self.writable()?;
        let mut collected = Collected::default();
        let store = self.clone();
        let mut old = blocking(move || store.older_than(grace)).await?;
        while !old.is_empty() {
            let batch = old.split_off(old.len().saturating_sub(BATCH));
            let removal = self.shared.guards.claim(batch, grace);
            if removal.digests.is_empty() {
                continue;
            }
            let live = are_live(&removal.digests)
                .await
                .map_err(|error| StoreError::Live(error.to_string()))?;
            if live.len() != removal.digests.len() {
                return Err(StoreError::Live("the answer does not cover the question".to_owned()));
            }
            let store = self.clone();
            let (blobs, bytes) = blocking(move || {
                let dead = removal
                    .digests
                    .iter()
                    .zip(&live)
                    .filter(|(_, live)| !**live)
                    .map(|(digest, _)| digest);
                let mut sum = (0, 0);
                for digest in dead {
                    let path = store.path(digest);
                    let size = match fs::metadata(&path) {
                        Ok(meta) => store.weight(meta.len()),
                        // Another collection took it after this one had listed it.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        Err(error) => return Err(at("look at blob", &path)(error)),
                    };
                    fs::remove_file(&path).map_err(at("remove blob", &path))?;
                    if size <= wal::CONTENT_BYTES_MAX {
                        store.shared.wal.note_removal(digest);
                    }
                    crate::fault::point("collect.removed");
                    store.shared.used_bytes.fetch_sub(size, Ordering::Relaxed);
                    sum.0 += 1;
                    sum.1 += size;
                }
                // `removal` is dropped here: only now the blobs can be pinned, or uploaded, again.
                Ok::<_, StoreError>(sum)
            })
            .await?;
            collected.blobs += blobs;
            collected.blob_bytes += bytes;
        }
        (collected.uploads, collected.upload_bytes) = self.collect_uploads(idle).await?;
        Ok(collected)
    }

    async fn collect_uploads(&self, idle: Duration) -> Result<(u64, u64), StoreError> {
        let store = self.clone();
        blocking(move || {
            let mut removed = (0, 0);
            for entry in entries(&store.uploads_dir())? {
                let path = entry.path();
                if age(&path).is_none_or(|age| age < idle) {
                    continue;
                }
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with(PUT_PREFIX) && age(&path).is_none_or(|age| age < PUT_IDLE_MIN) {
                    continue;
                }
                // The lock is held until the file is gone: uploads begin, and are found again, under it.
                let mut sessions = store.shared.sessions.lock();
                if let Some((id, session)) = sessions.iter().find(|(id, _)| id.as_str() == name) {
                    // The file's time is of no use when the clock was set meanwhile.
                    if session.idle() < idle {
                        continue;
                    }
                    if session.busy.swap(true, Ordering::AcqRel) {
                        continue;
                    }
                    let id: UploadId = id.clone();
                    sessions.remove(&id);
                }
                let bytes = entry.metadata().map_or(0, |meta| store.weight(meta.len()));
                match fs::remove_file(&path) {
                    Ok(()) => {
                        removed = (removed.0 + 1, removed.1 + bytes);
                        crate::fault::point("collect.upload_removed");
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(at("remove", &path)(error)),
                }
            }
            Ok(removed)
        })
        .await
    }

    fn older_than(&self, grace: Duration) -> Result<Vec<Digest>, StoreError> {
        let mut old = Vec::new();
        for algorithm in ALGORITHMS {
            for entry in entries(&self.blobs_dir(algorithm))? {
                if let Some(digest) = named(algorithm, &entry.path())
                    && age(&entry.path()).is_some_and(|age| age >= grace)
                {
                    old.push(digest);
                }
            }
        }
        old.sort();
        old.dedup();
        Ok(old)
    }
}

/// How long ago a file was changed; nothing when it is gone or its time lies in the future.
pub(super) fn age(path: &std::path::Path) -> Option<Duration> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()?.elapsed().ok()
}

/// The digest that the name of a blob's file says; nothing when it is no digest: then the file is none of ours.
pub(super) fn named(algorithm: Algorithm, path: &std::path::Path) -> Option<Digest> {
    let name = path.file_name()?.to_str()?;
    format!("{}:{name}", algorithm.name()).parse().ok()
}

/// The files of a directory; none when it does not exist (a store that nobody wrote yet).
pub(super) fn entries(dir: &std::path::Path) -> Result<Vec<fs::DirEntry>, StoreError> {
    let read = match fs::read_dir(dir) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at("list", dir)(error)),
    };
    read.collect::<Result<_, _>>().map_err(at("list", dir))
}
