//! OpenID Connect providers.

use super::Done;
use super::common::{Answer, OIDC_PROVIDERS_MAX, check_arn, page, quota, remove_tags, scope, set_tags, tags_out};
use crate::errors::{already_exists, invalid_input, limit_exceeded, no_such_entity, validation};
use crate::issuer::{are_loopback_issuers_allowed, is_plain, issuer_key};
use crate::model::{OidcProvider, iam_arn};
use crate::types;
use honmaru_machine::{Call, State, Tx};

/// Ref: IAM API Reference, CreateOpenIDConnectProvider.
const CLIENT_IDS_MAX: usize = 100;
const THUMBPRINTS_MAX: usize = 5;

fn key_of_arn(arn: &str) -> &str {
    arn.split_once(":oidc-provider/").map_or(arn, |(_, url)| url)
}

fn provider<'a>(state: &'a State, call: &Call, arn: &str) -> Answer<&'a OidcProvider> {
    check_arn(arn, "oidc-provider")?;
    state
        .get::<OidcProvider>(&scope(call), key_of_arn(arn))
        .filter(|row| row.arn == arn)
        .ok_or_else(|| no_such_entity(format!("OpenIDConnect Provider not found for arn {arn}")))
}

/// How long each is, the wire has checked; AWS does not mind what is in it. Ref: the acceptance tests of Terraform's AWS
/// provider and the aws CLI's example of create-open-id-connect-provider, which have letters past `f`.
fn check_thumbprints(thumbprints: &[String]) -> Answer<()> {
    if thumbprints.len() > THUMBPRINTS_MAX {
        return Err(invalid_input("Thumbprint list must contain fewer than 5 entries."));
    }
    Ok(())
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateOpenIDConnectProviderRequest,
) -> Answer<types::CreateOpenIDConnectProviderResponse> {
    let Some(url) = issuer_key(&input.url).map(str::to_owned) else {
        return Err(validation("Invalid Open ID Connect Provider URL"));
    };
    if is_plain(&input.url) && !are_loopback_issuers_allowed(tx) {
        return Err(validation(
            "Invalid Open ID Connect Provider URL: an issuer on this machine may speak plain HTTP in development mode \
             only (`honmaru up --dev`)",
        ));
    }
    let scope = scope(call);
    if tx.get::<OidcProvider>(&scope, &url).is_some() {
        return Err(already_exists(format!(
            "Provider with url {} already exists.",
            input.url
        )));
    }
    quota::<OidcProvider>(tx, call, "OpenIdConnectProvidersPerAccount", OIDC_PROVIDERS_MAX)?;
    let client_ids = input.client_id_list.unwrap_or_default();
    if client_ids.len() > CLIENT_IDS_MAX {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {CLIENT_IDS_MAX}"
        )));
    }
    let thumbprints = input.thumbprint_list.unwrap_or_default();
    check_thumbprints(&thumbprints)?;
    let mut tags = Vec::new();
    set_tags(&mut tags, input.tags.unwrap_or_default())?;
    let arn = iam_arn(&call.scope.account, "oidc-provider", "/", &url);
    let row = OidcProvider {
        url: url.clone(),
        is_plain: is_plain(&input.url),
        arn: arn.clone(),
        client_ids,
        thumbprints,
        created_at: tx.now(),
        tags,
    };
    let tags = tags_out(&row.tags);
    tx.put(&scope, &url, row);
    Ok(types::CreateOpenIDConnectProviderResponse {
        open_id_connect_provider_arn: Some(arn),
        tags: Some(tags),
    })
}

pub(super) fn get(
    state: &State,
    call: &Call,
    input: types::GetOpenIDConnectProviderRequest,
) -> Answer<types::GetOpenIDConnectProviderResponse> {
    let row = provider(state, call, &input.open_id_connect_provider_arn)?;
    Ok(types::GetOpenIDConnectProviderResponse {
        url: Some(row.url.clone()),
        client_id_list: Some(row.client_ids.clone()),
        thumbprint_list: Some(row.thumbprints.clone()),
        create_date: Some(row.created_at.as_epoch_s().floor()),
        tags: Some(tags_out(&row.tags)),
    })
}

