//! A task as the API shows it.

use super::cluster::insert_some;
use crate::model::{ContainerState, LastStatus, Node, Task, TaskDefinition, node_scope};
use crate::names::{arn, cluster_arn, container_arn, task_arn, task_definition_arn, task_definition_key};
use honmaru_base::{Scope, Time};
use honmaru_contract::node::Health;
use honmaru_machine::State;
use serde_json::{Value, json};
use std::net::Ipv4Addr;

/// The attribute of a task with a port that cannot be reached.
const LISTENING_ATTRIBUTE: &str = "honmaru.listening";
const ATTRIBUTE_CHARACTERS_MAX: usize = 128;

/// Whether tags are part of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tags {
    Shown,
    Hidden,
}

/// The task's tree.
pub(super) fn view(state: &State, scope: &Scope, task: &Task, tags: Tags) -> Value {
    let definition = state.get::<TaskDefinition>(scope, &task_definition_key(&task.family, task.revision));
    let containers: Vec<Value> = task
        .containers
        .iter()
        .map(|c| container(scope, task, definition, c))
        .collect();
    let mut answer = json!({
        "attachments": attachments(scope, task),
        "attributes": attributes(task),
        "clusterArn": cluster_arn(scope, &task.cluster),
        "containers": containers,
        "createdAt": task.created_at.as_epoch_s(),
        "desiredStatus": task.desired_status(),
        "enableExecuteCommand": task.enable_execute_command,
        "group": task.group,
        "healthStatus": health(task.health()),
        "lastStatus": task.last_status.as_str(),
        "launchType": task.launch_type,
        "overrides": {
            "containerOverrides": container_overrides(task),
            "inferenceAcceleratorOverrides": [],
        },
        "tags": [],
        "taskArn": task_arn(scope, &task.cluster, &task.id),
        "taskDefinitionArn": task_definition_arn(scope, &task.family, task.revision),
        "version": task.version,
    });
    let members = answer.as_object_mut().expect("an object was built above");
    let text = |value: &Option<String>| value.clone().map(Value::String);
    let time = |at: Option<Time>| at.map(|at| json!(at.as_epoch_s()));
    let number = |value: Option<u32>| value.map(|value| Value::String(value.to_string()));
    if tags == Tags::Shown {
        members.insert("tags".to_owned(), super::tags::tags_answer(&task.tags));
    }
    let zone = task.interface.as_ref().map(|i| i.availability_zone.clone());
    insert_some(members, "availabilityZone", zone.map(Value::String));
    insert_some(members, "capacityProviderName", text(&task.capacity_provider));
    insert_some(members, "cpu", number(task.cpu));
    insert_some(members, "memory", number(task.memory));
    insert_some(members, "startedBy", text(&task.started_by));
    insert_some(members, "pullStartedAt", time(task.pull_started_at));
    insert_some(members, "pullStoppedAt", time(task.pull_stopped_at));
    insert_some(members, "startedAt", time(task.started_at));
    insert_some(members, "stoppingAt", time(task.stopping_at));
    insert_some(members, "executionStoppedAt", time(task.execution_stopped_at));
    insert_some(members, "stoppedAt", time(task.stopped_at));
    if task.last_status > LastStatus::Provisioning && task.last_status < LastStatus::Stopped {
        members.insert("connectivity".to_owned(), json!("CONNECTED"));
        insert_some(members, "connectivityAt", time(Some(task.created_at)));
    }
    if let Some(stop) = &task.stop {
        members.insert("stopCode".to_owned(), json!(stop.code.as_str()));
        members.insert("stoppedReason".to_owned(), json!(stop.reason));
    }
    if task.launch_type == "FARGATE" {
        members.insert("platformVersion".to_owned(), json!("1.4.0"));
        members.insert("platformFamily".to_owned(), json!("Linux"));
        let gib = definition.and_then(|d| d.ephemeral_storage_gib).unwrap_or(20);
        members.insert("ephemeralStorage".to_owned(), json!({ "sizeInGiB": gib }));
    } else if let Some(node) = task
        .node
        .as_ref()
        .and_then(|name| state.get::<Node>(&node_scope(), name))
    {
        let id = format!("container-instance/{}/{}", task.cluster, node.instance_id);
        members.insert("containerInstanceArn".to_owned(), json!(arn(scope, &id)));
    }
    if let Some(overrides) = members.get_mut("overrides").and_then(Value::as_object_mut) {
        insert_some(overrides, "cpu", text(&task.overrides.cpu));
        insert_some(overrides, "memory", text(&task.overrides.memory));
        insert_some(overrides, "taskRoleArn", text(&task.overrides.task_role_arn));
        insert_some(overrides, "executionRoleArn", text(&task.overrides.execution_role_arn));
    }
    answer
}

