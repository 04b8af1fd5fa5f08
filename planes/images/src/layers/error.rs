//! Why an image cannot be had, in ECS's words.

use crate::{DigestError, ManifestError, RemoteError, StoreError, UnpackError};
use honmaru_base::chain;
use std::fmt;

/// Why an image could not be prepared. Its text is the one that ECS shows as a task's stopped reason.
#[derive(Debug)]
pub struct PullError {
    /// How often it was tried.
    pub attempts: u32,
    /// The image as the task definition names it, or the manifest's digest.
    pub reference: String,
    /// What went wrong.
    pub cause: PullCause,
}

/// What went wrong with a pull.
#[derive(Debug, thiserror::Error)]
pub enum PullCause {
    /// The image does not exist.
    #[error("not found")]
    NotFound,
    /// The manifest's digest is malformed.
    #[error("invalid reference format")]
    Digest(#[source] DigestError),
    /// The other registry.
    #[error("failed to do request")]
    Remote(#[source] RemoteError),
    /// The manifest cannot be used.
    #[error("invalid manifest")]
    Manifest(#[source] ManifestError),
    /// The configuration cannot be used.
    #[error("invalid image configuration: {0}")]
    Config(String),
    /// No manifest of the index runs here.
    #[error("image Manifest does not contain descriptor matching platform '{0}'")]
    Platform(String),
    /// A blob that the manifest names is not in the store.
    #[error("blob {0} is not in the registry")]
    BlobMissing(String),
    /// A layer cannot be unpacked.
    #[error("failed to extract layer {diff_id}")]
    Layer {
        /// Which.
        diff_id: String,
        /// Why.
        #[source]
        source: UnpackError,
    },
    /// The store.
    #[error("failed to use the image store")]
    Store(#[source] StoreError),
}

impl PullCause {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Remote(error) => error.is_transient(),
            Self::Layer {
                source: UnpackError::Read(_),
                ..
            } => true,
            Self::NotFound
            | Self::Digest(_)
            | Self::Manifest(_)
            | Self::Config(_)
            | Self::Platform(_)
            | Self::BlobMissing(_)
            | Self::Layer { .. }
            | Self::Store(_) => false,
        }
    }
}

impl fmt::Display for PullError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            attempts,
            reference,
            cause,
        } = self;
        write!(f, "CannotPullContainerError: ")?;
        match cause {
            PullCause::Platform(_) => {
                write!(f, "pull image manifest has been retried {attempts} time(s): {cause}")
            }
            PullCause::NotFound => write!(
                f,
                "pull image manifest has been retried {attempts} time(s): failed to resolve ref {reference}: \
                 {reference}: not found"
            ),
            PullCause::Remote(error) if error.is_denied() => write!(
                f,
                "pull image manifest has been retried {attempts} time(s): failed to resolve ref {reference}: pull \
                 access denied, repository does not exist or may require authorization: authorization failed: {error}"
            ),
            PullCause::Digest(_) | PullCause::Remote(_) | PullCause::Manifest(_) => write!(
                f,
                "pull image manifest has been retried {attempts} time(s): failed to resolve ref {reference}: {}",
                chain(cause)
            ),
            PullCause::Config(_) | PullCause::BlobMissing(_) | PullCause::Layer { .. } | PullCause::Store(_) => {
                write!(f, "failed to pull image {reference}: {}", chain(cause))
            }
        }
    }
}

impl std::error::Error for PullError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The text holds the whole chain already.
        None
    }
}
