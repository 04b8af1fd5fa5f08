//! Images: put, got, listed, described, deleted.

use super::common::{page, scope_of};
use crate::layers::Layers;
use crate::machine::{
    self, DeleteProblem, NewImage, PutImage, Reference, delete_image, find_image, get_repository, tags_of, untag_image,
};
use crate::model::{Image, Pull};
use crate::types::{self, ImageDetail, ImageFailure, ImageIdentifier, ImageReferrer};
use crate::{errors, names};
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Call, State, Tx};
use serde_json::{Value, json};
use std::sync::Arc;

/// Ref: ListImages and DescribeImages: 100 a page unless asked otherwise.
const PAGE: usize = 100;
/// Ref: ListImageReferrers: 20 a page unless asked otherwise.
const REFERRERS_PAGE: usize = 20;

/// Which image an identifier means, or why none.
pub(super) fn identify(state: &State, scope: &Scope, name: &str, id: &ImageIdentifier) -> Result<String, ImageFailure> {
    let fail = |code: &str, reason: String| ImageFailure {
        image_id: Some(id.clone()),
        failure_code: Some(code.to_owned()),
        failure_reason: Some(reason),
    };
    let reference = match (&id.image_digest, &id.image_tag) {
        (None, None) => {
            let reason = "Invalid request parameters: both tag and digest cannot be null";
            return Err(fail("MissingDigestAndTag", reason.to_owned()));
        }
        (Some(digest), _) if !names::is_digest(digest) => {
            let reason = "Invalid request parameters: image digest should satisfy the regex \
                          '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'";
            return Err(fail("InvalidImageDigest", reason.to_owned()));
        }
        (_, Some(tag)) if !names::is_tag(tag) => {
            let reason = "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9-_.]+'";
            return Err(fail("InvalidImageTag", reason.to_owned()));
        }
        (_, Some(tag)) => Reference::Tag(tag.clone()),
        (Some(digest), None) => Reference::Digest(digest.clone()),
    };
    let missing = || fail("ImageNotFound", "Requested image not found".to_owned());
    let image = find_image(state, scope, name, &reference).ok_or_else(missing)?;
    match &id.image_digest {
        Some(digest) if *digest != image.digest => Err(fail(
            "ImageTagDoesNotMatchDigest",
            "Requested image tag does not match digest".to_owned(),
        )),
        _ => Ok(image.digest.clone()),
    }
}

/// The image of an identifier, or the error that single-image operations answer.
pub(super) fn image_of<'a>(
    state: &'a State,
    scope: &Scope,
    name: &str,
    id: &ImageIdentifier,
) -> Result<&'a Image, ApiError> {
    get_repository(state, scope, name)?;
    let digest = identify(state, scope, name, id).map_err(|failure| match failure.failure_code.as_deref() {
        Some("ImageNotFound" | "ImageTagDoesNotMatchDigest") => {
            errors::image_not_found(scope, name, id.image_digest.as_deref(), id.image_tag.as_deref())
        }
        _ => errors::invalid(failure.failure_reason.unwrap_or_default()),
    })?;
    find_image(state, scope, name, &Reference::Digest(digest))
        .ok_or_else(|| errors::image_not_found(scope, name, id.image_digest.as_deref(), id.image_tag.as_deref()))
}