/// AWS's attribute, and ours while a declared port cannot be reached: what the task listens on instead. That is how
/// `honmaru deploy` knows.
fn attributes(task: &Task) -> Value {
    let mut attributes = vec![json!({ "name": "ecs.cpu-architecture", "value": "x86_64" })];
    let mut listening = String::new();
    for listener in &task.listening {
        let address = if listener.loopback { "127.0.0.1" } else { "0.0.0.0" };
        let next = format!("{address}:{}", listener.port);
        // Ref: ECS `Attribute.value`: 128 characters.
        if listening.len() + 1 + next.len() > ATTRIBUTE_CHARACTERS_MAX {
            break;
        }
        if !listening.is_empty() {
            listening.push(' ');
        }
        listening.push_str(&next);
    }
    if !listening.is_empty() {
        attributes.push(json!({ "name": LISTENING_ATTRIBUTE, "value": listening }));
    }
    Value::Array(attributes)
}

/// The name by which EC2 shows an interface. Ref: EC2 user guide: us-east-1 has its own domain.
fn private_dns_name(region: &str, address: Ipv4Addr) -> String {
    let name = format!("ip-{}", address.to_string().replace('.', "-"));
    match region {
        "us-east-1" => format!("{name}.ec2.internal"),
        region => format!("{name}.{region}.compute.internal"),
    }
}

/// AWS's answer names every container, overridden or not.
fn container_overrides(task: &Task) -> Vec<Value> {
    let given = &task.overrides.container_overrides;
    let bare = task
        .containers
        .iter()
        .filter(|c| given.iter().all(|o| o.name != c.name));
    let given = given.iter().map(|over| json!(over));
    given.chain(bare.map(|c| json!({ "name": c.name }))).collect()
}

fn attachments(scope: &Scope, task: &Task) -> Value {
    let Some(interface) = &task.interface else {
        return json!([]);
    };
    let status = match task.last_status {
        LastStatus::Provisioning => "PRECREATED",
        LastStatus::Pending => "ATTACHING",
        LastStatus::Activating | LastStatus::Running | LastStatus::Deactivating | LastStatus::Stopping => "ATTACHED",
        LastStatus::Deprovisioning => "DETACHING",
        LastStatus::Stopped => "DELETED",
    };
    let dns = private_dns_name(scope.region.as_str(), interface.private_ip);
    let detail = |name: &str, value: &str| json!({ "name": name, "value": value });
    json!([{
        "id": interface.attachment_id,
        "type": "ElasticNetworkInterface",
        "status": status,
        "details": [
            detail("subnetId", &interface.subnet_id),
            detail("networkInterfaceId", &interface.id),
            detail("macAddress", &interface.mac),
            detail("privateDnsName", &dns),
            detail("privateIPv4Address", &interface.private_ip.to_string()),
        ],
    }])
}

fn container(scope: &Scope, task: &Task, definition: Option<&TaskDefinition>, c: &ContainerState) -> Value {
    let interfaces = task.interface.iter().map(|interface| {
        json!({
            "attachmentId": interface.attachment_id,
            "privateIpv4Address": interface.private_ip.to_string(),
        })
    });
    let own = definition.and_then(|d| d.containers.iter().find(|known| known.name == c.name));
    let over = task.overrides.container_overrides.iter().find(|o| o.name == c.name);
    let cpu = over.and_then(|o| o.cpu).or(own.map(|d| d.cpu)).unwrap_or(0);
    let memory = over.and_then(|o| o.memory).or(own.and_then(|d| d.memory));
    let reservation = over
        .and_then(|o| o.memory_reservation)
        .or(own.and_then(|d| d.memory_reservation));
    let mut answer = json!({
        "containerArn": container_arn(scope, &task.cluster, &task.id, &c.id),
        "taskArn": task_arn(scope, &task.cluster, &task.id),
        "name": c.name,
        "image": c.image,
        "lastStatus": c.last_status,
        "networkBindings": [],
        "networkInterfaces": interfaces.collect::<Vec<_>>(),
        "healthStatus": health(c.health),
        "cpu": cpu.to_string(),
    });
    let members = answer.as_object_mut().expect("an object was built above");
    insert_some(members, "imageDigest", c.image_digest.clone().map(Value::String));
    insert_some(members, "runtimeId", c.runtime_id.clone().map(Value::String));
    insert_some(members, "exitCode", c.exit_code.map(|code| json!(code)));
    insert_some(members, "reason", c.reason.clone().map(Value::String));
    insert_some(members, "memory", memory.map(|mib| Value::String(mib.to_string())));
    insert_some(
        members,
        "memoryReservation",
        reservation.map(|mib| Value::String(mib.to_string())),
    );
    if task.enable_execute_command {
        let agent = json!([{ "name": "ExecuteCommandAgent", "lastStatus": c.last_status }]);
        members.insert("managedAgents".to_owned(), agent);
    }
    answer
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Unknown => "UNKNOWN",
        Health::Healthy => "HEALTHY",
        Health::Unhealthy => "UNHEALTHY",
    }
}
