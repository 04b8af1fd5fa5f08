//! Pull-through cache rules. Ref: ECR user guide, "Sync an upstream registry with an Amazon ECR private registry".

use super::common::{page, scope_of};
use crate::errors;
use crate::layers::{Layers, Secret};
use crate::model::PullThroughRule;
use crate::names::is_prefix;
use crate::types;
use honmaru_base::{ApiError, Arn, Scope};
use honmaru_machine::{Call, State, Tx};
use honmaru_wire::tree::Tree;
use serde_json::{Value, json};
use std::sync::Arc;

/// Ref: ECR quota "pull through cache rules".
const RULES_MAX: usize = 50;
const PAGE: usize = 100;

/// Known upstreams: AWS's word, the host.
const UPSTREAMS: [(&str, &str); 9] = [
    ("ecr-public", "public.ecr.aws"),
    ("docker-hub", "registry-1.docker.io"),
    ("quay", "quay.io"),
    ("k8s", "registry.k8s.io"),
    ("github-container-registry", "ghcr.io"),
    ("gitlab-container-registry", "registry.gitlab.com"),
    ("azure-container-registry", ".azurecr.io"),
    ("chainguard", "cgr.dev"),
    ("ecr", ".dkr.ecr."),
];

/// Those of them that ECR holds against the word that a caller gives. Ref: badmintoncryer/cdk-preflight,
/// pf-ecr-pull-through-cache-registry-match: "a mismatch against one of the open registries is silently accepted".
const COMPARED: [&str; 5] = [
    "docker-hub",
    "github-container-registry",
    "gitlab-container-registry",
    "azure-container-registry",
    "chainguard",
];

fn shown(scope: &Scope, row: &PullThroughRule) -> types::PullThroughCacheRule {
    types::PullThroughCacheRule {
        ecr_repository_prefix: Some(row.prefix.clone()),
        upstream_registry_url: Some(row.upstream_url.clone()),
        created_at: Some(row.created_at.as_epoch_s()),
        registry_id: Some(scope.account.to_string()),
        credential_arn: row.credential_arn.clone(),
        custom_role_arn: row.custom_role_arn.clone(),
        // Not `ROOT` where nothing was said, though that is what it means: Terraform's provider takes the member as it
        // comes, and would make every rule without it anew.
        upstream_repository_prefix: row.upstream_prefix.clone(),
        upstream_registry: row.upstream_registry.clone(),
        updated_at: Some(row.updated_at.as_epoch_s()),
    }
}

fn missing(scope: &Scope, prefix: &str) -> ApiError {
    ApiError::new(
        "PullThroughCacheRuleNotFoundException",
        format!(
            "The pull through cache rule with ecrRepositoryPrefix '{prefix}' does not exist in the registry with id \
             '{}'",
            scope.account
        ),
    )
}

/// A prefix as rows have it: the slash at its end is understood, written or not. Ref: CreatePullThroughCacheRule: "There
/// is always an assumed `/` applied to the end of the prefix."
pub(super) fn read_prefix(prefix: &str) -> Result<String, ApiError> {
    let plain = prefix.strip_suffix('/').unwrap_or(prefix);
    if prefix == "ROOT" || is_prefix(plain) {
        return Ok(plain.to_owned());
    }
    Err(errors::invalid(format!(
        "Invalid parameter at 'prefix' failed to satisfy constraint: '{prefix} is no prefix of repository names'"
    )))
}

/// AWS takes a role to authenticate to another registry of ECR. Upstream registries are asked here with a secret or
/// without credentials, never in a role's name.
fn check_role(role: Option<&str>) -> Result<(), ApiError> {
    match role.filter(|role| !role.is_empty()) {
        None => Ok(()),
        Some(_) => Err(errors::validation(
            "customRoleArn is not supported by this cloud for pull through cache rules: name a secret in credentialArn",
        )),
    }
}

/// A registry's host with an optional port; schemes and paths are no part of it.
fn check_url(url: &str) -> Result<(), ApiError> {
    let valid = !url.is_empty()
        && url.len() <= 255
        && url.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:".contains(&b))
        && (url.contains('.') || url.contains(':') || url == "localhost");
    if valid {
        Ok(())
    } else {
        Err(ApiError::new(
            "UnsupportedUpstreamRegistryException",
            format!("The upstream registry URL {url} is invalid. Specify a valid upstream registry URL and try again"),
        ))
    }
}

