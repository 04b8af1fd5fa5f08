//! ECR's errors, in AWS's words.

use honmaru_base::{ApiError, Scope};
use serde_json::{Value, json};

pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameterException", message)
}

pub(crate) fn repository_not_found(scope: &Scope, name: &str) -> ApiError {
    ApiError::new(
        "RepositoryNotFoundException",
        format!(
            "The repository with name '{name}' does not exist in the registry with id '{}'",
            scope.account
        ),
    )
}

pub(crate) fn repository_exists(scope: &Scope, name: &str) -> ApiError {
    ApiError::new(
        "RepositoryAlreadyExistsException",
        format!(
            "The repository with name '{name}' already exists in the registry with id '{}'",
            scope.account
        ),
    )
}

pub(crate) fn repository_not_empty(scope: &Scope, name: &str) -> ApiError {
    ApiError::new(
        "RepositoryNotEmptyException",
        format!(
            "The repository with name '{name}' in registry with id '{}' cannot be deleted because it still contains \
             images",
            scope.account
        ),
    )
}

pub(crate) fn image_not_found(scope: &Scope, name: &str, digest: Option<&str>, tag: Option<&str>) -> ApiError {
    ApiError::new(
        "ImageNotFoundException",
        format!(
            "The image with imageId {} does not exist within the repository with name '{name}' in the registry with \
             id '{}'",
            shown_id(digest, tag),
            scope.account
        ),
    )
}

/// An image identifier as AWS's messages show it.
pub(crate) fn shown_id(digest: Option<&str>, tag: Option<&str>) -> String {
    format!(
        "{{imageDigest:'{}', imageTag:'{}'}}",
        digest.unwrap_or("null"),
        tag.unwrap_or("null")
    )
}

pub(crate) fn image_exists(scope: &Scope, name: &str, digest: &str, tag: Option<&str>) -> ApiError {
    let tag = tag.map(|tag| format!(" and tag '{tag}'")).unwrap_or_default();
    ApiError::new(
        "ImageAlreadyExistsException",
        format!(
            "Image with digest '{digest}'{tag} already exists in the repository with name '{name}' in registry with \
             id '{}'",
            scope.account
        ),
    )
}

pub(crate) fn tag_immutable(name: &str, tag: &str) -> ApiError {
    ApiError::new(
        "ImageTagAlreadyExistsException",
        format!(
            "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten because the \
             tag is immutable."
        ),
    )
}

pub(crate) fn layers_missing(scope: &Scope, name: &str, digests: &[String]) -> ApiError {
    ApiError::new("LayersNotFoundException", missing("Layers", scope, name, digests))
}

pub(crate) fn images_missing(scope: &Scope, name: &str, digests: &[String]) -> ApiError {
    ApiError::new(
        "ReferencedImagesNotFoundException",
        missing("Images", scope, name, digests),
    )
}

fn missing(what: &str, scope: &Scope, name: &str, digests: &[String]) -> String {
    format!(
        "{what} with digests '[{}]' required for pushing image into repository with name '{name}' in the registry \
         with id '{}' do not exist",
        digests.join(", "),
        scope.account
    )
}

pub(crate) fn none_for_repository(code: &str, what: &str, scope: &Scope, name: &str) -> ApiError {
    ApiError::new(
        code,
        format!(
            "{what} does not exist for the repository with name '{name}' in the registry with id '{}'",
            scope.account
        ),
    )
}

pub(crate) fn limit(message: impl Into<String>) -> ApiError {
    ApiError::new("LimitExceededException", message)
}

pub(crate) fn validation(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationException", message)
}

pub(crate) fn upload_not_found(scope: &Scope, name: &str, id: &str) -> ApiError {
    ApiError::new(
        "UploadNotFoundException",
        format!(
            "The upload with id '{id}' does not exist in the repository with name '{name}' in the registry with id \
             '{}'",
            scope.account
        ),
    )
}

pub(crate) fn part_invalid(scope: &Scope, name: &str, id: &str, last_valid: Option<u64>, text: &str) -> ApiError {
    let last: Value = last_valid.map_or(Value::Null, |last| json!(last));
    ApiError::new("InvalidLayerPartException", text)
        .with_field("registryId", json!(scope.account))
        .with_field("repositoryName", json!(name))
        .with_field("uploadId", json!(id))
        .with_field("lastValidByteReceived", last)
}