pub(super) fn batch_delete(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::BatchDeleteImageRequest,
) -> Result<types::BatchDeleteImageResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let name = &input.repository_name;
    get_repository(tx, &scope, name)?;
    let (mut deleted, mut failures) = (Vec::new(), Vec::new());
    for id in input.image_ids {
        let digest = match identify(tx, &scope, name, &id) {
            Ok(digest) => digest,
            Err(failure) => {
                failures.push(failure);
                continue;
            }
        };
        let tags = tags_of(tx, &scope, name, &digest);
        let shown = |tag: Option<String>| ImageIdentifier {
            image_digest: Some(digest.clone()),
            image_tag: tag,
        };
        match &id.image_tag {
            // By tag only the tag goes, unless it was the last one. Ref: BatchDeleteImage.
            Some(tag) if id.image_digest.is_none() && tags.len() > 1 => {
                untag_image(tx, &scope, name, tag);
                deleted.push(shown(Some(tag.clone())));
            }
            _ => match delete_image(tx, &scope, name, &digest) {
                Ok(()) if tags.is_empty() => deleted.push(shown(None)),
                Ok(()) => deleted.extend(tags.into_iter().map(|tag| shown(Some(tag)))),
                Err(DeleteProblem::NotFound) => {}
                Err(DeleteProblem::InIndex { parents }) => failures.push(ImageFailure {
                    image_id: Some(id),
                    failure_code: Some("ImageReferencedByManifestList".to_owned()),
                    failure_reason: Some(format!(
                        "Requested image referenced by manifest list: [{}]",
                        parents.join(", ")
                    )),
                }),
            },
        }
    }
    Ok(types::BatchDeleteImageResponse {
        image_ids: Some(deleted),
        failures: Some(failures),
    })
}

pub(super) async fn put(
    layers: Arc<dyn Layers>,
    call: Call,
    input: types::PutImageRequest,
) -> Result<types::PutImageResponse, ApiError> {
    let scope = scope_of(&call, input.registry_id.as_deref())?;
    let name = input.repository_name;
    if let Some(tag) = &input.image_tag
        && !names::is_tag(tag)
    {
        return Err(errors::invalid(
            "Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression \
             '[a-zA-Z0-9_][a-zA-Z0-9-_.]{0,127}''",
        ));
    }
    let image = NewImage::parse(&input.image_manifest, input.image_manifest_media_type.as_deref());
    let image = image.map_err(|problem| errors::invalid(problem.to_string()))?;
    if let Some(expected) = &input.image_digest
        && *expected != image.digest
    {
        let message = format!(
            "The provided digest '{expected}' does not match the manifest's digest '{}'",
            image.digest
        );
        return Err(ApiError::new("ImageDigestDoesNotMatchException", message));
    }
    // Whoever may not, or pushes to nowhere, does not get bytes stored.
    check_sizes(&layers, &scope, &name, &image).await?;
    // Until its row is durable, only this keeps the manifest from a collection.
    let _kept = layers.keep(vec![image.digest.clone()]).await;
    layers.put_blob(input.image_manifest.clone().into_bytes()).await?;
    let put = PutImage {
        image: image.clone(),
        tag: input.image_tag.clone(),
        refuse_same: true,
        sparse: false,
    };
    let (write_scope, write_name) = (scope.clone(), name.clone());
    let change = move |tx: &mut Tx<'_>| machine::put_image(tx, &write_scope, &write_name, put).map(|()| Value::Null);
    layers.write(Box::new(change)).await?;
    Ok(types::PutImageResponse {
        image: Some(types::Image {
            registry_id: Some(scope.account.to_string()),
            repository_name: Some(name),
            image_id: Some(ImageIdentifier {
                image_digest: Some(image.digest),
                image_tag: input.image_tag,
            }),
            image_manifest: Some(input.image_manifest),
            image_manifest_media_type: Some(image.media_type),
        }),
    })
}

/// What a manifest says of the sizes of the repository's layers must be so, as in a push by the distribution protocol:
/// clients refuse to pull what has another size. Says nothing of layers that the repository lacks.
async fn check_sizes(layers: &Arc<dyn Layers>, scope: &Scope, name: &str, image: &NewImage) -> Result<(), ApiError> {
    let digests: Vec<String> = image.blobs.iter().map(|blob| blob.digest.clone()).collect();
    let (look_scope, look_name, look_digests) = (scope.clone(), name.to_owned(), digests.clone());
    let linked = layers
        .read(Box::new(move |state| {
            get_repository(state, &look_scope, &look_name)?;
            let digests = look_digests.iter().map(String::as_str);
            Ok(json!(machine::has_blobs(state, &look_scope, &look_name, digests)))
        }))
        .await?;
    let linked = linked.as_array().cloned().unwrap_or_default();
    let sizes = layers.blob_sizes(digests).await?;
    for ((blob, linked), size) in image.blobs.iter().zip(linked).zip(sizes) {
        if let Some(size) = size.filter(|size| linked == json!(true) && *size != blob.size) {
            return Err(errors::invalid(format!(
                "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'layer {} has {size} bytes, not {}'",
                blob.digest, blob.size
            )));
        }
    }
    Ok(())
}

