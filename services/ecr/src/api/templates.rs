//! Repository creation templates.

use super::common::{check_encryption, merge_tags, page, shown_tags};
use super::policies::check_policy;
use super::pull_through::read_prefix;
use crate::lifecycle::Policy;
use crate::model::CreationTemplate;
use crate::types::{self, EncryptionConfigurationForRepositoryCreationTemplate as Encryption};
use crate::{errors, mutability};
use honmaru_base::{ApiError, Arn};
use honmaru_machine::{Call, State, Tx};
use std::collections::{BTreeMap, BTreeSet};

/// Ref: ECR quota "repository creation templates".
const TEMPLATES_MAX: usize = 50;
const PAGE: usize = 100;

fn shown(row: &CreationTemplate) -> types::RepositoryCreationTemplate {
    types::RepositoryCreationTemplate {
        prefix: Some(row.prefix.clone()),
        description: row.description.clone(),
        encryption_configuration: Some(Encryption {
            encryption_type: "AES256".to_owned(),
            kms_key: None,
        }),
        resource_tags: Some(shown_tags(&row.resource_tags)),
        image_tag_mutability: Some(row.mutability.name().to_owned()),
        image_tag_mutability_exclusion_filters: mutability::shown(&row.mutability_filters),
        repository_policy: row.repository_policy.clone(),
        lifecycle_policy: row.lifecycle_policy.clone(),
        applied_for: Some(row.applied_for.iter().cloned().collect()),
        custom_role_arn: row.custom_role_arn.clone(),
        created_at: Some(row.created_at.as_epoch_s()),
        updated_at: Some(row.updated_at.as_epoch_s()),
    }
}

fn missing(call: &Call, prefix: &str) -> ApiError {
    ApiError::new(
        "TemplateNotFoundException",
        format!(
            "The Repository Creation Template with prefix '{prefix}' does not exist in the registry with id '{}'",
            call.scope.account
        ),
    )
}

fn check_texts(repository_policy: Option<&str>, lifecycle_policy: Option<&str>) -> Result<(), ApiError> {
    // An empty text means none.
    if let Some(text) = repository_policy.filter(|text| !text.is_empty()) {
        check_policy(text)?;
    }
    if let Some(text) = lifecycle_policy.filter(|text| !text.is_empty()) {
        Policy::parse(text).map_err(|problem| {
            errors::invalid(format!(
                "Invalid parameter at 'lifecyclePolicy' failed to satisfy constraint: '{problem}'"
            ))
        })?;
    }
    Ok(())
}

/// The role that makes repositories is one of the registry's account; an empty text is none.
fn role(call: &Call, arn: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(arn) = arn.filter(|arn| !arn.is_empty()) else {
        return Ok(None);
    };
    let is_own = arn.parse::<Arn>().is_ok_and(|arn| {
        arn.service == "iam" && arn.account == call.scope.account.as_str() && arn.resource.starts_with("role/")
    });
    match is_own {
        true => Ok(Some(arn)),
        false => Err(errors::validation(format!(
            "Invalid customRoleArn '{arn}': the role must be in the same account as the registry"
        ))),
    }
}

fn applied_for(list: Vec<String>) -> Result<BTreeSet<String>, ApiError> {
    let known = ["PULL_THROUGH_CACHE", "REPLICATION", "CREATE_ON_PUSH"];
    match list.iter().find(|item| !known.contains(&item.as_str())) {
        Some(other) => Err(errors::validation(format!(
            "'{other}' is nothing that a template is applied for"
        ))),
        None => Ok(list.into_iter().collect()),
    }
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateRepositoryCreationTemplateRequest,
) -> Result<types::CreateRepositoryCreationTemplateResponse, ApiError> {
    let prefix = read_prefix(&input.prefix)?;
    let encryption = input.encryption_configuration.as_ref();
    check_encryption(
        encryption.map(|config| config.encryption_type.as_str()),
        encryption.and_then(|config| config.kms_key.as_deref()),
    )?;
    check_texts(input.repository_policy.as_deref(), input.lifecycle_policy.as_deref())?;
    if tx.get::<CreationTemplate>(&call.scope, &prefix).is_some() {
        return Err(ApiError::new(
            "TemplateAlreadyExistsException",
            format!(
                "The Repository Creation Template with prefix '{prefix}' already exists in the registry with id '{}'",
                call.scope.account
            ),
        ));
    }
    if tx.list::<CreationTemplate>(&call.scope).count() >= TEMPLATES_MAX {
        return Err(errors::limit(format!(
            "A registry may have at most {TEMPLATES_MAX} creation templates"
        )));
    }
    let (mutability, mutability_filters) = mutability::read(
        input.image_tag_mutability.as_deref(),
        input.image_tag_mutability_exclusion_filters,
    )?;
    let mut resource_tags = BTreeMap::new();
    merge_tags(&mut resource_tags, input.resource_tags.unwrap_or_default())?;
    let now = tx.now();
    let row = CreationTemplate {
        prefix: prefix.clone(),
        description: input.description,
        resource_tags,
        mutability,
        mutability_filters,
        repository_policy: input.repository_policy.filter(|text| !text.is_empty()),
        lifecycle_policy: input.lifecycle_policy.filter(|text| !text.is_empty()),
        applied_for: applied_for(input.applied_for)?,
        custom_role_arn: role(call, input.custom_role_arn)?,
        created_at: now,
        updated_at: now,
    };
    let template = shown(&row);
    tx.put(&call.scope, &prefix, row);
    Ok(types::CreateRepositoryCreationTemplateResponse {
        registry_id: Some(call.scope.account.to_string()),
        repository_creation_template: Some(template),
    })
}

