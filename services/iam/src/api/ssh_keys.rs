//! SSH public keys.

use super::Done;
use super::common::{Answer, holder, page, scope, user_name};
use super::keys::status;
use crate::errors::{invalid_input, limit_exceeded, no_such_entity};
use crate::model::{USER, User, key_of};
use crate::ssh_key::{RsaKey, SshPublicKey};
use crate::types;
use honmaru_base::ApiError;
use honmaru_identity::unique_id;
use honmaru_machine::{Call, State, Tx};

/// Ref: "IAM and AWS STS quotas": SSH public keys per user.
const KEYS_MAX: usize = 5;

fn key_of_user<'a>(state: &'a State, call: &Call, user: &str, id: &str) -> Answer<&'a SshPublicKey> {
    holder::<User>(state, call, user)?;
    state
        .get::<SshPublicKey>(&scope(call), id)
        .filter(|key| key.user == key_of(user))
        .ok_or_else(|| no_such_entity(format!("The SSH Public Key with id {id} cannot be found.")))
}

fn shape(user: &User, row: &SshPublicKey, body: String) -> Answer<types::SSHPublicKey> {
    let fingerprint = RsaKey::read(&row.openssh)?.fingerprint();
    Ok(types::SSHPublicKey {
        user_name: user.entity.name.clone(),
        ssh_public_key_id: row.id.clone(),
        fingerprint: fingerprint.unwrap_or_default(),
        ssh_public_key_body: body,
        status: status(row.active),
        upload_date: Some(row.uploaded_at.as_epoch_s().floor()),
    })
}

pub(super) fn upload(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::UploadSSHPublicKeyRequest,
) -> Answer<types::UploadSSHPublicKeyResponse> {
    let user = holder::<User>(tx, call, &input.user_name)?.clone();
    let (scope, owner) = (scope(call), key_of(&input.user_name));
    let openssh = RsaKey::read(&input.ssh_public_key_body)?.openssh()?;
    let theirs = || tx.find::<SshPublicKey>(&scope, USER, &owner);
    if theirs().any(|(_, key)| key.openssh == openssh) {
        return Err(ApiError::new(
            "DuplicateSSHPublicKeyException",
            "The SSH public key is already associated with the specified IAM user.",
        ));
    }
    if theirs().count() >= KEYS_MAX {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for SSHPublicKeysPerUser: {KEYS_MAX}"
        )));
    }
    let row = SshPublicKey {
        id: unique_id("APKA", tx.rng()),
        user: owner,
        openssh,
        body: input.ssh_public_key_body,
        active: true,
        uploaded_at: tx.now(),
    };
    let answer = types::UploadSSHPublicKeyResponse {
        ssh_public_key: Some(shape(&user, &row, row.body.clone())?),
    };
    tx.put(&scope, &row.id.clone(), row);
    Ok(answer)
}

pub(super) fn get(
    state: &State,
    call: &Call,
    input: types::GetSSHPublicKeyRequest,
) -> Answer<types::GetSSHPublicKeyResponse> {
    let row = key_of_user(state, call, &input.user_name, &input.ssh_public_key_id)?;
    let user = holder::<User>(state, call, &input.user_name)?;
    let body = match input.encoding.as_str() {
        "PEM" => RsaKey::read(&row.openssh)?.pem().unwrap_or_default(),
        _ => row.openssh.clone(),
    };
    Ok(types::GetSSHPublicKeyResponse {
        ssh_public_key: Some(shape(user, row, body)?),
    })
}

pub(super) fn list(
    state: &State,
    call: &Call,
    input: types::ListSSHPublicKeysRequest,
) -> Answer<types::ListSSHPublicKeysResponse> {
    let name = user_name(call, input.user_name)?;
    let user = holder::<User>(state, call, &name)?;
    let (scope, owner) = (scope(call), key_of(&name));
    let rows = state.find::<SshPublicKey>(&scope, USER, &owner).map(|(id, row)| {
        let item = types::SSHPublicKeyMetadata {
            user_name: user.entity.name.clone(),
            ssh_public_key_id: row.id.clone(),
            status: status(row.active),
            upload_date: row.uploaded_at.as_epoch_s().floor(),
        };
        (id.to_owned(), item)
    });
    let page = page(rows, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListSSHPublicKeysResponse {
        ssh_public_keys: Some(page.items),
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

/// Whether a status means that something may be used; keys and certificates of users do not expire.
pub(super) fn is_active(status: &str) -> Answer<bool> {
    match status {
        "Active" => Ok(true),
        "Inactive" => Ok(false),
        other => Err(invalid_input(format!("The status cannot be set to {other}."))),
    }
}

pub(super) fn update(tx: &mut Tx<'_>, call: &Call, input: types::UpdateSSHPublicKeyRequest) -> Answer<Done> {
    key_of_user(tx, call, &input.user_name, &input.ssh_public_key_id)?;
    let active = is_active(&input.status)?;
    tx.update::<SshPublicKey>(&scope(call), &input.ssh_public_key_id, |row| row.active = active);
    Ok(Done)
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteSSHPublicKeyRequest) -> Answer<Done> {
    key_of_user(tx, call, &input.user_name, &input.ssh_public_key_id)?;
    tx.delete::<SshPublicKey>(&scope(call), &input.ssh_public_key_id);
    Ok(Done)
}
