//! What a task definition must be. `ClientException` with AWS's text where it is known.
//!
//! Ref: badmintoncryer/cdk-preflight, rules/ecs, recorded from AWS in September 2026.

use super::fargate::{is_fargate_size, no_fargate_size};
use super::fargate_rules::obstacle;
use crate::error::{client, unsupported};
use crate::input::refuse;
use crate::model::{ContainerDefinition, HealthCheckDefinition, TaskDefinition};
use crate::names::is_name;
use honmaru_base::ApiError;
use serde_json::Value;
use std::collections::BTreeSet;

/// Members of a container definition that nothing here carries out.
const CONTAINER_REFUSED: [&str; 16] = [
    "repositoryCredentials",
    "links",
    "environmentFiles",
    "secrets",
    "hostname",
    "disableNetworking",
    "privileged",
    "dnsServers",
    "dnsSearchDomains",
    "extraHosts",
    "dockerSecurityOptions",
    "resourceRequirements",
    "firelensConfiguration",
    "credentialSpecs",
    "gpuIds",
    "inferenceAccelerators",
];

/// Ref: ECS quotas: containers in a task definition.
const CONTAINERS_MAX: usize = 10;
/// CPU units of a task with Windows on Fargate.
const WINDOWS_CPU_MIN: u32 = 1_024;
/// The longest image name that AWS takes.
const IMAGE_BYTES_MAX: usize = 255;
/// Ref: ECS `ContainerDefinition.startTimeout`, in seconds.
const START_TIMEOUT_FARGATE_S_MAX: u32 = 120;
/// Ref: ECS `EphemeralStorage.sizeInGiB`; the 20 GiB that every task has cannot be asked for.
const EPHEMERAL_STORAGE_GIB: (u32, u32) = (21, 200);
/// Ref: ECS `LogConfiguration.logDriver`: those of Fargate, in the order of AWS's text.
const LOG_DRIVERS_FARGATE: [&str; 3] = ["awslogs", "splunk", "awsfirelens"];
/// Ref: ECS `CPUArchitecture`: that of the machine.
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") {
    "ARM64"
} else {
    "X86_64"
};
/// Ref: ECS task definition quotas: bytes of a task definition.
const DEFINITION_BYTES_MAX: usize = 64 * 1_024;

/// Refuses, by name, the members of a raw container definition that are not carried out.
pub(super) fn refuse_unsupported(containers: &Value) -> Result<(), ApiError> {
    if bytes_of(containers) > DEFINITION_BYTES_MAX {
        // The text: what AWS answers, in issues of clients.
        let bytes = bytes_of(containers);
        return Err(client(format!(
            "Actual length: '{bytes}'. Max allowed length is '{DEFINITION_BYTES_MAX}' bytes."
        )));
    }
    for container in containers.as_array().into_iter().flatten() {
        let secrets = container.get("secrets").and_then(Value::as_array);
        if secrets.is_some_and(|secrets| !secrets.is_empty()) {
            return Err(unsupported(
                "Container.secrets (Secrets Manager and Systems Manager parameters)",
            ));
        }
        refuse(container, &CONTAINER_REFUSED)?;
        if let Some(linux) = container.get("linuxParameters") {
            refuse(linux, &["devices", "maxSwap", "swappiness"])?;
        }
        for port in container
            .get("portMappings")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            refuse(port, &["containerPortRange"])?;
        }
        if let Some(log) = container.get("logConfiguration") {
            refuse(log, &["secretOptions"])?;
        }
    }
    Ok(())
}

/// The length of a tree as JSON, near enough: escapes count as one byte.
fn bytes_of(value: &Value) -> usize {
    match value {
        Value::Object(members) => {
            members
                .iter()
                .map(|(name, value)| name.len() + 4 + bytes_of(value))
                .sum::<usize>()
                + 1
        }
        Value::Array(items) => items.iter().map(|item| bytes_of(item) + 1).sum::<usize>() + 1,
        Value::String(text) => text.len() + 2,
        Value::Null | Value::Bool(_) | Value::Number(_) => 5,
    }
}

