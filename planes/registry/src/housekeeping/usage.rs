//! `usage`: what each repository takes, and all together.

use super::HousekeepingError;
use crate::{Registry, Repositories};
use honmaru_images::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// What one repository takes. Bytes are those of files; a blob that several images name lies on disk once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryUsage {
    /// The space of names: account and region.
    pub namespace: String,
    /// Its name.
    pub repository: String,
    /// Manifests: images, indexes, artifacts.
    pub images: u64,
    /// Tags.
    pub tags: u64,
    /// Bytes of all images as if each had its blobs for itself.
    pub logical_bytes: u64,
    /// Bytes of the distinct blobs that it needs, manifests too.
    pub disk_bytes: u64,
    /// Of these, the bytes of blobs that another repository needs too: they would stay if this one went.
    pub shared_bytes: u64,
    /// Blobs that wait for their manifest.
    pub waiting_blobs: u64,
    /// Uploads in progress.
    pub uploads: u64,
    /// Bytes of uploads in progress.
    pub upload_bytes: u64,
}

/// What all repositories take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageTotal {
    /// Repositories.
    pub repositories: u64,
    /// Manifests: images, indexes, artifacts.
    pub images: u64,
    /// Tags.
    pub tags: u64,
    /// Bytes of all images as if each had its blobs for itself.
    pub logical_bytes: u64,
    /// Blobs on disk.
    pub blobs: u64,
    /// Their bytes.
    pub disk_bytes: u64,
    /// Of these, the bytes of blobs that more than one repository needs.
    pub shared_bytes: u64,
    /// Blobs that no repository needs: a collection removes them.
    pub unneeded_blobs: u64,
    /// Their bytes.
    pub unneeded_bytes: u64,
    /// Uploads in progress, also those of repositories that are gone.
    pub uploads: u64,
    /// Bytes of uploads in progress.
    pub upload_bytes: u64,
}

/// What the registry takes, and how much more it may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryUsage {
    /// Each repository, by namespace and name.
    pub repositories: Vec<RepositoryUsage>,
    /// All of them.
    pub total: UsageTotal,
    /// Bytes that all blobs together may have; nothing: as much as the disk holds.
    pub quota_bytes: Option<u64>,
    /// Bytes of one blob at most.
    pub blob_bytes_max: u64,
    /// Free bytes of the disk.
    pub free_bytes: u64,
    /// Bytes of the disk that stay free: a push that would need them is refused.
    pub reserve_bytes: u64,
}

impl<R: Repositories> Registry<R> {
    /// What the registry takes.
    pub async fn usage(&self) -> Result<RegistryUsage, HousekeepingError> {
        let store = &self.shared.store;
        let sizes: HashMap<Digest, u64> = store
            .files()
            .await?
            .into_iter()
            .filter_map(|file| Some((file.digest?, file.size)))
            .collect();
        let uploads = store.uploads().await?;
        let (mut rows, mut needed) = (Vec::new(), Vec::new());
        let mut holders: HashMap<Digest, u32> = HashMap::new();
        for (namespace, repository) in self.shared.repositories.repositories().await? {
            let Some(holding) = self.shared.repositories.holding(&namespace, &repository).await? else {
                continue;
            };
            let owner = format!("{namespace}/{repository}");
            let own = uploads.iter().filter(|upload| upload.is_of(&owner));
            let (count, bytes) = own.fold((0, 0), |(count, bytes), upload| (count + 1, bytes + upload.bytes));
            let mut digests: HashSet<Digest> = holding.waiting.iter().map(|(digest, _)| digest.clone()).collect();
            let mut logical_bytes = 0;
            for manifest in &holding.manifests {
                logical_bytes += manifest.size + manifest.blobs.iter().map(|(_, size)| size).sum::<u64>();
                digests.insert(manifest.digest.clone());
                digests.extend(manifest.blobs.iter().map(|(digest, _)| digest.clone()));
            }
            for digest in &digests {
                *holders.entry(digest.clone()).or_default() += 1;
            }
            needed.push(digests);
            rows.push(RepositoryUsage {
                namespace,
                repository,
                images: holding.manifests.len() as u64,
                tags: holding.tags.len() as u64,
                logical_bytes,
                waiting_blobs: holding.waiting.len() as u64,
                uploads: count,
                upload_bytes: bytes,
                ..RepositoryUsage::default()
            });
        }
        let size = |digest: &Digest| sizes.get(digest).copied().unwrap_or(0);
        let mut total = UsageTotal {
            repositories: rows.len() as u64,
            blobs: sizes.len() as u64,
            disk_bytes: sizes.values().sum(),
            shared_bytes: holders
                .iter()
                .filter(|(_, n)| **n > 1)
                .map(|(digest, _)| size(digest))
                .sum(),
            uploads: uploads.len() as u64,
            upload_bytes: uploads.iter().map(|upload| upload.bytes).sum(),
            ..UsageTotal::default()
        };
        for (row, digests) in rows.iter_mut().zip(&needed) {
            for digest in digests {
                row.disk_bytes += size(digest);
                if holders.get(digest).is_some_and(|n| *n > 1) {
                    row.shared_bytes += size(digest);
                }
            }
            total.images += row.images;
            total.tags += row.tags;
            total.logical_bytes += row.logical_bytes;
        }
        for (_, size) in sizes.iter().filter(|(digest, _)| !holders.contains_key(digest)) {
            total.unneeded_blobs += 1;
            total.unneeded_bytes += size;
        }
        let room = store.room()?;
        Ok(RegistryUsage {
            repositories: rows,
            total,
            quota_bytes: room.quota_bytes,
            blob_bytes_max: store.limits().blob_bytes_max,
            free_bytes: room.free_bytes,
            reserve_bytes: room.reserve_bytes,
        })
    }
}
