//! What AWS itself refuses of a task definition for Fargate or in `awsvpc` mode, in its words. What AWS would take and
//! nothing here carries out is refused elsewhere, by name.
//!
//! Ref: badmintoncryer/cdk-preflight, rules/ecs, recorded from AWS in September 2026.

use crate::error::client;
use crate::input::{Input, asks};
use crate::model::{ContainerDefinition, TaskDefinition, Volume};
use honmaru_base::ApiError;
use serde_json::Value;

/// Members of a container in `awsvpc` mode.
const OF_AWSVPC: [(&str, &str); 5] = [
    ("links", "Links are not supported when networkMode=awsvpc."),
    (
        "hostname",
        "hostname is not supported on container when networkMode=awsvpc.",
    ),
    (
        "extraHosts",
        "Extra hosts are not supported on container when networkMode=awsvpc.",
    ),
    (
        "dnsServers",
        "DNS servers are not supported on container when networkMode=awsvpc.",
    ),
    (
        "disableNetworking",
        "Disable Networking is not supported on container when networkMode=awsvpc.",
    ),
];
/// Ref: ECS `ContainerDefinition.stopTimeout` on Fargate, in seconds.
const STOP_TIMEOUT_S_MAX: u32 = 120;
/// Ref: ECS `KernelCapabilities`: what tasks on Fargate may add.
const CAPABILITY: &str = "SYS_PTRACE";

/// Checks the members of a raw task definition that the model does not know.
pub(super) fn check_members(input: &Input) -> Result<(), ApiError> {
    if input.value("inferenceAccelerators").is_some_and(asks) {
        return Err(client("Unsupported field 'inferenceAccelerators'."));
    }
    let is_awsvpc = input.text("networkMode") == Some("awsvpc");
    let is_fargate = input.texts("requiresCompatibilities").iter().any(|c| c == "FARGATE");
    if is_fargate {
        check_task(input)?;
    }
    for container in items(input.value("containerDefinitions")) {
        let refused = OF_AWSVPC.iter().find(|(name, _)| asks_for(container, name));
        if let Some((_, words)) = refused.filter(|_| is_awsvpc) {
            return Err(client(*words));
        }
        if is_fargate {
            check_container(container)?;
        }
    }
    Ok(())
}

fn check_task(input: &Input) -> Result<(), ApiError> {
    if input.text("pidMode") == Some("host") {
        return Err(client(
            "Tasks using the Fargate launch type do not support pidMode 'host'. The supported value for pidMode is \
             'task'.",
        ));
    }
    if input.value("ipcMode").is_some_and(asks) {
        return Err(client(not_supported("ipcMode")));
    }
    if input.value("placementConstraints").is_some_and(asks) {
        return Err(client(not_supported("constraints")));
    }
    let docker = "dockerVolumeConfiguration";
    match items(input.value("volumes")).any(|volume| asks_for(volume, docker)) {
        true => Err(client(not_supported(docker))),
        false => Ok(()),
    }
}

fn check_container(container: &Value) -> Result<(), ApiError> {
    if asks_for(container, "privileged") {
        return Err(client(
            "Fargate requires that the \u{2018}privileged\u{2019} setting be \u{2018}false\u{2019} at the container \
             level.",
        ));
    }
    let is_gpu = |asked: &Value| asked.get("type").and_then(Value::as_str) == Some("GPU");
    if items(container.get("resourceRequirements")).any(is_gpu) {
        return Err(client(
            "Tasks using the Fargate launch type do not support GPU resource requirements.",
        ));
    }
    let linux = container.get("linuxParameters").unwrap_or(&Value::Null);
    for (structure, name) in [
        (container, "dockerSecurityOptions"),
        (linux, "devices"),
        (linux, "maxSwap"),
    ] {
        if asks_for(structure, name) {
            return Err(client(not_supported(name)));
        }
    }
    Ok(())
}

/// What keeps a task definition from Fargate, beside its size and its network.
pub(super) fn obstacle(definition: &TaskDefinition) -> Option<String> {
    if definition.volumes.iter().any(Volume::is_of_host) {
        return Some(not_supported("sourcePath"));
    }
    definition.containers.iter().find_map(obstacle_of_container)
}

fn obstacle_of_container(container: &ContainerDefinition) -> Option<String> {
    if container.stop_timeout.is_some_and(|s| s > STOP_TIMEOUT_S_MAX) {
        return Some(
            "Tasks using the Fargate launch type must have a container stop timeout of less than 120 seconds."
                .to_owned(),
        );
    }
    let linux = container.linux_parameters.as_ref()?;
    if linux.shared_memory_size.is_some() {
        return Some(not_supported("sharedMemorySize"));
    }
    let mut added = linux.capabilities.iter().flat_map(|capabilities| &capabilities.add);
    let refused = added.find(|name| *name != CAPABILITY)?;
    Some(format!("{refused} is not allowed on Fargate."))
}

fn not_supported(name: &str) -> String {
    format!("Fargate compatible task definitions do not support {name}")
}

pub(super) fn items(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    list.and_then(Value::as_array).into_iter().flatten()
}

fn asks_for(structure: &Value, name: &str) -> bool {
    structure.get(name).is_some_and(asks)
}
