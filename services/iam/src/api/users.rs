//! Users.

use super::Done;
use super::common::{
    Answer, USERS_MAX, attachable, boundary_of, change, check_path, deletable, holder, page, quota, remove_tags, scope,
    set_tags, some_tags, tags_out, under_path, user_exists, user_name,
};
use crate::accesses;
use crate::errors::{already_exists, delete_conflict, no_such_entity};
use crate::machine::new_entity;
use crate::mfa::MfaDevice;
use crate::model::{AccessKey, USER, User, iam_arn, key_of};
use crate::password::LoginProfile;
use crate::signing::SigningCertificate;
use crate::ssh_key::SshPublicKey;
use crate::types;
use honmaru_base::Scope;
use honmaru_machine::{Call, Resource, State, Tx};

pub(super) fn shape(user: &User) -> types::User {
    let entity = &user.entity;
    types::User {
        path: entity.path.clone(),
        user_name: entity.name.clone(),
        user_id: entity.id.clone(),
        arn: entity.arn.clone(),
        create_date: entity.created_at.as_epoch_s().floor(),
        password_last_used: None,
        permissions_boundary: boundary_of(entity.boundary.as_ref()),
        tags: some_tags(&entity.tags),
    }
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateUserRequest,
) -> Answer<types::CreateUserResponse> {
    let (scope, key) = (scope(call), key_of(&input.user_name));
    if user_exists(tx, &scope, &input.user_name) {
        return Err(already_exists(format!(
            "User with name {} already exists.",
            input.user_name
        )));
    }
    if let Some(arn) = &input.permissions_boundary {
        attachable(tx, call, arn)?;
    }
    quota::<User>(tx, call, "UsersPerAccount", USERS_MAX)?;
    let path = check_path(input.path)?;
    let mut entity = new_entity::<User>(tx, &call.scope.account, &path, &input.user_name);
    entity.boundary = input.permissions_boundary;
    set_tags(&mut entity.tags, input.tags.unwrap_or_default())?;
    let user = User {
        entity,
        groups: Default::default(),
    };
    let answer = types::CreateUserResponse {
        user: Some(shape(&user)),
    };
    tx.put(&scope, &key, user);
    Ok(answer)
}

pub(super) fn get(state: &State, call: &Call, input: types::GetUserRequest) -> Answer<types::GetUserResponse> {
    let name = user_name(call, input.user_name)?;
    Ok(types::GetUserResponse {
        user: shape(holder::<User>(state, call, &name)?),
    })
}

pub(super) fn update(tx: &mut Tx<'_>, call: &Call, input: types::UpdateUserRequest) -> Answer<Done> {
    let scope = scope(call);
    let old_key = key_of(&input.user_name);
    let mut user = holder::<User>(tx, call, &input.user_name)?.clone();
    if let Some(name) = input.new_user_name {
        if key_of(&name) != old_key && user_exists(tx, &scope, &name) {
            return Err(already_exists(format!("User with name {name} already exists.")));
        }
        user.entity.name = name;
    }
    if input.new_path.is_some() {
        user.entity.path = check_path(input.new_path)?;
    }
    let new_key = key_of(&user.entity.name);
    user.entity.arn = iam_arn(&call.scope.account, "user", &user.entity.path, &user.entity.name);
    tx.put(&scope, &new_key, user);
    if new_key != old_key {
        tx.delete::<User>(&scope, &old_key);
        moved::<AccessKey>(tx, &scope, &old_key, |row| row.user.clone_from(&new_key));
        moved::<SshPublicKey>(tx, &scope, &old_key, |row| row.user.clone_from(&new_key));
        moved::<SigningCertificate>(tx, &scope, &old_key, |row| row.user.clone_from(&new_key));
        moved::<MfaDevice>(tx, &scope, &old_key, |row| {
            if let Some(assigned) = &mut row.assigned {
                assigned.user.clone_from(&new_key);
            }
        });
        if let Some(profile) = tx.delete::<LoginProfile>(&scope, &old_key) {
            tx.put(&scope, &new_key, LoginProfile::clone(&profile));
        }
    }
    Ok(Done)
}

