//! What a node must know of a task: task definition, overrides, interface and images in one.

use crate::model::{ContainerDefinition, ContainerOverride, KeyValue, LastStatus, Task, TaskDefinition};
use crate::names::{cluster_arn, task_arn, task_definition_key};
use honmaru_base::Scope;
use honmaru_contract::node::{
    ContainerSpec, DependencyCondition, HealthCheck, ImageSource, LogTarget, MountSpec, RestartPolicy, TaskGoal,
    TaskNetwork, TaskSpec, VolumeSpec,
};
use honmaru_machine::State;
use std::collections::BTreeMap;

/// Ref: ECS `ContainerDefinition.stopTimeout`: 30 seconds when none is given.
const STOP_TIMEOUT_S_DEFAULT: u32 = 30;
/// Ref: ECS `HealthCheck`: the defaults.
const HEALTH_INTERVAL_S: u32 = 30;
const HEALTH_TIMEOUT_S: u32 = 5;
const HEALTH_RETRIES: u32 = 3;
/// Ref: ECS `ContainerRestartPolicy.restartAttemptPeriod`: 300 seconds when none is given.
const RESTART_PERIOD_S: u32 = 300;

/// The tasks that shall be on a node, with the version of each specification: scope, id, version. Cheap: compare with
/// the versions that were sent, and build [`task_spec`] for those that differ.
pub fn node_task_versions<'a>(state: &'a State, node: &'a str) -> impl Iterator<Item = (&'a Scope, &'a str, u64)> {
    state
        .all::<Task>()
        .filter(move |(_, _, task)| task.node.as_deref() == Some(node) && task.last_status.is_on_node())
        .map(|(scope, id, task)| (scope, id, task.spec_version))
}

/// Everything that shall run on a node, by task id.
pub fn node_tasks(state: &State, node: &str) -> BTreeMap<String, TaskSpec> {
    node_task_versions(state, node)
        .filter_map(|(scope, id, _)| Some((id.to_owned(), task_spec(state, scope, state.get::<Task>(scope, id)?)?)))
        .collect()
}

/// The specification of one task; nothing while its node must not know it.
pub fn task_spec(state: &State, scope: &Scope, task: &Task) -> Option<TaskSpec> {
    if !task.last_status.is_on_node() {
        return None;
    }
    let definition = state.get::<TaskDefinition>(scope, &task_definition_key(&task.family, task.revision))?;
    let zone = task.interface.as_ref().map(|i| i.availability_zone.clone());
    Some(TaskSpec {
        task_id: task.id.clone(),
        task_arn: task_arn(scope, &task.cluster, &task.id),
        goal: if task.last_status == LastStatus::Stopping {
            TaskGoal::Stop
        } else {
            TaskGoal::Run
        },
        cluster: cluster_arn(scope, &task.cluster),
        family: task.family.clone(),
        revision: task.revision,
        availability_zone: zone.unwrap_or_else(|| format!("{}a", scope.region)),
        region: scope.region.to_string(),
        launch_type: task.launch_type.clone(),
        cpu_units: task.cpu,
        memory_mib: task.memory,
        network: task.interface.as_ref().map(|interface| TaskNetwork {
            address: interface.private_ip,
            subnet_cidr: interface.subnet_cidr.clone(),
            vpc_id: interface.vpc_id.clone(),
            dns: interface.dns,
            mac: interface.mac.clone(),
            security_groups: interface.security_groups.clone(),
            egress: interface.egress,
            published: Vec::new(),
        }),
        service: task.service.clone(),
        task_role: task.overrides.task_role_arn.is_some() || definition.task_role_arn.is_some(),
        containers: definition
            .containers
            .iter()
            .map(|c| container_spec(scope, task, definition, c))
            .collect(),
        volumes: definition
            .volumes
            .iter()
            .map(|v| VolumeSpec {
                name: v.name.clone(),
                host_path: v
                    .host
                    .as_ref()
                    .and_then(|h| h.source_path.clone())
                    .filter(|p| !p.is_empty()),
            })
            .collect(),
        tags: task
            .tags
            .iter()
            .map(|tag| (tag.key.clone(), tag.value.clone()))
            .collect(),
    })
}