pub(super) fn list(
    state: &State,
    call: &Call,
    _input: types::ListOpenIDConnectProvidersRequest,
) -> Answer<types::ListOpenIDConnectProvidersResponse> {
    let scope = scope(call);
    let rows = state.list::<OidcProvider>(&scope);
    let list = rows
        .map(|(_, row)| types::OpenIDConnectProviderListEntry {
            arn: Some(row.arn.clone()),
        })
        .collect();
    Ok(types::ListOpenIDConnectProvidersResponse {
        open_id_connect_provider_list: Some(list),
    })
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteOpenIDConnectProviderRequest) -> Answer<Done> {
    // Ref: IAM API Reference: "This operation is idempotent; it does not fail or return an error if you call the
    // operation for a provider that does not exist."
    check_arn(&input.open_id_connect_provider_arn, "oidc-provider")?;
    if let Ok(row) = provider(tx, call, &input.open_id_connect_provider_arn) {
        let key = row.url.clone();
        tx.delete::<OidcProvider>(&scope(call), &key);
    }
    Ok(Done)
}

pub(super) fn update_thumbprint(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::UpdateOpenIDConnectProviderThumbprintRequest,
) -> Answer<Done> {
    let key = provider(tx, call, &input.open_id_connect_provider_arn)?.url.clone();
    check_thumbprints(&input.thumbprint_list)?;
    tx.update::<OidcProvider>(&scope(call), &key, |row| row.thumbprints = input.thumbprint_list);
    Ok(Done)
}

pub(super) fn add_client_id(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::AddClientIDToOpenIDConnectProviderRequest,
) -> Answer<Done> {
    let row = provider(tx, call, &input.open_id_connect_provider_arn)?;
    // Adding what is there does nothing. Ref: IAM API Reference.
    if row.client_ids.contains(&input.client_id) {
        return Ok(Done);
    }
    if row.client_ids.len() >= CLIENT_IDS_MAX {
        return Err(limit_exceeded(format!(
            "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {CLIENT_IDS_MAX}"
        )));
    }
    let key = row.url.clone();
    tx.update::<OidcProvider>(&scope(call), &key, |row| row.client_ids.push(input.client_id));
    Ok(Done)
}

pub(super) fn remove_client_id(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::RemoveClientIDFromOpenIDConnectProviderRequest,
) -> Answer<Done> {
    let key = provider(tx, call, &input.open_id_connect_provider_arn)?.url.clone();
    tx.update::<OidcProvider>(&scope(call), &key, |row| {
        row.client_ids.retain(|id| *id != input.client_id)
    });
    Ok(Done)
}

pub(super) fn tag(tx: &mut Tx<'_>, call: &Call, input: types::TagOpenIDConnectProviderRequest) -> Answer<Done> {
    let arn = &input.open_id_connect_provider_arn;
    let mut tags = provider(tx, call, arn)?.tags.clone();
    set_tags(&mut tags, input.tags)?;
    tx.update::<OidcProvider>(&scope(call), key_of_arn(arn), |row| row.tags = tags);
    Ok(Done)
}

pub(super) fn untag(tx: &mut Tx<'_>, call: &Call, input: types::UntagOpenIDConnectProviderRequest) -> Answer<Done> {
    let arn = &input.open_id_connect_provider_arn;
    provider(tx, call, arn)?;
    tx.update::<OidcProvider>(&scope(call), key_of_arn(arn), |row| {
        remove_tags(&mut row.tags, &input.tag_keys)
    });
    Ok(Done)
}

pub(super) fn list_tags(
    state: &State,
    call: &Call,
    input: types::ListOpenIDConnectProviderTagsRequest,
) -> Answer<types::ListOpenIDConnectProviderTagsResponse> {
    let tags = tags_out(&provider(state, call, &input.open_id_connect_provider_arn)?.tags);
    let tags = tags.into_iter().map(|tag| (tag.key.clone(), tag));
    let page = page(tags, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListOpenIDConnectProviderTagsResponse {
        tags: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}
