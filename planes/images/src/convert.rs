//! An image's manifest in its other form: Docker's schema 2 as OCI's, and the other way round. Configuration and layers are
//! the same bytes in both, so that what the manifest names stays where it is.
//!
//! Not here: indexes, which name their manifests by digest; schema 1; who wants which form (`registry`).
//! Ref: OCI image specification 1.1, media-types.md, "Compatibility Matrix"; Docker image manifest v2.2.

use crate::media_type::{DOCKER_CONFIG, DOCKER_MANIFEST, OCI_CONFIG, OCI_MANIFEST};
use crate::{Descriptor, MANIFEST_BYTES_MAX, Manifest};
use serde::Serialize;

/// Layers that both forms have: OCI's word, Docker's word. Docker's form has none for zstd, and for an artifact's blobs
/// neither has one that the other knows.
const LAYERS: [(&str, &str); 4] = [
    (
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ),
    (
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar",
    ),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ),
    (
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    ),
];

/// The manifest type that one of this type may be converted to; nothing where it has no other form.
pub fn other_form(media_type: &str) -> Option<&'static str> {
    match media_type {
        OCI_MANIFEST => Some(DOCKER_MANIFEST),
        DOCKER_MANIFEST => Some(OCI_MANIFEST),
        _ => None,
    }
}

/// A manifest in its other form, with its media type, always in the same bytes; nothing where it has none: it is no
/// manifest of an image, refers to another one, or has a layer that the other form has no word for. Annotations do not
/// come along: Docker's form has none.
pub fn convert(bytes: &[u8], media_type: &str) -> Option<(&'static str, Vec<u8>)> {
    let to = other_form(media_type)?;
    let Manifest {
        config,
        layers,
        subject: None,
        artifact_type,
        ..
    } = Manifest::parse(bytes, Some(media_type)).ok()?
    else {
        return None;
    };
    let config = config?;
    // `artifactType` of an image is its configuration's type, said or not.
    if artifact_type.as_deref() != Some(&config.media_type) {
        return None;
    }
    let is_to_docker = to == DOCKER_MANIFEST;
    let layer = |layer: Descriptor| {
        let (oci, docker) = LAYERS.iter().find(|(oci, docker)| {
            let from = if is_to_docker { oci } else { docker };
            *from == layer.media_type
        })?;
        Some(plain(layer, if is_to_docker { docker } else { oci }))
    };
    let (config_from, config_to) = match is_to_docker {
        true => (OCI_CONFIG, DOCKER_CONFIG),
        false => (DOCKER_CONFIG, OCI_CONFIG),
    };
    if config.media_type != config_from {
        return None;
    }
    let converted = Converted {
        schema_version: 2,
        media_type: to,
        config: plain(config, config_to),
        layers: layers.into_iter().map(layer).collect::<Option<_>>()?,
    };
    let bytes = serde_json::to_vec(&converted).ok()?;
    (bytes.len() <= MANIFEST_BYTES_MAX).then_some((to, bytes))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Converted {
    schema_version: u8,
    media_type: &'static str,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// A descriptor with what both forms have.
fn plain(descriptor: Descriptor, media_type: &str) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        annotations: None,
        platform: None,
        artifact_type: None,
        ..descriptor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, media_type};

    fn manifest(media_type: &str, config: &str, layers: &[&str], extra: &str) -> String {
        let (of_config, of_layer) = (Digest::sha256(b"config"), Digest::sha256(b"layer"));
        let layers: Vec<String> = layers
            .iter()
            .map(|kind| format!(r#"{{"mediaType":"{kind}","digest":"{of_layer}","size":5}}"#))
            .collect();
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{{"mediaType":"{config}","digest":"{of_config}","size":6}},"layers":[{}]{extra}}}"#,
            layers.join(",")
        )
    }

    fn check(from: &str, text: &str, to: Option<&str>) {
        let converted = convert(text.as_bytes(), from).map(|(_, bytes)| String::from_utf8(bytes).unwrap());
        assert_eq!(converted.as_deref(), to, "{text}");
    }

    #[test]
    fn an_image_has_two_forms_and_comes_back_as_it_was() {
        let words =
            |side: fn(&(&'static str, &'static str)) -> &'static str| LAYERS.iter().map(side).collect::<Vec<_>>();
        let oci = manifest(OCI_MANIFEST, OCI_CONFIG, &words(|pair| pair.0), "");
        let docker = manifest(DOCKER_MANIFEST, DOCKER_CONFIG, &words(|pair| pair.1), "");
        check(OCI_MANIFEST, &oci, Some(&docker));
        check(DOCKER_MANIFEST, &docker, Some(&oci));
        // What only one form has does not come along; a manifest that does not say its type says it afterwards.
        let annotated = oci.replace(r#""size":5}"#, r#""size":5,"annotations":{"a":"b"},"data":"bGF5ZXI="}"#);
        let annotated = annotated.replacen(&format!(r#""mediaType":"{OCI_MANIFEST}","#), "", 1);
        let annotated = annotated.replace("]}", r#"],"annotations":{"c":"d"}}"#);
        assert!(annotated.contains("bGF5ZXI=") && annotated.contains(r#""c":"d""#));
        check(OCI_MANIFEST, &annotated, Some(&docker));
        let said = oci.replace("]}", &format!(r#"],"artifactType":"{OCI_CONFIG}"}}"#));
        check(OCI_MANIFEST, &said, Some(&docker));
    }

    #[test]
    fn where_a_foreign_layer_lies_is_kept() {
        let foreign = LAYERS[2];
        let urls = r#""size":5,"urls":["https://elsewhere.example/layer"]}"#;
        let text = |media_type: &str, config: &str, layer: &str| {
            manifest(media_type, config, &[layer], "").replace(r#""size":5}"#, urls)
        };
        let oci = text(OCI_MANIFEST, OCI_CONFIG, foreign.0);
        let docker = text(DOCKER_MANIFEST, DOCKER_CONFIG, foreign.1);
        check(OCI_MANIFEST, &oci, Some(&docker));
        check(DOCKER_MANIFEST, &docker, Some(&oci));
    }

    #[test]
    fn what_has_no_other_form_is_not_converted() {
        let oci = |config: &str, layer: &str, extra: &str| manifest(OCI_MANIFEST, config, &[layer], extra);
        let tar = LAYERS[0].0;
        let subject = format!(
            r#","subject":{{"mediaType":"{OCI_MANIFEST}","digest":"{}","size":1}}"#,
            Digest::sha256(b"subject")
        );
        for text in [
            oci(OCI_CONFIG, "application/vnd.oci.image.layer.v1.tar+zstd", ""),
            oci(OCI_CONFIG, "application/vnd.in-toto+json", ""),
            oci(OCI_CONFIG, LAYERS[0].1, ""),
            oci(media_type::OCI_EMPTY, tar, r#","artifactType":"application/x""#),
            oci("application/vnd.cncf.helm.config.v1+json", tar, ""),
            oci(OCI_CONFIG, tar, r#","artifactType":"application/x""#),
            oci(OCI_CONFIG, tar, &subject),
        ] {
            check(OCI_MANIFEST, &text, None);
        }
        let plugin = "application/vnd.docker.plugin.v1+json";
        check(
            DOCKER_MANIFEST,
            &manifest(DOCKER_MANIFEST, plugin, &[LAYERS[0].1], ""),
            None,
        );
        check(media_type::OCI_INDEX, r#"{"schemaVersion":2,"manifests":[]}"#, None);
        check(media_type::DOCKER_LIST, r#"{"schemaVersion":2,"manifests":[]}"#, None);
        check(OCI_MANIFEST, "{", None);
    }
}
