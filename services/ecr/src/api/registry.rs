//! The registry as a whole: tokens, replication, settings, principals whose pulls are not recorded.

use super::common::{page, scope_of};
use super::images::image_of;
use crate::errors;
use crate::machine::{Copied, POLICY_SCOPE, POLICY_SCOPE_V1, copied, destinations};
use crate::model::{PullTimeExclusion, Registry};
use crate::names::{login_host, registry_host};
use crate::token::{self, TOKEN_LIFE_S};
use crate::types::{self, AuthorizationData, ImageReplicationStatus, ReplicationConfiguration};
use honmaru_base::{ApiError, Arn, Scope};
use honmaru_machine::{Call, State, Tx};
use honmaru_wire::tree::Tree;
use std::collections::BTreeSet;

/// Ref: ECR's model: at most 25 replication rules, 100 filters a rule; quota "unique destinations across all rules".
const RULES_MAX: usize = 25;
const DESTINATIONS_MAX: usize = 25;
const FILTERS_MAX: usize = 100;
const PAGE: usize = 100;
/// Ref: ECR quota of pull time update exclusions.
const EXCLUSIONS_MAX: usize = 100;

/// Account settings that exist, their values (the first is the default).
const SETTINGS: [(&str, &[&str]); 3] = [
    ("BASIC_SCAN_TYPE_VERSION", &["AWS_NATIVE"]),
    (POLICY_SCOPE, &["V2", POLICY_SCOPE_V1]),
    ("BLOB_MOUNTING", &["ENABLED", "DISABLED"]),
];

/// Changes the registry's row; it comes to be with the first change.
pub(super) fn change(tx: &mut Tx<'_>, call: &Call, change: impl FnOnce(&mut Registry)) {
    let mut row = tx
        .get::<Registry>(&call.scope, Registry::KEY)
        .cloned()
        .unwrap_or_default();
    change(&mut row);
    tx.put(&call.scope, Registry::KEY, row);
}

pub(super) fn authorization_token(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::GetAuthorizationTokenRequest,
) -> Result<types::GetAuthorizationTokenResponse, ApiError> {
    let scheme = if call.secure { "https" } else { "http" };
    let expires_at = tx.now().plus_s(TOKEN_LIFE_S);
    let registries = input.registry_ids.unwrap_or_default();
    // One token is good for every registry that the caller may use; an entry for each registry is AWS's older form. The
    // caller's own registry answers under the name by which this cloud was reached, others have names of their own.
    let mut hosts = Vec::new();
    for id in &registries {
        let scope = scope_of(call, Some(id))?;
        let is_own = scope.account == call.scope.account;
        hosts.push(if is_own {
            login_host(&scope, &call.host)
        } else {
            registry_host(&scope, &call.host)
        });
    }
    if hosts.is_empty() {
        hosts.push(login_host(&call.scope, &call.host));
    }
    let token = token::authorization_token(tx, &call.principal);
    let entry = |host: String| AuthorizationData {
        authorization_token: Some(token.clone()),
        expires_at: Some(expires_at.as_epoch_s()),
        proxy_endpoint: Some(format!("{scheme}://{host}")),
    };
    Ok(types::GetAuthorizationTokenResponse {
        authorization_data: Some(hosts.into_iter().map(entry).collect()),
    })
}

pub(super) fn replication(state: &State, scope: &Scope) -> ReplicationConfiguration {
    let row = state.get::<Registry>(scope, Registry::KEY);
    let stored = row.and_then(|row| row.replication.clone());
    stored.map(ReplicationConfiguration::from_tree).unwrap_or_default()
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    _input: types::DescribeRegistryRequest,
) -> Result<types::DescribeRegistryResponse, ApiError> {
    Ok(types::DescribeRegistryResponse {
        registry_id: Some(call.scope.account.to_string()),
        replication_configuration: Some(replication(state, &call.scope)),
    })
}

/// The first of some texts that is there twice.
fn twice(texts: impl Iterator<Item = String>) -> Option<String> {
    let mut seen = BTreeSet::new();
    texts.into_iter().find(|text| !seen.insert(text.clone()))
}

pub(super) fn put_replication(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutReplicationConfigurationRequest,
) -> Result<types::PutReplicationConfigurationResponse, ApiError> {
    let configuration = input.replication_configuration;
    let all = || configuration.rules.iter().flat_map(|rule| &rule.destinations);
    let unique: BTreeSet<(&str, &str)> = all().map(|to| (to.registry_id.as_str(), to.region.as_str())).collect();
    if configuration.rules.len() > RULES_MAX || unique.len() > DESTINATIONS_MAX {
        return Err(errors::validation(format!(
            "A replication configuration may have at most {RULES_MAX} rules and {DESTINATIONS_MAX} destinations"
        )));
    }
    for to in all() {
        let scope = Scope::new(&to.registry_id, &to.region)
            .map_err(|error| errors::invalid(format!("Invalid replication destination: {error}")))?;
        if scope == call.scope {
            return Err(errors::invalid(
                "Invalid parameter at 'replicationConfiguration' failed to satisfy constraint: 'Replication destination \
                 cannot be the same as the source registry'",
            ));
        }
        // Public repositories lie there; nothing is replicated to them.
        if scope == scope.global() {
            return Err(errors::invalid(format!(
                "Invalid replication destination: '{}' is no region of Amazon ECR",
                scope.region
            )));
        }
    }
    for rule in &configuration.rules {
        let filters = rule.repository_filters.as_deref().unwrap_or_default();
        let destinations = rule
            .destinations
            .iter()
            .map(|to| format!("{} {}", to.registry_id, to.region));
        let wanted = filters.iter().map(|filter| filter.filter.clone());
        for (what, twice) in [
            ("destination", twice(destinations)),
            ("repository filter", twice(wanted)),
        ] {
            if let Some(twice) = twice {
                return Err(errors::validation(format!(
                    "Invalid replication configuration: a rule names the {what} '{twice}' more than once"
                )));
            }
        }
        if filters.len() > FILTERS_MAX || filters.iter().any(|filter| filter.filter_type != "PREFIX_MATCH") {
            return Err(errors::validation(
                "Repository filters must be at most 100 of filterType PREFIX_MATCH",
            ));
        }
        if rule.delete_replication.as_ref().is_some_and(|delete| delete.enabled) {
            return Err(errors::validation(
                "Replication of deletions is not supported by this cloud",
            ));
        }
    }
    change(tx, call, |row| {
        row.replication = Some(configuration.clone().into_tree())
    });
    Ok(types::PutReplicationConfigurationResponse {
        replication_configuration: Some(configuration),
    })
}

