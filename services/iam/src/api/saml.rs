//! SAML providers. What is uploaded is checked in [`crate::saml`]; no answer has a private key.

use super::Done;
use super::account::Nothing;
use super::common::{
    Answer, SAML_PROVIDERS_MAX, check_arn, page, quota, remove_tags, scope, set_tags, some_tags, tags_out,
};
use crate::certificate;
use crate::errors::{already_exists, invalid_input, limit_exceeded, no_such_entity};
use crate::model::{iam_arn, key_of};
use crate::saml::{SamlPrivateKey, SamlProvider, check};
use crate::types;
use honmaru_base::{Time, alphanumeric_id};
use honmaru_machine::{Call, State, Tx};

/// Ref: GetSAMLProvider, `PrivateKeyList`: at most two.
const PRIVATE_KEYS_MAX: usize = 2;
/// The characters of an id. Ref: GetSAMLProvider, `KeyId` and `SAMLProviderUUID`: 22 to 64.
const ID_CHARS: usize = 22;
/// How long a provider is valid whose metadata names no end; AWS's are so for a hundred years.
const VALID_S: i64 = 36_525 * 24 * 3_600;

fn key_of_arn(arn: &str) -> String {
    key_of(arn.split_once(":saml-provider/").map_or(arn, |(_, name)| name))
}

fn provider<'a>(state: &'a State, call: &Call, arn: &str) -> Answer<&'a SamlProvider> {
    check_arn(arn, "saml-provider")?;
    state
        .get::<SamlProvider>(&scope(call), &key_of_arn(arn))
        .filter(|row| row.arn == arn)
        .ok_or_else(|| no_such_entity(format!("Manifest not found for arn {arn}")))
}

fn add_key(row: &mut SamlProvider, pem: String, tx: &mut Tx<'_>) -> Answer<()> {
    if !certificate::is_rsa_key(&pem) {
        return Err(invalid_input(
            "The private key is not valid: it must be an RSA key in PEM that is not encrypted.",
        ));
    }
    if row.private_keys.len() >= PRIVATE_KEYS_MAX {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for PrivateKeysPerSAMLProvider: {PRIVATE_KEYS_MAX}"
        )));
    }
    row.private_keys.push(SamlPrivateKey {
        id: alphanumeric_id(tx.rng(), ID_CHARS),
        pem,
        uploaded_at: tx.now(),
    });
    Ok(())
}

/// Whoever requires encryption must be able to decrypt.
fn check_mode(row: &SamlProvider) -> Answer<()> {
    if row.encryption_mode.as_deref() == Some("Required") && row.private_keys.is_empty() {
        return Err(invalid_input(
            "A private key is needed where the encryption of assertions is required.",
        ));
    }
    Ok(())
}

fn valid_until(document: &str, now: Time) -> Answer<Time> {
    Ok(check(document)?.unwrap_or(now.plus_s(VALID_S)))
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateSAMLProviderRequest,
) -> Answer<types::CreateSAMLProviderResponse> {
    let (scope, key) = (scope(call), key_of(&input.name));
    let valid_until = valid_until(&input.saml_metadata_document, tx.now())?;
    if tx.get::<SamlProvider>(&scope, &key).is_some() {
        return Err(already_exists(format!(
            "Provider with name {} already exists.",
            input.name
        )));
    }
    quota::<SamlProvider>(tx, call, "SAMLProvidersPerAccount", SAML_PROVIDERS_MAX)?;
    let mut row = SamlProvider {
        arn: iam_arn(&call.scope.account, "saml-provider", "/", &input.name),
        uuid: alphanumeric_id(tx.rng(), ID_CHARS),
        metadata: input.saml_metadata_document,
        encryption_mode: input.assertion_encryption_mode,
        private_keys: Vec::new(),
        created_at: tx.now(),
        valid_until,
        tags: Vec::new(),
    };
    set_tags(&mut row.tags, input.tags.unwrap_or_default())?;
    if let Some(pem) = input.add_private_key {
        add_key(&mut row, pem, tx)?;
    }
    check_mode(&row)?;
    let answer = types::CreateSAMLProviderResponse {
        saml_provider_arn: Some(row.arn.clone()),
        tags: some_tags(&row.tags),
    };
    tx.put(&scope, &key, row);
    Ok(answer)
}

