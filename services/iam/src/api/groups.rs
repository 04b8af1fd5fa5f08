//! Groups and their members.

use super::Done;
use super::common::{Answer, GROUPS_MAX, change, check_path, deletable, holder, page, quota, scope, under_path};
use crate::errors::{already_exists, delete_conflict, limit_exceeded, no_such_entity};
use crate::machine::new_entity;
use crate::model::{GROUP, Group, User, iam_arn, key_of};
use crate::types;
use honmaru_machine::{Call, State, Tx};

/// Ref: "IAM and AWS STS quotas": groups per user.
const GROUPS_PER_USER_MAX: usize = 10;

fn shape(group: &Group) -> types::Group {
    let entity = &group.entity;
    types::Group {
        path: entity.path.clone(),
        group_name: entity.name.clone(),
        group_id: entity.id.clone(),
        arn: entity.arn.clone(),
        create_date: entity.created_at.as_epoch_s().floor(),
    }
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateGroupRequest,
) -> Answer<types::CreateGroupResponse> {
    let (scope, key) = (scope(call), key_of(&input.group_name));
    if tx.get::<Group>(&scope, &key).is_some() {
        return Err(already_exists(format!(
            "Group with name {} already exists.",
            input.group_name
        )));
    }
    quota::<Group>(tx, call, "GroupsPerAccount", GROUPS_MAX)?;
    let path = check_path(input.path)?;
    let group = Group {
        entity: new_entity::<Group>(tx, &call.scope.account, &path, &input.group_name),
    };
    let answer = types::CreateGroupResponse { group: shape(&group) };
    tx.put(&scope, &key, group);
    Ok(answer)
}

pub(super) fn get(state: &State, call: &Call, input: types::GetGroupRequest) -> Answer<types::GetGroupResponse> {
    let group = holder::<Group>(state, call, &input.group_name)?;
    let (scope, key) = (scope(call), key_of(&input.group_name));
    let members = state.find::<User>(&scope, GROUP, &key).map(|(key, user)| {
        let entity = &user.entity;
        let item = types::User {
            path: entity.path.clone(),
            user_name: entity.name.clone(),
            user_id: entity.id.clone(),
            arn: entity.arn.clone(),
            create_date: entity.created_at.as_epoch_s().floor(),
            ..Default::default()
        };
        (key.to_owned(), item)
    });
    let page = page(members, input.marker.as_deref(), input.max_items)?;
    Ok(types::GetGroupResponse {
        group: shape(group),
        users: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn update(tx: &mut Tx<'_>, call: &Call, input: types::UpdateGroupRequest) -> Answer<Done> {
    let scope = scope(call);
    let old_key = key_of(&input.group_name);
    let mut group = holder::<Group>(tx, call, &input.group_name)?.clone();
    if let Some(name) = input.new_group_name {
        if key_of(&name) != old_key && tx.get::<Group>(&scope, &key_of(&name)).is_some() {
            return Err(already_exists(format!("Group with name {name} already exists.")));
        }
        group.entity.name = name;
    }
    if input.new_path.is_some() {
        group.entity.path = check_path(input.new_path)?;
    }
    let new_key = key_of(&group.entity.name);
    group.entity.arn = iam_arn(&call.scope.account, "group", &group.entity.path, &group.entity.name);
    tx.put(&scope, &new_key, group);
    if new_key != old_key {
        tx.delete::<Group>(&scope, &old_key);
        let members: Vec<String> = tx
            .find::<User>(&scope, GROUP, &old_key)
            .map(|(key, _)| key.to_owned())
            .collect();
        for member in members {
            tx.update::<User>(&scope, &member, |user| {
                user.groups.remove(&old_key);
                user.groups.insert(new_key.clone());
            });
        }
    }
    Ok(Done)
}

pub(super) fn list(state: &State, call: &Call, input: types::ListGroupsRequest) -> Answer<types::ListGroupsResponse> {
    let at = scope(call);
    let rows = under_path::<Group>(state, &at, input.path_prefix.as_deref()).map(|(k, row)| (k, shape(row)));
    let page = page(rows, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListGroupsResponse {
        groups: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteGroupRequest) -> Answer<Done> {
    let (scope, key) = (scope(call), key_of(&input.group_name));
    deletable(holder::<Group>(tx, call, &input.group_name)?)?;
    if tx.find::<User>(&scope, GROUP, &key).next().is_some() {
        return Err(delete_conflict(
            "Cannot delete entity, must remove users from group first.",
        ));
    }
    tx.delete::<Group>(&scope, &key);
    Ok(Done)
}

pub(super) fn add_user(tx: &mut Tx<'_>, call: &Call, input: types::AddUserToGroupRequest) -> Answer<Done> {
    holder::<Group>(tx, call, &input.group_name)?;
    let groups = &holder::<User>(tx, call, &input.user_name)?.groups;
    let key = key_of(&input.group_name);
    if groups.len() >= GROUPS_PER_USER_MAX && !groups.contains(&key) {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for GroupsPerUser: {GROUPS_PER_USER_MAX}"
        )));
    }
    change::<User>(tx, call, &input.user_name, |user| {
        user.groups.insert(key);
    })?;
    Ok(Done)
}

pub(super) fn remove_user(tx: &mut Tx<'_>, call: &Call, input: types::RemoveUserFromGroupRequest) -> Answer<Done> {
    holder::<Group>(tx, call, &input.group_name)?;
    let key = key_of(&input.group_name);
    if !holder::<User>(tx, call, &input.user_name)?.groups.contains(&key) {
        return Err(no_such_entity(format!(
            "User {} is not in group {}.",
            input.user_name, input.group_name
        )));
    }
    change::<User>(tx, call, &input.user_name, |user| {
        user.groups.remove(&key);
    })?;
    Ok(Done)
}

pub(super) fn list_for_user(
    state: &State,
    call: &Call,
    input: types::ListGroupsForUserRequest,
) -> Answer<types::ListGroupsForUserResponse> {
    let scope = scope(call);
    let user = holder::<User>(state, call, &input.user_name)?;
    let rows = user
        .groups
        .iter()
        .filter_map(|key| Some((key.clone(), shape(state.get::<Group>(&scope, key)?))));
    let page = page(rows, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListGroupsForUserResponse {
        groups: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}