/// Checks a task definition whose defaults are filled in.
pub(super) fn check(definition: &TaskDefinition) -> Result<(), ApiError> {
    if !is_name(&definition.family) {
        return Err(client("Family contains invalid characters."));
    }
    if definition.containers.is_empty() {
        return Err(client("Container list cannot be empty."));
    }
    if definition.containers.len() > CONTAINERS_MAX {
        return Err(client("Too many containers."));
    }
    let mut names = BTreeSet::new();
    for container in &definition.containers {
        if !names.insert(container.name.as_str()) {
            return Err(client("Container names must be unique within a Task Definition."));
        }
    }
    if !definition.containers.iter().any(ContainerDefinition::is_essential) {
        return Err(client("Task definition doesn't have any essential container."));
    }
    let fargate = definition.requires_compatibilities.iter().any(|c| c == "FARGATE");
    for container in &definition.containers {
        check_container(definition, container, fargate)?;
    }
    check_ports(definition)?;
    check_dependencies(&definition.containers)?;
    check_volumes(definition)?;
    check_size(definition, fargate)?;
    if fargate {
        check_fargate(definition)?;
    }
    check_platform(definition)
}

fn check_container(
    definition: &TaskDefinition,
    container: &ContainerDefinition,
    fargate: bool,
) -> Result<(), ApiError> {
    let name = &container.name;
    if name.is_empty() {
        return Err(client("Container.name should not be null or empty."));
    }
    if !is_name(name) {
        return Err(client("Container.name contains invalid characters."));
    }
    if container.image.is_empty() {
        return Err(client("Container.image should not be null or empty."));
    }
    if container.image.len() > IMAGE_BYTES_MAX || container.image.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(client("Container.image contains invalid characters."));
    }
    if let (Some(memory), Some(reservation)) = (container.memory, container.memory_reservation)
        && memory < reservation
    {
        return Err(client(format!(
            "Invalid setting for container '{name}'. 'memory' must be greater than or equal to 'memoryReservation'."
        )));
    }
    if container
        .memory
        .into_iter()
        .chain(container.memory_reservation)
        .any(|mib| mib < 4)
    {
        return Err(client(format!(
            "Invalid setting for container '{name}'. The minimum memory is 4 MiB."
        )));
    }
    if definition.memory.is_none() && container.memory.is_none() && container.memory_reservation.is_none() {
        return Err(client(format!(
            "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
        )));
    }
    if fargate && container.start_timeout.is_some_and(|s| s > START_TIMEOUT_FARGATE_S_MAX) {
        return Err(client("Container.startTimeout can be at most 120 seconds on Fargate."));
    }
    if let Some(check) = &container.health_check {
        check_health(name, check)?;
    }
    if let Some(restart) = &container.restart_policy {
        if restart
            .restart_attempt_period
            .is_some_and(|s| !(60..=1_800).contains(&s))
        {
            return Err(client(format!(
                "The 'restartAttemptPeriod' setting for container '{name}' must be between 60 and 1800."
            )));
        }
        if restart.ignored_exit_codes.len() > 50 {
            return Err(client(
                "Container.restartPolicy.ignoredExitCodes can have at most 50 items.",
            ));
        }
    }
    for limit in container.ulimits.iter().flatten() {
        if limit.soft_limit > limit.hard_limit && limit.hard_limit >= 0 {
            return Err(client(format!(
                "Soft limit exceeds hard limit for ulimit {}",
                limit.name
            )));
        }
    }
    check_log(container, fargate)
}

