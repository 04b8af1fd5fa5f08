//! Manifests, indexes and image configurations as data. Ref: OCI image specification 1.1; Docker image manifest v2.2.

use crate::{Digest, DigestError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The largest manifest that is accepted, in bytes. Ref: OCI distribution specification 1.1, "Pushing Manifests"
/// (registries should enforce a limit of at least 4 MiB).
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The largest image configuration that is read, in bytes.
pub const CONFIG_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Media types.
pub mod media_type {
    /// An OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// A Docker schema 2 manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// An OCI image configuration.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A Docker image configuration.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// The empty JSON object, as artifacts use it for `config`.
    pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";

    /// Whether a manifest type is one of the four that a registry stores.
    pub fn is_manifest(media_type: &str) -> bool {
        matches!(media_type, OCI_MANIFEST | OCI_INDEX | DOCKER_MANIFEST | DOCKER_LIST)
    }

    /// Whether it is an index (a list of manifests).
    pub fn is_index(media_type: &str) -> bool {
        matches!(media_type, OCI_INDEX | DOCKER_LIST)
    }
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Longer than [`MANIFEST_BYTES_MAX`].
    #[error("manifest has {0} bytes; at most {MANIFEST_BYTES_MAX} are accepted")]
    TooLarge(usize),
    /// Not JSON, or not the JSON of a manifest.
    #[error("manifest is not valid JSON of its type")]
    Json(#[source] serde_json::Error),
    /// A digest in it is malformed.
    #[error("manifest names a malformed digest")]
    Digest(#[source] DigestError),
    /// `schemaVersion` is not 2.
    #[error("schemaVersion {0} is not supported: 2 is expected")]
    SchemaVersion(u64),
    /// `mediaType` inside differs from the declared one.
    #[error("mediaType in manifest should be `{declared}` not `{inside}`")]
    MediaTypeMismatch {
        /// From `Content-Type`.
        declared: String,
        /// From the manifest.
        inside: String,
    },
    /// Neither declared nor inside, or no manifest type.
    #[error("media type `{0}` is no manifest type that is supported")]
    MediaType(String),
    /// A member that the type demands is missing, or two exclude each other.
    #[error("manifest lacks `{0}` or contradicts its type")]
    Member(&'static str),
    /// A size is negative.
    #[error("descriptor of {0} has a negative size")]
    Size(String),
}

/// A reference to content. Ref: OCI image specification, descriptor.md.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The content's type.
    #[serde(default)]
    pub media_type: String,
    /// The content's digest.
    pub digest: Digest,
    /// The content's size in bytes.
    pub size: i64,
    /// Where else it can be had.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// The platform, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The artifact's type, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// Whether the content is a foreign layer that registries do not hold.
    pub fn is_foreign(&self) -> bool {
        self.media_type == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
            || self
                .media_type
                .starts_with("application/vnd.oci.image.layer.nondistributable.")
    }
}

/// A platform in an index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Go's name of the architecture, for example `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// Go's name of the system, for example `linux`.
    #[serde(default)]
    pub os: String,
    /// The variant, for example `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// The platform of this machine: linux, and Go's name of the architecture.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", Some("v8".to_owned())),
            "x86" => ("386", None),
            other => (other, None),
        };
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant,
        }
    }

    /// Whether an image for `self` runs on `host`. A missing variant means the base one.
    pub fn runs_on(&self, host: &Platform) -> bool {
        self.os == host.os
            && self.architecture == host.architecture
            && (self.variant == host.variant || self.variant.is_none() || host.variant.is_none())
    }
}

/// A manifest or an index, parsed as far as a registry needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Its media type: declared, or inside.
    pub media_type: String,
    /// The configuration; absent in an index.
    pub config: Option<Descriptor>,
    /// The layers, or an artifact's blobs.
    pub layers: Vec<Descriptor>,
    /// The manifests of an index.
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one is about.
    pub subject: Option<Descriptor>,
    /// `artifactType`, or the configuration's media type where that is absent.
    pub artifact_type: Option<String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
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
    annotations: Option<BTreeMap<String, String>>,
}

