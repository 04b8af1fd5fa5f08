//! What a gallery would show: kept and given back. This cloud has no gallery.

use super::registry_of;
use crate::model::{CatalogData, RegistryData};
use crate::place::scope_of;
use crate::types;
use honmaru_base::{ApiError, Scope};
use honmaru_ecr::get_repository;
use honmaru_machine::{Call, State, Tx};

pub(super) fn shown(row: CatalogData) -> types::RepositoryCatalogData {
    types::RepositoryCatalogData {
        description: row.description,
        architectures: Some(row.architectures),
        operating_systems: Some(row.operating_systems),
        about_text: row.about,
        usage_text: row.usage,
        ..types::RepositoryCatalogData::default()
    }
}

/// Writes what a repository shows and returns it.
pub(super) fn write(
    tx: &mut Tx<'_>,
    scope: &Scope,
    name: &str,
    input: types::RepositoryCatalogDataInput,
) -> Result<types::RepositoryCatalogData, ApiError> {
    if input.logo_image_blob.is_some() {
        return Err(ApiError::new(
            "InvalidParameterException",
            "Invalid parameter at 'logoImageBlob': logos are not supported by this cloud, which has no gallery",
        ));
    }
    let row = CatalogData {
        description: input.description,
        architectures: input.architectures.unwrap_or_default(),
        operating_systems: input.operating_systems.unwrap_or_default(),
        about: input.about_text,
        usage: input.usage_text,
    };
    tx.put(scope, name, row.clone());
    Ok(shown(row))
}

pub(super) fn put(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutRepositoryCatalogDataRequest,
) -> Result<types::PutRepositoryCatalogDataResponse, ApiError> {
    let scope = registry_of(call, input.registry_id.as_deref())?;
    get_repository(tx, &scope, &input.repository_name)?;
    let catalog_data = Some(write(tx, &scope, &input.repository_name, input.catalog_data)?);
    Ok(types::PutRepositoryCatalogDataResponse { catalog_data })
}

pub(super) fn get(
    state: &State,
    call: &Call,
    input: types::GetRepositoryCatalogDataRequest,
) -> Result<types::GetRepositoryCatalogDataResponse, ApiError> {
    let scope = registry_of(call, input.registry_id.as_deref())?;
    let name = &input.repository_name;
    get_repository(state, &scope, name)?;
    // A repository of which nothing was written has catalog data with nothing in it: Terraform's provider reads it of
    // every repository and takes any error for a failure (its acceptance test creates one without).
    let row = state.get::<CatalogData>(&scope, name).cloned();
    Ok(types::GetRepositoryCatalogDataResponse {
        catalog_data: Some(row.map(shown).unwrap_or_default()),
    })
}

pub(super) fn get_registry(
    state: &State,
    call: &Call,
    _input: types::GetRegistryCatalogDataRequest,
) -> Result<types::GetRegistryCatalogDataResponse, ApiError> {
    let scope = scope_of(call.scope.account.clone());
    let row = state.get::<RegistryData>(&scope, RegistryData::KEY).cloned();
    Ok(types::GetRegistryCatalogDataResponse {
        registry_catalog_data: types::RegistryCatalogData {
            display_name: row.unwrap_or_default().display_name,
        },
    })
}

pub(super) fn put_registry(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutRegistryCatalogDataRequest,
) -> Result<types::PutRegistryCatalogDataResponse, ApiError> {
    let scope = scope_of(call.scope.account.clone());
    let display_name = input.display_name;
    let row = RegistryData {
        display_name: display_name.clone(),
    };
    tx.put(&scope, RegistryData::KEY, row);
    Ok(types::PutRegistryCatalogDataResponse {
        registry_catalog_data: types::RegistryCatalogData { display_name },
    })
}
