//! Stores whose files are encrypted, and how one that was not becomes one.
//!
//! Invariant: where the mark lies that names the key, every file under `blobs/` is encrypted with it.

use super::collect::{entries, named};
use super::error::at;
use super::upload::hash_file;
use super::{
    ALGORITHMS, BlobFile, BlobKey, BlobStore, KeyError, PUT_PREFIX, StoreError, StoreLimits, make_dirs, sync_dir,
};
use crate::Algorithm;
use bytes::Bytes;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file that says what the store's files are encrypted with.
const MARK: &str = "encrypted";
const CIPHER: &str = "AES-256-CTR";
/// Encrypted at a time.
const PIECE_BYTES: usize = 1024 * 1024;

impl BlobStore {
    /// Opens a store as [`BlobStore::open`] does; its files are encrypted with the key in a file, which is made with the
    /// store. What lies there in the clear is encrypted first, once: unfinished uploads end then.
    pub fn open_encrypted(dir: &Path, limits: StoreLimits, key: BlobKey) -> Result<Self, StoreError> {
        make_dirs(dir)?;
        check_key(dir, &key)?;
        Self::new(dir, limits, false, Some(key)).opened()
    }

    /// Opens an encrypted store that another process writes. It need not exist yet: then every blob is absent.
    pub fn open_encrypted_read_only(dir: &Path, key: BlobKey) -> Self {
        Self::new(dir, StoreLimits::default(), true, Some(key))
    }

    /// Encrypts what an earlier version left in the clear. It may be killed at any moment, and then begins anew.
    pub(super) fn encrypt_all(&self, key: &BlobKey) -> Result<(), StoreError> {
        let mark = self.dir().join(MARK);
        if mark.exists() {
            return Ok(());
        }
        for upload in entries(&self.uploads_dir())? {
            let path = upload.path();
            fs::remove_file(&path).map_err(at("remove", &path))?;
        }
        let mut count = 0_u64;
        for algorithm in ALGORITHMS {
            for entry in entries(&self.blobs_dir(algorithm))? {
                count += u64::from(self.encrypt(algorithm, &entry.path(), key)?);
            }
            sync_dir(&self.blobs_dir(algorithm))?;
        }
        if count > 0 {
            tracing::info!(count, "the blobs of an earlier version are encrypted now");
        }
        let new = self.dir().join("encrypted.new");
        File::create(&new)
            .and_then(|mut file| {
                writeln!(file, "{CIPHER} {}", key.id().map_err(io::Error::other)?)?;
                file.sync_all()
            })
            .map_err(at("write", &new))?;
        fs::rename(&new, &mark).map_err(at("write", &mark))?;
        sync_dir(self.dir())
    }

    /// Encrypts one file, unless it is; says whether it did.
    fn encrypt(&self, algorithm: Algorithm, path: &Path, key: &BlobKey) -> Result<bool, StoreError> {
        let open = || File::open(path).map_err(at("open blob", path));
        // Content in the clear may look like an encrypted file: its digest tells.
        let file = BlobFile::open(open()?, path, Some(key))?;
        if file.is_encrypted() {
            let (hasher, _) = hash_file(&file, algorithm).map_err(at("read blob", path))?;
            if Some(hasher.finish()) == named(algorithm, path) {
                return Ok(false);
            }
        }
        let from = BlobFile::clear(open()?);
        let made: PathBuf = self.uploads_dir().join(format!("{PUT_PREFIX}{}", uuid::Uuid::new_v4()));
        let created = File::options().read(true).write(true).create_new(true).open(&made);
        let to = BlobFile::new(created.map_err(at("create", &made))?, Some(key))?;
        let mut offset = 0;
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let read = from.read_at(&mut piece, offset).map_err(at("read blob", path))?;
            piece.truncate(read);
            if piece.is_empty() {
                break;
            }
            to.write_all_at(&[Bytes::from(piece)], offset)
                .map_err(at("write", &made))?;
            offset += read as u64;
        }
        to.set_content_bytes(offset)
            .and_then(|()| to.sync_all())
            .map_err(at("write", &made))?;
        fs::rename(&made, path).map_err(at("rename into the store", &made))?;
        Ok(true)
    }
}

/// That the key is the store's; a new store gets a new one.
fn check_key(dir: &Path, key: &BlobKey) -> Result<(), StoreError> {
    let mark = dir.join(MARK);
    let text = match fs::read_to_string(&mark) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return key.make(),
        Err(error) => return Err(at("read", &mark)(error)),
    };
    let (dir, path) = (dir.to_owned(), key.path().to_owned());
    if !path.exists() {
        return Err(KeyError::Gone { path, dir }.into());
    }
    if text.trim() == format!("{CIPHER} {}", key.id()?) {
        Ok(())
    } else {
        Err(KeyError::Other { path, dir }.into())
    }
}
