//! What an operator asks of the registry: `gc`, `verify`, `usage`.

use crate::{Registry, Repositories};
use honmaru_images::{Collected, StoreError, StoreUsage, Verified};
use std::time::Duration;

impl<R: Repositories> Registry<R> {
    /// Removes blobs that no repository needs and that nobody used for `grace`, and abandoned uploads. Pushes and
    /// pulls go on meanwhile. `grace` is longer than a client waits between a layer and its manifest: an hour is usual.
    pub async fn collect(&self, grace: Duration) -> Result<Collected, StoreError> {
        let repositories = &self.shared.repositories;
        self.shared
            .store
            .collect(grace, async |digests| repositories.are_live(digests).await)
            .await
    }

    /// Reads every blob and compares its content with its digest.
    pub async fn verify(&self) -> Result<Verified, StoreError> {
        self.shared.store.verify().await
    }

    /// What the store holds.
    pub async fn usage(&self) -> Result<StoreUsage, StoreError> {
        self.shared.store.usage().await
    }
}