fn check_health(container: &str, check: &HealthCheckDefinition) -> Result<(), ApiError> {
    match check.command.split_first() {
        Some((kind, rest)) if (kind == "CMD" || kind == "CMD-SHELL") && !rest.is_empty() => {}
        Some((kind, [])) if kind == "NONE" => {}
        _ => {
            return Err(client(
                "Container.healthCheck.command must start with CMD or CMD-SHELL.",
            ));
        }
    }
    for (name, value, min, max) in [
        ("interval", check.interval, 5, 300),
        ("timeout", check.timeout, 2, 60),
        ("retries", check.retries, 1, 10),
        ("startPeriod", check.start_period, 0, 300),
    ] {
        let Some(value) = value else { continue };
        if value > max {
            return Err(client(format!(
                "Health check {name} must be less than or equal to the maximum allowed value {max} for container \
                 '{container}'"
            )));
        }
        // These words are not recorded: they follow those above.
        if value < min {
            return Err(client(format!(
                "Health check {name} must be greater than or equal to the minimum allowed value {min} for container \
                 '{container}'"
            )));
        }
    }
    Ok(())
}

/// Ports and their names. In `awsvpc` mode all containers of a task share one interface, else each has its own.
fn check_ports(definition: &TaskDefinition) -> Result<(), ApiError> {
    let mode = definition.network_mode.as_deref().unwrap_or("bridge");
    let is_awsvpc = definition.is_awsvpc();
    let (mut seen, mut names) = (BTreeSet::new(), BTreeSet::new());
    for container in &definition.containers {
        if !is_awsvpc {
            seen.clear();
        }
        for mapping in &container.port_mappings {
            let port = mapping.container_port.unwrap_or(0);
            let host = mapping.host_port.unwrap_or(port);
            if !(1..=65_535).contains(&port) || !(0..=65_535).contains(&host) {
                return Err(client(
                    "Port mappings: a container port is 1 to 65535, a host port 0 to 65535.",
                ));
            }
            if ["awsvpc", "host"].contains(&mode) && host != port {
                return Err(client(format!(
                    "When networkMode={mode}, the host ports and container ports in port mappings must match."
                )));
            }
            let protocol = mapping.protocol.as_deref().unwrap_or("tcp");
            if !seen.insert((port, protocol)) {
                return Err(client(match is_awsvpc {
                    true => format!(
                        "{} container port '{port}' is used multiple times in task when networkMode=awsvpc.",
                        protocol.to_ascii_uppercase()
                    ),
                    false => format!(
                        "Port mappings of container '{}' contain port {port} twice.",
                        container.name
                    ),
                }));
            }
            let name = mapping.name.as_deref().filter(|name| !name.is_empty());
            if is_awsvpc && name.is_some_and(|name| !names.insert(name)) {
                return Err(client("When networkMode=awsvpc, port mapping name is already used"));
            }
        }
    }
    Ok(())
}

fn check_log(container: &ContainerDefinition, fargate: bool) -> Result<(), ApiError> {
    let Some(log) = &container.log_configuration else {
        return Ok(());
    };
    if log.log_driver == "awsfirelens" {
        // A router, which AWS would ask for, is refused by name before.
        return Err(client(
            "When awsfirelens log driver is specified in log configuration, a firelens configuration object must be \
             configured in one of the containers.",
        ));
    }
    if fargate && !LOG_DRIVERS_FARGATE.contains(&log.log_driver.as_str()) {
        return Err(client(format!(
            "{} is not a valid log driver. Must be one of [{}]",
            log.log_driver,
            LOG_DRIVERS_FARGATE.join(",")
        )));
    }
    if log.log_driver != "awslogs" {
        return Err(client(format!(
            "Log driver {} is not supported by Honmaru. Supported log drivers: awslogs.",
            log.log_driver
        )));
    }
    let missing: Vec<&str> = ["awslogs-region", "awslogs-group"]
        .into_iter()
        .filter(|name| log.options.get(*name).is_none_or(String::is_empty))
        .collect();
    if !missing.is_empty() {
        return Err(client(format!(
            "Log driver awslogs requires options: {}",
            missing.join(", ")
        )));
    }
    if fargate && log.options.get("awslogs-stream-prefix").is_none_or(String::is_empty) {
        return Err(client(
            "Fargate requires log configuration options to include awslogs-stream-prefix to support log driver awslogs.",
        ));
    }
    let known = [
        "awslogs-group",
        "awslogs-region",
        "awslogs-stream-prefix",
        "awslogs-create-group",
        // How the driver buffers: the node keeps every line on disk first, so that both modes behave alike.
        "mode",
        "max-buffer-size",
    ];
    match log.options.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(unsupported(&format!("Log option '{name}'"))),
        None => Ok(()),
    }
}

