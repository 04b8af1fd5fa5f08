//! What can go wrong in the store.

use super::{KeyError, UploadsOf};
use crate::Digest;
use std::io;
use std::path::{Path, PathBuf};

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("failed to {doing} {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// This process may only read the store.
    #[error("the store is open for reading only")]
    ReadOnly,
    /// No such upload, or it belongs to someone else.
    #[error("no such upload is in progress")]
    UploadUnknown,
    /// Another request writes to this upload.
    #[error("another request writes to this upload")]
    UploadBusy,
    /// The content has another digest than was said.
    #[error("content has digest {actual}, not {expected}")]
    DigestMismatch {
        /// What was said.
        expected: Digest,
        /// What arrived.
        actual: Digest,
    },
    /// The content has another length than was said.
    #[error("content has {actual} bytes, not {expected}")]
    SizeMismatch {
        /// What was said.
        expected: u64,
        /// What arrived.
        actual: u64,
    },
    /// The blob is larger than one may be.
    #[error("a blob may have at most {max} bytes")]
    TooLarge {
        /// The limit.
        max: u64,
    },
    /// The store's quota is used up, or the disk's reserve is reached.
    #[error("the store is full: {used} bytes used")]
    Full {
        /// Bytes of all blobs.
        used: u64,
    },
    /// Too many uploads are in progress.
    #[error("{max} uploads {of} are unfinished, no more are accepted: complete or cancel some of them")]
    TooManyUploads {
        /// The limit.
        max: usize,
        /// Whose uploads it counts.
        of: UploadsOf,
    },
    /// The key of the store's files cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Whoever knows which blobs are needed could not say; nothing was removed.
    #[error("failed to learn which blobs are needed: {0}")]
    Live(String),
}

impl StoreError {
    /// Whether there is no room: by the store's limits, or by the disk's own word.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

/// Gives an I/O error its context.
pub(crate) fn at<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}