pub(super) fn get(
    state: &State,
    call: &Call,
    input: types::GetSAMLProviderRequest,
) -> Answer<types::GetSAMLProviderResponse> {
    let row = provider(state, call, &input.saml_provider_arn)?;
    let keys = row.private_keys.iter().map(|key| types::SAMLPrivateKey {
        key_id: Some(key.id.clone()),
        timestamp: Some(key.uploaded_at.as_epoch_s().floor()),
    });
    Ok(types::GetSAMLProviderResponse {
        saml_provider_uuid: Some(row.uuid.clone()),
        saml_metadata_document: Some(row.metadata.clone()),
        create_date: Some(row.created_at.as_epoch_s().floor()),
        valid_until: Some(row.valid_until.as_epoch_s().floor()),
        tags: some_tags(&row.tags),
        assertion_encryption_mode: row.encryption_mode.clone(),
        private_key_list: Some(keys.collect()).filter(|keys: &Vec<_>| !keys.is_empty()),
    })
}

pub(super) fn list(
    state: &State,
    call: &Call,
    _: types::ListSAMLProvidersRequest,
) -> Answer<types::ListSAMLProvidersResponse> {
    let scope = scope(call);
    let rows = state.list::<SamlProvider>(&scope);
    let list = rows.map(|(_, row)| types::SAMLProviderListEntry {
        arn: Some(row.arn.clone()),
        valid_until: Some(row.valid_until.as_epoch_s().floor()),
        create_date: Some(row.created_at.as_epoch_s().floor()),
    });
    Ok(types::ListSAMLProvidersResponse {
        saml_provider_list: Some(list.collect()),
    })
}

/// Changes what is given. A key is removed before another one is added.
pub(super) fn update(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::UpdateSAMLProviderRequest,
) -> Answer<types::UpdateSAMLProviderResponse> {
    let mut row = provider(tx, call, &input.saml_provider_arn)?.clone();
    if let Some(document) = input.saml_metadata_document {
        row.valid_until = valid_until(&document, tx.now())?;
        row.metadata = document;
    }
    if let Some(id) = &input.remove_private_key {
        let count = row.private_keys.len();
        row.private_keys.retain(|key| key.id != *id);
        if row.private_keys.len() == count {
            return Err(no_such_entity(format!("The private key with id {id} cannot be found.")));
        }
    }
    if let Some(pem) = input.add_private_key {
        add_key(&mut row, pem, tx)?;
    }
    row.encryption_mode = input.assertion_encryption_mode.or(row.encryption_mode);
    check_mode(&row)?;
    let arn = row.arn.clone();
    tx.put(&scope(call), &key_of_arn(&arn), row);
    Ok(types::UpdateSAMLProviderResponse {
        saml_provider_arn: Some(arn),
    })
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteSAMLProviderRequest) -> Answer<Nothing> {
    provider(tx, call, &input.saml_provider_arn)?;
    tx.delete::<SamlProvider>(&scope(call), &key_of_arn(&input.saml_provider_arn));
    Ok(Nothing)
}

pub(super) fn tag(tx: &mut Tx<'_>, call: &Call, input: types::TagSAMLProviderRequest) -> Answer<Done> {
    let arn = &input.saml_provider_arn;
    let mut tags = provider(tx, call, arn)?.tags.clone();
    set_tags(&mut tags, input.tags)?;
    tx.update::<SamlProvider>(&scope(call), &key_of_arn(arn), |row| row.tags = tags);
    Ok(Done)
}

pub(super) fn untag(tx: &mut Tx<'_>, call: &Call, input: types::UntagSAMLProviderRequest) -> Answer<Done> {
    let arn = &input.saml_provider_arn;
    provider(tx, call, arn)?;
    tx.update::<SamlProvider>(&scope(call), &key_of_arn(arn), |row| {
        remove_tags(&mut row.tags, &input.tag_keys)
    });
    Ok(Done)
}

pub(super) fn list_tags(
    state: &State,
    call: &Call,
    input: types::ListSAMLProviderTagsRequest,
) -> Answer<types::ListSAMLProviderTagsResponse> {
    let tags = tags_out(&provider(state, call, &input.saml_provider_arn)?.tags);
    let tags = tags.into_iter().map(|tag| (tag.key.clone(), tag));
    let page = page(tags, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListSAMLProviderTagsResponse {
        tags: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}
