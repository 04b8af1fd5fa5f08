//! Unpacking of one layer: a stream of tar, gzip or zstd into a directory, hashed on the way, bounded, contained.
//!
//! Not here: where layers lie and who uses them (`layers`).
//! Invariants: every path of the layer is resolved by the kernel inside the layer's own directory
//! (openat2, RESOLVE_IN_ROOT); an existing file is never followed or written through, it is replaced;
//! memory does not grow with the layer; what an entry costs (inodes, bytes, time, memory) is counted, whatever it is.

mod apply;
mod error;
mod limits;
mod sparse;
mod stream;
mod tar;
mod tree;

pub use error::UnpackError;
pub use limits::UnpackLimits;
pub use stream::Compression;

use crate::Digest;
use std::io::Read;
use std::path::Path;

/// What a layer turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Digest of the stream as it was transported.
    pub digest: Digest,
    /// Its length.
    pub size: u64,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Bytes of file content.
    pub content_bytes: u64,
    /// Entries of the tar.
    pub entries: u64,
}

/// What a layer must be.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Digest of the stream as it is transported.
    pub digest: Digest,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
}

/// Unpacks a layer into the empty directory `into` and verifies both digests. On an error what `into` holds is
/// worthless; the caller removes it. Blocks.
pub fn unpack_layer(
    source: impl Read,
    expected: &Expected,
    into: &Path,
    limits: &UnpackLimits,
) -> Result<Unpacked, UnpackError> {
    let mut stream = stream::LayerStream::new(source, expected, limits)?;
    let mut tree = tree::Tree::open(into, limits.depth_max)?;
    let (content_bytes, entries) = apply::apply(&mut stream, &mut tree, limits)?;
    let (digest, size, diff_id) = stream.finish()?;
    if digest != expected.digest {
        return Err(UnpackError::Digest {
            expected: expected.digest.clone(),
            actual: digest,
        });
    }
    if diff_id != expected.diff_id {
        return Err(UnpackError::DiffId {
            expected: expected.diff_id.clone(),
            actual: diff_id,
        });
    }
    Ok(Unpacked {
        digest,
        size,
        diff_id,
        content_bytes,
        entries,
    })
}
