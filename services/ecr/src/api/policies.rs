//! The policies of repositories and of the registry.

use super::common::scope_of;
use crate::errors;
use crate::machine::get_repository;
use crate::model::{Registry, Repository};
use crate::types;
use honmaru_base::{ApiError, Scope};
use honmaru_identity::{Policy, PolicyKind};
use honmaru_machine::{Call, State, Tx};

/// Ref: ECR quota "repository policy length".
const POLICY_CHARS_MAX: usize = 10_240;

pub(super) fn check_policy(text: &str) -> Result<(), ApiError> {
    let refuse = |why: &str| {
        Err(errors::invalid(format!(
            "Invalid parameter at 'PolicyText' failed to satisfy constraint: '{why}'"
        )))
    };
    if text.len() > POLICY_CHARS_MAX {
        return refuse("Policy text is too long");
    }
    match Policy::parse(text, PolicyKind::Resource) {
        Ok(_) => Ok(()),
        Err(_) => refuse("Invalid repository policy provided"),
    }
}

pub(super) fn set_repository(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::SetRepositoryPolicyRequest,
) -> Result<types::SetRepositoryPolicyResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    get_repository(tx, &scope, &input.repository_name)?;
    check_policy(&input.policy_text)?;
    let text = input.policy_text.clone();
    tx.update::<Repository>(&scope, &input.repository_name, |row| row.policy = Some(text));
    Ok(types::SetRepositoryPolicyResponse {
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(input.repository_name),
        policy_text: Some(input.policy_text),
    })
}

fn policy_of(state: &State, scope: &Scope, name: &str) -> Result<String, ApiError> {
    get_repository(state, scope, name)?.policy.clone().ok_or_else(|| {
        errors::none_for_repository("RepositoryPolicyNotFoundException", "Repository policy", scope, name)
    })
}

pub(super) fn get(
    state: &State,
    call: &Call,
    input: types::GetRepositoryPolicyRequest,
) -> Result<types::GetRepositoryPolicyResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let policy_text = Some(policy_of(state, &scope, &input.repository_name)?);
    let (registry_id, repository_name) = (Some(scope.account.to_string()), Some(input.repository_name));
    Ok(types::GetRepositoryPolicyResponse {
        registry_id,
        repository_name,
        policy_text,
    })
}

pub(super) fn delete_repository(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteRepositoryPolicyRequest,
) -> Result<types::DeleteRepositoryPolicyResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let policy_text = Some(policy_of(tx, &scope, &input.repository_name)?);
    tx.update::<Repository>(&scope, &input.repository_name, |row| row.policy = None);
    let (registry_id, repository_name) = (Some(scope.account.to_string()), Some(input.repository_name));
    Ok(types::DeleteRepositoryPolicyResponse {
        registry_id,
        repository_name,
        policy_text,
    })
}

fn registry_policy(state: &State, call: &Call) -> Result<String, ApiError> {
    let row = state.get::<Registry>(&call.scope, Registry::KEY);
    row.and_then(|row| row.policy.clone()).ok_or_else(|| {
        ApiError::new(
            "RegistryPolicyNotFoundException",
            format!(
                "Registry policy does not exist in the registry with id '{}'",
                call.scope.account
            ),
        )
    })
}

pub(super) fn get_registry(
    state: &State,
    call: &Call,
    _input: types::GetRegistryPolicyRequest,
) -> Result<types::GetRegistryPolicyResponse, ApiError> {
    let policy_text = Some(registry_policy(state, call)?);
    Ok(types::GetRegistryPolicyResponse {
        registry_id: Some(call.scope.account.to_string()),
        policy_text,
    })
}

pub(super) fn put_registry(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutRegistryPolicyRequest,
) -> Result<types::PutRegistryPolicyResponse, ApiError> {
    check_policy(&input.policy_text)?;
    super::registry::change(tx, call, |row| row.policy = Some(input.policy_text.clone()));
    let policy_text = Some(input.policy_text);
    Ok(types::PutRegistryPolicyResponse {
        registry_id: Some(call.scope.account.to_string()),
        policy_text,
    })
}

pub(super) fn delete_registry(
    tx: &mut Tx<'_>,
    call: &Call,
    _input: types::DeleteRegistryPolicyRequest,
) -> Result<types::DeleteRegistryPolicyResponse, ApiError> {
    let policy_text = Some(registry_policy(tx, call)?);
    super::registry::change(tx, call, |row| row.policy = None);
    Ok(types::DeleteRegistryPolicyResponse {
        registry_id: Some(call.scope.account.to_string()),
        policy_text,
    })
}