fn check_dependencies(containers: &[ContainerDefinition]) -> Result<(), ApiError> {
    for container in containers {
        for dependency in container.depends_on.iter().flatten() {
            let Some(other) = containers.iter().find(|c| c.name == dependency.container_name) else {
                return Err(client(format!(
                    "Cannot depend on container + '{}' because it does not exist",
                    dependency.container_name
                )));
            };
            if dependency.condition == "HEALTHY" && other.health_check.is_none() {
                return Err(client(
                    "A dependency container with HEALTHY condition must have health check configured",
                ));
            }
            if ["COMPLETE", "SUCCESS"].contains(&dependency.condition.as_str()) && other.is_essential() {
                return Err(client(
                    "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
                ));
            }
        }
        for from in &container.volumes_from {
            if !containers
                .iter()
                .any(|c| c.name == from.source_container && c.name != container.name)
            {
                return Err(client(format!(
                    "Invalid 'volumesFrom' setting. Unknown container: '{}'.",
                    from.source_container
                )));
            }
        }
    }
    // Peel off what depends on nothing that is left; what cannot be peeled off is a cycle.
    let mut left: Vec<&ContainerDefinition> = containers.iter().collect();
    while !left.is_empty() {
        let names: BTreeSet<&str> = left.iter().map(|c| c.name.as_str()).collect();
        let before = left.len();
        left.retain(|c| {
            c.depends_on
                .iter()
                .flatten()
                .any(|d| names.contains(d.container_name.as_str()))
        });
        if left.len() == before {
            return Err(client("Container dependencies should not have a cycle"));
        }
    }
    Ok(())
}

fn check_volumes(definition: &TaskDefinition) -> Result<(), ApiError> {
    let mut names = BTreeSet::new();
    for volume in &definition.volumes {
        if !is_name(&volume.name) {
            return Err(client(
                "Volume.name should not be null or empty, and has letters, numbers, - and _ only.",
            ));
        }
        if !names.insert(volume.name.as_str()) {
            return Err(client(format!("Volume name '{}' is used twice.", volume.name)));
        }
        let path = volume
            .host
            .as_ref()
            .and_then(|h| h.source_path.as_deref())
            .unwrap_or_default();
        if !path.is_empty() && !path.starts_with('/') {
            return Err(client(format!(
                "Volume '{}': host.sourcePath must be absolute.",
                volume.name
            )));
        }
    }
    for container in &definition.containers {
        for mount in &container.mount_points {
            if !names.contains(mount.source_volume.as_str()) {
                return Err(client(format!("Unknown volume '{}'.", mount.source_volume)));
            }
            if !mount.container_path.starts_with('/') {
                return Err(client(format!(
                    "Container '{}': containerPath must be absolute.",
                    container.name
                )));
            }
        }
    }
    Ok(())
}

