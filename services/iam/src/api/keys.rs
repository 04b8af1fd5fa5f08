//! Access keys.

use super::Done;
use super::common::{Answer, holder, page, scope, user_name};
use crate::errors::{limit_exceeded, no_such_entity, validation};
use crate::machine::new_access_key;
use crate::model::{AccessKey, AccessKeyUse, USER, User, key_of};
use crate::types;
use honmaru_machine::{Call, State, Tx};

/// Ref: "IAM and AWS STS quotas": access keys per user.
const KEYS_MAX: usize = 2;

pub(super) fn status(active: bool) -> String {
    if active { "Active" } else { "Inactive" }.to_owned()
}

fn key_of_user<'a>(state: &'a State, call: &Call, user: &str, id: &str) -> Answer<&'a AccessKey> {
    holder::<User>(state, call, user)?;
    state
        .get::<AccessKey>(&scope(call), id)
        .filter(|key| key.user == key_of(user))
        .ok_or_else(|| no_such_entity(format!("The Access Key with id {id} cannot be found.")))
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateAccessKeyRequest,
) -> Answer<types::CreateAccessKeyResponse> {
    let name = user_name(call, input.user_name)?;
    let user_name = holder::<User>(tx, call, &name)?.entity.name.clone();
    if tx.find::<AccessKey>(&scope(call), USER, &key_of(&name)).count() >= KEYS_MAX {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for AccessKeysPerUser: {KEYS_MAX}"
        )));
    }
    let key = new_access_key(tx, &call.scope.account, &key_of(&name));
    Ok(types::CreateAccessKeyResponse {
        access_key: types::AccessKey {
            user_name,
            access_key_id: key.id,
            status: status(key.active),
            secret_access_key: key.secret,
            create_date: Some(key.created_at.as_epoch_s().floor()),
        },
    })
}

pub(super) fn list(
    state: &State,
    call: &Call,
    input: types::ListAccessKeysRequest,
) -> Answer<types::ListAccessKeysResponse> {
    let name = user_name(call, input.user_name)?;
    let user_name = holder::<User>(state, call, &name)?.entity.name.clone();
    let (scope, user) = (scope(call), key_of(&name));
    let rows = state.find::<AccessKey>(&scope, USER, &user).map(|(id, key)| {
        let item = types::AccessKeyMetadata {
            user_name: Some(user_name.clone()),
            access_key_id: Some(key.id.clone()),
            status: Some(status(key.active)),
            create_date: Some(key.created_at.as_epoch_s().floor()),
        };
        (id.to_owned(), item)
    });
    let page = page(rows, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListAccessKeysResponse {
        access_key_metadata: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn update(tx: &mut Tx<'_>, call: &Call, input: types::UpdateAccessKeyRequest) -> Answer<Done> {
    let name = user_name(call, input.user_name)?;
    key_of_user(tx, call, &name, &input.access_key_id)?;
    let active = match input.status.as_str() {
        "Active" => true,
        "Inactive" => false,
        other => return Err(validation(format!("Access keys cannot be set to {other}."))),
    };
    tx.update::<AccessKey>(&scope(call), &input.access_key_id, |key| key.active = active);
    Ok(Done)
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteAccessKeyRequest) -> Answer<Done> {
    let name = user_name(call, input.user_name)?;
    key_of_user(tx, call, &name, &input.access_key_id)?;
    let scope = scope(call);
    tx.delete::<AccessKey>(&scope, &input.access_key_id);
    tx.delete::<AccessKeyUse>(&scope, &input.access_key_id);
    Ok(Done)
}

pub(super) fn last_used(
    state: &State,
    call: &Call,
    input: types::GetAccessKeyLastUsedRequest,
) -> Answer<types::GetAccessKeyLastUsedResponse> {
    let scope = scope(call);
    let id = &input.access_key_id;
    let key = state.get::<AccessKey>(&scope, id);
    let user = key.and_then(|key| state.get::<User>(&scope, &key.user));
    let Some(user) = user else {
        return Err(no_such_entity(format!("The Access Key with id {id} cannot be found.")));
    };
    let last = match state.get::<AccessKeyUse>(&scope, id) {
        Some(last) => types::AccessKeyLastUsed {
            last_used_date: Some(last.at.as_epoch_s().floor()),
            service_name: last.service.clone(),
            region: last.region.clone(),
        },
        None => types::AccessKeyLastUsed {
            last_used_date: None,
            service_name: "N/A".to_owned(),
            region: "N/A".to_owned(),
        },
    };
    Ok(types::GetAccessKeyLastUsedResponse {
        user_name: Some(user.entity.name.clone()),
        access_key_last_used: Some(last),
    })
}
