//! Scanning: its configuration is kept; until a scanner exists a scan answers that the image is not supported.

use super::common::scope_of;
use super::images::image_of;
use crate::machine::get_repository;
use crate::model::{Registry, Repository};
use crate::types::{self, ImageScanningConfiguration, RegistryScanningConfiguration};
use crate::{errors, names};
use honmaru_base::ApiError;
use honmaru_machine::{Call, State, Tx};
use honmaru_wire::tree::Tree;
use std::collections::BTreeSet;

pub(super) fn put(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutImageScanningConfigurationRequest,
) -> Result<types::PutImageScanningConfigurationResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    get_repository(tx, &scope, &input.repository_name)?;
    let scan_on_push = input.image_scanning_configuration.scan_on_push.unwrap_or(false);
    tx.update::<Repository>(&scope, &input.repository_name, |row| row.scan_on_push = scan_on_push);
    Ok(types::PutImageScanningConfigurationResponse {
        registry_id: Some(scope.account.to_string()),
        repository_name: Some(input.repository_name),
        image_scanning_configuration: Some(ImageScanningConfiguration {
            scan_on_push: Some(scan_on_push),
        }),
    })
}

pub(super) fn start(
    state: &State,
    call: &Call,
    input: types::StartImageScanRequest,
) -> Result<types::StartImageScanResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let image = image_of(state, &scope, &input.repository_name, &input.image_id)?;
    if image.archive.holds {
        return Err(ApiError::new(
            "ImageArchivedException",
            format!(
                "The image with digest '{}' in the repository with name '{}' in the registry with id '{}' is archived and \
                 cannot be scanned",
                image.digest, input.repository_name, scope.account
            ),
        ));
    }
    Err(ApiError::new(
        "UnsupportedImageTypeException",
        format!(
            "The image with digest '{}' in the repository with name '{}' in the registry with id '{}' is of a type that \
             is not supported for scanning",
            image.digest, input.repository_name, scope.account
        ),
    ))
}

pub(super) fn findings(
    state: &State,
    call: &Call,
    input: types::DescribeImageScanFindingsRequest,
) -> Result<types::DescribeImageScanFindingsResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    image_of(state, &scope, &input.repository_name, &input.image_id)?;
    let id = &input.image_id;
    Err(ApiError::new(
        "ScanNotFoundException",
        format!(
            "Image scan does not exist for the image with '{}' in the repository with name '{}' in the registry with \
             id '{}'",
            errors::shown_id(id.image_digest.as_deref(), id.image_tag.as_deref()),
            input.repository_name,
            scope.account
        ),
    ))
}

fn configuration(state: &State, call: &Call) -> RegistryScanningConfiguration {
    let stored = state
        .get::<Registry>(&call.scope, Registry::KEY)
        .and_then(|row| row.scanning.clone());
    stored
        .map(RegistryScanningConfiguration::from_tree)
        .unwrap_or_else(|| RegistryScanningConfiguration {
            scan_type: Some("BASIC".to_owned()),
            rules: Some(Vec::new()),
        })
}

pub(super) fn get_registry(
    state: &State,
    call: &Call,
    _input: types::GetRegistryScanningConfigurationRequest,
) -> Result<types::GetRegistryScanningConfigurationResponse, ApiError> {
    Ok(types::GetRegistryScanningConfigurationResponse {
        registry_id: Some(call.scope.account.to_string()),
        scanning_configuration: Some(configuration(state, call)),
    })
}

pub(super) fn put_registry(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutRegistryScanningConfigurationRequest,
) -> Result<types::PutRegistryScanningConfigurationResponse, ApiError> {
    if input.scan_type.as_deref() == Some("ENHANCED") {
        return Err(errors::validation(
            "Enhanced scanning is not supported by this cloud; scanType BASIC is",
        ));
    }
    let rules = input.rules.unwrap_or_default();
    if rules.iter().any(|rule| rule.scan_frequency == "CONTINUOUS_SCAN") {
        return Err(errors::invalid(
            "Invalid parameter failed to satisfy constraint: 'Invalid scan frequency for scanType BASIC: CONTINUOUS_SCAN'",
        ));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = rules.iter().find(|rule| !seen.insert(&rule.scan_frequency)) {
        return Err(errors::invalid(format!(
            "Invalid parameter failed to satisfy constraint: 'Invalid input. Contains duplicate scan frequencies: [{}]'",
            twice.scan_frequency
        )));
    }
    let configuration = RegistryScanningConfiguration {
        scan_type: Some("BASIC".to_owned()),
        rules: Some(rules),
    };
    super::registry::change(tx, call, |row| row.scanning = Some(configuration.clone().into_tree()));
    Ok(types::PutRegistryScanningConfigurationResponse {
        registry_scanning_configuration: Some(configuration),
    })
}

pub(super) fn batch_get(
    state: &State,
    call: &Call,
    input: types::BatchGetRepositoryScanningConfigurationRequest,
) -> Result<types::BatchGetRepositoryScanningConfigurationResponse, ApiError> {
    let rules = configuration(state, call).rules.unwrap_or_default();
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in input.repository_names {
        let Ok(row) = get_repository(state, &call.scope, &name) else {
            failures.push(types::RepositoryScanningConfigurationFailure {
                repository_name: Some(name.clone()),
                failure_code: Some("REPOSITORY_NOT_FOUND".to_owned()),
                failure_reason: Some(errors::repository_not_found(&call.scope, &name).message),
            });
            continue;
        };
        let filters: Vec<_> = rules
            .iter()
            .filter(|rule| rule.scan_frequency == "SCAN_ON_PUSH")
            .flat_map(|rule| &rule.repository_filters)
            .filter(|filter| crate::wildcard::matches(&filter.filter, &name))
            .cloned()
            .collect();
        let on_push = row.scan_on_push || !filters.is_empty();
        found.push(types::RepositoryScanningConfiguration {
            repository_arn: Some(names::repository_arn(&call.scope, &name)),
            repository_name: Some(name),
            scan_on_push: Some(on_push),
            scan_frequency: Some(if on_push { "SCAN_ON_PUSH" } else { "MANUAL" }.to_owned()),
            applied_scan_filters: Some(filters),
        });
    }
    Ok(types::BatchGetRepositoryScanningConfigurationResponse {
        scanning_configurations: Some(found),
        failures: Some(failures),
    })
}
