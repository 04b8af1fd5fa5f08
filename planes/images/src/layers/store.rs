//! The layers on disk: opening after a crash, holders, removal.

use super::lease::Leases;
use super::record::{self, HolderRecord, LayerRecord, Source, layer_name};
use super::{LayerLease, PreparedImage, PullError, error::PullCause};
use crate::blobs::{at, blocking, make_dir};
use crate::{BlobStore, Digest, Expected, ImageSource, Remotes, StoreError, StoreLimits, UnpackLimits};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Layers that are unpacked at one time, over all images: file creation is bound by the disk, not by processors.
const UNPACKING_MAX: usize = 4;

/// A disk with less than this part free is nearly full: one twentieth.
const SHORT_OF_ROOM_PART: u64 = 20;

/// Layers, who holds them, and where images come from. Clones share it.
#[derive(Clone)]
pub struct LayerStore {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    dir: PathBuf,
    pub(super) limits: UnpackLimits,
    /// The registry's blobs, if this machine has a registry.
    pub(super) registry: BlobStore,
    /// Manifests and configurations that were pulled from elsewhere.
    pub(super) pulled: BlobStore,
    pub(super) remotes: Remotes,
    pub(super) leases: Leases,
    /// One unpacking per layer: the others wait for it.
    pub(super) in_flight: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    pub(super) slots: Arc<Semaphore>,
    /// Held while a record is replaced, or removed with its layer: a replaced one must not come back after its removal.
    records: Mutex<()>,
    boot_id: String,
}

/// What the layers take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerUsage {
    /// Unpacked layers.
    pub layers: u64,
    /// Bytes of their files.
    pub content_bytes: u64,
    /// Tasks that hold layers.
    pub holders: u64,
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Layers.
    pub layers: u64,
    /// Bytes of their files.
    pub content_bytes: u64,
    /// Manifests and configurations.
    pub blobs: u64,
}

impl LayerStore {
    /// Opens the layers in `dir` (`<state>/node`), and removes what a crash left. `registry` is the store that the
    /// registry writes (`<state>/images`), opened read-only; without a registry it is simply empty.
    /// `remotes` is for images from elsewhere.
    pub fn open(dir: &Path, registry: BlobStore, limits: UnpackLimits, remotes: Remotes) -> Result<Self, StoreError> {
        for name in ["layers", "layers-tmp", "layer-holders"] {
            make_dir(&dir.join(name))?;
        }
        let boot_path = Path::new("/proc/sys/kernel/random/boot_id");
        let boot_id = fs::read_to_string(boot_path)
            .map_err(at("read", boot_path))?
            .trim()
            .to_owned();
        let pulled = BlobStore::open(&dir.join("pulled"), StoreLimits::default())?;
        let shared = Shared {
            dir: dir.to_owned(),
            limits,
            registry,
            pulled,
            remotes,
            leases: Leases::default(),
            in_flight: Mutex::default(),
            slots: Arc::new(Semaphore::new(UNPACKING_MAX)),
            records: Mutex::default(),
            boot_id,
        };
        let store = Self {
            shared: Arc::new(shared),
        };
        store.recover()?;
        Ok(store)
    }

    /// Makes an image ready to run: finds or pulls its manifest, unpacks the layers that are missing.
    /// Only what is missing costs anything; an image that is there costs two small reads.
    pub async fn prepare(&self, image: ImageSource) -> Result<PreparedImage, PullError> {
        super::prepare::prepare(self, image).await
    }

    /// Writes down that `holder` (a task id) uses the image's layers, in addition to what it holds already.
    pub async fn retain(&self, holder: &str, image: &PreparedImage) -> Result<(), StoreError> {
        let path = self.holder_path(holder);
        let (holder, layers, blobs) = (
            holder.to_owned(),
            image.lease.layers().to_vec(),
            image.lease.blobs().to_vec(),
        );
        blocking(move || {
            let mut record = record::read::<HolderRecord>(&path)?.unwrap_or_default();
            record.v = 1;
            record.holder = holder;
            record.layers.extend(layers);
            record.blobs.extend(blobs);
            record::write(&path, &record, true)
        })
        .await
    }