fn container_spec(
    scope: &Scope,
    task: &Task,
    definition: &TaskDefinition,
    container: &ContainerDefinition,
) -> ContainerSpec {
    let none = ContainerOverride::default();
    let over = task
        .overrides
        .container_overrides
        .iter()
        .find(|o| o.name == container.name)
        .unwrap_or(&none);
    let linux = container.linux_parameters.clone().unwrap_or_default();
    let capabilities = linux.capabilities.unwrap_or_default();
    ContainerSpec {
        name: container.name.clone(),
        image: container.image.clone(),
        source: task
            .images
            .get(&container.name)
            .cloned()
            .unwrap_or_else(|| ImageSource::Remote {
                reference: container.image.clone(),
                credentials: None,
            }),
        essential: container.is_essential(),
        cpu_units: over.cpu.unwrap_or(container.cpu),
        memory_mib: over.memory.or(container.memory),
        memory_reservation_mib: over.memory_reservation.or(container.memory_reservation),
        entry_point: container.entry_point.clone(),
        command: over.command.clone().or_else(|| container.command.clone()),
        environment: environment(&container.environment, &over.environment),
        working_directory: container.working_directory.clone(),
        user: container.user.clone(),
        readonly_root_filesystem: container.readonly_root_filesystem.unwrap_or(false),
        pseudo_terminal: container.pseudo_terminal.unwrap_or(false),
        init_process_enabled: linux.init_process_enabled.unwrap_or(false),
        capabilities_add: capabilities.add,
        capabilities_drop: capabilities.drop,
        ulimits: container
            .ulimits
            .iter()
            .flatten()
            .map(|u| (u.name.clone(), limit(u.soft_limit), limit(u.hard_limit)))
            .collect(),
        sysctls: container
            .system_controls
            .iter()
            .map(|s| (s.namespace.clone(), s.value.clone()))
            .collect(),
        tmpfs: linux
            .tmpfs
            .into_iter()
            .map(|t| (t.container_path, t.size, t.mount_options))
            .collect(),
        shared_memory_mib: linux.shared_memory_size,
        mounts: mounts(definition, container),
        depends_on: container
            .depends_on
            .iter()
            .flatten()
            .filter_map(|d| Some((d.container_name.clone(), condition(&d.condition)?)))
            .collect(),
        start_timeout_s: container.start_timeout,
        stop_timeout_s: container.stop_timeout.unwrap_or(STOP_TIMEOUT_S_DEFAULT),
        health_check: container.health_check.as_ref().and_then(|check| {
            let command = match check.command.split_first()? {
                (first, rest) if first == "CMD" => rest.to_vec(),
                (first, rest) if first == "CMD-SHELL" => {
                    vec!["/bin/sh".to_owned(), "-c".to_owned(), rest.join(" ")]
                }
                _ => return None,
            };
            Some(HealthCheck {
                command,
                interval_s: check.interval.unwrap_or(HEALTH_INTERVAL_S),
                timeout_s: check.timeout.unwrap_or(HEALTH_TIMEOUT_S),
                retries: check.retries.unwrap_or(HEALTH_RETRIES),
                start_period_s: check.start_period.unwrap_or(0),
            })
        }),
        ports: container
            .port_mappings
            .iter()
            .filter_map(|p| p.container_port.and_then(|port| u16::try_from(port).ok()))
            .collect(),
        log: log_target(scope, task, container),
        docker_labels: container.docker_labels.clone().unwrap_or_default(),
        restart: container
            .restart_policy
            .as_ref()
            .filter(|r| r.enabled)
            .map(|r| RestartPolicy {
                ignored_exit_codes: r.ignored_exit_codes.clone(),
                restart_attempt_period_s: r.restart_attempt_period.unwrap_or(RESTART_PERIOD_S),
            }),
    }
}

/// A task definition's variables, with overrides replacing those of the same name and the rest behind them.
fn environment(base: &[KeyValue], over: &[KeyValue]) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for KeyValue { name, value } in base.iter().chain(over) {
        match variables.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1.clone_from(value),
            None => variables.push((name.clone(), value.clone())),
        }
    }
    variables
}

fn mounts(definition: &TaskDefinition, container: &ContainerDefinition) -> Vec<MountSpec> {
    let own = container.mount_points.iter().map(|m| MountSpec {
        volume: m.source_volume.clone(),
        container_path: m.container_path.clone(),
        read_only: m.read_only.unwrap_or(false),
    });
    let borrowed = container.volumes_from.iter().flat_map(|from| {
        let lender = definition.containers.iter().find(|c| c.name == from.source_container);
        lender.into_iter().flat_map(|c| &c.mount_points).map(|m| MountSpec {
            volume: m.source_volume.clone(),
            container_path: m.container_path.clone(),
            read_only: m.read_only.unwrap_or(false) || from.read_only.unwrap_or(false),
        })
    });
    own.chain(borrowed).collect()
}

fn condition(text: &str) -> Option<DependencyCondition> {
    Some(match text {
        "START" => DependencyCondition::Start,
        "COMPLETE" => DependencyCondition::Complete,
        "SUCCESS" => DependencyCondition::Success,
        "HEALTHY" => DependencyCondition::Healthy,
        _ => return None,
    })
}

/// -1 means that there is no limit.
fn limit(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

/// Ref: ECS developer guide, "awslogs": the stream is `prefix/container/task`, or the container's id without a prefix.
fn log_target(scope: &Scope, task: &Task, container: &ContainerDefinition) -> LogTarget {
    let Some((region, group)) = awslogs_group(scope, container) else {
        return LogTarget::Local;
    };
    let prefix = container
        .log_configuration
        .as_ref()
        .and_then(|config| config.options.get("awslogs-stream-prefix"));
    let stream = match prefix {
        Some(prefix) => format!("{prefix}/{}/{}", container.name, task.id),
        None => task
            .containers
            .iter()
            .find(|c| c.name == container.name)
            .map_or_else(|| format!("{}/{}", container.name, task.id), |c| c.id.clone()),
    };
    LogTarget::Stream {
        account: scope.account.to_string(),
        region,
        group,
        stream,
    }
}

/// A log group that a task writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroupWanted {
    /// Its region.
    pub region: String,
    /// Its name.
    pub name: String,
    /// Whether it is created if it does not exist (`awslogs-create-group`).
    pub create: bool,
}

/// The region and the name of the log group that a container writes to (`awslogs`).
pub(crate) fn awslogs_group(scope: &Scope, container: &ContainerDefinition) -> Option<(String, String)> {
    let config = container
        .log_configuration
        .as_ref()
        .filter(|c| c.log_driver == "awslogs")?;
    let region = config
        .options
        .get("awslogs-region")
        .cloned()
        .unwrap_or_else(|| scope.region.to_string());
    Some((region, config.options.get("awslogs-group")?.clone()))
}

/// The log groups of a task definition's containers.
pub fn log_groups(scope: &Scope, definition: &TaskDefinition) -> Vec<LogGroupWanted> {
    let wanted = definition.containers.iter().filter_map(|container| {
        let (region, name) = awslogs_group(scope, container)?;
        let options = &container.log_configuration.as_ref()?.options;
        let create = options.get("awslogs-create-group").is_some_and(|v| v == "true");
        Some(LogGroupWanted { region, name, create })
    });
    wanted.collect()
}
