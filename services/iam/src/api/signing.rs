//! Signing certificates.

use super::Done;
use super::common::{Answer, holder, page, scope, user_name};
use super::keys::status;
use super::ssh_keys::is_active;
use crate::certificate;
use crate::errors::{limit_exceeded, no_such_entity};
use crate::model::{USER, User, key_of};
use crate::signing::{SigningCertificate, read};
use crate::types;
use honmaru_base::{ApiError, alphanumeric_id};
use honmaru_machine::{Call, State, Tx};

/// Ref: "IAM and AWS STS quotas": X.509 signing certificates per user.
const CERTIFICATES_MAX: usize = 2;
/// The characters of an id. Ref: UploadSigningCertificate, `CertificateId`: at least 24.
const ID_CHARS: usize = 32;

fn certificate_of_user<'a>(state: &'a State, call: &Call, user: &str, id: &str) -> Answer<&'a SigningCertificate> {
    holder::<User>(state, call, user)?;
    state
        .get::<SigningCertificate>(&scope(call), id)
        .filter(|row| row.user == key_of(user))
        .ok_or_else(|| no_such_entity(format!("The Certificate with id {id} cannot be found.")))
}

fn shape(user: &User, row: &SigningCertificate) -> types::SigningCertificate {
    types::SigningCertificate {
        user_name: user.entity.name.clone(),
        certificate_id: row.id.clone(),
        certificate_body: row.body.clone(),
        status: status(row.active),
        upload_date: Some(row.uploaded_at.as_epoch_s().floor()),
    }
}

pub(super) fn upload(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::UploadSigningCertificateRequest,
) -> Answer<types::UploadSigningCertificateResponse> {
    let name = user_name(call, input.user_name)?;
    let user = holder::<User>(tx, call, &name)?.clone();
    let (scope, owner) = (scope(call), key_of(&name));
    let der = read(&input.certificate_body, tx.now())?;
    // The same certificate under another text is the same.
    let is_there = |row: &SigningCertificate| certificate::only_one(&row.body).is_ok_and(|other| other == der);
    if tx.list::<SigningCertificate>(&scope).any(|(_, row)| is_there(row)) {
        return Err(ApiError::new(
            "DuplicateCertificateException",
            "The same certificate is associated with an IAM user in the account.",
        ));
    }
    if tx.find::<SigningCertificate>(&scope, USER, &owner).count() >= CERTIFICATES_MAX {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for SigningCertificatesPerUser: {CERTIFICATES_MAX}"
        )));
    }
    let row = SigningCertificate {
        id: alphanumeric_id(tx.rng(), ID_CHARS),
        user: owner,
        body: input.certificate_body,
        active: true,
        uploaded_at: tx.now(),
    };
    let certificate = shape(&user, &row);
    tx.put(&scope, &row.id.clone(), row);
    Ok(types::UploadSigningCertificateResponse { certificate })
}

pub(super) fn list(
    state: &State,
    call: &Call,
    input: types::ListSigningCertificatesRequest,
) -> Answer<types::ListSigningCertificatesResponse> {
    let name = user_name(call, input.user_name)?;
    let user = holder::<User>(state, call, &name)?;
    let (scope, owner) = (scope(call), key_of(&name));
    let rows = state.find::<SigningCertificate>(&scope, USER, &owner);
    let rows = rows.map(|(id, row)| (id.to_owned(), shape(user, row)));
    let page = page(rows, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListSigningCertificatesResponse {
        certificates: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn update(tx: &mut Tx<'_>, call: &Call, input: types::UpdateSigningCertificateRequest) -> Answer<Done> {
    let name = user_name(call, input.user_name)?;
    certificate_of_user(tx, call, &name, &input.certificate_id)?;
    let active = is_active(&input.status)?;
    tx.update::<SigningCertificate>(&scope(call), &input.certificate_id, |row| row.active = active);
    Ok(Done)
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteSigningCertificateRequest) -> Answer<Done> {
    let name = user_name(call, input.user_name)?;
    certificate_of_user(tx, call, &name, &input.certificate_id)?;
    tx.delete::<SigningCertificate>(&scope(call), &input.certificate_id);
    Ok(Done)
}
