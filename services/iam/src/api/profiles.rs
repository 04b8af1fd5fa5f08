//! Instance profiles.

use super::Done;
use super::common::{
    Answer, INSTANCE_PROFILES_MAX, check_path, holder, modifiable, page, quota, remove_tags, scope, set_tags, tags_out,
};
use super::roles;
use crate::errors::{already_exists, delete_conflict, limit_exceeded, no_such_entity};
use crate::model::{InstanceProfile, ROLE, Role, iam_arn, key_of};
use crate::types;
use honmaru_identity::unique_id;
use honmaru_machine::{Call, State, Tx};

fn profile<'a>(state: &'a State, call: &Call, name: &str) -> Answer<&'a InstanceProfile> {
    state
        .get(&scope(call), &key_of(name))
        .ok_or_else(|| no_such_entity(format!("Instance Profile {name} cannot be found.")))
}

pub(super) fn shape(state: &State, call: &Call, row: &InstanceProfile) -> types::InstanceProfile {
    let role = row.role.as_ref().and_then(|key| state.get::<Role>(&scope(call), key));
    types::InstanceProfile {
        path: row.path.clone(),
        instance_profile_name: row.name.clone(),
        instance_profile_id: row.id.clone(),
        arn: row.arn.clone(),
        create_date: row.created_at.as_epoch_s().floor(),
        // A profile tells of its role what finds it, not its settings.
        roles: role
            .map(|role| types::Role {
                max_session_duration: None,
                ..roles::shape(state, role)
            })
            .into_iter()
            .collect(),
        tags: Some(tags_out(&row.tags)),
    }
}

/// As lists have it. Ref: IAM API Reference, ListInstanceProfiles: "this operation does not return tags".
fn listed(state: &State, call: &Call, row: &InstanceProfile) -> types::InstanceProfile {
    types::InstanceProfile {
        tags: None,
        ..shape(state, call, row)
    }
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateInstanceProfileRequest,
) -> Answer<types::CreateInstanceProfileResponse> {
    let name = input.instance_profile_name;
    let (scope, key) = (scope(call), key_of(&name));
    if tx.get::<InstanceProfile>(&scope, &key).is_some() {
        return Err(already_exists(format!("Instance Profile {name} already exists.")));
    }
    quota::<InstanceProfile>(tx, call, "InstanceProfilesPerAccount", INSTANCE_PROFILES_MAX)?;
    let path = check_path(input.path)?;
    let mut tags = Vec::new();
    set_tags(&mut tags, input.tags.unwrap_or_default())?;
    let row = InstanceProfile {
        arn: iam_arn(&call.scope.account, "instance-profile", &path, &name),
        path,
        name,
        id: unique_id("AIPA", tx.rng()),
        role: None,
        created_at: tx.now(),
        tags,
    };
    let answer = types::CreateInstanceProfileResponse {
        instance_profile: shape(tx, call, &row),
    };
    tx.put(&scope, &key, row);
    Ok(answer)
}

pub(super) fn get(
    state: &State,
    call: &Call,
    input: types::GetInstanceProfileRequest,
) -> Answer<types::GetInstanceProfileResponse> {
    let row = profile(state, call, &input.instance_profile_name)?;
    Ok(types::GetInstanceProfileResponse {
        instance_profile: shape(state, call, row),
    })
}

pub(super) fn list(
    state: &State,
    call: &Call,
    input: types::ListInstanceProfilesRequest,
) -> Answer<types::ListInstanceProfilesResponse> {
    let scope = scope(call);
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let rows = state
        .list::<InstanceProfile>(&scope)
        .filter(|(_, row)| row.path.starts_with(prefix));
    let rows = rows.map(|(key, row)| (key.to_owned(), listed(state, call, row)));
    let page = page(rows, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListInstanceProfilesResponse {
        instance_profiles: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteInstanceProfileRequest) -> Answer<Done> {
    if profile(tx, call, &input.instance_profile_name)?.role.is_some() {
        return Err(delete_conflict(
            "Cannot delete entity, must remove roles from instance profile first.",
        ));
    }
    tx.delete::<InstanceProfile>(&scope(call), &key_of(&input.instance_profile_name));
    Ok(Done)
}

pub(super) fn add_role(tx: &mut Tx<'_>, call: &Call, input: types::AddRoleToInstanceProfileRequest) -> Answer<Done> {
    modifiable(tx, call, &input.role_name)?;
    holder::<Role>(tx, call, &input.role_name)?;
    if profile(tx, call, &input.instance_profile_name)?.role.is_some() {
        return Err(limit_exceeded(
            "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
        ));
    }
    let role = key_of(&input.role_name);
    tx.update::<InstanceProfile>(&scope(call), &key_of(&input.instance_profile_name), |row| {
        row.role = Some(role)
    });
    Ok(Done)
}

pub(super) fn remove_role(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::RemoveRoleFromInstanceProfileRequest,
) -> Answer<Done> {
    holder::<Role>(tx, call, &input.role_name)?;
    let row = profile(tx, call, &input.instance_profile_name)?;
    if row.role.as_ref() != Some(&key_of(&input.role_name)) {
        return Err(no_such_entity(format!(
            "Role {} is not in instance profile {}.",
            input.role_name, input.instance_profile_name
        )));
    }
    tx.update::<InstanceProfile>(&scope(call), &key_of(&input.instance_profile_name), |row| {
        row.role = None
    });
    Ok(Done)
}

pub(super) fn list_for_role(
    state: &State,
    call: &Call,
    input: types::ListInstanceProfilesForRoleRequest,
) -> Answer<types::ListInstanceProfilesForRoleResponse> {
    holder::<Role>(state, call, &input.role_name)?;
    let (scope, role) = (scope(call), key_of(&input.role_name));
    let rows = state.find::<InstanceProfile>(&scope, ROLE, &role);
    let rows = rows.map(|(key, row)| (key.to_owned(), listed(state, call, row)));
    let page = page(rows, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListInstanceProfilesForRoleResponse {
        instance_profiles: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn tag(tx: &mut Tx<'_>, call: &Call, input: types::TagInstanceProfileRequest) -> Answer<Done> {
    let mut tags = profile(tx, call, &input.instance_profile_name)?.tags.clone();
    set_tags(&mut tags, input.tags)?;
    tx.update::<InstanceProfile>(&scope(call), &key_of(&input.instance_profile_name), |row| {
        row.tags = tags
    });
    Ok(Done)
}

pub(super) fn untag(tx: &mut Tx<'_>, call: &Call, input: types::UntagInstanceProfileRequest) -> Answer<Done> {
    profile(tx, call, &input.instance_profile_name)?;
    tx.update::<InstanceProfile>(&scope(call), &key_of(&input.instance_profile_name), |row| {
        remove_tags(&mut row.tags, &input.tag_keys)
    });
    Ok(Done)
}

pub(super) fn list_tags(
    state: &State,
    call: &Call,
    input: types::ListInstanceProfileTagsRequest,
) -> Answer<types::ListInstanceProfileTagsResponse> {
    let tags = tags_out(&profile(state, call, &input.instance_profile_name)?.tags);
    let tags = tags.into_iter().map(|tag| (tag.key.clone(), tag));
    let page = page(tags, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListInstanceProfileTagsResponse {
        tags: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}
