//! What AWS refuses of members of a task definition that nothing here carries out, in its words; what it would take of
//! them is refused after this, by name.
//!
//! Ref: badmintoncryer/cdk-preflight, rules/ecs, recorded from AWS in September 2026: `pf-ecs-efs-*`,
//! `pf-ecs-environment-files-*`, `pf-ecs-port-range-*`, `pf-ecs-proxy-configuration-*`, `pf-ecs-secrets-*`,
//! `pf-ecs-volume-not-referenced`.

use super::fargate_rules::items;
use crate::error::client;
use crate::input::{Input, asks};
use honmaru_base::{ApiError, Arn};
use serde_json::Value;

/// Ref: ECS `ContainerDefinition.environmentFiles`.
const ENVIRONMENT_FILES_MAX: usize = 10;

/// Checks a raw task definition of an account.
pub(super) fn check(input: &Input, account: &str) -> Result<(), ApiError> {
    let has_role = input.text("executionRoleArn").is_some_and(|role| !role.is_empty());
    for container in items(input.value("containerDefinitions")) {
        check_container(container, account, has_role)?;
    }
    for volume in items(input.value("volumes")) {
        if let Some(efs) = volume.get("efsVolumeConfiguration") {
            check_efs(efs)?;
        }
    }
    check_referenced(input)?;
    match input.value("proxyConfiguration").filter(|proxy| asks(proxy)) {
        Some(proxy) => check_proxy(input, proxy),
        None => Ok(()),
    }
}

fn text<'a>(structure: &'a Value, name: &str) -> &'a str {
    structure.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn check_container(container: &Value, account: &str, has_role: bool) -> Result<(), ApiError> {
    let files: Vec<&Value> = items(container.get("environmentFiles")).collect();
    if files.len() > ENVIRONMENT_FILES_MAX {
        return Err(client(
            "The maximum number of environment files was exceeded. Specify ten or less and try again.",
        ));
    }
    if files.iter().any(|file| text(file, "value").parse::<Arn>().is_err()) {
        return Err(client("Invalid arn syntax."));
    }
    let mut secrets = items(container.get("secrets")).peekable();
    // Seen: in notes and code of eight public repositories, with this error's name.
    if secrets.peek().is_some() && !has_role {
        return Err(client(
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.",
        ));
    }
    for secret in secrets {
        let Ok(arn) = text(secret, "valueFrom").parse::<Arn>() else {
            continue;
        };
        if arn.service == "ssm" && arn.account != account {
            return Err(client(format!(
                "The Systems Manager parameter ARN has a different account ID than the current account. The current account \
                 ID is {account} and the ARN account ID is {}. Cross-account access for ARNs is not currently supported.",
                arn.account
            )));
        }
    }
    let name = text(container, "name");
    for port in items(container.get("portMappings")) {
        let range = text(port, "containerPortRange");
        if range.is_empty() {
            continue;
        }
        if port.get("containerPort").or(port.get("hostPort")).is_some_and(asks) {
            return Err(client(format!(
                "Invalid port mapping for container '{name}', cannot specify both single port and port range."
            )));
        }
        if !is_range(range) {
            return Err(client(format!(
                "Invalid 'containerPortRange' setting for container '{name}'."
            )));
        }
    }
    Ok(())
}

/// Whether a text is two ports, the lower one first.
fn is_range(text: &str) -> bool {
    let Some((from, to)) = text.split_once('-') else {
        return false;
    };
    matches!((from.parse::<u16>(), to.parse::<u16>()), (Ok(from), Ok(to)) if 0 < from && from < to)
}

fn check_efs(efs: &Value) -> Result<(), ApiError> {
    let is_encrypted = text(efs, "transitEncryption") == "ENABLED";
    let authorization = efs.get("authorizationConfig").unwrap_or(&Value::Null);
    if !text(authorization, "accessPointId").is_empty() && !matches!(text(efs, "rootDirectory"), "" | "/") {
        return Err(client(
            "When using an EFS access point, the root directory must either be set to \"/\" or be omitted.",
        ));
    }
    if text(authorization, "iam") == "ENABLED" && !is_encrypted {
        return Err(client(
            "EFS IAM authorization requires TransitEncryption to be enabled.",
        ));
    }
    match efs.get("transitEncryptionPort").is_some_and(asks) && !is_encrypted {
        true => Err(client(
            "TransitEncryptionPort requires that TransitEncryption is enabled.",
        )),
        false => Ok(()),
    }
}

/// A volume that is configured at launch is mounted by somebody.
fn check_referenced(input: &Input) -> Result<(), ApiError> {
    let containers = || items(input.value("containerDefinitions"));
    let is_mounted = |name: &str| {
        containers()
            .flat_map(|container| items(container.get("mountPoints")))
            .any(|mount| text(mount, "sourceVolume") == name)
    };
    let lonely: Vec<&str> = items(input.value("volumes"))
        .filter(|volume| volume.get("configuredAtLaunch").is_some_and(asks))
        .map(|volume| text(volume, "name"))
        .filter(|name| !is_mounted(name))
        .collect();
    match lonely.is_empty() {
        true => Ok(()),
        false => Err(client(format!(
            "Volumes [{}] are not referenced by any of the containers",
            lonely.join(", ")
        ))),
    }
}

fn check_proxy(input: &Input, proxy: &Value) -> Result<(), ApiError> {
    if input.text("networkMode") != Some("awsvpc") {
        return Err(client(
            "APPMESH proxy configuration is only supported in networkMode=awsvpc",
        ));
    }
    let name = text(proxy, "containerName");
    let mut containers = items(input.value("containerDefinitions"));
    if !containers.any(|container| text(container, "name") == name) {
        return Err(client(format!("Proxy container [{name}] does not exist.")));
    }
    let mut properties = items(proxy.get("properties"));
    match properties.any(|property| text(property, "name") == "ProxyIngressPort") {
        true => Ok(()),
        false => Err(client("Ingress port not found")),
    }
}
