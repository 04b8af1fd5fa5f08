//! The content-addressed store: `blobs/<algorithm>/<hex>` holds finished blobs, `uploads/` what is on its way,
//! `spare/` empty files for it.
//!
//! Not here: who may see a blob, which repository holds it (the registry's `Repositories`).
//! Invariants: a file under `blobs/` is whole, matches its name and is on disk (written, hashed, fsync, rename, fsync of
//! the directory, in this order; small ones by a record in [`wal`] before the rename); a crash at any moment leaves at
//! worst a file under `uploads/`, and what a power failure tore is put in order when the store is opened; a blob that is
//! pinned or was touched within the grace period is never collected. In an encrypted store every file under `blobs/` is.

mod collect;
mod encrypted;
mod encryption;
mod error;
mod fair;
mod guard;
mod inventory;
mod read;
mod spare;
mod upload;
mod wal;
mod write;

pub use collect::{Collected, Damage, StoreUsage, Verified};
pub use encryption::{BlobFile, BlobKey, BlobReader, KeyError};
pub use error::StoreError;
pub use fair::{Uploader, UploadsOf};
pub use guard::Pins;
pub use inventory::{Checked, Room, StoredFile, UploadFile};
pub use upload::{BlobWriter, UploadId};

use crate::{Algorithm, Digest};
use encryption::HEADER_BYTES;
pub(crate) use error::at;
use guard::Guards;
use parking_lot::Mutex;
use spare::Spares;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use wal::Wal;

/// Limits of a store.
#[derive(Debug, Clone)]
pub struct StoreLimits {
    /// The largest blob, in bytes. Ref: ECR quota "maximum layer size", 52,000 MiB.
    pub blob_bytes_max: u64,
    /// All blobs together, in bytes; nothing: as much as the disk holds.
    pub total_bytes_max: Option<u64>,
    /// Space that must stay free on the disk, in bytes.
    pub free_bytes_min: u64,
    /// Uploads in progress at one time. Each holds a file open.
    pub uploads_max: usize,
    /// Those of one account: when all accounts together have too many, whoever has the most gives way.
    pub uploads_of_account_max: usize,
    /// Those of one principal. An image is pushed with a handful of uploads at a time.
    pub uploads_of_principal_max: usize,
    /// An upload that nobody wrote to for so long gives way to another one of whoever began it.
    pub upload_stale: Duration,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            blob_bytes_max: 52_000 * 1024 * 1024,
            total_bytes_max: None,
            free_bytes_min: 256 * 1024 * 1024,
            uploads_max: 1_000,
            uploads_of_account_max: 750,
            uploads_of_principal_max: 500,
            upload_stale: Duration::from_secs(60),
        }
    }
}

/// What is known of a blob without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// Its length in bytes.
    pub size: u64,
}

/// The store. Clones share it.
#[derive(Clone)]
pub struct BlobStore {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    limits: StoreLimits,
    read_only: bool,
    /// Bytes of finished blobs, kept up to date by writers and the collector.
    used_bytes: AtomicU64,
    sessions: Mutex<HashMap<UploadId, Arc<upload::Session>>>,
    /// Blobs that have their final name but whose directory is not on disk yet: whoever finds one there must not
    /// acknowledge it before that.
    unsynced: Mutex<HashSet<Digest>>,
    wal: Arc<Wal>,
    spares: Arc<Spares>,
    guards: Guards,
    /// What its files are encrypted with; nothing where they are in the clear.
    key: Option<Arc<BlobKey>>,
}

/// The names of files that become blobs at once, without an upload that could be resumed.
const PUT_PREFIX: &str = "put-";

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

impl BlobStore {
    /// Opens a store for reading and writing and makes its directories. One process at a time may do so (the registry).
    pub fn open(dir: &Path, limits: StoreLimits) -> Result<Self, StoreError> {
        make_dirs(dir)?;
        Self::new(dir, limits, false, None).opened()
    }

    fn opened(self) -> Result<Self, StoreError> {
        self.shared.spares.open()?;
        self.remove_torn_puts()?;
        self.replay()?;
        if let Some(key) = &self.shared.key {
            self.encrypt_all(key)?;
        }
        let usage = self.scan()?;
        let used = &self.shared.used_bytes;
        used.store(usage.blob_bytes, std::sync::atomic::Ordering::Relaxed);
        Ok(self)
    }
    /// Opens a store that another process writes. It need not exist yet: then every blob is absent.
    pub fn open_read_only(dir: &Path) -> Self {
        Self::new(dir, StoreLimits::default(), true, None)
    }

    fn new(dir: &Path, limits: StoreLimits, read_only: bool, key: Option<BlobKey>) -> Self {
        let key = key.map(Arc::new);
        let shared = Shared {
            dir: dir.to_owned(),
            limits,
            read_only,
            used_bytes: AtomicU64::new(0),
            sessions: Mutex::default(),
            unsynced: Mutex::default(),
            wal: Wal::new(dir, key.clone()),
            spares: Spares::new(dir),
            guards: Guards::default(),
            key,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Where a finished blob lies, whether or not it is there.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs_dir(digest.algorithm()).join(digest.hex())
    }

    fn blobs_dir(&self, algorithm: Algorithm) -> PathBuf {
        self.shared.dir.join("blobs").join(algorithm.name())
    }

    /// Removes what a crash left of small blobs; uploads stay, because their clients may go on.
    fn remove_torn_puts(&self) -> Result<(), StoreError> {
        let dir = self.uploads_dir();
        for entry in fs::read_dir(&dir).map_err(at("list", &dir))? {
            let path = entry.map_err(at("list", &dir))?.path();
            if path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(PUT_PREFIX))
            {
                fs::remove_file(&path).map_err(at("remove", &path))?;
            }
        }
        Ok(())
    }

    fn uploads_dir(&self) -> PathBuf {
        self.shared.dir.join("uploads")
    }

    fn key(&self) -> Option<&BlobKey> {
        self.shared.key.as_deref()
    }

    /// The length of a blob whose file has so many bytes; nothing when that file is too short to be one.
    fn content_bytes(&self, file_bytes: u64) -> Option<u64> {
        match self.shared.key {
            Some(_) => file_bytes.checked_sub(HEADER_BYTES as u64),
            None => Some(file_bytes),
        }
    }

    /// The same for whoever counts: a file that is too short counts nothing.
    fn weight(&self, file_bytes: u64) -> u64 {
        self.content_bytes(file_bytes).unwrap_or_default()
    }

    fn writable(&self) -> Result<(), StoreError> {
        if self.shared.read_only {
            Err(StoreError::ReadOnly)
        } else {
            Ok(())
        }
    }
}

/// Makes the directories of a store.
fn make_dirs(dir: &Path) -> Result<(), StoreError> {
    for algorithm in ALGORITHMS {
        let dir = dir.join("blobs").join(algorithm.name());
        make_dir(&dir)?;
        // Whoever was killed between a rename and its sync left a name that the next upload would take for durable.
        sync_dir(&dir)?;
    }
    make_dir(&dir.join("uploads"))
}

/// Makes a directory and its parents, durably.
pub(crate) fn make_dir(dir: &Path) -> Result<(), StoreError> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(at("create directory", dir))?;
    if let Some(parent) = dir.parent() {
        sync_dir(parent)?;
    }
    Ok(())
}

pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    fs::File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(at("sync directory", dir))
}

/// Runs file I/O on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Blocking work is never aborted; only a runtime that shuts down refuses it.
            Err(error) => panic!("the runtime is shutting down: {error}"),
        },
    }
}