fn check_size(definition: &TaskDefinition, fargate: bool) -> Result<(), ApiError> {
    if let Some(cpu) = definition.cpu {
        let sum: u64 = definition.containers.iter().map(|c| u64::from(c.cpu)).sum();
        if sum > u64::from(cpu) {
            return Err(client(
                "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.",
            ));
        }
    }
    if let Some(memory) = definition.memory {
        let hard = definition
            .containers
            .iter()
            .find(|c| c.memory.is_some_and(|mib| mib > memory));
        if let Some(container) = hard {
            return Err(client(format!(
                "The 'memory' setting for container '{}' is greater than for the task.",
                container.name
            )));
        }
        let reserved = definition
            .containers
            .iter()
            .map(|c| u64::from(c.memory_reservation.or(c.memory).unwrap_or(0)));
        if reserved.sum::<u64>() > u64::from(memory) {
            return Err(client(
                "The memory reserved by all containers must not be greater than the task's 'memory'.",
            ));
        }
    }
    if fargate {
        let cpu = definition
            .cpu
            .ok_or_else(|| client("Fargate requires that 'cpu' be defined at the task level."))?;
        let memory = definition
            .memory
            .ok_or_else(|| client("Fargate requires that 'memory' be defined at the task level."))?;
        if !is_fargate_size(cpu, memory) {
            return Err(client(no_fargate_size(cpu, memory)));
        }
    }
    Ok(())
}

fn check_fargate(definition: &TaskDefinition) -> Result<(), ApiError> {
    if !definition.is_awsvpc() {
        return Err(client("Fargate only supports network mode \u{2018}awsvpc\u{2019}."));
    }
    if let Some(words) = obstacle(definition) {
        return Err(client(words));
    }
    if definition.execution_role_arn.is_none() {
        if definition.containers.iter().any(|c| c.log_configuration.is_some()) {
            return Err(client(
                "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
            ));
        }
        if definition.containers.iter().any(|c| c.image.contains(".dkr.ecr.")) {
            return Err(client(
                "Fargate requires task definition to have execution role ARN to support ECR images.",
            ));
        }
    }
    Ok(())
}

fn check_storage(definition: &TaskDefinition) -> Result<(), ApiError> {
    let Some(gib) = definition.ephemeral_storage_gib else {
        return Ok(());
    };
    let wants = |kind: &str| definition.requires_compatibilities.iter().any(|c| c == kind);
    if wants("EC2") && !wants("FARGATE") {
        return Err(client(
            "Tasks using the EC2 launch type do not support EphemeralStorage.",
        ));
    }
    let (min, max) = EPHEMERAL_STORAGE_GIB;
    if gib < min {
        return Err(client(format!("EphemeralStorage size should be at least {min}")));
    }
    if gib > max {
        return Err(client(format!("EphemeralStorage size should be at most {max}")));
    }
    Ok(())
}

/// Sizes that Fargate offers with Linux only. Recorded: `pf-ecs-fargate-windows-cpu-under-1vcpu`, `pf-ecs-windows-arm64`.
fn check_windows(
    definition: &TaskDefinition,
    family: Option<&str>,
    architecture: Option<&str>,
) -> Result<(), ApiError> {
    let is_windows = family.is_some_and(|family| family.starts_with("WINDOWS"));
    let on_fargate = definition.requires_compatibilities.iter().any(|c| c == "FARGATE");
    match (definition.cpu, definition.memory) {
        (Some(cpu), Some(memory))
            if is_windows && on_fargate && (cpu < WINDOWS_CPU_MIN || architecture == Some("ARM64")) =>
        {
            Err(client(no_fargate_size(cpu, memory)))
        }
        _ => Ok(()),
    }
}

fn check_platform(definition: &TaskDefinition) -> Result<(), ApiError> {
    check_storage(definition)?;
    let Some(platform) = &definition.runtime_platform else {
        return Ok(());
    };
    let of = |name: &str| platform.get(name).and_then(Value::as_str);
    check_windows(definition, of("operatingSystemFamily"), of("cpuArchitecture"))?;
    if let Some(family) = of("operatingSystemFamily").filter(|family| *family != "LINUX") {
        return Err(unsupported(&format!("operatingSystemFamily {family}")));
    }
    // Tasks run on the processor that Honmaru runs on; another one's images would fail with a riddle at their start.
    if let Some(architecture) = of("cpuArchitecture").filter(|architecture| *architecture != ARCHITECTURE) {
        return Err(unsupported(&format!(
            "cpuArchitecture {architecture} on this {ARCHITECTURE} machine"
        )));
    }
    Ok(())
}
