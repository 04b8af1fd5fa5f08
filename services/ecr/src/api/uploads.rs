//! Layers through the API: availability, uploads in parts, download URLs.

use super::common::scope_of;
use crate::layers::{Appended, Completed, Layers};
use crate::machine::{get_repository, has_blobs, link_layer};
use crate::model::{Image, LayerLink};
use crate::token::{LAYER_TOKEN_PARAMETER, layer_token};
use crate::types::{self, Layer, LayerFailure};
use crate::{errors, names};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Call, State, Tx};
use serde_json::Value;
use std::sync::Arc;

/// Ref: InitiateLayerUpload: parts of 20 MiB.
const PART_BYTES: i64 = 20 * 1024 * 1024;
/// Ref: UploadLayerPart: a part has at most 20,971,520 bytes.
const PART_BYTES_MAX: u64 = 20_971_520;
/// Ref: ECR quota "minimum layer part size", 5 MiB, but for the last one.
const PART_BYTES_MIN: u64 = 5 * 1024 * 1024;
/// Ref: ECR quota "layer parts".
const PARTS_MAX: u64 = 4_200;
/// Ref: ECR quota "maximum layer size", 52,000 MiB.
const LAYER_BYTES_MAX: u64 = 52_000 * 1024 * 1024;

fn owner(scope: &Scope, name: &str) -> String {
    format!("{scope}/{name}")
}

/// What a repository has a blob for.
enum LayerUse {
    /// For an image that is still to come.
    Waiting,
    /// For an image that can be pulled.
    Active,
    /// For archived images only.
    Archived,
}

fn layer_use(state: &State, scope: &Scope, key: &str) -> Option<LayerUse> {
    let mut is_archived = false;
    for (_, image) in state.find::<Image>(scope, "blob", key) {
        if !image.archive.holds {
            return Some(LayerUse::Active);
        }
        is_archived = true;
    }
    if state.get::<LayerLink>(scope, key).is_some() {
        return Some(LayerUse::Waiting);
    }
    is_archived.then_some(LayerUse::Archived)
}

async fn check_repository(layers: &Arc<dyn Layers>, scope: &Scope, name: &str) -> Result<(), ApiError> {
    let (scope, name) = (scope.clone(), name.to_owned());
    layers
        .read(Box::new(move |state| {
            get_repository(state, &scope, &name).map(|_| Value::Null)
        }))
        .await?;
    Ok(())
}

pub(super) fn check_availability(
    state: &State,
    call: &Call,
    input: types::BatchCheckLayerAvailabilityRequest,
) -> Result<types::BatchCheckLayerAvailabilityResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let name = &input.repository_name;
    get_repository(state, &scope, name)?;
    let (mut layers, mut failures) = (Vec::new(), Vec::new());
    for digest in input.layer_digests {
        if !names::is_digest(&digest) {
            let (code, reason) = match digest.as_str() {
                "" => ("MissingLayerDigest", "layer digest cannot be null"),
                _ => ("InvalidLayerDigest", "layer digest is malformed"),
            };
            failures.push(LayerFailure {
                layer_digest: Some(digest),
                failure_code: Some(code.to_owned()),
                failure_reason: Some(format!("Invalid request parameters: {reason}")),
            });
            continue;
        }
        let key = Image::key(name, &digest);
        let waiting = state.get::<LayerLink>(&scope, &key).map(|link| (link.size, None));
        let named = || {
            let (_, image) = state.find::<Image>(&scope, "blob", &key).next()?;
            let blob = image.blobs.iter().find(|blob| blob.digest == digest)?;
            Some((blob.size, Some(blob.media_type.clone())))
        };
        let availability = match layer_use(state, &scope, &key) {
            Some(LayerUse::Archived) => "ARCHIVED",
            Some(LayerUse::Waiting | LayerUse::Active) => "AVAILABLE",
            None => "UNAVAILABLE",
        };
        let found = waiting.or_else(named);
        layers.push(Layer {
            layer_availability: Some(availability.to_owned()),
            layer_size: found.as_ref().map(|(size, _)| i64::try_from(*size).unwrap_or(i64::MAX)),
            media_type: found.and_then(|(_, media_type)| media_type),
            layer_digest: Some(digest),
        });
    }
    Ok(types::BatchCheckLayerAvailabilityResponse {
        layers: Some(layers),
        failures: Some(failures),
    })
}

pub(super) async fn initiate(
    layers: Arc<dyn Layers>,
    call: Call,
    input: types::InitiateLayerUploadRequest,
) -> Result<types::InitiateLayerUploadResponse, ApiError> {
    let scope = scope_of(&call, input.registry_id.as_deref())?;
    check_repository(&layers, &scope, &input.repository_name).await?;
    let owner = owner(&scope, &input.repository_name);
    let upload_id = layers.begin_upload(owner, call.principal).await?;
    Ok(types::InitiateLayerUploadResponse {
        upload_id: Some(upload_id),
        part_size: Some(PART_BYTES),
    })
}

