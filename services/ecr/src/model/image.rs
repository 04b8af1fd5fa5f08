//! Images, their tags, and layers that wait for an image.

use honmaru_base::Time;
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A layer that no manifest names after a day belongs to a push that was given up.
const LAYER_LINK_LIFE_S: i64 = 24 * 3_600;
/// A layer whose last image was deleted waits for an hour, as long as the store keeps what nobody has linked: whoever pushed
/// its image again was told that the layer is there.
pub(crate) const LAYER_LEFT_LIFE_S: i64 = 3_600;

/// A blob that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Its digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
}

/// A manifest that an index names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// Its digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// Go's name of the architecture; empty when the index does not say.
    #[serde(default)]
    pub architecture: String,
    /// Go's name of the system; empty when the index does not say.
    #[serde(default)]
    pub os: String,
    /// The variant.
    #[serde(default)]
    pub variant: Option<String>,
}

/// Where an image is between the storage classes. An archived one cannot be pulled until it is restored.
/// Ref: ECR user guide, "Archiving an image in Amazon ECR".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Whether it is archived.
    pub holds: bool,
    /// When it was archived last.
    #[serde(default)]
    pub archived_at: Option<Time>,
    /// When it was restored last.
    #[serde(default)]
    pub restored_at: Option<Time>,
}

/// An image, an index or an artifact; its key is [`Image::key`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// The repository.
    pub repository: String,
    /// Digest of the manifest.
    pub digest: String,
    /// Media type of the manifest.
    pub media_type: String,
    /// Length of the manifest.
    pub manifest_bytes: u64,
    /// When it was pushed first.
    pub pushed_at: Time,
    /// Configuration (the first, where there is one) and layers.
    #[serde(default)]
    pub blobs: Vec<Content>,
    /// Media type of the configuration.
    #[serde(default)]
    pub config_media_type: Option<String>,
    /// `artifactType`, or the configuration's media type.
    #[serde(default)]
    pub artifact_type: Option<String>,
    /// The manifests of an index.
    #[serde(default)]
    pub manifests: Vec<IndexEntry>,
    /// The manifest that this one is about.
    #[serde(default)]
    pub subject: Option<String>,
    /// The manifest's annotations, where it has a subject.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Go's name of the architecture that the configuration says.
    #[serde(default)]
    pub architecture: Option<String>,
    /// Whether it is archived, and when that changed.
    #[serde(default)]
    pub archive: Archive,
}

impl Image {
    /// The key of an image: names hold no `@`.
    pub fn key(repository: &str, digest: &str) -> String {
        format!("{repository}@{digest}")
    }

    /// What the keys of a repository's images begin with.
    pub fn prefix(repository: &str) -> String {
        format!("{repository}@")
    }

    /// Bytes of configuration and layers.
    pub fn content_bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum()
    }

    /// Whether it is an index.
    pub fn is_index(&self) -> bool {
        !self.manifests.is_empty() || self.media_type.ends_with("index.v1+json") || self.media_type.contains(".list.")
    }
}

impl Resource for Image {
    const KIND: &'static str = "ecr.image";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        // For counting: how many images a repository has.
        add("repository", self.repository.clone());
        add("content", self.digest.clone());
        for blob in &self.blobs {
            add("content", blob.digest.clone());
            add("blob", Self::key(&self.repository, &blob.digest));
        }
        for entry in &self.manifests {
            add("parent", Self::key(&self.repository, &entry.digest));
        }
        if let Some(subject) = &self.subject {
            add("subject", Self::key(&self.repository, subject));
        }
    }
}

/// A tag; its key is [`Tag::key`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tag {
    /// The repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// The image.
    pub digest: String,
    /// When it was set, where that is known.
    #[serde(default)]
    pub set_at: Option<Time>,
}

impl Tag {
    /// The key of a tag: names hold no `:`.
    pub fn key(repository: &str, tag: &str) -> String {
        format!("{repository}:{tag}")
    }

    /// What the keys of a repository's tags begin with.
    pub fn prefix(repository: &str) -> String {
        format!("{repository}:")
    }
}

impl Resource for Tag {
    const KIND: &'static str = "ecr.tag";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add("image", Image::key(&self.repository, &self.digest));
    }
}

/// A blob of a repository that no manifest names yet, or none any more; its key is [`Image::key`] of the blob's digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerLink {
    /// The blob.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it came, or was left.
    pub linked_at: Time,
    /// Whether the last image that named it was deleted. Such a one waits for a shorter time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_left: bool,
}

impl LayerLink {
    /// When it has waited long enough.
    pub fn end(&self) -> Time {
        let life_s = if self.is_left {
            LAYER_LEFT_LIFE_S
        } else {
            LAYER_LINK_LIFE_S
        };
        self.linked_at.plus_s(life_s)
    }
}

impl Resource for LayerLink {
    const KIND: &'static str = "ecr.layer";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add("content", self.digest.clone());
    }
}

/// When an image was pulled last, recorded at most once a day; its key is [`Image::key`].
/// Ref: ECR `lastRecordedPullTime`: refreshed at least once every 24 hours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pull {
    /// When.
    pub at: Time,
}

impl Resource for Pull {
    const KIND: &'static str = "ecr.pull";
}

/// When the tag of a mirror is to be compared with upstream's again; its key is [`Tag::key`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpstreamCheck {
    /// Not before.
    pub next: Time,
}

impl Resource for UpstreamCheck {
    const KIND: &'static str = "ecr.upstream_check";
}
