//! Finding what a caller names, with AWS's error when it is not there.

use crate::error::{client, cluster_not_found, invalid, service_not_found};
use crate::input::Input;
use crate::model::{Cluster, Family, Revision, Service, Task, TaskDefinition};
use crate::names::{
    DEFAULT_CLUSTER, family_and_revision, revision_number, service_key, short_name, task_definition_key,
};
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Call, State};

/// The name of the cluster that member `cluster` means.
pub(super) fn cluster_name(input: &Input) -> &str {
    input
        .text("cluster")
        .filter(|text| !text.is_empty())
        .map_or(DEFAULT_CLUSTER, short_name)
}

/// The cluster that member `cluster` means, active or not: `ClusterNotFoundException`.
pub(super) fn any_cluster<'a>(state: &'a State, call: &Call, input: &Input) -> Result<&'a Cluster, ApiError> {
    state
        .get::<Cluster>(&call.scope, cluster_name(input))
        .ok_or_else(cluster_not_found)
}

/// The active cluster that member `cluster` means: `ClusterNotFoundException`.
pub(super) fn cluster<'a>(state: &'a State, call: &Call, input: &Input) -> Result<&'a Cluster, ApiError> {
    let cluster = any_cluster(state, call, input)?;
    if cluster.active {
        Ok(cluster)
    } else {
        Err(ApiError::new(
            "ClusterNotFoundException",
            "The referenced cluster was inactive.",
        ))
    }
}

/// Fails when an ARN of a task or service names another cluster than the call: the usual sign that `--cluster` was
/// forgotten. Ref: what ECS answers then.
fn check_cluster(kind: &str, cluster: &str, name: &str) -> Result<(), ApiError> {
    let resource = name.strip_prefix("arn:").and_then(|arn| arn.splitn(5, ':').nth(4));
    let mut parts = resource.into_iter().flat_map(|resource| resource.split('/'));
    match (parts.next(), parts.next(), parts.next()) {
        (Some(found), Some(other), Some(_)) if found == kind && other != cluster => Err(invalid(format!(
            "Invalid identifier: Identifier is for cluster {other}. Your cluster is {cluster}"
        ))),
        _ => Ok(()),
    }
}

/// The name of a service that a caller gives by name or ARN.
pub(super) fn service_name<'a>(cluster: &str, name: &'a str) -> Result<&'a str, ApiError> {
    check_cluster("service", cluster, name)?;
    Ok(short_name(name))
}

/// The id of a task that a caller gives by id or ARN; `member` is what ECS calls it in its error.
pub(super) fn task_id<'a>(cluster: &str, name: &'a str, member: &str) -> Result<&'a str, ApiError> {
    check_cluster("task", cluster, name)?;
    let id = short_name(name);
    // 36 were the ids of old, which had hyphens.
    if [32, 36].contains(&id.chars().count()) {
        Ok(id)
    } else {
        Err(invalid(format!("{member} length should be one of [32,36]")))
    }
}

/// A service of a cluster, whatever its status: `ServiceNotFoundException`.
pub(super) fn service<'a>(state: &'a State, scope: &Scope, cluster: &str, name: &str) -> Result<&'a Service, ApiError> {
    state
        .get::<Service>(scope, &service_key(cluster, short_name(name)))
        .ok_or_else(service_not_found)
}

/// A task of a cluster by id or ARN.
pub(super) fn task<'a>(state: &'a State, scope: &Scope, cluster: &str, name: &str) -> Option<&'a Task> {
    state
        .get::<Task>(scope, short_name(name))
        .filter(|task| task.cluster == cluster)
}

/// A task definition by ARN, `family:revision` or `family` (its newest active revision), whatever its status.
pub(super) fn definition<'a>(state: &'a State, scope: &Scope, name: &str) -> Option<&'a TaskDefinition> {
    match family_and_revision(name) {
        (family, Some(revision)) => {
            state.get::<TaskDefinition>(scope, &task_definition_key(family, revision_number(revision)?))
        }
        (family, None) => {
            state.get::<Family>(scope, family)?;
            let prefix = format!("{family}:");
            // The key is built here, so the iterator may not outlive this block.
            let key = state
                .prefixed::<TaskDefinition>(scope, &prefix)
                .rev()
                .find(|(_, d)| d.status == Revision::Active)
                .map(|(key, _)| key.to_owned())?;
            state.get::<TaskDefinition>(scope, &key)
        }
    }
}

/// A task definition that may be run: `ClientException` when it is missing or inactive.
pub(super) fn active_definition<'a>(
    state: &'a State,
    scope: &Scope,
    name: &str,
) -> Result<&'a TaskDefinition, ApiError> {
    let definition = definition(state, scope, name).ok_or_else(|| client("TaskDefinition not found."))?;
    match definition.status {
        Revision::Active => Ok(definition),
        Revision::Inactive | Revision::DeleteInProgress => Err(client("TaskDefinition is inactive")),
    }
}

/// Fails when a list of names is empty or has more than `max` members.
pub(super) fn check_count(names: &[String], what: &str, max: usize) -> Result<(), ApiError> {
    if names.is_empty() {
        return Err(invalid(format!("{what} cannot be empty.")));
    }
    if names.len() > max {
        return Err(invalid(format!("{what} can have at most {max} items.")));
    }
    Ok(())
}