/// What must be an object is one: serde takes an array of the members' values, in their order, for an object too, and no
/// client that pulls does. Nesting has an end here as well: clients' parsers have one.
fn check_shape(manifest: &Value) -> Result<(), ManifestError> {
    let object = |value: &Value| value.is_object() || value.is_null();
    let described = |value: &Value| {
        object(value) && value.get("platform").is_none_or(object) && value.get("annotations").is_none_or(object)
    };
    if !manifest.is_object() {
        return Err(ManifestError::Member("schemaVersion"));
    }
    for name in ["config", "subject"] {
        if !manifest.get(name).is_none_or(described) {
            return Err(ManifestError::Member(name));
        }
    }
    for name in ["layers", "manifests"] {
        let all = manifest.get(name).and_then(Value::as_array);
        if !all.is_none_or(|all| all.iter().all(described)) {
            return Err(ManifestError::Member(name));
        }
    }
    Ok(())
}

impl Manifest {
    /// Parses and validates a manifest whose `Content-Type` was `declared` (none: the type inside counts).
    pub fn parse(bytes: &[u8], declared: Option<&str>) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        check_shape(&serde_json::from_slice(bytes).map_err(ManifestError::Json)?)?;
        if raw.schema_version != 2 {
            return Err(ManifestError::SchemaVersion(raw.schema_version));
        }
        let media_type = match (declared, raw.media_type) {
            (Some(declared), Some(inside)) if declared != inside => {
                return Err(ManifestError::MediaTypeMismatch {
                    declared: declared.to_owned(),
                    inside,
                });
            }
            (Some(declared), _) => declared.to_owned(),
            (None, Some(inside)) => inside,
            (None, None) if raw.manifests.is_some() => media_type::OCI_INDEX.to_owned(),
            (None, None) => media_type::OCI_MANIFEST.to_owned(),
        };
        if !media_type::is_manifest(&media_type) {
            return Err(ManifestError::MediaType(media_type));
        }
        let is_index = media_type::is_index(&media_type);
        if is_index && (raw.manifests.is_none() || raw.layers.is_some() || raw.config.is_some()) {
            return Err(ManifestError::Member("manifests"));
        }
        if !is_index && raw.config.is_none() {
            return Err(ManifestError::Member("config"));
        }
        if !is_index && (raw.layers.is_none() || raw.manifests.is_some()) {
            return Err(ManifestError::Member("layers"));
        }
        let artifact_type = raw
            .artifact_type
            .filter(|kind| !kind.is_empty())
            .or_else(|| raw.config.as_ref().map(|config| config.media_type.clone()));
        let manifest = Self {
            media_type,
            config: raw.config,
            layers: raw.layers.unwrap_or_default(),
            manifests: raw.manifests.unwrap_or_default(),
            subject: raw.subject,
            artifact_type,
            annotations: raw.annotations.unwrap_or_default(),
        };
        if let Some(bad) = manifest.descriptors().find(|descriptor| descriptor.size < 0) {
            return Err(ManifestError::Size(bad.digest.to_string()));
        }
        Ok(manifest)
    }

    /// Whether it is an index.
    pub fn is_index(&self) -> bool {
        media_type::is_index(&self.media_type)
    }

    /// The blobs that must be there: the configuration, whatever its type says, and layers that are not foreign.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let layers = self.layers.iter().filter(|descriptor| !descriptor.is_foreign());
        self.config.iter().chain(layers)
    }

    fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        self.config
            .iter()
            .chain(&self.layers)
            .chain(&self.manifests)
            .chain(&self.subject)
    }

    /// The manifest of an index that runs on `host`: the first whose platform fits exactly, else the first that runs.
    pub fn select(&self, host: &Platform) -> Option<&Descriptor> {
        let fits = |descriptor: &&Descriptor| descriptor.platform.as_ref().is_some_and(|p| p.runs_on(host));
        let exact = |descriptor: &&Descriptor| descriptor.platform.as_ref() == Some(host);
        self.manifests
            .iter()
            .find(exact)
            .or_else(|| self.manifests.iter().find(fits))
    }
}

