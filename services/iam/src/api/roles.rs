//! Roles, service-linked ones among them.

use super::Done;
use super::common::{
    Answer, ROLES_MAX, attachable, boundary_of, change, check_path, deletable, encoded, holder, modifiable, page,
    quota, remove_tags, scope, set_tags, size_of, some_tags, tags_out, under_path,
};
use crate::accesses;
use crate::errors::{already_exists, delete_conflict, invalid_input, limit_exceeded, malformed, no_such_entity};
use crate::machine::{new_entity, scope_of};
use crate::managed::{SERVICE_LINKED_PATH, service_linked};
use crate::model::{InstanceProfile, ROLE, Role, RoleDeletion, RoleUse, key_of};
use crate::trust::{self, trust_of};
use crate::types;
use honmaru_base::uuid;
use honmaru_identity::{Policy, PolicyKind};
use honmaru_machine::{Call, State, Tx};
use std::collections::BTreeMap;

/// Ref: IAM API Reference, CreateRole, MaxSessionDuration: 3,600 to 43,200, default 3,600.
const MAX_SESSION_S_DEFAULT: i32 = 3_600;
/// Ref: "IAM and AWS STS quotas": role trust policy length, default.
const TRUST_BYTES_MAX: usize = 2_048;

pub(super) fn shape(state: &State, role: &Role) -> types::Role {
    let entity = &role.entity;
    types::Role {
        path: entity.path.clone(),
        role_name: entity.name.clone(),
        role_id: entity.id.clone(),
        arn: entity.arn.clone(),
        create_date: entity.created_at.as_epoch_s().floor(),
        assume_role_policy_document: Some(encoded(&trust_of(state, role))),
        description: role.description.clone(),
        max_session_duration: Some(role.max_session_s),
        permissions_boundary: boundary_of(entity.boundary.as_ref()),
        tags: some_tags(&entity.tags),
        // GetRole alone tells when it was last used.
        ..Default::default()
    }
}

/// When and where the role was last used; an empty structure when it never was. Ref: IAM API Reference, RoleLastUsed.
pub(super) fn last_used(state: &State, role: &Role) -> types::RoleLastUsed {
    let account = role
        .entity
        .arn
        .split(':')
        .nth(4)
        .and_then(|account| account.parse().ok());
    let used = account.and_then(|account| state.get::<RoleUse>(&scope_of(&account), &key_of(&role.entity.name)));
    types::RoleLastUsed {
        last_used_date: used.map(|used| used.at.as_epoch_s().floor()),
        region: used.map(|used| used.region.clone()),
    }
}

/// Checks a trust policy: its form, its size, and that the users and roles in it exist. Returns their unique ids.
fn check_trust(state: &State, document: &str) -> Answer<BTreeMap<String, String>> {
    let policy = Policy::parse(document, PolicyKind::Trust).map_err(|error| malformed(error.to_string()))?;
    if size_of(document) > TRUST_BYTES_MAX {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for ACLSizePerRole: {TRUST_BYTES_MAX}"
        )));
    }
    let mut ids = BTreeMap::new();
    for arn in policy.principal_arns() {
        match trust::id_of(state, arn) {
            Ok(Some(id)) => drop(ids.insert(arn.to_owned(), id)),
            Ok(None) => return Err(malformed(format!("Invalid principal in policy: \"AWS\":\"{arn}\""))),
            Err(trust::NotLookedUp) => {}
        }
    }
    Ok(ids)
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateRoleRequest,
) -> Answer<types::CreateRoleResponse> {
    let (scope, key) = (scope(call), key_of(&input.role_name));
    if tx.get::<Role>(&scope, &key).is_some() {
        return Err(already_exists(format!(
            "Role with name {} already exists.",
            input.role_name
        )));
    }
    let path = check_path(input.path)?;
    // Ref: CreateServiceLinkedRole; the text is IAM's.
    if path.starts_with(SERVICE_LINKED_PATH) {
        return Err(invalid_input(format!(
            "Paths beginning with '{}' are reserved for AWS Service Linked Roles",
            SERVICE_LINKED_PATH.trim_end_matches('/')
        )));
    }
    let trusted = check_trust(tx, &input.assume_role_policy_document)?;
    if let Some(arn) = &input.permissions_boundary {
        attachable(tx, call, arn)?;
    }
    quota::<Role>(tx, call, "RolesPerAccount", ROLES_MAX)?;
    let mut entity = new_entity::<Role>(tx, &call.scope.account, &path, &input.role_name);
    entity.boundary = input.permissions_boundary;
    set_tags(&mut entity.tags, input.tags.unwrap_or_default())?;
    let role = Role {
        entity,
        trust: input.assume_role_policy_document,
        description: input.description,
        max_session_s: input.max_session_duration.unwrap_or(MAX_SESSION_S_DEFAULT),
        linked_service: None,
    };
    trust::remember(tx, &scope, &key, trusted);
    // AWS's answer to CreateRole, unlike that to GetRole, does not tell how long a session may last.
    let answer = types::CreateRoleResponse {
        role: types::Role {
            max_session_duration: None,
            ..shape(tx, &role)
        },
    };
    tx.put(&scope, &key, role);
    Ok(answer)
}

