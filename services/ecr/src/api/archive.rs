//! Storage classes: images that are archived, and restored. Ref: ECR user guide, "Archiving an image in Amazon ECR".
//!
//! An archived image is not pulled, and counts for the rules about archived images only. Its bytes stay where they are:
//! restoring it takes no time.

use super::common::scope_of;
use super::images::{image_of, status_of};
use crate::machine::{archive_image, replicate_again, restore_image};
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, Tx};

pub(super) fn update(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::UpdateImageStorageClassRequest,
) -> Result<types::UpdateImageStorageClassResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let name = &input.repository_name;
    let digest = image_of(tx, &scope, name, &input.image_id)?.digest.clone();
    if input.target_storage_class == "ARCHIVE" {
        if !archive_image(tx, &scope, name, &digest) {
            return Err(ApiError::new(
                "ImageStorageClassUpdateNotSupportedException",
                format!(
                    "The image with digest '{digest}' in the repository with name '{name}' in the registry with id '{}' \
                     cannot be archived because it is referenced by a manifest list that is not archived",
                    scope.account
                ),
            ));
        }
    } else if restore_image(tx, &scope, name, &digest) {
        replicate_again(tx, &scope, name, &digest);
    }
    let status = status_of(image_of(tx, &scope, name, &input.image_id)?).to_owned();
    Ok(types::UpdateImageStorageClassResponse {
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(input.repository_name),
        image_id: Some(input.image_id),
        image_status: Some(status),
    })
}