/// An image configuration: what to run, and the diff ids of its layers. Ref: OCI image specification, config.md.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Image {
    /// Go's name of the architecture.
    #[serde(default)]
    pub architecture: String,
    /// Go's name of the system.
    #[serde(default)]
    pub os: String,
    /// What to run.
    #[serde(default)]
    pub config: Option<ImageConfig>,
    /// The layers' uncompressed digests.
    pub rootfs: RootFs,
}

/// The diff ids of an image's layers, lowest first.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct RootFs {
    /// Digests of the uncompressed layers.
    #[serde(default)]
    pub diff_ids: Vec<Digest>,
}

/// What an image says about how it is run. Members that are absent are empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// User, `user:group`, `uid`, `uid:gid`; empty: root.
    #[serde(deserialize_with = "nullable")]
    pub user: String,
    /// Ports as `80/tcp`.
    #[serde(deserialize_with = "nullable")]
    pub exposed_ports: BTreeMap<String, Value>,
    /// `NAME=value`.
    #[serde(deserialize_with = "nullable")]
    pub env: Vec<String>,
    /// The entry point; empty: none.
    #[serde(deserialize_with = "nullable")]
    pub entrypoint: Vec<String>,
    /// The command; empty: none.
    #[serde(deserialize_with = "nullable")]
    pub cmd: Vec<String>,
    /// Paths that want a volume.
    #[serde(deserialize_with = "nullable")]
    pub volumes: BTreeMap<String, Value>,
    /// The working directory; empty: `/`.
    #[serde(deserialize_with = "nullable")]
    pub working_dir: String,
    /// Labels.
    #[serde(deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks it to stop; empty: `SIGTERM`.
    #[serde(deserialize_with = "nullable")]
    pub stop_signal: String,
    /// The image's own health check (Docker).
    pub healthcheck: Option<HealthConfig>,
}

/// A health check of a Docker image. Durations are in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthConfig {
    /// `CMD`, `CMD-SHELL` or `NONE` and the command.
    #[serde(deserialize_with = "nullable")]
    pub test: Vec<String>,
    /// Between checks.
    pub interval: i64,
    /// Until a check counts as failed.
    pub timeout: i64,
    /// In which failures do not count.
    pub start_period: i64,
    /// Failures in a row until unhealthy.
    pub retries: i64,
}