pub(super) fn get(state: &State, call: &Call, input: types::GetRoleRequest) -> Answer<types::GetRoleResponse> {
    let role = holder::<Role>(state, call, &input.role_name)?;
    Ok(types::GetRoleResponse {
        role: types::Role {
            role_last_used: Some(last_used(state, role)),
            ..shape(state, role)
        },
    })
}

pub(super) fn update(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::UpdateRoleRequest,
) -> Answer<types::UpdateRoleResponse> {
    // Ref: IAM User Guide, "Edit a service-linked role": its description alone.
    if input.max_session_duration.is_some() {
        modifiable(tx, call, &input.role_name)?;
    }
    change::<Role>(tx, call, &input.role_name, |role| {
        if input.description.is_some() {
            role.description = input.description;
        }
        if let Some(max) = input.max_session_duration {
            role.max_session_s = max;
        }
    })?;
    Ok(types::UpdateRoleResponse::default())
}

pub(super) fn update_description(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::UpdateRoleDescriptionRequest,
) -> Answer<types::UpdateRoleDescriptionResponse> {
    change::<Role>(tx, call, &input.role_name, |role| {
        role.description = Some(input.description)
    })?;
    let role = holder::<Role>(tx, call, &input.role_name)?;
    Ok(types::UpdateRoleDescriptionResponse {
        role: Some(shape(tx, role)),
    })
}

pub(super) fn update_trust(tx: &mut Tx<'_>, call: &Call, input: types::UpdateAssumeRolePolicyRequest) -> Answer<Done> {
    modifiable(tx, call, &input.role_name)?;
    holder::<Role>(tx, call, &input.role_name)?;
    let trusted = check_trust(tx, &input.policy_document)?;
    trust::remember(tx, &scope(call), &key_of(&input.role_name), trusted);
    change::<Role>(tx, call, &input.role_name, |role| role.trust = input.policy_document)?;
    Ok(Done)
}

