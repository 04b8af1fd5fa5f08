//! Events of tasks and their containers: what they use, as a node has measured it.

use super::{PerformanceEvent, PerformanceLog, VERSION, is_wanted, log, metrics};
use crate::find_task;
use crate::model::{Cluster, ContainerDefinition, LastStatus, Node, Task, TaskDefinition, node_scope};
use crate::names::task_definition_key;
use honmaru_base::{Scope, Time};
use honmaru_contract::node::{ContainerUsage, NetworkUsage, TaskUsage, UsageReport};
use honmaru_machine::State;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const MIB: u64 = 1 << 20;
const TASK_METRICS: [(&str, &str); 8] = [
    ("CpuUtilized", "None"),
    ("CpuReserved", "None"),
    ("MemoryUtilized", "Megabytes"),
    ("MemoryReserved", "Megabytes"),
    ("StorageReadBytes", "Bytes/Second"),
    ("StorageWriteBytes", "Bytes/Second"),
    ("NetworkRxBytes", "Bytes/Second"),
    ("NetworkTxBytes", "Bytes/Second"),
];

/// The events of a node's report. Tasks that are gone meanwhile, or whose cluster wants no events any more, have none.
pub fn usage_events(state: &State, node: &str, report: &UsageReport) -> Vec<PerformanceLog> {
    let mut logs: BTreeMap<(Scope, String), Vec<PerformanceEvent>> = BTreeMap::new();
    let instance = state.get::<Node>(&node_scope(), node);
    for usage in &report.tasks {
        let Some((scope, task)) = find_task(state, &usage.task_id) else {
            continue;
        };
        let is_wanted = state.get::<Cluster>(scope, &task.cluster).is_some_and(is_wanted);
        let runs = (LastStatus::Activating..=LastStatus::Stopping).contains(&task.last_status);
        if !is_wanted || !runs || task.node.as_deref() != Some(node) {
            continue;
        }
        let key = task_definition_key(&task.family, task.revision);
        let scene = Scene {
            scope,
            task,
            definition: state.get::<TaskDefinition>(scope, &key),
            instance: instance.filter(|_| task.launch_type == "EC2"),
            at: report.at,
        };
        let stream = stream(task, instance);
        let events = logs.entry((scope.clone(), task.cluster.clone())).or_default();
        let messages = usage
            .containers
            .iter()
            .map(|container| scene.container(container, usage.network.as_ref()));
        for message in messages.chain([scene.task(usage)]) {
            events.push(PerformanceEvent {
                stream: stream.clone(),
                at: report.at,
                message: message.to_string(),
            });
        }
    }
    logs.into_iter()
        .map(|((scope, cluster), events)| log(&scope, &cluster, events))
        .collect()
}

/// Ref: as in the module's head: `AgentTelemetry-` and the container instance. For Fargate AWS has `FargateTelemetry-` and
/// a number of four digits, which says nothing; ours belongs to the node.
fn stream(task: &Task, instance: Option<&Node>) -> String {
    let id = instance.map(|node| node.instance_id.as_str()).unwrap_or_default();
    if task.launch_type == "EC2" {
        return format!("AgentTelemetry-{id}");
    }
    let number = u32::from_str_radix(id.get(..8).unwrap_or_default(), 16).unwrap_or_default();
    format!("FargateTelemetry-{}", 1_000 + number % 9_000)
}

/// A task that was measured.
struct Scene<'a> {
    scope: &'a Scope,
    task: &'a Task,
    definition: Option<&'a TaskDefinition>,
    /// The container instance, where the launch type shows it.
    instance: Option<&'a Node>,
    at: Time,
}

