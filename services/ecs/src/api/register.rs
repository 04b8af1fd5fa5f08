//! RegisterTaskDefinition.

use super::definition_view::{Registered, View};
use super::tags::check_tags;
use super::{definition_rules, fargate, fargate_rules, register_rules};
use crate::error::client;
use crate::input::{Input, refuse};
use crate::model::{ContainerDefinition, Family, Revision, TaskDefinition, Volume};
use crate::names::task_definition_key;
use honmaru_base::ApiError;
use honmaru_machine::{Call, Tx};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// RegisterTaskDefinition: checks the definition and gives it the next revision of its family.
pub fn register_task_definition(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Box<RawValue>, ApiError> {
    let mut input = Input::new(input);
    fargate_rules::check_members(&input)?;
    definition_rules::check(&input, call.scope.account.as_str())?;
    input.refuse(&[
        "proxyConfiguration",
        "pidMode",
        "ipcMode",
        "enableFaultInjection",
        // An expression over container instances, which nobody would look at.
        "placementConstraints",
    ])?;
    if let Some(containers) = input.value("containerDefinitions") {
        register_rules::refuse_unsupported(containers)?;
    }
    for volume in input.value("volumes").and_then(Value::as_array).into_iter().flatten() {
        refuse(
            volume,
            &[
                "dockerVolumeConfiguration",
                "efsVolumeConfiguration",
                "s3filesVolumeConfiguration",
                "fsxWindowsFileServerVolumeConfiguration",
                "configuredAtLaunch",
            ],
        )?;
    }
    let mut definition = read(&mut input, tx, call)?;
    fill_defaults(&mut definition);
    register_rules::check(&definition)?;
    check_tags(&definition.tags)?;
    definition.compatibilities = compatibilities(&definition);
    for wanted in &definition.requires_compatibilities {
        if !definition.compatibilities.contains(wanted) {
            return Err(client(format!("Task definition does not support {wanted}.")));
        }
    }
    definition.requires_attributes = attributes(&definition);

    let last = tx
        .get::<Family>(&call.scope, &definition.family)
        .map_or(0, |family| family.last_revision);
    definition.revision = last + 1;
    tx.put(
        &call.scope,
        &definition.family,
        Family {
            last_revision: definition.revision,
        },
    );
    // A row is plain data with text keys: writing it has no way to fail.
    let answer = to_raw_value(&Registered {
        task_definition: View::of(&call.scope, &definition),
        tags: &definition.tags,
    })
    .expect("a task definition is plain data");
    let key = task_definition_key(&definition.family, definition.revision);
    tx.put(&call.scope, &key, definition);
    Ok(answer)
}

fn read(input: &mut Input, tx: &Tx<'_>, call: &Call) -> Result<TaskDefinition, ApiError> {
    let as_client = |err: ApiError| client(err.message);
    let containers = input
        .take_or_default::<Vec<ContainerDefinition>>("containerDefinitions")
        .map_err(as_client)?;
    let volumes = input.take_or_default::<Vec<Volume>>("volumes").map_err(as_client)?;
    let tags = input.take_or_default("tags")?;
    let not_empty = |name: &str| input.owned(name).filter(|text| !text.is_empty());
    let storage = input
        .value("ephemeralStorage")
        .and_then(|s| s.get("sizeInGiB"))
        .and_then(Value::as_i64);
    Ok(TaskDefinition {
        family: input.owned("family").unwrap_or_default(),
        revision: 0,
        status: Revision::Active,
        containers,
        cpu: not_empty("cpu").map(|text| fargate::cpu_units(&text)).transpose()?,
        memory: not_empty("memory").map(|text| fargate::memory_mib(&text)).transpose()?,
        network_mode: not_empty("networkMode"),
        task_role_arn: not_empty("taskRoleArn").map(|role| role_arn(call, &role)),
        execution_role_arn: not_empty("executionRoleArn").map(|role| role_arn(call, &role)),
        volumes,
        placement_constraints: input.parse_or_default("placementConstraints")?,
        requires_compatibilities: input.texts("requiresCompatibilities"),
        compatibilities: Vec::new(),
        runtime_platform: input.value("runtimePlatform").cloned(),
        ephemeral_storage_gib: storage.map(|gib| gib.clamp(0, i64::from(u32::MAX)) as u32),
        requires_attributes: Vec::new(),
        registered_at: tx.now(),
        registered_by: call.principal.arn.clone(),
        deregistered_at: None,
        delete_requested_at: None,
        tags,
    })
}

/// A role may be given by name or by ARN; it is kept as ARN.
fn role_arn(call: &Call, role: &str) -> String {
    if role.starts_with("arn:") {
        role.to_owned()
    } else {
        format!("arn:aws:iam::{}:role/{role}", call.scope.account)
    }
}

/// What AWS's answer shows where the caller said nothing.
fn fill_defaults(definition: &mut TaskDefinition) {
    let is_same_port = matches!(definition.network_mode.as_deref(), Some("awsvpc" | "host"));
    for container in &mut definition.containers {
        container.essential.get_or_insert(true);
        for mapping in &mut container.port_mappings {
            mapping.protocol.get_or_insert_with(|| "tcp".to_owned());
            let port = mapping.container_port;
            let default = if is_same_port { port } else { Some(0) };
            mapping.host_port = mapping.host_port.or(default);
        }
        if let Some(check) = &mut container.health_check {
            check.interval.get_or_insert(30);
            check.timeout.get_or_insert(5);
            check.retries.get_or_insert(3);
        }
    }
}

fn compatibilities(definition: &TaskDefinition) -> Vec<String> {
    let mut all = vec!["EC2".to_owned()];
    let sized = matches!((definition.cpu, definition.memory), (Some(c), Some(m)) if fargate::is_fargate_size(c, m));
    if definition.is_awsvpc() && sized && fargate_rules::obstacle(definition).is_none() {
        all.push("FARGATE".to_owned());
    }
    all
}

/// Ref: ECS `requiresAttributes`: what an instance's agent would have to offer.
fn attributes(definition: &TaskDefinition) -> Vec<String> {
    let mut all = Vec::new();
    let mut need = |wanted: bool, name: &str| {
        if wanted {
            all.push(name.to_owned());
        }
    };
    let containers = &definition.containers;
    need(
        containers.iter().any(|c| c.log_configuration.is_some()),
        "com.amazonaws.ecs.capability.logging-driver.awslogs",
    );
    need(
        containers.iter().any(|c| c.log_configuration.is_some()),
        "ecs.capability.execution-role-awslogs",
    );
    need(
        containers.iter().any(|c| c.image.contains(".dkr.ecr.")),
        "com.amazonaws.ecs.capability.ecr-auth",
    );
    need(
        containers.iter().any(|c| c.image.contains(".dkr.ecr.")),
        "ecs.capability.execution-role-ecr-pull",
    );
    need(
        containers.iter().any(|c| c.health_check.is_some()),
        "ecs.capability.container-health-check",
    );
    need(
        containers.iter().any(|c| c.depends_on.is_some()),
        "ecs.capability.container-ordering",
    );
    need(
        definition.task_role_arn.is_some(),
        "com.amazonaws.ecs.capability.task-iam-role",
    );
    need(definition.is_awsvpc(), "ecs.capability.task-eni");
    need(true, "com.amazonaws.ecs.capability.docker-remote-api.1.18");
    all
}
