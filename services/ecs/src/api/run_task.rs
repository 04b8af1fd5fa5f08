//! RunTask and StartTask.

use super::fargate::{is_fargate_size, no_fargate_size, override_size};
use super::launch_rules::{
    Capacity, capacity, check_definition, check_placement, check_platform_version, choose_provider, task_tags,
};
use super::tags::check_tags;
use super::{find, task_view};
use crate::error::invalid;
use crate::input::Input;
use crate::machine::idempotency::{self, Claim, Earlier};
use crate::machine::{Launch, Usage, launch, reservation};
use crate::model::{Cluster, NetworkConfiguration, Node, Tag, Task, TaskDefinition, TaskOverride, node_scope};
use crate::names::{arn, short_name};
use honmaru_base::ApiError;
use honmaru_machine::{Call, Tx};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Ref: RunTask `count`: 1 to 10.
const COUNT_MAX: i64 = 10;
/// Ref: RunTask `startedBy`: 128 characters.
const STARTED_BY_MAX: usize = 128;
/// Ref: RunTask `overrides`: 8,192 characters of JSON.
const OVERRIDES_CHARS_MAX: usize = 8_192;

/// What both calls read from their input.
struct Request {
    cluster: Cluster,
    definition: TaskDefinition,
    overrides: TaskOverride,
    network: Option<NetworkConfiguration>,
    group: String,
    started_by: Option<String>,
    tags: Vec<Tag>,
    execute: bool,
}

/// RunTask: places up to ten tasks. What cannot be placed is a failure in the answer, not an error.
pub fn run_task(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let whole = input.clone();
    let input = Input::new(input);
    let request = read(tx, call, &input)?;
    let count = input.int("count").unwrap_or(1);
    if !(1..=COUNT_MAX).contains(&count) {
        return Err(invalid("Count must be between 1 and 10."));
    }
    let capacity = capacity(&input, &request.cluster)?;
    check_platform_version(&input, capacity.effective())?;
    check_placement(&input, capacity.effective())?;
    check_definition(&request.definition, &capacity, request.network.as_ref())?;

    let claim = Claim::of(idempotency::RUN_TASK, &request.cluster.name, &whole)?;
    if let Some(claim) = &claim {
        match claim.earlier(tx, &call.scope) {
            Earlier::Never => {}
            Earlier::Same(tasks) => return Ok(answer(tx, call, &tasks, Vec::new())),
            Earlier::Other(tasks) => {
                let arn = |id: &String| crate::names::task_arn(&call.scope, &request.cluster.name, id);
                let arns: Vec<String> = tasks.iter().map(arn).collect();
                return Err(claim.conflict().with_field("resourceIds", json!(arns)));
            }
        }
    }

    let reserved = reservation(&request.definition, &request.overrides);
    let mut usage = Usage::of(tx);
    if !usage.has_nodes() && capacity.effective() == "EC2" {
        return Err(invalid("No Container Instances were found in your cluster."));
    }
    let (mut started, mut failures) = (Vec::new(), Vec::new());
    let mut used: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..count {
        match usage.place(reserved) {
            Ok(node) => {
                let provider = choose_provider(&capacity.strategy, |name| used.get(name).copied().unwrap_or(0));
                if let Some(provider) = &provider {
                    *used.entry(provider.clone()).or_default() += 1;
                }
                started.push(start(tx, call, &request, &capacity, provider, node));
            }
            Err(shortage) => failures.push(json!({
                "arn": instance_arn(tx, call, &request.cluster.name),
                "reason": shortage.reason(),
            })),
        }
    }
    if let Some(claim) = claim {
        claim.keep(tx, &call.scope, started.clone());
    }
    Ok(answer(tx, call, &started, failures))
}

/// StartTask: runs one task on each of the named container instances.
pub fn start_task(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let request = read(tx, call, &input)?;
    let capacity = Capacity {
        launch_type: Some("EC2".to_owned()),
        strategy: Vec::new(),
    };
    check_definition(&request.definition, &capacity, request.network.as_ref())?;
    let instances = input.texts("containerInstances");
    find::check_count(&instances, "Container instance", COUNT_MAX as usize)?;
    let (mut started, mut failures) = (Vec::new(), Vec::new());
    let mut usage = Usage::of(tx);
    for name in &instances {
        let node = tx
            .list::<Node>(&node_scope())
            .find(|(_, node)| node.instance_id == short_name(name))
            .map(|(name, _)| name.to_owned());
        let failure = |reason: &str| {
            let id = format!("container-instance/{}/{}", request.cluster.name, short_name(name));
            json!({ "arn": arn(&call.scope, &id), "reason": reason })
        };
        let Some(node) = node else {
            failures.push(failure("MISSING"));
            continue;
        };
        match usage.place_on(&node, reservation(&request.definition, &request.overrides)) {
            Ok(()) => started.push(start(tx, call, &request, &capacity, None, Some(node))),
            Err(shortage) => failures.push(failure(shortage.reason())),
        }
    }
    Ok(answer(tx, call, &started, failures))
}