/// Go writes `null` for empty lists and maps.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn manifest(extra: &str) -> Vec<u8> {
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{EMPTY}","size":2}},"layers":[]{extra}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn parses_a_manifest_and_falls_back_to_the_configs_type() {
        let parsed = Manifest::parse(&manifest(""), Some(media_type::OCI_MANIFEST)).unwrap();
        assert_eq!(parsed.artifact_type.as_deref(), Some("a/b"));
        assert_eq!(parsed.blobs().count(), 1);
    }

    #[test]
    fn a_configuration_is_never_foreign() {
        let foreign =
            r#"{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":"EMPTY","size":2}"#;
        let text = format!(r#"{{"schemaVersion":2,"config":{foreign},"layers":[{foreign}]}}"#).replace("EMPTY", EMPTY);
        let parsed = Manifest::parse(text.as_bytes(), None).unwrap();
        assert_eq!(
            parsed.blobs().count(),
            1,
            "the layer is elsewhere, the configuration must be here"
        );
    }

    #[test]
    fn refuses_what_contradicts_itself() {
        let inside = manifest(r#","mediaType":"application/vnd.oci.image.manifest.v1+json""#);
        let result = Manifest::parse(&inside, Some(media_type::DOCKER_MANIFEST));
        assert!(matches!(result, Err(ManifestError::MediaTypeMismatch { .. })));
        assert!(matches!(
            Manifest::parse(&manifest(""), Some("text/plain")),
            Err(ManifestError::MediaType(_))
        ));
        let result = Manifest::parse(&manifest(r#","manifests":[]"#), Some(media_type::OCI_INDEX));
        assert!(matches!(result, Err(ManifestError::Member("manifests"))));
        assert!(matches!(Manifest::parse(b"{}", None), Err(ManifestError::Json(_))));
        assert!(matches!(
            Manifest::parse(br#"{"schemaVersion":1}"#, None),
            Err(ManifestError::SchemaVersion(1))
        ));
        let large = vec![b' '; MANIFEST_BYTES_MAX + 1];
        assert!(matches!(Manifest::parse(&large, None), Err(ManifestError::TooLarge(_))));
    }

    #[test]
    fn an_array_is_no_object() {
        let config = format!(r#"{{"mediaType":"a/b","digest":"{EMPTY}","size":2}}"#);
        let listed = format!(r#"["a/b","{EMPTY}",2,[],null,null,null]"#);
        let refused = |text: String| {
            let result = Manifest::parse(text.as_bytes(), Some(media_type::OCI_MANIFEST));
            assert!(matches!(result, Err(ManifestError::Member(_))), "{text}: {result:?}");
        };
        refused(format!(r#"[2,null,null,{config},[],null,null,null]"#));
        refused(format!(r#"{{"schemaVersion":2,"config":{listed},"layers":[]}}"#));
        refused(format!(
            r#"{{"schemaVersion":2,"config":{config},"layers":[{listed}]}}"#
        ));
        refused(format!(
            r#"{{"schemaVersion":2,"config":{config},"layers":[],"subject":{listed}}}"#
        ));
        let platform = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"a/b","digest":"{EMPTY}","size":2,"platform":["amd64","linux",null]}}]}}"#
        );
        let result = Manifest::parse(platform.as_bytes(), Some(media_type::OCI_INDEX));
        assert!(matches!(result, Err(ManifestError::Member("manifests"))), "{result:?}");
        // What nobody could read back is no manifest; what writers of Go's kind leave empty is.
        let deep = manifest(&format!(r#","x":{}{}"#, "[".repeat(50_000), "]".repeat(50_000)));
        assert!(matches!(Manifest::parse(&deep, None), Err(ManifestError::Json(_))));
        let nulls = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{EMPTY}","size":2,"urls":null,"annotations":null,"platform":null}},"layers":[],"subject":null,"annotations":null}}"#
        );
        assert!(Manifest::parse(nulls.as_bytes(), None).unwrap().subject.is_none());
    }

    #[test]
    fn selects_the_hosts_platform() {
        let entry = |arch: &str, n: u8| {
            let digest = Digest::sha256(&[n]);
            format!(
                r#"{{"mediaType":"x","digest":"{digest}","size":1,"platform":{{"architecture":"{arch}","os":"linux"}}}}"#
            )
        };
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#,
            entry("arm64", 1),
            entry("amd64", 2)
        );
        let index = Manifest::parse(index.as_bytes(), Some(media_type::OCI_INDEX)).unwrap();
        let host = |arch: &str| Platform {
            architecture: arch.into(),
            os: "linux".into(),
            variant: None,
        };
        assert_eq!(index.select(&host("amd64")).unwrap().digest, Digest::sha256(&[2]));
        assert!(index.select(&host("riscv64")).is_none());
    }

    #[test]
    fn reads_a_config_with_nulls() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":["/x"],"Volumes":null},"rootfs":{"type":"layers","diff_ids":[]}}"#;
        let image: Image = serde_json::from_str(text).unwrap();
        assert_eq!(image.config.unwrap().cmd, ["/x"]);
    }
}