    /// Forgets a holder. Its layers stay until a sweep removes them. Forgetting a stranger is no error.
    pub async fn release(&self, holder: &str) -> Result<(), StoreError> {
        let path = self.holder_path(holder);
        blocking(move || match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at("remove", &path)(error)),
            _ => Ok(()),
        })
        .await
    }

    /// Everyone who holds layers, so that a node that restarts can release those whose tasks are gone.
    pub async fn holders(&self) -> Result<Vec<String>, StoreError> {
        let store = self.clone();
        blocking(move || {
            Ok(store
                .holder_records()?
                .into_iter()
                .map(|record| record.holder)
                .collect())
        })
        .await
    }

    /// Removes layers that nobody holds and that were not used for `keep`; those whose image the registry no longer has
    /// go once they were not used for `keep_orphans`.
    pub async fn sweep(&self, keep: Duration, keep_orphans: Duration) -> Result<Swept, StoreError> {
        let store = self.clone();
        let mut swept = blocking(move || store.sweep_layers(keep, keep_orphans)).await?;
        let store = self.clone();
        let held = blocking(move || store.holder_records()).await?;
        let held: BTreeSet<Digest> = held.into_iter().flat_map(|record| record.blobs).collect();
        let leases = self.shared.leases.clone();
        let live = async |digests: &[Digest]| {
            let live = digests
                .iter()
                .map(|digest| held.contains(digest) || leases.covers(digest));
            Ok::<_, std::convert::Infallible>(live.collect())
        };
        swept.blobs = self.shared.pulled.collect(keep, keep, live).await?.blobs;
        Ok(swept)
    }

    /// Whether the disk is nearly full: then layers that could be unpacked again are better gone.
    pub fn is_short_of_room(&self) -> Result<bool, StoreError> {
        let dir = &self.shared.dir;
        let disk = rustix::fs::statvfs(dir).map_err(|error| at("look at the disk of", dir)(error.into()))?;
        let (free, all) = (
            disk.f_bavail.saturating_mul(disk.f_frsize),
            disk.f_blocks.saturating_mul(disk.f_frsize),
        );
        Ok(free < all / SHORT_OF_ROOM_PART || free < self.shared.limits.free_bytes_min.saturating_mul(2))
    }

    /// What the layers take.
    pub async fn usage(&self) -> Result<LayerUsage, StoreError> {
        let store = self.clone();
        blocking(move || {
            let mut usage = LayerUsage {
                holders: store.holder_records()?.len() as u64,
                ..LayerUsage::default()
            };
            for (_, layer) in store.layer_records()? {
                usage.layers += 1;
                usage.content_bytes += layer.content_bytes;
            }
            Ok(usage)
        })
        .await
    }

    /// Where a layer lies, whether or not it is there.
    pub fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.shared.dir.join("layers").join(layer_name(diff_id))
    }

    pub(super) fn temporary_path(&self) -> PathBuf {
        self.shared
            .dir
            .join("layers-tmp")
            .join(uuid::Uuid::new_v4().to_string())
    }

    fn record_path(&self, diff_id: &Digest) -> PathBuf {
        self.shared
            .dir
            .join("layers")
            .join(format!("{}.json", layer_name(diff_id)))
    }

    fn holder_path(&self, holder: &str) -> PathBuf {
        // A digest of the name: a holder's name is never part of a path.
        let name = Digest::sha256(holder.as_bytes());
        self.shared
            .dir
            .join("layer-holders")
            .join(format!("{}.json", name.hex()))
    }

    /// Whether a layer is there for an image that has the blob; marks it as used.
    pub(super) fn has_layer(&self, layer: &Expected, source: Source) -> Result<bool, StoreError> {
        let path = self.record_path(&layer.diff_id);
        let record = record::read::<LayerRecord>(&path)?;
        if !record.is_some_and(|record| record.is_shown_by(&layer.digest, source)) {
            return Ok(false);
        }
        // Its time is when it was used last. Failing to note that only makes a sweep less wise.
        let _ = File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(std::time::SystemTime::now()));
        Ok(true)
    }

    /// Notes that a blob unpacks to a layer. False when the layer is not there.
    fn note(&self, unpacked: &crate::Unpacked, source: Source) -> Result<bool, StoreError> {
        let path = self.record_path(&unpacked.diff_id);
        let _records = self.shared.records.lock();
        let Some(mut layer) = record::read::<LayerRecord>(&path)? else {
            return Ok(false);
        };
        layer.note(&unpacked.digest, source);
        record::write(&path, &layer, layer.synced).map(|()| true)
    }

    /// Gives an unpacked layer its name, and sees to it that it reaches the disk, without waiting for that. One that is
    /// there already stays, and is from now on this blob's too.
    pub(super) fn publish(
        &self,
        temporary: &Path,
        unpacked: &crate::Unpacked,
        source: Source,
    ) -> Result<(), PullCause> {
        let diff_id = &unpacked.diff_id;
        let target = self.layer_path(diff_id);
        let publish = || {
            if self.note(unpacked, source)? {
                return remove_tree(temporary);
            }
            fs::rename(temporary, &target).map_err(at("rename into the store", &target))?;
            crate::fault::point("layer.renamed");
            let mut layer = LayerRecord {
                v: 1,
                diff_id: diff_id.clone(),
                blob: (source == Source::Registry).then(|| unpacked.digest.clone()),
                also: BTreeSet::new(),
                pulled: BTreeSet::new(),
                content_bytes: unpacked.content_bytes,
                entries: unpacked.entries,
                boot_id: self.shared.boot_id.clone(),
                synced: false,
            };
            if source == Source::Public {
                layer.note(&unpacked.digest, source);
            }
            let path = self.record_path(diff_id);
            record::write(&path, &layer, false)?;
            let (store, diff_id) = (self.clone(), diff_id.clone());
            // The container need not wait for the disk: until it is synced, the layer counts in this boot only.
            tokio::task::spawn_blocking(move || {
                let synced = File::open(store.layer_path(&diff_id))
                    .and_then(|dir| rustix::fs::syncfs(&dir).map_err(Into::into))
                    .map_err(at("sync", &path));
                let noted = synced.and_then(|()| {
                    // A sweep may have removed the layer meanwhile, or do so now; its record must not come back. Another
                    // blob may have been noted.
                    let _records = store.shared.records.lock();
                    match record::read::<LayerRecord>(&path)? {
                        Some(now) => record::write(&path, &LayerRecord { synced: true, ..now }, true),
                        None => Ok(()),
                    }
                });
                if let Err(error) = noted {
                    tracing::warn!(%diff_id, err = %honmaru_base::chain(&error), "layer is not synced");
                }
            });
            Ok(())
        };
        publish().map_err(PullCause::Store)
    }

    fn recover(&self) -> Result<(), StoreError> {
        let temporary = self.shared.dir.join("layers-tmp");
        for entry in list(&temporary)? {
            remove_tree(&entry)?;
        }
        let layers = self.shared.dir.join("layers");
        let records = self.layer_records()?;
        let whole: BTreeSet<String> = records
            .iter()
            .filter(|(_, layer)| layer.synced || layer.boot_id == self.shared.boot_id)
            .map(|(_, layer)| layer_name(&layer.diff_id))
            .collect();
        for path in list(&layers)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let of_whole = whole.contains(name.strip_suffix(".json").unwrap_or(&name));
            if !of_whole || !layers.join(name.strip_suffix(".json").unwrap_or(&name)).is_dir() {
                remove_tree(&path)?;
            }
        }
        Ok(())
    }

    fn sweep_layers(&self, keep: Duration, keep_orphans: Duration) -> Result<Swept, StoreError> {
        let held: BTreeSet<Digest> = self
            .holder_records()?
            .into_iter()
            .flat_map(|record| record.layers)
            .collect();
        let mut swept = Swept::default();
        for (path, layer) in self.layer_records()? {
            let used = fs::metadata(&path)
                .and_then(|meta| meta.modified())
                .ok()
                .and_then(|at| at.elapsed().ok());
            let mut blobs = layer.blob.iter().chain(&layer.also).peekable();
            let is_orphan = layer.pulled.is_empty()
                && blobs.peek().is_some()
                && blobs.all(|blob| !self.shared.registry.path(blob).exists());
            let keep = if is_orphan { keep.min(keep_orphans) } else { keep };
            if held.contains(&layer.diff_id) || used.is_none_or(|used| used < keep) {
                continue;
            }
            // The gate keeps `prepare` from finding a layer that is being removed: it takes its lease under it.
            let gate = self.gate(&layer.diff_id);
            let Ok(_gate) = gate.try_lock() else { continue };
            // A lease may have become a holder since the holders were read: leases are dropped only after `retain`.
            if self.shared.leases.covers(&layer.diff_id)
                || self
                    .holder_records()?
                    .iter()
                    .any(|record| record.layers.contains(&layer.diff_id))
            {
                continue;
            }
            let records = self.shared.records.lock();
            fs::remove_file(&path).map_err(at("remove", &path))?;
            drop(records);
            crate::fault::point("layer.unrecorded");
            let (tree, temporary) = (self.layer_path(&layer.diff_id), self.temporary_path());
            fs::rename(&tree, &temporary).map_err(at("rename", &tree))?;
            remove_tree(&temporary)?;
            swept.layers += 1;
            swept.content_bytes += layer.content_bytes;
        }
        Ok(swept)
    }

    /// The lock of one layer: held while it is unpacked, leased or removed.
    pub(super) fn gate(&self, diff_id: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut in_flight = self.shared.in_flight.lock();
        // Locks that only the map knows are free: drop them here, so that the map stays as small as the work.
        in_flight.retain(|_, gate| Arc::strong_count(gate) > 1);
        in_flight.entry(diff_id.clone()).or_default().clone()
    }

    pub(super) fn lease(&self, layers: Vec<Digest>, blobs: Vec<Digest>) -> LayerLease {
        self.shared.leases.take(layers, blobs)
    }

    fn layer_records(&self) -> Result<Vec<(PathBuf, LayerRecord)>, StoreError> {
        let mut records = Vec::new();
        for path in list(&self.shared.dir.join("layers"))? {
            if path.extension().is_some_and(|extension| extension == "json")
                && let Some(layer) = record::read::<LayerRecord>(&path)?
                && self.record_path(&layer.diff_id) == path
            {
                records.push((path, layer));
            }
        }
        Ok(records)
    }

    fn holder_records(&self) -> Result<Vec<HolderRecord>, StoreError> {
        let mut records = Vec::new();
        for path in list(&self.shared.dir.join("layer-holders"))? {
            if path.extension().is_some_and(|extension| extension == "json")
                && let Some(record) = record::read::<HolderRecord>(&path)?
            {
                records.push(record);
            }
        }
        Ok(records)
    }
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let read = fs::read_dir(dir).map_err(at("list", dir))?;
    read.map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(at("list", dir))
}

/// Removes a file or a tree; symlinks are removed, not followed.
pub(super) fn remove_tree(path: &Path) -> Result<(), StoreError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        _ => Ok(()),
    }
}