fn answer(tx: &Tx<'_>, call: &Call, started: &[String], failures: Vec<Value>) -> Value {
    let tasks: Vec<Value> = started
        .iter()
        .filter_map(|id| tx.get::<Task>(&call.scope, id))
        .map(|task| task_view::view(tx, &call.scope, task, task_view::Tags::Shown))
        .collect();
    json!({ "tasks": tasks, "failures": failures })
}

/// The ARN in a failure: that of a node as container instance of the cluster.
fn instance_arn(tx: &Tx<'_>, call: &Call, cluster: &str) -> String {
    let id = tx
        .list::<Node>(&node_scope())
        .next()
        .map_or("unknown", |(_, node)| &node.instance_id);
    arn(&call.scope, &format!("container-instance/{cluster}/{id}"))
}

fn start(
    tx: &mut Tx<'_>,
    call: &Call,
    request: &Request,
    capacity: &Capacity,
    capacity_provider: Option<String>,
    node: Option<String>,
) -> String {
    let launched = Launch {
        cluster: request.cluster.name.clone(),
        definition: request.definition.clone(),
        overrides: request.overrides.clone(),
        launch_type: capacity.effective().to_owned(),
        capacity_provider,
        network: request.network.clone().and_then(|n| n.awsvpc_configuration),
        group: request.group.clone(),
        service: None,
        started_by: request.started_by.clone(),
        enable_execute_command: request.execute,
        tags: request.tags.clone(),
        targets: Vec::new(),
        node,
    };
    launch(tx, &call.scope, launched)
}

fn read(tx: &Tx<'_>, call: &Call, input: &Input) -> Result<Request, ApiError> {
    input.refuse(&["volumeConfigurations"])?;
    let cluster = find::cluster(tx, call, input)?.clone();
    let definition = find::active_definition(tx, &call.scope, input.required("taskDefinition")?)?.clone();
    let tags: Vec<Tag> = input.parse_or_default("tags")?;
    check_tags(&tags)?;
    let group = match input.text("group").filter(|group| !group.is_empty()) {
        Some(group) if group.starts_with("service:") || group.starts_with("family:") => {
            return Err(invalid("Invalid namespace for group."));
        }
        Some(group) => group.to_owned(),
        None => format!("family:{}", definition.family),
    };
    let started_by = input.owned("startedBy").filter(|text| !text.is_empty());
    if started_by
        .as_ref()
        .is_some_and(|text| text.chars().count() > STARTED_BY_MAX)
    {
        return Err(invalid("startedBy longer than 128."));
    }
    let propagated = match input.text("propagateTags") {
        Some("SERVICE") => return Err(invalid("propagateTags SERVICE is valid for services only.")),
        Some("TASK_DEFINITION") => definition.tags.clone(),
        _ => Vec::new(),
    };
    let managed: &[(&str, &str)] = match input.flag("enableECSManagedTags") {
        Some(true) => &[("aws:ecs:clusterName", &cluster.name)],
        _ => &[],
    };
    let tags = task_tags(&tags, &propagated, managed);
    Ok(Request {
        overrides: read_overrides(input, &definition)?,
        network: input.parse("networkConfiguration")?,
        execute: input.flag("enableExecuteCommand").unwrap_or(false),
        cluster,
        definition,
        group,
        started_by,
        tags,
    })
}

fn read_overrides(input: &Input, definition: &TaskDefinition) -> Result<TaskOverride, ApiError> {
    let Some(raw) = input.value("overrides") else {
        return Ok(TaskOverride::default());
    };
    if raw.to_string().chars().count() > OVERRIDES_CHARS_MAX {
        return Err(invalid("Container Overrides length must be at most 8192"));
    }
    Input::new(raw.clone()).refuse(&["inferenceAcceleratorOverrides", "ephemeralStorage"])?;
    for container in raw
        .get("containerOverrides")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        Input::new(container.clone()).refuse(&["environmentFiles", "resourceRequirements"])?;
    }
    let mut overrides: TaskOverride = input.parse_or_default("overrides")?;
    for over in &overrides.container_overrides {
        if !definition.containers.iter().any(|c| c.name == over.name) {
            return Err(invalid(format!(
                "Override for container named {} is not a container in the TaskDefinition.",
                over.name
            )));
        }
    }
    let (cpu, memory) = override_size(overrides.cpu.as_deref(), overrides.memory.as_deref())?;
    overrides.cpu = cpu.map(|cpu| cpu.to_string());
    overrides.memory = memory.map(|memory| memory.to_string());
    let fargate = definition.requires_compatibilities.iter().any(|c| c == "FARGATE");
    if fargate && (cpu.is_some() || memory.is_some()) {
        let (cpu, memory) = (cpu.or(definition.cpu), memory.or(definition.memory));
        let (cpu, memory) = (cpu.unwrap_or(0), memory.unwrap_or(0));
        if !is_fargate_size(cpu, memory) {
            return Err(invalid(no_fargate_size(cpu, memory)));
        }
    }
    Ok(overrides)
}
