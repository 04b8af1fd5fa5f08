//! What users could have in AWS and cannot have here: credentials for single services. Nobody can make one, so lists are
//! empty and lookups find nothing; clients that clean up after a user (Terraform's `force_destroy`) ask for all of them.

use super::Done;
use super::common::{Answer, holder, user_name};
use crate::errors::no_such_entity;
use crate::model::User;
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State, Tx};

/// The named user, or the caller, exists.
fn of_user(state: &State, call: &Call, name: Option<String>) -> Answer<String> {
    let name = user_name(call, name)?;
    holder::<User>(state, call, &name)?;
    Ok(name)
}

pub(super) fn service_credentials(
    state: &State,
    call: &Call,
    input: types::ListServiceSpecificCredentialsRequest,
) -> Answer<types::ListServiceSpecificCredentialsResponse> {
    if input.all_users != Some(true) {
        of_user(state, call, input.user_name)?;
    }
    if let Some(service) = &input.service_name {
        return Err(unsupported(service));
    }
    Ok(types::ListServiceSpecificCredentialsResponse {
        service_specific_credentials: Some(Vec::new()),
        is_truncated: Some(false),
        marker: None,
    })
}

fn unsupported(service: &str) -> ApiError {
    no_such_entity(format!(
        "No such service {service} is supported for Service Specific Credentials"
    ))
}

/// No service here takes such credentials: each is answered as AWS answers for services that take none.
pub(super) fn create_service_credential(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateServiceSpecificCredentialRequest,
) -> Answer<types::CreateServiceSpecificCredentialResponse> {
    holder::<User>(tx, call, &input.user_name)?;
    Err(unsupported(&input.service_name))
}

fn no_credential<T>(state: &State, call: &Call, user: Option<String>, id: &str) -> Answer<T> {
    of_user(state, call, user)?;
    Err(no_such_entity(format!("No such credential {id} exists")))
}

pub(super) fn update_service_credential(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::UpdateServiceSpecificCredentialRequest,
) -> Answer<Done> {
    no_credential(tx, call, input.user_name, &input.service_specific_credential_id)
}

pub(super) fn reset_service_credential(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::ResetServiceSpecificCredentialRequest,
) -> Answer<types::ResetServiceSpecificCredentialResponse> {
    no_credential(tx, call, input.user_name, &input.service_specific_credential_id)
}

pub(super) fn delete_service_credential(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteServiceSpecificCredentialRequest,
) -> Answer<Done> {
    no_credential(tx, call, input.user_name, &input.service_specific_credential_id)
}