/// Pages are of whole repositories. Ref: DescribeImages and others: `maxResults` and `nextToken` cannot be used with a
/// list of what is wanted.
pub fn refuse_page(max_results: Option<i32>, next_token: Option<&str>, list: &str) -> Result<(), ApiError> {
    if max_results.is_none() && next_token.is_none() {
        return Ok(());
    }
    Err(errors::invalid(format!(
        "Invalid request parameters: maxResults and nextToken cannot be specified with {list}"
    )))
}

/// Whether an image is in the state that a filter asks for: in none but those that can be pulled, unless it says so. None
/// is on its way back: restoring takes no time.
pub(super) fn is_of_status(status: Option<&str>, image: &Image) -> bool {
    match status {
        None | Some("ACTIVE") => !image.archive.holds,
        Some("ARCHIVED") => image.archive.holds,
        Some("ANY") => true,
        Some(_) => false,
    }
}

/// The state of an image in AWS's word.
pub(super) fn status_of(image: &Image) -> &'static str {
    match image.archive.holds {
        true => "ARCHIVED",
        false => "ACTIVE",
    }
}

/// Whether an image with these tags is asked for.
pub(super) fn is_asked(status: Option<&str>, tags: &[String]) -> bool {
    match status {
        Some("TAGGED") => !tags.is_empty(),
        Some("UNTAGGED") => tags.is_empty(),
        _ => true,
    }
}

pub(super) fn list(
    state: &State,
    call: &Call,
    input: types::ListImagesRequest,
) -> Result<types::ListImagesResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let name = &input.repository_name;
    get_repository(state, &scope, name)?;
    let status = input.filter.as_ref().and_then(|filter| filter.tag_status.as_deref());
    let image_status = input.filter.as_ref().and_then(|filter| filter.image_status.as_deref());
    let prefix = Image::prefix(name);
    let ids = state.prefixed::<Image>(&scope, &prefix).flat_map(|(_, image)| {
        let tags = tags_of(state, &scope, name, &image.digest);
        let asked = is_asked(status, &tags) && is_of_status(image_status, image);
        let tags: Vec<Option<String>> = match tags.is_empty() {
            true => vec![None],
            false => tags.into_iter().map(Some).collect(),
        };
        let id = move |tag: Option<String>| {
            let key = format!("{} {}", image.digest, tag.as_deref().unwrap_or_default());
            (
                key,
                ImageIdentifier {
                    image_digest: Some(image.digest.clone()),
                    image_tag: tag,
                },
            )
        };
        tags.into_iter().filter(move |_| asked).map(id)
    });
    let (image_ids, next_token) = page(ids, input.next_token.as_deref(), input.max_results, PAGE)?;
    Ok(types::ListImagesResponse {
        image_ids: Some(image_ids),
        next_token,
    })
}

