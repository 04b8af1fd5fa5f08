//! Events of services and clusters: how many of what there is.

use super::{PerformanceEvent, PerformanceLog, VERSION, is_wanted, log, metrics};
use crate::model::{Cluster, LastStatus, Node, Service, ServiceStatus, Task, node_scope};
use honmaru_base::{Scope, Time};
use honmaru_machine::State;
use serde_json::{Value, json};

const CLUSTER_METRICS: [(&str, &str); 3] = [
    ("TaskCount", "Count"),
    ("ContainerInstanceCount", "Count"),
    ("ServiceCount", "Count"),
];
const SERVICE_METRICS: [(&str, &str); 5] = [
    ("DesiredTaskCount", "Count"),
    ("RunningTaskCount", "Count"),
    ("PendingTaskCount", "Count"),
    ("DeploymentCount", "Count"),
    ("TaskSetCount", "Count"),
];

/// The events of all clusters and services that have a running task: AWS tells nothing of the others.
/// Ref: CloudWatch User Guide, "Amazon ECS Container Insights metrics".
pub fn count_events(state: &State, at: Time) -> Vec<PerformanceLog> {
    state
        .all::<Cluster>()
        .filter(|(_, _, cluster)| is_wanted(cluster))
        .filter_map(|(scope, _, cluster)| Some(log(scope, &cluster.name, events(state, scope, &cluster.name, at)?)))
        .collect()
}

fn events(state: &State, scope: &Scope, cluster: &str, at: Time) -> Option<Vec<PerformanceEvent>> {
    let (running, _) = counts(state.find::<Task>(scope, "cluster", cluster).map(|(_, task)| task));
    if running == 0 {
        return None;
    }
    let services: Vec<&Service> = state
        .find::<Service>(scope, "cluster", cluster)
        .map(|(_, service)| service)
        .filter(|service| service.status != ServiceStatus::Inactive)
        .collect();
    let nodes = state.list::<Node>(&node_scope()).count();
    let of_cluster = json!({
        "Version": VERSION,
        "Type": "Cluster",
        "ClusterName": cluster,
        "Timestamp": at.as_ms(),
        "TaskCount": running,
        "ContainerInstanceCount": nodes,
        "ServiceCount": services.len(),
        "CloudWatchMetrics": metrics(&CLUSTER_METRICS, &[&["ClusterName"]]),
    });
    let event = |stream: String, message: Value| PerformanceEvent {
        stream,
        at,
        message: message.to_string(),
    };
    let mut events = vec![event(format!("ClusterTelemetry-{cluster}"), of_cluster)];
    for service in services {
        let (running, pending) = counts(
            state
                .find::<Task>(scope, "service", &service.key())
                .map(|(_, task)| task),
        );
        if running > 0 {
            let stream = format!("ServiceTelemetry-{}", service.name);
            events.push(event(stream, of_service(service, running, pending, at)));
        }
    }
    Some(events)
}

fn of_service(service: &Service, running: usize, pending: usize, at: Time) -> Value {
    json!({
        "Version": VERSION,
        "Type": "Service",
        "ServiceName": service.name,
        "ClusterName": service.cluster,
        "Timestamp": at.as_ms(),
        "DesiredTaskCount": service.desired_count,
        "RunningTaskCount": running,
        "PendingTaskCount": pending,
        "DeploymentCount": service.deployments.len(),
        // Task sets belong to the deployment controllers that there are not.
        "TaskSetCount": 0,
        "CloudWatchMetrics": metrics(&SERVICE_METRICS, &[&["ServiceName", "ClusterName"]]),
    })
}

/// Tasks that run, and tasks on their way to it.
fn counts<'a>(tasks: impl Iterator<Item = &'a Task>) -> (usize, usize) {
    tasks.fold((0, 0), |(running, pending), task| match task.last_status {
        LastStatus::Running => (running + 1, pending),
        LastStatus::Provisioning | LastStatus::Pending | LastStatus::Activating => (running, pending + 1),
        LastStatus::Deactivating | LastStatus::Stopping | LastStatus::Deprovisioning | LastStatus::Stopped => {
            (running, pending)
        }
    })
}
