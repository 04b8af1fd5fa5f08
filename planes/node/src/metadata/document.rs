//! The metadata documents, with AWS's field names.

use crate::ids::runtime_id;
use crate::shared::View;
use honmaru_contract::node::{
    ContainerObserved, ContainerPhase, ContainerSpec, Health, LogTarget, TaskGoal, TaskPhase,
};
use serde_json::{Map, Value, json};
use std::net::Ipv4Addr;

/// The task's document.
pub(super) fn task(view: &View) -> Value {
    let spec = &view.record.spec;
    let containers: Vec<Value> = spec
        .containers
        .iter()
        .map(|container| self::container(view, container))
        .collect();
    let mut document = object(json!({
        "Cluster": spec.cluster,
        "TaskARN": spec.task_arn,
        "Family": spec.family,
        "Revision": spec.revision.to_string(),
        "DesiredStatus": desired(view),
        "KnownStatus": match view.observed.phase {
            TaskPhase::Preparing => "PENDING",
            TaskPhase::Running | TaskPhase::Stopping => "RUNNING",
            TaskPhase::Stopped { .. } => "STOPPED",
        },
        "AvailabilityZone": spec.availability_zone,
        "LaunchType": spec.launch_type,
        "Containers": containers,
    }));
    if let Some(service) = &spec.service {
        document.insert("ServiceName".to_owned(), json!(service));
    }
    if let Some(network) = &spec.network {
        document.insert("VPCID".to_owned(), json!(network.vpc_id));
    }
    if spec.launch_type != "EC2" {
        // Only Fargate tells it, and faults are not injected here.
        document.insert("FaultInjectionEnabled".to_owned(), json!(false));
    }
    let mut limits = Map::new();
    if let Some(units) = spec.cpu_units {
        limits.insert("CPU".to_owned(), json!(f64::from(units) / 1_024.0));
    }
    if let Some(memory_mib) = spec.memory_mib {
        limits.insert("Memory".to_owned(), json!(memory_mib));
    }
    if !limits.is_empty() {
        document.insert("Limits".to_owned(), Value::Object(limits));
    }
    if let Some(at) = view.observed.pull_started_at {
        document.insert("PullStartedAt".to_owned(), json!(at.rfc3339()));
    }
    if let Some(at) = view.observed.pull_stopped_at {
        document.insert("PullStoppedAt".to_owned(), json!(at.rfc3339()));
    }
    Value::Object(document)
}

/// One container's document.
pub(super) fn container(view: &View, spec: &ContainerSpec) -> Value {
    let task = &view.record.spec;
    let observed = view.observed.containers.iter().find(|c| c.name == spec.name);
    let id = runtime_id(&task.task_id, &spec.name);
    let mut labels = Map::new();
    for (name, value) in [
        ("com.amazonaws.ecs.cluster", task.cluster.clone()),
        ("com.amazonaws.ecs.container-name", spec.name.clone()),
        ("com.amazonaws.ecs.task-arn", task.task_arn.clone()),
        ("com.amazonaws.ecs.task-definition-family", task.family.clone()),
        ("com.amazonaws.ecs.task-definition-version", task.revision.to_string()),
    ] {
        labels.insert(name.to_owned(), Value::String(value));
    }
    labels.extend(
        spec.docker_labels
            .iter()
            .map(|(name, value)| (name.clone(), Value::String(value.clone()))),
    );
    let mut limits = Map::from_iter([("CPU".to_owned(), json!(spec.cpu_units))]);
    if let Some(memory_mib) = spec.memory_mib {
        limits.insert("Memory".to_owned(), json!(memory_mib));
    }
    let mut document = object(json!({
        "DockerId": id,
        "Name": spec.name,
        "DockerName": spec.name,
        "Image": spec.image,
        "ImageID": observed.and_then(|c| c.image_digest.clone()).unwrap_or_default(),
        "Labels": labels,
        "DesiredStatus": desired(view),
        "KnownStatus": known(observed),
        "Limits": limits,
        "Type": "NORMAL",
        "ContainerARN": task.task_arn.replacen(":task/", ":container/", 1),
        "Snapshotter": "overlayfs",
    }));
    if let LogTarget::Stream {
        region, group, stream, ..
    } = &spec.log
    {
        document.insert("LogDriver".to_owned(), json!("awslogs"));
        let options = json!({"awslogs-group": group, "awslogs-region": region, "awslogs-stream": stream});
        document.insert("LogOptions".to_owned(), options);
    }
    if let Some(network) = &task.network {
        document.insert(
            "Networks".to_owned(),
            json!([{
                "NetworkMode": "awsvpc",
                "IPv4Addresses": [network.address],
                "AttachmentIndex": 0,
                "MACAddress": network.mac,
                "IPv4SubnetCIDRBlock": network.subnet_cidr,
                "DomainNameServers": [network.dns],
                "PrivateDNSName": private_dns_name(network.address, &task.region),
                "SubnetGatewayIpv4Address": gateway(&network.subnet_cidr),
            }]),
        );
    }
    if let Some(observed) = observed {
        state(&mut document, observed, spec.health_check.is_some());
    }
    Value::Object(document)
}

