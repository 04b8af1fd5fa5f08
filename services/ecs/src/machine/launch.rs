//! Making a task's row.

use crate::model::{
    AwsVpcConfiguration, ContainerState, LastStatus, Tag, Task, TaskDefinition, TaskOverride, TaskTarget,
};
use honmaru_base::{Scope, hex_id, uuid};
use honmaru_contract::node::Health;
use honmaru_machine::Tx;
use std::collections::BTreeMap;

/// Everything about a task that is known before it exists.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its cluster's name.
    pub cluster: String,
    /// What it runs.
    pub definition: TaskDefinition,
    /// What differs.
    pub overrides: TaskOverride,
    /// `FARGATE` or `EC2`.
    pub launch_type: String,
    /// Its capacity provider.
    pub capacity_provider: Option<String>,
    /// Subnets and groups.
    pub network: Option<AwsVpcConfiguration>,
    /// Its group.
    pub group: String,
    /// Its service.
    pub service: Option<String>,
    /// Who started it.
    pub started_by: Option<String>,
    /// Whether commands may be executed in it.
    pub enable_execute_command: bool,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// The target groups it will register with: ARN, container, port.
    pub targets: Vec<(String, String, u16)>,
    /// Its node, if one is known.
    pub node: Option<String>,
}

/// CPU units and MiB that placement reserves for a task: the task's own figures, else the sum of its containers'.
pub fn reservation(definition: &TaskDefinition, overrides: &TaskOverride) -> (u32, u32) {
    let (cpu, memory) = limits(definition, overrides);
    let of = |name: &str| overrides.container_overrides.iter().find(|o| o.name == name);
    let cpu = cpu.unwrap_or_else(|| {
        definition
            .containers
            .iter()
            .map(|c| of(&c.name).and_then(|o| o.cpu).unwrap_or(c.cpu))
            .sum()
    });
    let memory = memory.unwrap_or_else(|| {
        let need = |c: &crate::model::ContainerDefinition| {
            let o = of(&c.name);
            o.and_then(|o| o.memory_reservation)
                .or(c.memory_reservation)
                .or(o.and_then(|o| o.memory))
                .or(c.memory)
                .unwrap_or(0)
        };
        definition.containers.iter().map(need).sum()
    });
    (cpu, memory)
}

/// The limits of the whole task, if it has any.
fn limits(definition: &TaskDefinition, overrides: &TaskOverride) -> (Option<u32>, Option<u32>) {
    let number = |text: &Option<String>| text.as_deref().and_then(|t| t.parse().ok());
    (
        number(&overrides.cpu).or(definition.cpu),
        number(&overrides.memory).or(definition.memory),
    )
}

/// Creates a task in PROVISIONING and returns its id.
pub fn launch(tx: &mut Tx<'_>, scope: &Scope, launch: Launch) -> String {
    let id = hex_id(tx.rng(), 32);
    let containers = launch
        .definition
        .containers
        .iter()
        .map(|c| ContainerState {
            id: uuid(tx.rng()),
            name: c.name.clone(),
            image: c.image.clone(),
            essential: c.is_essential(),
            checked: c
                .health_check
                .as_ref()
                .is_some_and(|h| h.command.first().is_some_and(|w| w != "NONE")),
            last_status: "PENDING".to_owned(),
            exit_code: None,
            reason: None,
            health: Health::Unknown,
            image_digest: None,
            runtime_id: None,
        })
        .collect();
    let (cpu, memory) = limits(&launch.definition, &launch.overrides);
    let target = |(target_group_arn, container_name, port)| TaskTarget {
        target_group_arn,
        container_name,
        port,
        registered: false,
        deregistered_at: None,
    };
    let task = Task {
        id: id.clone(),
        cluster: launch.cluster,
        reserved: reservation(&launch.definition, &launch.overrides),
        family: launch.definition.family,
        revision: launch.definition.revision,
        group: launch.group,
        service: launch.service,
        started_by: launch.started_by,
        launch_type: launch.launch_type,
        capacity_provider: launch.capacity_provider,
        cpu,
        memory,
        overrides: launch.overrides,
        network: launch.network,
        enable_execute_command: launch.enable_execute_command,
        tags: launch.tags,
        last_status: LastStatus::Provisioning,
        stop: None,
        node: launch.node,
        interface: None,
        images: BTreeMap::new(),
        containers,
        targets: launch.targets.into_iter().map(target).collect(),
        observed: false,
        accounted: false,
        version: 1,
        spec_version: 0,
        created_at: tx.now(),
        pull_started_at: None,
        pull_stopped_at: None,
        started_at: None,
        stopping_at: None,
        execution_stopped_at: None,
        stopped_at: None,
        protected_until: None,
        listening: Vec::new(),
    };
    tx.put(scope, &id, task);
    id
}
