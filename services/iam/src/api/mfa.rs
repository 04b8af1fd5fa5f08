//! Virtual MFA devices. The app gets the seed as text (`Base32StringSeed`) or as a picture (`QRCodePNG`).
//! Security keys are not here: they are registered in AWS's console only.

use super::Done;
use super::common::{
    Answer, USERS_MAX, check_path, holder, page, quota, remove_tags, scope, set_tags, some_tags, tags_out, user_name,
};
use super::users;
use crate::errors::{already_exists, delete_conflict, limit_exceeded, no_such_entity};
use crate::mfa::{Assigned, MfaDevice, devices_of};
use crate::model::{User, iam_arn, key_of};
use crate::{qr, types};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State, Tx};
use std::collections::BTreeMap;

/// Ref: "IAM and AWS STS quotas": MFA devices per user.
const DEVICES_PER_USER_MAX: usize = 8;

fn device<'a>(state: &'a State, call: &Call, serial: &str) -> Answer<&'a MfaDevice> {
    state
        .get::<MfaDevice>(&scope(call), serial)
        .ok_or_else(|| no_such_entity(format!("VirtualMFADevice with serial number {serial} doesn't exist.")))
}

/// The device, if it is that user's.
fn own<'a>(state: &'a State, call: &Call, user: &str, serial: &str) -> Answer<(&'a MfaDevice, &'a Assigned)> {
    let row = state.get::<MfaDevice>(&scope(call), serial);
    row.and_then(|row| Some((row, row.assigned.as_ref().filter(|it| it.user == key_of(user))?)))
        .ok_or_else(|| no_such_entity(format!("MFA Device {serial} for user {user} cannot be found.")))
}

fn wrong_codes() -> ApiError {
    ApiError::new(
        "InvalidAuthenticationCodeException",
        "Authentication code for device is not valid.",
    )
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateVirtualMFADeviceRequest,
) -> Answer<types::CreateVirtualMFADeviceResponse> {
    let path = check_path(input.path)?;
    let arn = iam_arn(&call.scope.account, "mfa", &path, &input.virtual_mfa_device_name);
    let scope = scope(call);
    if tx.get::<MfaDevice>(&scope, &arn).is_some() {
        return Err(already_exists(
            "MFADevice entity at the same path and name already exists.",
        ));
    }
    quota::<MfaDevice>(tx, call, "VirtualMFADevicesPerAccount", USERS_MAX)?;
    let mut tags = Vec::new();
    set_tags(&mut tags, input.tags.unwrap_or_default())?;
    let row = MfaDevice::new(arn.clone(), tags, tx.rng());
    let seed = row.base32_seed();
    let (device, account) = (&input.virtual_mfa_device_name, call.scope.account.as_str());
    let picture = qr::png(&qr::key_uri(device, account, &seed));
    let answer = types::CreateVirtualMFADeviceResponse {
        virtual_mfa_device: types::VirtualMFADevice {
            serial_number: arn.clone(),
            base32_string_seed: Some(STANDARD.encode(seed)),
            qr_code_png: picture.map(|png| STANDARD.encode(png)),
            tags: some_tags(&row.tags),
            ..Default::default()
        },
    };
    tx.put(&scope, &arn, row);
    Ok(answer)
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteVirtualMFADeviceRequest) -> Answer<Done> {
    if device(tx, call, &input.serial_number)?.assigned.is_some() {
        return Err(delete_conflict("MFA VirtualDevice in use. Must deactivate first."));
    }
    tx.delete::<MfaDevice>(&scope(call), &input.serial_number);
    Ok(Done)
}

pub(super) fn enable(tx: &mut Tx<'_>, call: &Call, input: types::EnableMFADeviceRequest) -> Answer<Done> {
    holder::<User>(tx, call, &input.user_name)?;
    let mut row = device(tx, call, &input.serial_number)?.clone();
    if row.assigned.is_some() {
        return Err(already_exists("MFA Device is already in use."));
    }
    let scope = scope(call);
    if devices_of(tx, &scope, &input.user_name).len() >= DEVICES_PER_USER_MAX {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for MFADevicesPerUser: {DEVICES_PER_USER_MAX}"
        )));
    }
    let codes = (input.authentication_code1.as_str(), input.authentication_code2.as_str());
    if !row.assign(&key_of(&input.user_name), codes, tx.now()) {
        return Err(wrong_codes());
    }
    tx.put(&scope, &input.serial_number, row);
    Ok(Done)
}

