//! A manifest on its way into a repository.

use crate::model::{Content, IndexEntry};
use crate::names::is_digest;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Ref: OCI distribution specification 1.1, "Pushing Manifests".
const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What a repository records of a manifest. The registry fills it from its own parser; [`NewImage::parse`] from text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewImage {
    /// Digest of the manifest.
    pub digest: String,
    /// Media type of the manifest.
    pub media_type: String,
    /// Length of the manifest.
    pub manifest_bytes: u64,
    /// Configuration (first) and layers that must be there; foreign layers are not.
    pub blobs: Vec<Content>,
    /// Media type of the configuration.
    pub config_media_type: Option<String>,
    /// `artifactType`, or the configuration's media type.
    pub artifact_type: Option<String>,
    /// The manifests of an index.
    pub manifests: Vec<IndexEntry>,
    /// The manifest that this one is about.
    pub subject: Option<String>,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Go's name of the architecture that the configuration says.
    pub architecture: Option<String>,
}

/// A manifest to put under a tag.
#[derive(Debug, Clone, PartialEq)]
pub struct PutImage {
    /// The manifest.
    pub image: NewImage,
    /// The tag, if any.
    pub tag: Option<String>,
    /// Whether putting what is there already is an error (the API) or no change (the registry).
    pub refuse_same: bool,
    /// Whether the manifests of an index may be missing (a mirror fetches them later).
    pub sparse: bool,
}

/// Why a text is no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestProblem {
    /// Too long, or not the JSON of a manifest.
    #[error("Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'")]
    Syntax,
    /// A member that the type demands is missing or malformed.
    #[error("Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'manifest is invalid: {0}'")]
    Member(&'static str),
    /// A media type that is no manifest's.
    #[error("Invalid parameter at 'ImageManifestMediaType' failed to satisfy constraint: 'media type not supported'")]
    MediaType,
    /// Neither the manifest nor the caller says its media type. Ref: PutImage, `imageManifestMediaType`.
    #[error(
        "Invalid parameter at 'ImageManifestMediaType' failed to satisfy constraint: 'must be specified for an image \
         manifest that does not contain the mediaType field'"
    )]
    Untyped,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    variant: Option<String>,
}

impl NewImage {
    /// Reads a manifest's text; `declared` is its media type where the caller says one.
    pub fn parse(text: &str, declared: Option<&str>) -> Result<Self, ManifestProblem> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestProblem::Syntax);
        }
        let raw: Raw = serde_json::from_str(text).map_err(|_| ManifestProblem::Syntax)?;
        if raw.schema_version != 2 {
            return Err(ManifestProblem::Member("schemaVersion"));
        }
        let media_type = declared
            .or(raw.media_type.as_deref())
            .ok_or(ManifestProblem::Untyped)?
            .to_owned();
        if raw.media_type.as_ref().is_some_and(|inside| *inside != media_type) {
            return Err(ManifestProblem::Member("mediaType"));
        }
        let is_index = match media_type.as_str() {
            OCI_INDEX | DOCKER_LIST => true,
            OCI_MANIFEST | DOCKER_MANIFEST => false,
            _ => return Err(ManifestProblem::MediaType),
        };
        if is_index && raw.manifests.is_none() {
            return Err(ManifestProblem::Member("manifests"));
        }
        if !is_index && (raw.config.is_none() || raw.layers.is_none()) {
            return Err(ManifestProblem::Member(if raw.config.is_none() {
                "config"
            } else {
                "layers"
            }));
        }
        let config_media_type = raw.config.as_ref().map(|config| config.media_type.clone());
        let layers = raw.layers.unwrap_or_default().into_iter();
        let blobs = raw.config.into_iter().chain(layers.filter(|layer| !layer.is_foreign()));
        let image = Self {
            digest: sha256(text.as_bytes()),
            media_type,
            manifest_bytes: text.len() as u64,
            blobs: blobs.map(Descriptor::content).collect(),
            artifact_type: raw
                .artifact_type
                .filter(|kind| !kind.is_empty())
                .or_else(|| config_media_type.clone()),
            config_media_type,
            manifests: raw
                .manifests
                .unwrap_or_default()
                .into_iter()
                .map(Descriptor::entry)
                .collect(),
            subject: raw.subject.map(|subject| subject.digest),
            annotations: raw.annotations,
            architecture: None,
        };
        let digests = image.blobs.iter().map(|blob| &blob.digest);
        let mut digests = digests
            .chain(image.manifests.iter().map(|entry| &entry.digest))
            .chain(&image.subject);
        if digests.any(|digest| !is_digest(digest)) {
            return Err(ManifestProblem::Member("digest"));
        }
        Ok(image)
    }
}

impl Descriptor {
    fn is_foreign(&self) -> bool {
        self.media_type == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
            || self
                .media_type
                .starts_with("application/vnd.oci.image.layer.nondistributable.")
    }

    fn content(self) -> Content {
        Content {
            digest: self.digest,
            size: self.size,
            media_type: self.media_type,
        }
    }

    fn entry(self) -> IndexEntry {
        let platform = self.platform.unwrap_or(Platform {
            architecture: String::new(),
            os: String::new(),
            variant: None,
        });
        IndexEntry {
            digest: self.digest,
            media_type: self.media_type,
            architecture: platform.architecture,
            os: platform.os,
            variant: platform.variant,
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes)
        .iter()
        .fold("sha256:".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
