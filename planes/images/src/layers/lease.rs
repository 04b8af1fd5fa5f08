//! Leases: layers in use by somebody who has not written it down yet.

use crate::Digest;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Debug, Clone, Default)]
pub(super) struct Leases(Arc<Mutex<HashMap<Digest, usize>>>);

/// Keeps layers from removal until it is dropped.
#[derive(Debug)]
pub struct LayerLease {
    layers: Vec<Digest>,
    blobs: Vec<Digest>,
    leases: Leases,
}

impl Leases {
    pub(super) fn take(&self, layers: Vec<Digest>, blobs: Vec<Digest>) -> LayerLease {
        let mut counts = self.0.lock();
        for digest in layers.iter().chain(&blobs) {
            *counts.entry(digest.clone()).or_default() += 1;
        }
        drop(counts);
        LayerLease {
            layers,
            blobs,
            leases: self.clone(),
        }
    }

    pub(super) fn covers(&self, digest: &Digest) -> bool {
        self.0.lock().contains_key(digest)
    }
}

impl LayerLease {
    /// The layers' diff ids, lowest first.
    pub fn layers(&self) -> &[Digest] {
        &self.layers
    }

    /// The manifests and configurations that were pulled for it.
    pub(super) fn blobs(&self) -> &[Digest] {
        &self.blobs
    }
}

impl Drop for LayerLease {
    fn drop(&mut self) {
        let mut counts = self.leases.0.lock();
        for digest in self.layers.iter().chain(&self.blobs) {
            if let Some(count) = counts.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(digest);
                }
            }
        }
    }
}
