//! `gc`: blobs that nobody needs, and uploads that were given up.

use super::HousekeepingError;
use crate::{Registry, Repositories};
use honmaru_images::{Collected, Digest, StoreError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Digests that are asked about at a time.
const BATCH: usize = 256;

/// What a collection freed, and what it left for the next one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freed {
    /// Blobs removed.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Abandoned uploads removed.
    pub uploads: u64,
    /// Their bytes.
    pub upload_bytes: u64,
    /// Blobs that nobody needs and that stay: they came or were asked for within the grace period.
    pub kept_blobs: u64,
    /// Their bytes.
    pub kept_bytes: u64,
    /// Uploads in progress, which stay.
    pub kept_uploads: u64,
}

impl<R: Repositories> Registry<R> {
    /// Removes blobs that no repository needs and that nobody used for `grace`, and uploads that nobody has written to
    /// for `idle`. `grace` is longer than a client waits between a layer and its manifest: an hour is usual.
    pub async fn collect(&self, grace: Duration, idle: Duration) -> Result<Collected, StoreError> {
        let repositories = &self.shared.repositories;
        self.shared
            .store
            .collect(grace, idle, async |digests| repositories.are_live(digests).await)
            .await
    }

    /// The same, and what it left.
    pub async fn collect_and_count(&self, grace: Duration, idle: Duration) -> Result<Freed, HousekeepingError> {
        let collected = self.collect(grace, idle).await?;
        let (kept_blobs, kept_bytes) = self.unneeded().await?;
        Ok(Freed {
            blobs: collected.blobs,
            blob_bytes: collected.blob_bytes,
            uploads: collected.uploads,
            upload_bytes: collected.upload_bytes,
            kept_blobs,
            kept_bytes,
            kept_uploads: self.shared.store.uploads().await?.len() as u64,
        })
    }

    /// How many blobs nothing names, and their bytes.
    pub(super) async fn unneeded(&self) -> Result<(u64, u64), HousekeepingError> {
        let files = self.shared.store.files().await?;
        let named: Vec<(Digest, u64)> = files
            .into_iter()
            .filter_map(|file| Some((file.digest?, file.size)))
            .collect();
        let mut sum = (0, 0);
        for some in named.chunks(BATCH) {
            let digests: Vec<Digest> = some.iter().map(|(digest, _)| digest.clone()).collect();
            let live = self.shared.repositories.are_live(&digests).await?;
            for ((_, size), _) in some.iter().zip(live).filter(|(_, live)| !live) {
                sum = (sum.0 + 1, sum.1 + size);
            }
        }
        Ok(sum)
    }
}
