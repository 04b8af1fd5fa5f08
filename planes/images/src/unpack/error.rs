//! Why a layer is refused.

use crate::Digest;
use std::io;

/// Why a layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The stream could not be read.
    #[error("failed to read the layer")]
    Read(#[source] io::Error),
    /// The decompressor refused the stream.
    #[error("failed to decompress the layer")]
    Decompress(#[source] io::Error),
    /// The tar is malformed.
    #[error("layer is no valid tar: {0}")]
    Tar(&'static str),
    /// A path would leave the layer's directory, or names nothing that can exist.
    #[error("layer has the unacceptable path `{0}`")]
    Path(String),
    /// A hard link names a file that the layer does not hold.
    #[error("hard link `{path}` names `{target}`, which the layer does not hold")]
    HardLink {
        /// The link.
        path: String,
        /// What it names.
        target: String,
    },
    /// A limit was passed.
    #[error("layer has more than {max} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// The disk's reserve was reached.
    #[error("no space left on device")]
    Full,
    /// The disk's reserve of inodes was reached: there may be room in bytes, so that the usual words would mislead.
    #[error("no space left on device: it has {free} inodes free, of which {reserve} are kept")]
    NoInodes {
        /// How many are free.
        free: u64,
        /// How many must stay so.
        reserve: u64,
    },
    /// The file system refused.
    #[error("failed to {doing} `{path}`")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which path of the layer.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The stream has another digest.
    #[error("failed to verify digest: layer has {actual}, {expected} was expected")]
    Digest {
        /// What the manifest says.
        expected: Digest,
        /// What arrived.
        actual: Digest,
    },
    /// The tar has another digest.
    #[error("wrong diff id calculated on extraction: {actual}, {expected} was expected")]
    DiffId {
        /// What the configuration says.
        expected: Digest,
        /// What arrived.
        actual: Digest,
    },
}