pub(super) fn replication_status(
    state: &State,
    call: &Call,
    input: types::DescribeImageReplicationStatusRequest,
) -> Result<types::DescribeImageReplicationStatusResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let name = &input.repository_name;
    let image = image_of(state, &scope, name, &input.image_id)?;
    let status = |to: Scope| {
        let (status, failure_code) = match copied(state, &scope, &to, name, &image.digest) {
            Copied::InProgress => ("IN_PROGRESS", None),
            Copied::Complete => ("COMPLETE", None),
            Copied::Failed(code) => ("FAILED", code),
        };
        ImageReplicationStatus {
            status: Some(status.to_owned()),
            region: Some(to.region.to_string()),
            registry_id: Some(to.account.to_string()),
            failure_code,
        }
    };
    let statuses = destinations(state, &scope, name).into_iter().map(status).collect();
    Ok(types::DescribeImageReplicationStatusResponse {
        repository_name: Some(name.clone()),
        image_id: Some(input.image_id),
        replication_statuses: Some(statuses),
    })
}

fn setting(name: &str) -> Result<&'static [&'static str], ApiError> {
    let known = SETTINGS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, values)| *values);
    known.ok_or_else(|| errors::validation(format!("The account setting '{name}' is not known")))
}

pub(super) fn get_setting(
    state: &State,
    call: &Call,
    input: types::GetAccountSettingRequest,
) -> Result<types::GetAccountSettingResponse, ApiError> {
    let default = setting(&input.name)?.first().copied().unwrap_or_default();
    let row = state.get::<Registry>(&call.scope, Registry::KEY);
    let value = row
        .and_then(|row| row.settings.get(&input.name).cloned())
        .unwrap_or_else(|| default.to_owned());
    Ok(types::GetAccountSettingResponse {
        name: Some(input.name),
        value: Some(value),
    })
}

pub(super) fn put_setting(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutAccountSettingRequest,
) -> Result<types::PutAccountSettingResponse, ApiError> {
    if !setting(&input.name)?.contains(&input.value.as_str()) {
        let message = format!("'{}' is no value of the account setting '{}'", input.value, input.name);
        return Err(errors::validation(message));
    }
    change(tx, call, |row| {
        row.settings.insert(input.name.clone(), input.value.clone());
    });
    Ok(types::PutAccountSettingResponse {
        name: Some(input.name),
        value: Some(input.value),
    })
}

pub(super) fn register_exclusion(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::RegisterPullTimeUpdateExclusionRequest,
) -> Result<types::RegisterPullTimeUpdateExclusionResponse, ApiError> {
    let arn = input.principal_arn;
    if arn.parse::<Arn>().map_or(true, |arn| arn.service != "iam") {
        return Err(errors::invalid(
            "Invalid parameter at 'principalArn': the ARN of an IAM user or role is expected",
        ));
    }
    if tx.get::<PullTimeExclusion>(&call.scope, &arn).is_some() {
        let message = format!("The exclusion for '{arn}' already exists");
        return Err(ApiError::new("ExclusionAlreadyExistsException", message));
    }
    if tx.list::<PullTimeExclusion>(&call.scope).count() >= EXCLUSIONS_MAX {
        return Err(errors::limit(format!(
            "A registry may have at most {EXCLUSIONS_MAX} exclusions"
        )));
    }
    let created_at = tx.now();
    tx.put(
        &call.scope,
        &arn,
        PullTimeExclusion {
            principal_arn: arn.clone(),
            created_at,
        },
    );
    Ok(types::RegisterPullTimeUpdateExclusionResponse {
        principal_arn: Some(arn.clone()),
        created_at: Some(created_at.as_epoch_s()),
    })
}

pub(super) fn deregister_exclusion(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeregisterPullTimeUpdateExclusionRequest,
) -> Result<types::DeregisterPullTimeUpdateExclusionResponse, ApiError> {
    let arn = input.principal_arn;
    if tx.delete::<PullTimeExclusion>(&call.scope, &arn).is_none() {
        let message = format!("The exclusion for '{arn}' does not exist");
        return Err(ApiError::new("ExclusionNotFoundException", message));
    }
    Ok(types::DeregisterPullTimeUpdateExclusionResponse {
        principal_arn: Some(arn),
    })
}

pub(super) fn list_exclusions(
    state: &State,
    call: &Call,
    input: types::ListPullTimeUpdateExclusionsRequest,
) -> Result<types::ListPullTimeUpdateExclusionsResponse, ApiError> {
    let all = state
        .list::<PullTimeExclusion>(&call.scope)
        .map(|(arn, _)| (arn.to_owned(), arn.to_owned()));
    let (arns, next_token) = page(all, input.next_token.as_deref(), input.max_results, PAGE)?;
    Ok(types::ListPullTimeUpdateExclusionsResponse {
        pull_time_update_exclusions: Some(arns),
        next_token,
    })
}