/// A rule's secret must be the registry's own and must be there. Ref: ECR user guide, "Creating a pull through cache
/// rule": the secret is in the account and the region of the rule.
async fn check_secret(layers: &Arc<dyn Layers>, scope: &Scope, arn: Option<&str>) -> Result<(), ApiError> {
    let Some(arn) = arn else { return Ok(()) };
    let own = |parsed: &Arn| parsed.account == scope.account.as_str() && parsed.region == scope.region.as_str();
    if !arn.parse::<Arn>().is_ok_and(|parsed| own(&parsed)) {
        return Err(ApiError::new(
            "UnableToAccessSecretException",
            format!("The secret '{arn}' is not in the account and region of the registry"),
        ));
    }
    match layers.secret(arn.to_owned()).await? {
        Secret::Good => Ok(()),
        Secret::Missing => Err(ApiError::new(
            "SecretNotFoundException",
            format!("The secret '{arn}' does not exist"),
        )),
    }
}

pub(super) async fn create(
    layers: Arc<dyn Layers>,
    call: Call,
    input: types::CreatePullThroughCacheRuleRequest,
) -> Result<types::CreatePullThroughCacheRuleResponse, ApiError> {
    let scope = scope_of(&call, input.registry_id.as_deref())?;
    check_secret(&layers, &scope, input.credential_arn.as_deref()).await?;
    let change = move |tx: &mut Tx<'_>| Ok(write(tx, &scope, input)?.into_tree());
    Ok(Tree::from_tree(layers.write(Box::new(change)).await?))
}

fn write(
    tx: &mut Tx<'_>,
    scope: &Scope,
    input: types::CreatePullThroughCacheRuleRequest,
) -> Result<types::CreatePullThroughCacheRuleResponse, ApiError> {
    let prefix = read_prefix(&input.ecr_repository_prefix)?;
    let url = input
        .upstream_registry_url
        .trim_start_matches("https://")
        .trim_end_matches('/')
        .to_owned();
    check_url(&url)?;
    let upstream_prefix = input
        .upstream_repository_prefix
        .as_deref()
        .map(read_prefix)
        .transpose()?;
    check_role(input.custom_role_arn.as_deref())?;
    let known = UPSTREAMS
        .iter()
        .find(|(_, host)| url.contains(host))
        .map(|(name, _)| *name);
    let said = input.upstream_registry.as_deref();
    if known.is_some_and(|known| COMPARED.contains(&known)) && said.is_some() && said != known {
        return Err(errors::invalid(
            "Invalid input: Upstream registry URL and entered upstream registry do not match. Please verify input and try \
             again.",
        ));
    }
    if tx.get::<PullThroughRule>(scope, &prefix).is_some() {
        return Err(ApiError::new(
            "PullThroughCacheRuleAlreadyExistsException",
            format!(
                "A pull through cache rule with ecrRepositoryPrefix '{prefix}' already exists in the registry with id \
                 '{}'",
                scope.account
            ),
        ));
    }
    if tx.list::<PullThroughRule>(scope).count() >= RULES_MAX {
        return Err(errors::limit(format!(
            "A registry may have at most {RULES_MAX} pull through cache rules"
        )));
    }
    let now = tx.now();
    let row = PullThroughRule {
        prefix: prefix.clone(),
        upstream_url: url,
        upstream_registry: input.upstream_registry.or_else(|| known.map(str::to_owned)),
        upstream_prefix,
        credential_arn: input.credential_arn,
        custom_role_arn: None,
        created_at: now,
        updated_at: now,
    };
    let all = shown(scope, &row);
    tx.put(scope, &prefix, row);
    Ok(types::CreatePullThroughCacheRuleResponse {
        ecr_repository_prefix: all.ecr_repository_prefix,
        upstream_registry_url: all.upstream_registry_url,
        created_at: all.created_at,
        registry_id: all.registry_id,
        upstream_registry: all.upstream_registry,
        credential_arn: all.credential_arn,
        custom_role_arn: all.custom_role_arn,
        upstream_repository_prefix: all.upstream_repository_prefix,
    })
}

pub(super) fn delete(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeletePullThroughCacheRuleRequest,
) -> Result<types::DeletePullThroughCacheRuleResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    let prefix = read_prefix(&input.ecr_repository_prefix)?;
    let row = tx
        .delete::<PullThroughRule>(&scope, &prefix)
        .ok_or_else(|| missing(&scope, &prefix))?;
    let all = shown(&scope, &row);
    Ok(types::DeletePullThroughCacheRuleResponse {
        ecr_repository_prefix: all.ecr_repository_prefix,
        upstream_registry_url: all.upstream_registry_url,
        created_at: all.created_at,
        registry_id: all.registry_id,
        credential_arn: all.credential_arn,
        custom_role_arn: all.custom_role_arn,
        upstream_repository_prefix: all.upstream_repository_prefix,
    })
}

