//! Images: a content-addressed store of blobs, unpacked layers for the node, and pulls from other registries.
//!
//! Not here: the distribution protocol's server side (`registry`), AWS's names and errors (`ecr`), mounting (`runtime`).
//! Invariants: a blob that has its final name is whole, verified and on disk; an unpacked layer that has its final name
//! is whole and matches its diff id; nothing that a layer contains can write outside the layer's own directory.

#![forbid(unsafe_code)]

mod blobs;
mod convert;
mod digest;
mod fault;
mod layers;
mod oci;
mod remote;
mod unpack;

pub use blobs::{
    BlobFile, BlobInfo, BlobKey, BlobReader, BlobStore, BlobWriter, Checked, Collected, Damage, KeyError, Pins, Room,
    StoreError, StoreLimits, StoreUsage, StoredFile, UploadFile, UploadId, Uploader, UploadsOf, Verified,
};
pub use convert::{convert, other_form};
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use layers::{ImageSource, LayerLease, LayerStore, LayerUsage, PreparedImage, PullCause, PullError, Swept};
pub use oci::{
    Descriptor, HealthConfig, Image, ImageConfig, MANIFEST_BYTES_MAX, Manifest, ManifestError, Platform, media_type,
};
pub use remote::{Loopback, Reference, ReferenceError, RemoteBlob, RemoteError, RemoteLimits, RemoteManifest, Remotes};
pub use unpack::{Compression, Expected, UnpackError, UnpackLimits, Unpacked, unpack_layer};

/// A point at which a test kills the process; see `HONMARU_FAULT` in the tests. Debug builds only.
#[doc(hidden)]
pub fn fault_point(name: &str) {
    fault::point(name);
}

/// Whether a text is a repository's name. Ref: OCI distribution specification 1.1, "Pulling manifests".
pub fn is_repository_name(name: &str) -> bool {
    remote::is_repository(name)
}

/// Whether a text is a tag. Ref: OCI distribution specification 1.1, "Pulling manifests".
pub fn is_tag(tag: &str) -> bool {
    remote::is_tag(tag)
}