pub(super) fn list(state: &State, call: &Call, input: types::ListRolesRequest) -> Answer<types::ListRolesResponse> {
    let at = scope(call);
    let rows = under_path::<Role>(state, &at, input.path_prefix.as_deref()).map(|(k, row)| (k, shape(state, row)));
    let page = page(rows, input.marker.as_deref(), input.max_items)?;
    // Lists leave out what only GetRole tells.
    let roles = page
        .items
        .into_iter()
        .map(|role| types::Role {
            tags: None,
            permissions_boundary: None,
            ..role
        })
        .collect();
    Ok(types::ListRolesResponse {
        roles,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteRoleRequest) -> Answer<Done> {
    let (scope, key) = (scope(call), key_of(&input.role_name));
    modifiable(tx, call, &input.role_name)?;
    let role = holder::<Role>(tx, call, &input.role_name)?;
    deletable(role)?;
    let id = role.entity.id.clone();
    if tx.find::<InstanceProfile>(&scope, ROLE, &key).next().is_some() {
        return Err(delete_conflict(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    tx.delete::<Role>(&scope, &key);
    tx.delete::<RoleUse>(&scope, &key);
    accesses::forget(tx, &scope, &id);
    trust::forget(tx, &scope, &key);
    Ok(Done)
}

pub(super) fn put_boundary(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutRolePermissionsBoundaryRequest,
) -> Answer<Done> {
    modifiable(tx, call, &input.role_name)?;
    holder::<Role>(tx, call, &input.role_name)?;
    attachable(tx, call, &input.permissions_boundary)?;
    change::<Role>(tx, call, &input.role_name, |role| {
        role.entity.boundary = Some(input.permissions_boundary)
    })?;
    Ok(Done)
}

pub(super) fn delete_boundary(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteRolePermissionsBoundaryRequest,
) -> Answer<Done> {
    modifiable(tx, call, &input.role_name)?;
    if holder::<Role>(tx, call, &input.role_name)?.entity.boundary.is_none() {
        return Err(no_such_entity(format!(
            "No permissions boundary is set for role {}.",
            input.role_name
        )));
    }
    change::<Role>(tx, call, &input.role_name, |role| role.entity.boundary = None)?;
    Ok(Done)
}

pub(super) fn tag(tx: &mut Tx<'_>, call: &Call, input: types::TagRoleRequest) -> Answer<Done> {
    let mut tags = holder::<Role>(tx, call, &input.role_name)?.entity.tags.clone();
    set_tags(&mut tags, input.tags)?;
    change::<Role>(tx, call, &input.role_name, |role| role.entity.tags = tags)?;
    Ok(Done)
}

pub(super) fn untag(tx: &mut Tx<'_>, call: &Call, input: types::UntagRoleRequest) -> Answer<Done> {
    change::<Role>(tx, call, &input.role_name, |role| {
        remove_tags(&mut role.entity.tags, &input.tag_keys)
    })?;
    Ok(Done)
}

pub(super) fn list_tags(
    state: &State,
    call: &Call,
    input: types::ListRoleTagsRequest,
) -> Answer<types::ListRoleTagsResponse> {
    let role = holder::<Role>(state, call, &input.role_name)?;
    let tags = tags_out(&role.entity.tags)
        .into_iter()
        .map(|tag| (tag.key.clone(), tag));
    let page = page(tags, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListRoleTagsResponse {
        tags: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn create_service_linked(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateServiceLinkedRoleRequest,
) -> Answer<types::CreateServiceLinkedRoleResponse> {
    let service = input.aws_service_name;
    let Some(linked) = service_linked(&service) else {
        return Err(invalid_input(format!(
            "Service {service} does not exist or has no service-linked role."
        )));
    };
    if input.custom_suffix.is_some() {
        return Err(invalid_input(format!("Custom suffix is not allowed for {service}")));
    }
    let (scope, key) = (scope(call), key_of(linked.role));
    if tx.get::<Role>(&scope, &key).is_some() {
        return Err(invalid_input(format!(
            "Service role name {} has been taken in this account, please try a different suffix.",
            linked.role
        )));
    }
    let path = format!("{SERVICE_LINKED_PATH}{service}/");
    let mut entity = new_entity::<Role>(tx, &call.scope.account, &path, linked.role);
    entity.attached.insert(linked.policy_arn.to_owned());
    let trust = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    });
    let role = Role {
        entity,
        trust: trust.to_string(),
        description: input.description,
        max_session_s: MAX_SESSION_S_DEFAULT,
        linked_service: Some(service),
    };
    let answer = types::CreateServiceLinkedRoleResponse {
        role: Some(shape(tx, &role)),
    };
    tx.put(&scope, &key, role);
    Ok(answer)
}

pub(super) fn delete_service_linked(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteServiceLinkedRoleRequest,
) -> Answer<types::DeleteServiceLinkedRoleResponse> {
    let (scope, key) = (scope(call), key_of(&input.role_name));
    let role = holder::<Role>(tx, call, &input.role_name)?;
    let Some(service) = role.linked_service.clone() else {
        // Ref: DeleteServiceLinkedRole knows no other error for it.
        return Err(no_such_entity(format!(
            "Role {} is not a service-linked role.",
            input.role_name
        )));
    };
    tx.delete::<Role>(&scope, &key);
    tx.delete::<RoleUse>(&scope, &key);
    let deletion_task_id = format!("task/aws-service-role/{service}/{}/{}", input.role_name, uuid(tx.rng()));
    let done_at = tx.now();
    tx.put(&scope, &deletion_task_id, RoleDeletion { done_at });
    Ok(types::DeleteServiceLinkedRoleResponse { deletion_task_id })
}

pub(super) fn deletion_status(
    state: &State,
    call: &Call,
    input: types::GetServiceLinkedRoleDeletionStatusRequest,
) -> Answer<types::GetServiceLinkedRoleDeletionStatusResponse> {
    let id = &input.deletion_task_id;
    match state.get::<RoleDeletion>(&scope(call), id) {
        Some(_) => Ok(types::GetServiceLinkedRoleDeletionStatusResponse {
            status: "SUCCEEDED".to_owned(),
            reason: None,
        }),
        None => Err(no_such_entity(format!(
            "Deletion Task not found with DeletionTaskId {id}"
        ))),
    }
}