pub(super) async fn append(
    layers: Arc<dyn Layers>,
    call: Call,
    input: types::UploadLayerPartRequest,
) -> Result<types::UploadLayerPartResponse, ApiError> {
    let scope = scope_of(&call, input.registry_id.as_deref())?;
    let (name, id) = (input.repository_name, input.upload_id);
    check_repository(&layers, &scope, &name).await?;
    let bytes = STANDARD.decode(&input.layer_part_blob);
    let bytes = bytes.map_err(|_| errors::invalid("Invalid parameter at 'layerPartBlob': not base64"))?;
    let (first, last) = (
        u64::try_from(input.part_first_byte),
        u64::try_from(input.part_last_byte),
    );
    let (Ok(first), Ok(last)) = (first, last) else {
        return Err(errors::invalid("partFirstByte and partLastByte cannot be negative"));
    };
    if last.checked_sub(first).and_then(|length| length.checked_add(1)) != Some(bytes.len() as u64) {
        let text = "The part's length does not match partFirstByte and partLastByte";
        return Err(errors::part_invalid(&scope, &name, &id, None, text));
    }
    if bytes.len() as u64 > PART_BYTES_MAX {
        let text = format!("A layer part may have at most {PART_BYTES_MAX} bytes");
        return Err(errors::part_invalid(&scope, &name, &id, None, &text));
    }
    if last >= LAYER_BYTES_MAX {
        return Err(errors::limit("A layer may have at most 52000 MiB"));
    }
    if layers.parts(owner(&scope, &name), id.clone()).await.count >= PARTS_MAX {
        return Err(errors::limit(format!("A layer may have at most {PARTS_MAX} parts")));
    }
    match layers
        .append_upload(owner(&scope, &name), id.clone(), first, bytes)
        .await?
    {
        Appended::At(length) => Ok(types::UploadLayerPartResponse {
            registry_id: Some(scope.account.to_string()),
            repository_name: Some(name),
            upload_id: Some(id),
            last_byte_received: Some(i64::try_from(length.saturating_sub(1)).unwrap_or(i64::MAX)),
        }),
        Appended::OutOfOrder(offset) => {
            let text = "The part does not follow the bytes that were received";
            Err(errors::part_invalid(&scope, &name, &id, offset.checked_sub(1), text))
        }
        Appended::Unknown => Err(errors::upload_not_found(&scope, &name, &id)),
    }
}

pub(super) async fn complete(
    layers: Arc<dyn Layers>,
    call: Call,
    input: types::CompleteLayerUploadRequest,
) -> Result<types::CompleteLayerUploadResponse, ApiError> {
    let scope = scope_of(&call, input.registry_id.as_deref())?;
    let (name, id) = (input.repository_name, input.upload_id);
    let digest = match input.layer_digests.as_slice() {
        [digest] if names::is_digest(digest) => digest.clone(),
        _ => return Err(errors::invalid("layerDigests must hold one sha256 digest")),
    };
    let (look_scope, look_name, look_digest) = (scope.clone(), name.clone(), digest.clone());
    let look = move |state: &State| {
        get_repository(state, &look_scope, &look_name)?;
        if has_blobs(state, &look_scope, &look_name, [look_digest.as_str()]) == [true] {
            let message = format!(
                "Layer with digest '{look_digest}' already exists in the repository with name '{look_name}' in \
                 registry with id '{}'",
                look_scope.account
            );
            return Err(ApiError::new("LayerAlreadyExistsException", message));
        }
        Ok(Value::Null)
    };
    layers.read(Box::new(look)).await?;
    let parts = layers.parts(owner(&scope, &name), id.clone()).await;
    if parts.smallest.is_some_and(|bytes| bytes < PART_BYTES_MIN) {
        return Err(ApiError::new(
            "LayerPartTooSmallException",
            "Layer parts must be at least 5 MiB in size",
        ));
    }
    // From its last byte until its row is durable, only this keeps the layer from a collection.
    let _kept = layers.keep(vec![digest.clone()]).await;
    let size = match layers
        .complete_upload(owner(&scope, &name), id.clone(), digest.clone())
        .await?
    {
        Completed::Done(size) => size,
        Completed::Empty => {
            return Err(ApiError::new(
                "EmptyUploadException",
                format!("The upload with id '{id}' has no parts"),
            ));
        }
        Completed::Mismatch => {
            let message = format!("The layer's content does not have the digest '{digest}'");
            return Err(ApiError::new("InvalidLayerException", message));
        }
        Completed::Unknown => return Err(errors::upload_not_found(&scope, &name, &id)),
    };
    let (link_scope, link_name, link_digest) = (scope.clone(), name.clone(), digest.clone());
    let link = move |tx: &mut Tx<'_>| link_layer(tx, &link_scope, &link_name, &link_digest, size).map(|()| Value::Null);
    layers.write(Box::new(link)).await?;
    Ok(types::CompleteLayerUploadResponse {
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(name),
        upload_id: Some(id),
        layer_digest: Some(digest),
    })
}

pub(super) fn download_url(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::GetDownloadUrlForLayerRequest,
) -> Result<types::GetDownloadUrlForLayerResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let (name, digest) = (&input.repository_name, input.layer_digest);
    get_repository(tx, &scope, name)?;
    let of = format!(
        "in the repository with name '{name}' in the registry with id '{}'",
        scope.account
    );
    let inaccessible = |why: &str| {
        let message = format!("The layer with digest '{digest}' {of} is not available because {why}");
        ApiError::new("LayerInaccessibleException", message)
    };
    // Ref: GetDownloadUrlForLayer: "You can only get URLs for image layers that are referenced in an image."
    match layer_use(tx, &scope, &Image::key(name, &digest)) {
        Some(LayerUse::Active) => {}
        Some(LayerUse::Archived) => return Err(inaccessible("every image that it is associated with is archived")),
        Some(LayerUse::Waiting) => return Err(inaccessible("it is not associated with an image")),
        None => {
            let message = format!("The layer with digest '{digest}' does not exist {of}");
            return Err(ApiError::new("LayersNotFoundException", message));
        }
    }
    let token = layer_token(tx, &scope, name, &digest);
    let scheme = if call.secure { "https" } else { "http" };
    let url = format!(
        "{scheme}://{}/v2/{name}/blobs/{digest}?{LAYER_TOKEN_PARAMETER}={token}",
        call.host
    );
    Ok(types::GetDownloadUrlForLayerResponse {
        download_url: Some(url),
        layer_digest: Some(digest),
    })
}