impl Scene<'_> {
    /// What every event begins with.
    fn head(&self, kind: &str) -> Map<String, Value> {
        let task = self.task;
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        put("Version", json!(VERSION));
        put("Type", json!(kind));
        put("TaskId", json!(task.id));
        put("TaskDefinitionFamily", json!(task.family));
        put("TaskDefinitionRevision", json!(task.revision.to_string()));
        put("ClusterName", json!(task.cluster));
        put("Timestamp", json!(self.at.as_ms()));
        if let Some(service) = &task.service {
            put("ServiceName", json!(service));
        }
        if let Some(node) = self.instance {
            put("ContainerInstanceId", json!(node.instance_id));
        }
        members
    }

    fn task(&self, usage: &TaskUsage) -> Value {
        let task = self.task;
        let mut members = self.head("Task");
        let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        put("AccountID", json!(self.scope.account.as_str()));
        put("Region", json!(self.scope.region.as_str()));
        if let Some(interface) = &task.interface {
            put("AvailabilityZone", json!(interface.availability_zone));
        }
        put("KnownStatus", json!("RUNNING"));
        put("LaunchType", json!(task.launch_type));
        put("CreatedAt", json!(task.created_at.as_ms()));
        for (name, at) in [
            ("PullStartedAt", task.pull_started_at),
            ("PullStoppedAt", task.pull_stopped_at),
            ("StartedAt", task.started_at),
        ] {
            if let Some(at) = at {
                put(name, json!(at.as_ms()));
            }
        }
        let sum = |of: fn(&ContainerUsage) -> u64| usage.containers.iter().map(of).sum::<u64>();
        let cpu_units: f64 = usage.containers.iter().map(|container| container.cpu_units).sum();
        put("CpuUtilized", json!(cpu_units));
        put("CpuReserved", json!(f64::from(task.reserved.0)));
        put("MemoryUtilized", json!(sum(|container| container.memory_bytes) / MIB));
        put("MemoryReserved", json!(task.reserved.1));
        put("StorageReadBytes", json!(sum(|container| container.storage_read_bytes)));
        put(
            "StorageWriteBytes",
            json!(sum(|container| container.storage_write_bytes)),
        );
        network(&mut members, usage.network.as_ref());
        let mut dimensions: Vec<&[&str]> = vec![&["ClusterName"], &["ClusterName", "TaskDefinitionFamily"]];
        if task.service.is_some() {
            dimensions.push(&["ServiceName", "ClusterName"]);
        }
        // Without an interface there are no figures of it.
        let count = if usage.network.is_some() {
            TASK_METRICS.len()
        } else {
            TASK_METRICS.len() - 2
        };
        let names: Vec<(&str, &str)> = TASK_METRICS.into_iter().take(count).collect();
        members.insert("CloudWatchMetrics".to_owned(), metrics(&names, &dimensions));
        Value::Object(members)
    }

    /// AWS makes metrics of containers only of `enhanced`: their events name none.
    fn container(&self, usage: &ContainerUsage, of_task: Option<&NetworkUsage>) -> Value {
        let mut members = self.head("Container");
        let definition = self.definition.and_then(|definition| {
            definition
                .containers
                .iter()
                .find(|container| container.name == usage.name)
        });
        let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        put("ContainerName", json!(usage.name));
        put("ContainerKnownStatus", json!("RUNNING"));
        if let Some(definition) = definition {
            put("Image", json!(definition.image));
        }
        let (cpu, memory_mib) = self.reserved(&usage.name, definition);
        put("CpuUtilized", json!(usage.cpu_units));
        put("CpuReserved", json!(f64::from(cpu)));
        put("MemoryUtilized", json!(usage.memory_bytes / MIB));
        put("MemoryReserved", json!(memory_mib));
        put("StorageReadBytes", json!(usage.storage_read_bytes));
        put("StorageWriteBytes", json!(usage.storage_write_bytes));
        // The interface is the task's, so that all of its containers show the same.
        network(&mut members, of_task);
        Value::Object(members)
    }

    /// CPU units and MiB that a container has for itself; 0 where it shares the task's.
    fn reserved(&self, name: &str, definition: Option<&ContainerDefinition>) -> (u32, u32) {
        let mut overrides = self.task.overrides.container_overrides.iter();
        let over = overrides.find(|over| over.name == name);
        let cpu = over.and_then(|over| over.cpu).or(definition.map(|own| own.cpu));
        let memory_mib = over
            .and_then(|over| over.memory_reservation)
            .or(definition.and_then(|own| own.memory_reservation))
            .or(over.and_then(|over| over.memory))
            .or(definition.and_then(|own| own.memory));
        (cpu.unwrap_or(0), memory_mib.unwrap_or(0))
    }
}

/// Bytes are rates, all else is counted since the start: so AWS's events have it.
fn network(members: &mut Map<String, Value>, usage: Option<&NetworkUsage>) {
    let Some(usage) = usage else { return };
    for (direction, counters, bytes_per_s) in [
        ("Rx", &usage.rx, usage.rx_bytes_per_s),
        ("Tx", &usage.tx, usage.tx_bytes_per_s),
    ] {
        let mut put = |name: &str, value: Value| drop(members.insert(format!("Network{direction}{name}"), value));
        // A rate is at least 0, and far from what a number of 64 bits holds.
        put("Bytes", json!(bytes_per_s.round() as u64));
        put("Packets", json!(counters.packets));
        put("Errors", json!(counters.errors));
        put("Dropped", json!(counters.dropped));
    }
}
