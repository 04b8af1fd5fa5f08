//! The names and ARNs of ECS resources, and how callers may write them.

use honmaru_base::Scope;

/// The cluster that is meant when none is named.
pub const DEFAULT_CLUSTER: &str = "default";

/// `arn:aws:ecs:<region>:<account>:<resource>`.
pub fn arn(scope: &Scope, resource: &str) -> String {
    // Every call makes some: no formatting.
    let (region, account) = (scope.region.as_str(), scope.account.as_str());
    ["arn:aws:ecs:", region, ":", account, ":", resource].concat()
}

/// A cluster's ARN.
pub fn cluster_arn(scope: &Scope, cluster: &str) -> String {
    arn(scope, &["cluster/", cluster].concat())
}

/// A task's ARN.
pub fn task_arn(scope: &Scope, cluster: &str, id: &str) -> String {
    arn(scope, &["task/", cluster, "/", id].concat())
}

/// A container's ARN.
pub fn container_arn(scope: &Scope, cluster: &str, task: &str, id: &str) -> String {
    arn(scope, &format!("container/{cluster}/{task}/{id}"))
}

/// A service's ARN.
pub fn service_arn(scope: &Scope, cluster: &str, service: &str) -> String {
    arn(scope, &format!("service/{cluster}/{service}"))
}

/// A task definition's ARN.
pub fn task_definition_arn(scope: &Scope, family: &str, revision: u32) -> String {
    arn(scope, &format!("task-definition/{family}:{revision}"))
}

/// A service deployment's ARN.
pub fn service_deployment_arn(scope: &Scope, service_key: &str, id: &str) -> String {
    arn(scope, &format!("service-deployment/{service_key}/{id}"))
}

/// A service revision's ARN.
pub fn service_revision_arn(scope: &Scope, service_key: &str, id: &str) -> String {
    arn(scope, &format!("service-revision/{service_key}/{id}"))
}

/// The row key of a task definition: sorts by family, then by revision.
pub fn task_definition_key(family: &str, revision: u32) -> String {
    format!("{family}:{revision:010}")
}

/// The row key of a service.
pub fn service_key(cluster: &str, service: &str) -> String {
    format!("{cluster}/{service}")
}

/// The last part of a name or ARN: `web` of `web`, `service/default/web` and `arn:...:service/default/web`.
pub fn short_name(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

/// The cluster of a service where the service's ARN is enough: that of `cluster`, else the ARN's, else `default`.
pub fn cluster_of_service<'a>(cluster: Option<&'a str>, service: &'a str) -> &'a str {
    let named = cluster.filter(|name| !name.is_empty()).map(short_name);
    named.or_else(|| cluster_in(service)).unwrap_or(DEFAULT_CLUSTER)
}

/// `default` of `arn:...:service/default/web`; nothing of a name, and of an ARN of old, which names no cluster.
fn cluster_in(service: &str) -> Option<&str> {
    let resource = service.strip_prefix("arn:")?.splitn(5, ':').nth(4)?;
    let mut parts = resource.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("service"), Some(cluster), Some(_)) => Some(cluster),
        _ => None,
    }
}

/// Family and revision of `family`, `family:revision`, or the ARN of either.
pub fn family_and_revision(text: &str) -> (&str, Option<&str>) {
    let short = short_name(text);
    match short.split_once(':') {
        Some((family, revision)) => (family, Some(revision)),
        None => (short, None),
    }
}

/// The number of a revision, written as its ARN writes it: without a sign and leading zeros, so that no other text names
/// what a policy speaks of.
pub fn revision_number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_plain)
}

/// Whether a name has 1 to 255 letters, digits, hyphens and underscores. Ref: ECS CreateCluster, CreateService,
/// RegisterTaskDefinition.
pub fn is_name(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
