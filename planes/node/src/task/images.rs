//! A task's images: all of its containers' at the same time.

use crate::bundle::ContainerImage;
use crate::shared::Shared;
use futures_util::future::try_join_all;
use honmaru_base::chain;
use honmaru_contract::node::TaskSpec;
use honmaru_images::LayerLease;
use std::collections::BTreeMap;

/// What a start needs of the images. The leases keep the layers until the task holds them durably.
pub(super) struct Images {
    pub by_container: BTreeMap<String, ContainerImage>,
    pub digests: BTreeMap<String, String>,
    _leases: Vec<LayerLease>,
}

/// Why a container's image cannot be had.
pub(super) struct Failure {
    pub container: String,
    /// The whole text, `CannotPullContainerError: ...`.
    pub text: String,
}

/// Pulls and unpacks what is missing, and writes down that the task holds it.
pub(super) async fn prepare(shared: &Shared, spec: &TaskSpec) -> Result<Images, Failure> {
    let each = spec.containers.iter().map(|container| async move {
        let failed = |text: String| Failure {
            container: container.name.clone(),
            text,
        };
        let image = shared
            .layers
            .prepare(container.source.clone())
            .await
            .map_err(|e| failed(e.to_string()))?;
        shared.layers.retain(&spec.task_id, &image).await.map_err(|e| {
            failed(format!(
                "CannotPullContainerError: failed to keep image {}: {}",
                container.image,
                chain(&e)
            ))
        })?;
        Ok((container.name.clone(), image))
    });
    let mut images = Images {
        by_container: BTreeMap::new(),
        digests: BTreeMap::new(),
        _leases: Vec::new(),
    };
    for (name, image) in try_join_all(each).await? {
        images.digests.insert(name.clone(), image.manifest_digest);
        images.by_container.insert(
            name,
            ContainerImage {
                config: image.config,
                layers: image.layers,
            },
        );
        images._leases.push(image.lease);
    }
    Ok(images)
}