pub(super) fn update(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::UpdateRepositoryCreationTemplateRequest,
) -> Result<types::UpdateRepositoryCreationTemplateResponse, ApiError> {
    let encryption = input.encryption_configuration.as_ref();
    check_encryption(
        encryption.map(|config| config.encryption_type.as_str()),
        encryption.and_then(|config| config.kms_key.as_deref()),
    )?;
    check_texts(input.repository_policy.as_deref(), input.lifecycle_policy.as_deref())?;
    let prefix = read_prefix(&input.prefix)?;
    let before = tx.get::<CreationTemplate>(&call.scope, &prefix);
    let mut row = before.cloned().ok_or_else(|| missing(call, &prefix))?;
    if input.image_tag_mutability.is_some() || input.image_tag_mutability_exclusion_filters.is_some() {
        let before = row.mutability.name();
        (row.mutability, row.mutability_filters) = mutability::read(
            input.image_tag_mutability.as_deref().or(Some(before)),
            input.image_tag_mutability_exclusion_filters,
        )?;
    }
    if let Some(tags) = input.resource_tags {
        row.resource_tags.clear();
        merge_tags(&mut row.resource_tags, tags)?;
    }
    if let Some(text) = input.repository_policy {
        row.repository_policy = Some(text).filter(|text| !text.is_empty());
    }
    if let Some(text) = input.lifecycle_policy {
        row.lifecycle_policy = Some(text).filter(|text| !text.is_empty());
    }
    if let Some(list) = input.applied_for {
        row.applied_for = applied_for(list)?;
    }
    row.description = input.description.or(row.description);
    if input.custom_role_arn.is_some() {
        row.custom_role_arn = role(call, input.custom_role_arn)?;
    }
    row.updated_at = tx.now();
    let template = shown(&row);
    tx.put(&call.scope, &prefix, row);
    Ok(types::UpdateRepositoryCreationTemplateResponse {
        registry_id: Some(call.scope.account.to_string()),
        repository_creation_template: Some(template),
    })
}

pub(super) fn delete(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteRepositoryCreationTemplateRequest,
) -> Result<types::DeleteRepositoryCreationTemplateResponse, ApiError> {
    let prefix = read_prefix(&input.prefix)?;
    let row = tx
        .delete::<CreationTemplate>(&call.scope, &prefix)
        .ok_or_else(|| missing(call, &prefix))?;
    Ok(types::DeleteRepositoryCreationTemplateResponse {
        registry_id: Some(call.scope.account.to_string()),
        repository_creation_template: Some(shown(&row)),
    })
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeRepositoryCreationTemplatesRequest,
) -> Result<types::DescribeRepositoryCreationTemplatesResponse, ApiError> {
    let named = input.prefixes.unwrap_or_default();
    let named = named
        .iter()
        .map(|prefix| read_prefix(prefix))
        .collect::<Result<Vec<_>, _>>()?;
    let all = state
        .list::<CreationTemplate>(&call.scope)
        .filter(|(prefix, _)| named.is_empty() || named.iter().any(|one| one == prefix))
        .map(|(prefix, row)| (prefix.to_owned(), row));
    let (rows, next_token) = page(all, input.next_token.as_deref(), input.max_results, PAGE)?;
    Ok(types::DescribeRepositoryCreationTemplatesResponse {
        registry_id: Some(call.scope.account.to_string()),
        repository_creation_templates: Some(rows.into_iter().map(shown).collect()),
        next_token,
    })
}
