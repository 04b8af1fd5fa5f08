//! The two kinds of small files beside the layers: what a layer is, and what a holder holds.

use crate::Digest;
use crate::blobs::StoreError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Beside each layer: it is whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LayerRecord {
    pub(super) v: u32,
    pub(super) diff_id: Digest,
    /// The registry's blob that it was unpacked from; nothing when it came from elsewhere.
    #[serde(default)]
    pub(super) blob: Option<Digest>,
    /// Further blobs of the registry that were seen to unpack to it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) also: BTreeSet<Digest>,
    /// Blobs of other registries, which everybody may pull there, that were seen to unpack to it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) pulled: BTreeSet<Digest>,
    pub(super) content_bytes: u64,
    pub(super) entries: u64,
    /// The boot in which it was unpacked: in that boot the page cache vouches for what is not synced.
    pub(super) boot_id: String,
    pub(super) synced: bool,
}

/// Blobs that are remembered of one layer. Whoever brings yet another has it unpacked each time.
const BLOBS_MAX: usize = 32;

/// Where an image's layers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The registry: whoever pushed the manifest showed that the blobs are the repository's.
    Registry,
    /// Another registry that gives to everybody.
    Public,
    /// Another registry that gives to whoever has credentials.
    Guarded,
}

impl LayerRecord {
    /// Whether an image that has this blob thereby has the layer. The layer's own digest is no proof: it stands in the
    /// image's configuration, where everybody may write it.
    pub(super) fn is_shown_by(&self, blob: &Digest, source: Source) -> bool {
        let is_pulled = self.pulled.contains(blob);
        match source {
            Source::Registry => is_pulled || self.blob.as_ref() == Some(blob) || self.also.contains(blob),
            Source::Public => is_pulled,
            Source::Guarded => false,
        }
    }

    /// Notes that a blob was seen to unpack to the layer.
    pub(super) fn note(&mut self, blob: &Digest, source: Source) {
        let known = match source {
            Source::Registry => &mut self.also,
            Source::Public => &mut self.pulled,
            Source::Guarded => return,
        };
        if known.len() < BLOBS_MAX {
            known.insert(blob.clone());
        }
    }
}

/// What a task holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct HolderRecord {
    pub(super) v: u32,
    pub(super) holder: String,
    pub(super) layers: BTreeSet<Digest>,
    /// Manifests and configurations that were pulled for it.
    pub(super) blobs: BTreeSet<Digest>,
}

/// The file name of a layer: no colon, which would end a path in overlay's options.
pub(super) fn layer_name(diff_id: &Digest) -> String {
    match diff_id.algorithm() {
        crate::Algorithm::Sha256 => diff_id.hex().to_owned(),
        crate::Algorithm::Sha512 => format!("sha512-{}", diff_id.hex()),
    }
}

/// Reads a record; nothing when it is absent, torn by a crash, or of a newer format.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(crate::blobs::at("read", path)(error)),
    }
}

/// Replaces a record whole. With `durable` it is on disk when this returns.
pub(super) fn write<T: Serialize>(path: &Path, record: &T, durable: bool) -> Result<(), StoreError> {
    let at = crate::blobs::at;
    let bytes = serde_json::to_vec(record).map_err(|error| at("encode", path)(error.into()))?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", uuid::Uuid::new_v4()));
    let temporary = Path::new(&temporary);
    let mut file = File::create_new(temporary).map_err(at("create", temporary))?;
    file.write_all(&bytes).map_err(at("write", temporary))?;
    if durable {
        file.sync_all().map_err(at("sync", temporary))?;
    }
    fs::rename(temporary, path).map_err(at("rename", path))?;
    if durable && let Some(dir) = path.parent() {
        crate::blobs::sync_dir(dir)?;
    }
    Ok(())
}