/// Gives what a user has to its new name.
fn moved<R: Resource>(tx: &mut Tx<'_>, scope: &Scope, old_key: &str, mut change: impl FnMut(&mut R)) {
    let keys: Vec<String> = tx
        .find::<R>(scope, USER, old_key)
        .map(|(key, _)| key.to_owned())
        .collect();
    for key in keys {
        tx.update::<R>(scope, &key, &mut change);
    }
}

pub(super) fn list(state: &State, call: &Call, input: types::ListUsersRequest) -> Answer<types::ListUsersResponse> {
    let at = scope(call);
    let rows = under_path::<User>(state, &at, input.path_prefix.as_deref()).map(|(k, row)| (k, shape(row)));
    let page = page(rows, input.marker.as_deref(), input.max_items)?;
    let users = page
        .items
        .into_iter()
        .map(|user| types::User { tags: None, ..user })
        .collect();
    Ok(types::ListUsersResponse {
        users,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteUserRequest) -> Answer<Done> {
    let (scope, key) = (scope(call), key_of(&input.user_name));
    let user = holder::<User>(tx, call, &input.user_name)?;
    deletable(user)?;
    if !user.groups.is_empty() {
        return Err(delete_conflict(
            "Cannot delete entity, must remove users from group first.",
        ));
    }
    if tx.find::<AccessKey>(&scope, USER, &key).next().is_some() {
        return Err(delete_conflict("Cannot delete entity, must delete access keys first."));
    }
    if tx.find::<MfaDevice>(&scope, USER, &key).next().is_some() {
        return Err(delete_conflict("Cannot delete entity, must delete MFA device first."));
    }
    if tx.get::<LoginProfile>(&scope, &key).is_some() {
        return Err(delete_conflict(
            "Cannot delete entity, must delete login profile first.",
        ));
    }
    // Seen: rebuy-de/aws-nuke issues 671 and 470.
    if tx.find::<SigningCertificate>(&scope, USER, &key).next().is_some() {
        return Err(delete_conflict("Cannot delete entity, must delete certificates first."));
    }
    if tx.find::<SshPublicKey>(&scope, USER, &key).next().is_some() {
        return Err(delete_conflict(
            "Cannot delete entity, must remove referenced objects first.",
        ));
    }
    let id = user.entity.id.clone();
    tx.delete::<User>(&scope, &key);
    accesses::forget(tx, &scope, &id);
    Ok(Done)
}

pub(super) fn put_boundary(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutUserPermissionsBoundaryRequest,
) -> Answer<Done> {
    holder::<User>(tx, call, &input.user_name)?;
    attachable(tx, call, &input.permissions_boundary)?;
    change::<User>(tx, call, &input.user_name, |user| {
        user.entity.boundary = Some(input.permissions_boundary)
    })?;
    Ok(Done)
}

pub(super) fn delete_boundary(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteUserPermissionsBoundaryRequest,
) -> Answer<Done> {
    if holder::<User>(tx, call, &input.user_name)?.entity.boundary.is_none() {
        return Err(no_such_entity(format!(
            "No permissions boundary is set for user {}.",
            input.user_name
        )));
    }
    change::<User>(tx, call, &input.user_name, |user| user.entity.boundary = None)?;
    Ok(Done)
}

pub(super) fn tag(tx: &mut Tx<'_>, call: &Call, input: types::TagUserRequest) -> Answer<Done> {
    let mut tags = holder::<User>(tx, call, &input.user_name)?.entity.tags.clone();
    set_tags(&mut tags, input.tags)?;
    change::<User>(tx, call, &input.user_name, |user| user.entity.tags = tags)?;
    Ok(Done)
}

pub(super) fn untag(tx: &mut Tx<'_>, call: &Call, input: types::UntagUserRequest) -> Answer<Done> {
    change::<User>(tx, call, &input.user_name, |user| {
        remove_tags(&mut user.entity.tags, &input.tag_keys)
    })?;
    Ok(Done)
}

pub(super) fn list_tags(
    state: &State,
    call: &Call,
    input: types::ListUserTagsRequest,
) -> Answer<types::ListUserTagsResponse> {
    let user = holder::<User>(state, call, &input.user_name)?;
    let tags = tags_out(&user.entity.tags)
        .into_iter()
        .map(|tag| (tag.key.clone(), tag));
    let page = page(tags, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListUserTagsResponse {
        tags: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}
