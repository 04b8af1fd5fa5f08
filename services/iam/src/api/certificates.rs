//! Server certificates. What is uploaded is checked in [`crate::certificate`]; no answer has a private key.

use super::Done;
use super::common::{
    Answer, SERVER_CERTIFICATES_MAX, check_path, page, quota, remove_tags, scope, set_tags, some_tags, tags_out,
};
use crate::certificate::{self, Named, ServerCertificate, Texts};
use crate::errors::{already_exists, not_found};
use crate::model::{iam_arn, key_of};
use crate::types;
use honmaru_base::ApiError;
use honmaru_identity::unique_id;
use honmaru_machine::{Call, State, Tx};

fn row<'a>(state: &'a State, call: &Call, name: &str) -> Answer<&'a ServerCertificate> {
    state
        .get::<ServerCertificate>(&scope(call), &key_of(name))
        .ok_or_else(|| not_found("Server Certificate", name))
}

/// Seen: dlapiduz/certbot-s3front issue 17.
fn exists(name: &str) -> ApiError {
    already_exists(format!("The Server Certificate with name {name} already exists."))
}

fn metadata(row: &ServerCertificate) -> types::ServerCertificateMetadata {
    types::ServerCertificateMetadata {
        path: row.path.clone(),
        server_certificate_name: row.name.clone(),
        server_certificate_id: row.id.clone(),
        arn: row.arn.clone(),
        upload_date: Some(row.uploaded_at.as_epoch_s().floor()),
        expiration: Some(row.expires_at.as_epoch_s().floor()),
    }
}

pub(super) fn upload(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::UploadServerCertificateRequest,
) -> Answer<types::UploadServerCertificateResponse> {
    let name = input.server_certificate_name;
    let (scope, key) = (scope(call), key_of(&name));
    let path = check_path(input.path)?;
    let trimmed = |text: String| text.trim().to_owned();
    let texts = Texts {
        body: trimmed(input.certificate_body),
        chain: input.certificate_chain.map(trimmed),
        private_key: trimmed(input.private_key),
    };
    let checked = certificate::check(&texts, tx.now())?;
    if tx.get::<ServerCertificate>(&scope, &key).is_some() {
        return Err(exists(&name));
    }
    quota::<ServerCertificate>(tx, call, "ServerCertificatesPerAccount", SERVER_CERTIFICATES_MAX)?;
    let mut tags = Vec::new();
    set_tags(&mut tags, input.tags.unwrap_or_default())?;
    let named = Named {
        arn: iam_arn(&call.scope.account, "server-certificate", &path, &name),
        path,
        name,
        id: unique_id("ASCA", tx.rng()),
        tags,
    };
    let row = ServerCertificate::new(named, texts, checked, tx.now());
    let answer = types::UploadServerCertificateResponse {
        server_certificate_metadata: Some(metadata(&row)),
        tags: some_tags(&row.tags),
    };
    tx.put(&scope, &key, row);
    Ok(answer)
}

pub(super) fn get(
    state: &State,
    call: &Call,
    input: types::GetServerCertificateRequest,
) -> Answer<types::GetServerCertificateResponse> {
    let row = row(state, call, &input.server_certificate_name)?;
    Ok(types::GetServerCertificateResponse {
        server_certificate: types::ServerCertificate {
            server_certificate_metadata: metadata(row),
            certificate_body: row.body.clone(),
            certificate_chain: row.chain.clone(),
            tags: Some(tags_out(&row.tags)),
        },
    })
}

pub(super) fn list(
    state: &State,
    call: &Call,
    input: types::ListServerCertificatesRequest,
) -> Answer<types::ListServerCertificatesResponse> {
    let scope = scope(call);
    let prefix = input.path_prefix.as_deref().unwrap_or("/");
    let rows = state
        .list::<ServerCertificate>(&scope)
        .filter(|(_, row)| row.path.starts_with(prefix));
    let rows = rows.map(|(key, row)| (key.to_owned(), metadata(row)));
    let page = page(rows, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListServerCertificatesResponse {
        server_certificate_metadata_list: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn update(tx: &mut Tx<'_>, call: &Call, input: types::UpdateServerCertificateRequest) -> Answer<Done> {
    let old = input.server_certificate_name;
    let mut row = row(tx, call, &old)?.clone();
    if let Some(path) = input.new_path {
        row.path = check_path(Some(path))?;
    }
    let (scope, old_key) = (scope(call), key_of(&old));
    if let Some(name) = input.new_server_certificate_name {
        let key = key_of(&name);
        if key != old_key && tx.get::<ServerCertificate>(&scope, &key).is_some() {
            return Err(exists(&name));
        }
        row.name = name;
    }
    row.arn = iam_arn(&call.scope.account, "server-certificate", &row.path, &row.name);
    tx.delete::<ServerCertificate>(&scope, &old_key);
    tx.put(&scope, &key_of(&row.name), row);
    Ok(Done)
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteServerCertificateRequest) -> Answer<Done> {
    row(tx, call, &input.server_certificate_name)?;
    tx.delete::<ServerCertificate>(&scope(call), &key_of(&input.server_certificate_name));
    Ok(Done)
}

pub(super) fn tag(tx: &mut Tx<'_>, call: &Call, input: types::TagServerCertificateRequest) -> Answer<Done> {
    let mut tags = row(tx, call, &input.server_certificate_name)?.tags.clone();
    set_tags(&mut tags, input.tags)?;
    tx.update::<ServerCertificate>(&scope(call), &key_of(&input.server_certificate_name), |row| {
        row.tags = tags
    });
    Ok(Done)
}

pub(super) fn untag(tx: &mut Tx<'_>, call: &Call, input: types::UntagServerCertificateRequest) -> Answer<Done> {
    row(tx, call, &input.server_certificate_name)?;
    tx.update::<ServerCertificate>(&scope(call), &key_of(&input.server_certificate_name), |row| {
        remove_tags(&mut row.tags, &input.tag_keys)
    });
    Ok(Done)
}

pub(super) fn list_tags(
    state: &State,
    call: &Call,
    input: types::ListServerCertificateTagsRequest,
) -> Answer<types::ListServerCertificateTagsResponse> {
    let tags = tags_out(&row(state, call, &input.server_certificate_name)?.tags);
    let tags = tags.into_iter().map(|tag| (tag.key.clone(), tag));
    let page = page(tags, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListServerCertificateTagsResponse {
        tags: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}