pub(super) async fn update(
    layers: Arc<dyn Layers>,
    call: Call,
    input: types::UpdatePullThroughCacheRuleRequest,
) -> Result<types::UpdatePullThroughCacheRuleResponse, ApiError> {
    let scope = scope_of(&call, input.registry_id.as_deref())?;
    check_secret(&layers, &scope, input.credential_arn.as_deref()).await?;
    let change = move |tx: &mut Tx<'_>| Ok(change(tx, &scope, input)?.into_tree());
    Ok(Tree::from_tree(layers.write(Box::new(change)).await?))
}

fn change(
    tx: &mut Tx<'_>,
    scope: &Scope,
    input: types::UpdatePullThroughCacheRuleRequest,
) -> Result<types::UpdatePullThroughCacheRuleResponse, ApiError> {
    let prefix = read_prefix(&input.ecr_repository_prefix)?;
    check_role(input.custom_role_arn.as_deref())?;
    let now = tx.now();
    let row = tx.update::<PullThroughRule>(scope, &prefix, |row| {
        row.credential_arn = input.credential_arn.clone().or(row.credential_arn.take());
        row.updated_at = now;
    });
    let all = shown(scope, row.ok_or_else(|| missing(scope, &prefix))?);
    Ok(types::UpdatePullThroughCacheRuleResponse {
        ecr_repository_prefix: all.ecr_repository_prefix,
        registry_id: all.registry_id,
        updated_at: all.updated_at,
        credential_arn: all.credential_arn,
        custom_role_arn: all.custom_role_arn,
        upstream_repository_prefix: all.upstream_repository_prefix,
    })
}

/// Asks the upstream registry itself, with the rule's secret. A rule that does not work is an answer, not an error.
pub(super) async fn validate(
    layers: Arc<dyn Layers>,
    call: Call,
    input: types::ValidatePullThroughCacheRuleRequest,
) -> Result<types::ValidatePullThroughCacheRuleResponse, ApiError> {
    let scope = scope_of(&call, input.registry_id.as_deref())?;
    let prefix = read_prefix(&input.ecr_repository_prefix)?;
    let look = move |state: &State| -> Result<Value, ApiError> {
        let row = state.get::<PullThroughRule>(&scope, &prefix);
        let row = row.ok_or_else(|| missing(&scope, &prefix))?;
        let registry = row.upstream_url.clone();
        Ok(json!({"rule": shown(&scope, row).into_tree(), "registry": registry}))
    };
    let mut found = layers.read(Box::new(look)).await?;
    let rule: types::PullThroughCacheRule = Tree::from_tree(found["rule"].take());
    let registry = found["registry"].as_str().unwrap_or_default().to_owned();
    let failure = match &rule.credential_arn {
        Some(arn) if layers.secret(arn.clone()).await? == Secret::Missing => {
            Some(format!("The secret '{arn}' does not exist"))
        }
        secret => layers.try_upstream(registry, secret.clone()).await?,
    };
    Ok(types::ValidatePullThroughCacheRuleResponse {
        ecr_repository_prefix: rule.ecr_repository_prefix,
        registry_id: rule.registry_id,
        upstream_registry_url: rule.upstream_registry_url,
        credential_arn: rule.credential_arn,
        custom_role_arn: rule.custom_role_arn,
        upstream_repository_prefix: rule.upstream_repository_prefix,
        is_valid: Some(failure.is_none()),
        failure,
    })
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribePullThroughCacheRulesRequest,
) -> Result<types::DescribePullThroughCacheRulesResponse, ApiError> {
    let scope = scope_of(call, input.registry_id.as_deref())?;
    if let Some(named) = input.ecr_repository_prefixes.filter(|named| !named.is_empty()) {
        let row = |prefix: &String| {
            let prefix = read_prefix(prefix)?;
            state
                .get::<PullThroughRule>(&scope, &prefix)
                .ok_or_else(|| missing(&scope, &prefix))
        };
        let rules = named
            .iter()
            .map(|prefix| Ok(shown(&scope, row(prefix)?)))
            .collect::<Result<_, ApiError>>()?;
        return Ok(types::DescribePullThroughCacheRulesResponse {
            pull_through_cache_rules: Some(rules),
            next_token: None,
        });
    }
    let all = state
        .list::<PullThroughRule>(&scope)
        .map(|(prefix, row)| (prefix.to_owned(), row));
    let (rows, next_token) = page(all, input.next_token.as_deref(), input.max_results, PAGE)?;
    let rules = rows.into_iter().map(|row| shown(&scope, row)).collect();
    Ok(types::DescribePullThroughCacheRulesResponse {
        pull_through_cache_rules: Some(rules),
        next_token,
    })
}