fn detail(state: &State, scope: &Scope, image: &Image) -> ImageDetail {
    let name = &image.repository;
    let tags = tags_of(state, scope, name, &image.digest);
    // Of an index: its largest image. Ref: DescribeImages, imageSizeInBytes.
    let child = |digest: &str| {
        state
            .get::<Image>(scope, &Image::key(name, digest))
            .map(Image::content_bytes)
    };
    let size = match image.is_index() {
        true => image
            .manifests
            .iter()
            .filter_map(|entry| child(&entry.digest))
            .max()
            .unwrap_or(0),
        false => image.content_bytes(),
    };
    let pulled = state.get::<Pull>(scope, &Image::key(name, &image.digest));
    ImageDetail {
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(name.clone()),
        image_digest: Some(image.digest.clone()),
        image_tags: (!tags.is_empty()).then_some(tags),
        image_size_in_bytes: Some(i64::try_from(size).unwrap_or(i64::MAX)),
        image_pushed_at: Some(image.pushed_at.as_epoch_s()),
        image_manifest_media_type: Some(image.media_type.clone()),
        artifact_media_type: image.artifact_type.clone().or_else(|| image.config_media_type.clone()),
        last_recorded_pull_time: pulled.map(|pulled| pulled.at.as_epoch_s()),
        subject_manifest_digest: image.subject.clone(),
        image_status: Some(status_of(image).to_owned()),
        last_archived_at: image.archive.archived_at.map(|at| at.as_epoch_s()),
        last_activated_at: image.archive.restored_at.map(|at| at.as_epoch_s()),
        ..ImageDetail::default()
    }
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeImagesRequest,
) -> Result<types::DescribeImagesResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let name = &input.repository_name;
    get_repository(state, &scope, name)?;
    let status = input.filter.as_ref().and_then(|filter| filter.tag_status.as_deref());
    let image_status = input.filter.as_ref().and_then(|filter| filter.image_status.as_deref());
    let is_tagged_so = |image: &Image| is_asked(status, &tags_of(state, &scope, name, &image.digest));
    if let Some(ids) = input.image_ids.filter(|ids| !ids.is_empty()) {
        refuse_page(input.max_results, input.next_token.as_deref(), "imageIds")?;
        let mut digests: Vec<&Image> = Vec::new();
        for id in &ids {
            let image = image_of(state, &scope, name, id)?;
            if !digests.iter().any(|seen| seen.digest == image.digest) {
                digests.push(image);
            }
        }
        // What is named is shown, archived or not, unless the filter says otherwise.
        digests.retain(|image| is_tagged_so(image) && is_of_status(image_status.or(Some("ANY")), image));
        let details = digests.into_iter().map(|image| detail(state, &scope, image)).collect();
        return Ok(types::DescribeImagesResponse {
            image_details: Some(details),
            next_token: None,
        });
    }
    let prefix = Image::prefix(name);
    let images = state
        .prefixed::<Image>(&scope, &prefix)
        .filter(|(_, image)| is_of_status(image_status, image) && is_tagged_so(image))
        .map(|(key, image)| (key.to_owned(), image));
    let (images, next_token) = page(images, input.next_token.as_deref(), input.max_results, PAGE)?;
    let details = images.into_iter().map(|image| detail(state, &scope, image)).collect();
    Ok(types::DescribeImagesResponse {
        image_details: Some(details),
        next_token,
    })
}

pub(super) fn referrers(
    state: &State,
    call: &Call,
    input: types::ListImageReferrersRequest,
) -> Result<types::ListImageReferrersResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let name = &input.repository_name;
    get_repository(state, &scope, name)?;
    let filter = input.filter.unwrap_or_default();
    let kinds = filter.artifact_types.unwrap_or_default();
    let status = filter.artifact_status.as_deref();
    let asked = |image: &&Image| {
        let is_of_kind = kinds.is_empty() || image.artifact_type.as_ref().is_some_and(|kind| kinds.contains(kind));
        is_of_kind && is_of_status(status, image)
    };
    let found = machine::referrers(state, &scope, name, &input.subject_id.image_digest)
        .filter(asked)
        .map(|image| (image.digest.clone(), image));
    let (images, next_token) = page(found, input.next_token.as_deref(), input.max_results, REFERRERS_PAGE)?;
    let referrer = |image: &Image| ImageReferrer {
        digest: image.digest.clone(),
        media_type: image.media_type.clone(),
        artifact_type: image.artifact_type.clone(),
        size: i64::try_from(image.manifest_bytes).unwrap_or(i64::MAX),
        annotations: (!image.annotations.is_empty()).then(|| image.annotations.clone()),
        artifact_status: Some(status_of(image).to_owned()),
    };
    Ok(types::ListImageReferrersResponse {
        referrers: Some(images.into_iter().map(referrer).collect()),
        next_token,
    })
}
