//! Unpacked layers, the node's side: images become directories that an overlay can use, each layer once on the disk.
//!
//! Not here: mounting. Only root can use this module in earnest (owners, device nodes, trusted attributes).
//! Invariants: `layers/<name>` with its `.json` beside it is whole and matches its diff id; a layer that a holder names
//! or a lease covers is never removed; after a power failure a layer that was not yet synced is unpacked again.

mod error;
mod lease;
mod prepare;
mod record;
mod store;

pub use error::{PullCause, PullError};
pub use honmaru_contract::node::ImageSource;
pub use lease::LayerLease;
pub use store::{LayerStore, LayerUsage, Swept};

use crate::ImageConfig;
use std::path::PathBuf;

/// An image that is ready to run.
#[derive(Debug)]
pub struct PreparedImage {
    /// Digest of the manifest for this platform.
    pub manifest_digest: String,
    /// What the image says about how it is run.
    pub config: ImageConfig,
    /// The unpacked layers, lowest first.
    pub layers: Vec<PathBuf>,
    /// Keeps the layers until it is dropped. Call [`LayerStore::retain`] before, to keep them longer.
    pub lease: LayerLease,
}
