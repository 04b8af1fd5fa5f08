//! Managed signing. AWS signs what is pushed with a profile of AWS Signer, which this cloud does not have: no registry
//! has a signing configuration, no image is signed by the registry itself, and PutSigningConfiguration is not
//! implemented. Signatures that clients push (cosign, notation) are referrers and tags like any other.

use super::common::scope_of;
use super::images::image_of;
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State};

fn none(call: &Call) -> ApiError {
    ApiError::new(
        "SigningConfigurationNotFoundException",
        format!(
            "Signing configuration does not exist in the registry with id '{}'",
            call.scope.account
        ),
    )
}

pub(super) fn get(
    _state: &State,
    call: &Call,
    _input: types::GetSigningConfigurationRequest,
) -> Result<types::GetSigningConfigurationResponse, ApiError> {
    Err(none(call))
}

pub(super) fn delete(
    _state: &State,
    call: &Call,
    _input: types::DeleteSigningConfigurationRequest,
) -> Result<types::DeleteSigningConfigurationResponse, ApiError> {
    Err(none(call))
}

/// One status for each signing profile that applies to the image's repository: there are none.
pub(super) fn status(
    state: &State,
    call: &Call,
    input: types::DescribeImageSigningStatusRequest,
) -> Result<types::DescribeImageSigningStatusResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    image_of(state, &scope, &input.repository_name, &input.image_id)?;
    Ok(types::DescribeImageSigningStatusResponse {
        repository_name: Some(input.repository_name),
        image_id: Some(input.image_id),
        registry_id: Some(scope.account.to_string()),
        signing_statuses: Some(Vec::new()),
    })
}