pub(super) fn resync(tx: &mut Tx<'_>, call: &Call, input: types::ResyncMFADeviceRequest) -> Answer<Done> {
    holder::<User>(tx, call, &input.user_name)?;
    let (row, _) = own(tx, call, &input.user_name, &input.serial_number)?;
    let mut row = row.clone();
    let codes = (input.authentication_code1.as_str(), input.authentication_code2.as_str());
    if !row.assign(&key_of(&input.user_name), codes, tx.now()) {
        return Err(wrong_codes());
    }
    tx.put(&scope(call), &input.serial_number, row);
    Ok(Done)
}

pub(super) fn deactivate(tx: &mut Tx<'_>, call: &Call, input: types::DeactivateMFADeviceRequest) -> Answer<Done> {
    let user = user_name(call, input.user_name)?;
    holder::<User>(tx, call, &user)?;
    own(tx, call, &user, &input.serial_number)?;
    tx.update::<MfaDevice>(&scope(call), &input.serial_number, |row| row.assigned = None);
    Ok(Done)
}

pub(super) fn get(
    state: &State,
    call: &Call,
    input: types::GetMFADeviceRequest,
) -> Answer<types::GetMFADeviceResponse> {
    let user = user_name(call, input.user_name)?;
    let user = holder::<User>(state, call, &user)?;
    let (row, assigned) = own(state, call, &user.entity.name, &input.serial_number)?;
    Ok(types::GetMFADeviceResponse {
        user_name: Some(user.entity.name.clone()),
        serial_number: row.arn.clone(),
        enable_date: Some(assigned.enabled_at.as_epoch_s().floor()),
        certifications: Some(BTreeMap::new()),
    })
}

pub(super) fn list(
    state: &State,
    call: &Call,
    input: types::ListMFADevicesRequest,
) -> Answer<types::ListMFADevicesResponse> {
    let name = user_name(call, input.user_name)?;
    let user = holder::<User>(state, call, &name)?;
    let scope = scope(call);
    let rows = devices_of(state, &scope, &name).into_iter().filter_map(|row| {
        let item = types::MFADevice {
            user_name: user.entity.name.clone(),
            serial_number: row.arn.clone(),
            enable_date: row.assigned.as_ref()?.enabled_at.as_epoch_s().floor(),
        };
        Some((row.arn.clone(), item))
    });
    let page = page(rows, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListMFADevicesResponse {
        mfa_devices: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn list_virtual(
    state: &State,
    call: &Call,
    input: types::ListVirtualMFADevicesRequest,
) -> Answer<types::ListVirtualMFADevicesResponse> {
    let scope = scope(call);
    let is_wanted = |row: &MfaDevice| match input.assignment_status.as_deref() {
        Some("Assigned") => row.assigned.is_some(),
        Some("Unassigned") => row.assigned.is_none(),
        _ => true,
    };
    let rows = state.list::<MfaDevice>(&scope).filter(|(_, row)| is_wanted(row));
    let rows = rows.map(|(key, row)| {
        let user = row.assigned.as_ref().and_then(|it| state.get::<User>(&scope, &it.user));
        let item = types::VirtualMFADevice {
            serial_number: row.arn.clone(),
            user: user.map(|user| types::User {
                tags: None,
                ..users::shape(user)
            }),
            enable_date: row.assigned.as_ref().map(|it| it.enabled_at.as_epoch_s().floor()),
            ..Default::default()
        };
        (key.to_owned(), item)
    });
    let page = page(rows, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListVirtualMFADevicesResponse {
        virtual_mfa_devices: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn tag(tx: &mut Tx<'_>, call: &Call, input: types::TagMFADeviceRequest) -> Answer<Done> {
    let mut row = device(tx, call, &input.serial_number)?.clone();
    set_tags(&mut row.tags, input.tags)?;
    tx.put(&scope(call), &input.serial_number, row);
    Ok(Done)
}

pub(super) fn untag(tx: &mut Tx<'_>, call: &Call, input: types::UntagMFADeviceRequest) -> Answer<Done> {
    device(tx, call, &input.serial_number)?;
    tx.update::<MfaDevice>(&scope(call), &input.serial_number, |row| {
        remove_tags(&mut row.tags, &input.tag_keys);
    });
    Ok(Done)
}

pub(super) fn list_tags(
    state: &State,
    call: &Call,
    input: types::ListMFADeviceTagsRequest,
) -> Answer<types::ListMFADeviceTagsResponse> {
    let row = device(state, call, &input.serial_number)?;
    let tags = tags_out(&row.tags).into_iter().map(|tag| (tag.key.clone(), tag));
    let page = page(tags, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListMFADeviceTagsResponse {
        tags: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}