/// The name by which EC2 shows an interface. Ref: EC2 user guide, "IP name" hostnames: us-east-1 has its own domain.
fn private_dns_name(address: Ipv4Addr, region: &str) -> String {
    let name = format!("ip-{}", address.to_string().replace('.', "-"));
    match region {
        "us-east-1" => format!("{name}.ec2.internal"),
        region => format!("{name}.{region}.compute.internal"),
    }
}

/// The subnet's first address, with its prefix length; nothing when the range is none.
fn gateway(range: &str) -> Option<String> {
    let (network, prefix) = range.split_once('/')?;
    let network: Ipv4Addr = network.parse().ok()?;
    let first = u32::from(network).checked_add(1)?;
    Some(format!("{}/{prefix}", Ipv4Addr::from(first)))
}

fn state(document: &mut Map<String, Value>, observed: &ContainerObserved, has_check: bool) {
    let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
    match &observed.phase {
        ContainerPhase::Pending => {}
        ContainerPhase::Running { started_at, .. } => {
            put("CreatedAt", json!(started_at.rfc3339()));
            put("StartedAt", json!(started_at.rfc3339()));
        }
        ContainerPhase::Stopped {
            exit_code,
            started_at,
            stopped_at,
            ..
        } => {
            if let Some(at) = started_at {
                put("CreatedAt", json!(at.rfc3339()));
                put("StartedAt", json!(at.rfc3339()));
            }
            put("FinishedAt", json!(stopped_at.rfc3339()));
            if let Some(code) = exit_code {
                put("ExitCode", json!(code));
            }
        }
    }
    if has_check {
        let status = match observed.health {
            Health::Unknown => "UNKNOWN",
            Health::Healthy => "HEALTHY",
            Health::Unhealthy => "UNHEALTHY",
        };
        put("Health", json!({"status": status}));
    }
    if observed.restarts > 0 {
        put("RestartCount", json!(observed.restarts));
    }
}

fn known(observed: Option<&ContainerObserved>) -> &'static str {
    match observed.map(|c| &c.phase) {
        None | Some(ContainerPhase::Pending) => "PENDING",
        Some(ContainerPhase::Running { .. }) => "RUNNING",
        Some(ContainerPhase::Stopped { .. }) => "STOPPED",
    }
}

fn desired(view: &View) -> &'static str {
    let stops = matches!(view.observed.phase, TaskPhase::Stopping | TaskPhase::Stopped { .. });
    if stops || view.record.spec.goal == TaskGoal::Stop {
        "STOPPED"
    } else {
        "RUNNING"
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_gateways_are_those_of_ec2() {
        let address = Ipv4Addr::new(172, 31, 0, 161);
        assert_eq!(private_dns_name(address, "us-east-1"), "ip-172-31-0-161.ec2.internal");
        assert_eq!(
            private_dns_name(address, "eu-west-1"),
            "ip-172-31-0-161.eu-west-1.compute.internal"
        );
        assert_eq!(gateway("172.31.16.0/20").as_deref(), Some("172.31.16.1/20"));
        assert_eq!(gateway("none"), None);
    }
}
