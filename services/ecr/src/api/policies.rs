//! The policies of repositories and of the registry.

use super::common::scope_of;
use crate::errors;
use crate::machine::{POLICY_ACTIONS_V1, POLICY_SCOPE, POLICY_SCOPE_V1, get_repository};
use crate::model::{Registry, Repository};
use crate::types;
use honmaru_base::{ApiError, Scope};
use honmaru_identity::{Policy, PolicyKind};
use honmaru_machine::{Call, State, Tx};
use serde_json::Value;

/// Ref: ECR quota "repository policy length".
const POLICY_CHARS_MAX: usize = 10_240;

fn refuse(why: &str) -> Result<(), ApiError> {
    Err(errors::invalid(format!(
        "Invalid parameter at 'PolicyText' failed to satisfy constraint: '{why}'"
    )))
}

/// Refuses what is no policy of a repository: its statements are about that one only, and name no resources.
pub(super) fn check_policy(text: &str) -> Result<(), ApiError> {
    const INVALID: &str = "Invalid repository policy provided";
    check(text, INVALID)?;
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let names_resources = |statement: &Value| statement.get("Resource").or(statement.get("NotResource")).is_some();
    match list(&document["Statement"]).iter().any(names_resources) {
        true => refuse(INVALID),
        false => Ok(()),
    }
}

fn check(text: &str, invalid: &str) -> Result<(), ApiError> {
    if text.len() > POLICY_CHARS_MAX {
        return refuse("Policy text is too long");
    }
    if Policy::parse(text, PolicyKind::Resource).is_err() {
        return refuse(invalid);
    }
    // No action of another service is ever asked of a repository.
    let is_own = |action: &str| {
        let vendor = action.split_once(':').map_or(action, |(vendor, _)| vendor);
        ["*", "ecr", "ecr-public"].contains(&vendor.to_ascii_lowercase().as_str())
    };
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let statements = list(&document["Statement"]).iter();
    let mut actions = statements
        .flat_map(|statement| list(&statement["Action"]))
        .filter_map(Value::as_str);
    match actions.all(is_own) {
        true => Ok(()),
        false => refuse(invalid),
    }
}

/// A policy writes a list of one without brackets, if it likes.
fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// Refuses what is no policy of a registry: its statements say of which repositories they are, and with scope V1 they are
/// of three actions only. Ref: ECR user guide, "Private registry permissions in Amazon ECR".
fn check_registry(state: &State, scope: &Scope, text: &str) -> Result<(), ApiError> {
    const INVALID: &str = "Invalid registry policy provided";
    check(text, INVALID)?;
    let row = state.get::<Registry>(scope, Registry::KEY);
    let setting = row.and_then(|row| row.settings.get(POLICY_SCOPE));
    let is_v1 = setting.is_some_and(|value| value == POLICY_SCOPE_V1);
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    for statement in list(&document["Statement"]) {
        if statement.get("Resource").or(statement.get("NotResource")).is_none() {
            return refuse(INVALID);
        }
        let is_known = |action: &Value| {
            let action = action.as_str().unwrap_or_default();
            action == "ecr:*" || POLICY_ACTIONS_V1.iter().any(|known| known.eq_ignore_ascii_case(action))
        };
        if is_v1 && !list(&statement["Action"]).iter().all(is_known) {
            return refuse(INVALID);
        }
    }
    Ok(())
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
    check_registry(tx, &call.scope, &input.policy_text)?;
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
