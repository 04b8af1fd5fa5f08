//! What the APIs say of an app's service, its deployments, tasks and targets, read into plain data.

use super::app::{App, CLUSTER};
use super::client::{Client, ECS, ELBV2};
use super::rollout::LISTENING_ATTRIBUTE;
use serde_json::{Value, json};

/// Tasks that one call describes. Ref: ECS `DescribeTasks`.
const TASKS_DESCRIBED_MAX: usize = 100;
/// Pages of a list at most.
const PAGES_MAX: usize = 100;

/// A deployment of the service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deployment {
    /// `ecs-svc/...`; the tasks' `startedBy`.
    pub id: String,
    /// `PRIMARY` or `ACTIVE`.
    pub status: String,
    /// The ARN of what its tasks run.
    pub task_definition: String,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`.
    pub rollout_state: String,
    /// In words.
    pub rollout_state_reason: String,
    /// Tasks that it wants.
    pub desired: u64,
    /// Tasks of it that run.
    pub running: u64,
    /// Tasks of it that are on their way.
    pub pending: u64,
    /// Tasks of it that failed.
    pub failed: u64,
    /// Epoch seconds.
    pub created_at: f64,
}

/// An event of the service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Event {
    /// Epoch seconds.
    pub at: f64,
    /// What AWS would say.
    pub message: String,
}

/// The service of an app.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Service {
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// The service's name.
    pub name: String,
    /// Tasks that it wants.
    pub desired: u64,
    /// Tasks that run.
    pub running: u64,
    /// Tasks on their way.
    pub pending: u64,
    /// The PRIMARY one first.
    pub deployments: Vec<Deployment>,
    /// Newest first.
    pub events: Vec<Event>,
    /// Target group ARN and container port, where there is a load balancer.
    pub target: Option<(String, u16)>,
    /// How long a task may be unhealthy after its start, in seconds.
    pub grace_s: u32,
    /// The ARN of the service deployment in force.
    pub service_deployment: Option<String>,
    /// As ECS answered.
    pub raw: Value,
}

impl Service {
    /// The PRIMARY deployment.
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.first()
    }
}

/// A task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Task {
    /// The last part of its ARN.
    pub id: String,
    /// The id of its deployment.
    pub started_by: String,
    /// For example `RUNNING`.
    pub last_status: String,
    /// `RUNNING` or `STOPPED`.
    pub desired_status: String,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`, by the containers' own checks.
    pub health: String,
    /// Its address.
    pub address: Option<String>,
    /// `family:revision`.
    pub task_definition: String,
    /// Epoch seconds.
    pub created_at: f64,
    /// Epoch seconds.
    pub started_at: Option<f64>,
    /// Epoch seconds.
    pub stopped_at: Option<f64>,
    /// For example `EssentialContainerExited`.
    pub stop_code: Option<String>,
    /// Why it stopped.
    pub stopped_reason: Option<String>,
    /// The exit code of the first container that has one.
    pub exit_code: Option<i64>,
    /// The reason of the first container that has one.
    pub container_reason: Option<String>,
    /// What it listens on, while a port that it declares cannot be reached: `0.0.0.0:9999 127.0.0.1:8080`.
    pub listening: Option<String>,
}

impl Task {
    /// The first characters of the id: enough to tell tasks apart.
    pub fn short(&self) -> &str {
        short_id(&self.id)
    }

    /// Whether it shall run.
    pub fn is_wanted(&self) -> bool {
        self.desired_status == "RUNNING"
    }
}

/// The first characters of a task's id.
pub fn short_id(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

/// The health of a target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Target {
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// For example `healthy`.
    pub state: String,
    /// For example `Target.Timeout`.
    pub reason: String,
    /// In words.
    pub description: String,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn some_text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The last part of an ARN or a path.
pub fn last_part(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Reads a service of `DescribeServices`, `CreateService` or `UpdateService`.
pub fn read_service(raw: &Value) -> Service {
    let mut deployments: Vec<Deployment> = list(&raw["deployments"])
        .map(|d| Deployment {
            id: text(&d["id"]),
            status: text(&d["status"]),
            task_definition: text(&d["taskDefinition"]),
            rollout_state: text(&d["rolloutState"]),
            rollout_state_reason: text(&d["rolloutStateReason"]),
            desired: d["desiredCount"].as_u64().unwrap_or_default(),
            running: d["runningCount"].as_u64().unwrap_or_default(),
            pending: d["pendingCount"].as_u64().unwrap_or_default(),
            failed: d["failedTasks"].as_u64().unwrap_or_default(),
            created_at: d["createdAt"].as_f64().unwrap_or_default(),
        })
        .collect();
    deployments.sort_by_key(|deployment| deployment.status != "PRIMARY");
    let target = list(&raw["loadBalancers"]).find_map(|balancer| {
        let port = balancer["containerPort"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok())?;
        Some((some_text(&balancer["targetGroupArn"])?, port))
    });
    Service {
        status: text(&raw["status"]),
        name: text(&raw["serviceName"]),
        desired: raw["desiredCount"].as_u64().unwrap_or_default(),
        running: raw["runningCount"].as_u64().unwrap_or_default(),
        pending: raw["pendingCount"].as_u64().unwrap_or_default(),
        deployments,
        events: list(&raw["events"])
            .map(|event| Event {
                at: event["createdAt"].as_f64().unwrap_or_default(),
                message: text(&event["message"]),
            })
            .collect(),
        target,
        grace_s: raw["healthCheckGracePeriodSeconds"]
            .as_u64()
            .and_then(|s| u32::try_from(s).ok())
            .unwrap_or_default(),
        service_deployment: some_text(&raw["currentServiceDeployment"]),
        raw: raw.clone(),
    }
}

fn read_task(raw: &Value) -> Task {
    let containers = || list(&raw["containers"]);
    Task {
        id: last_part(&text(&raw["taskArn"])).to_owned(),
        started_by: text(&raw["startedBy"]),
        last_status: text(&raw["lastStatus"]),
        desired_status: text(&raw["desiredStatus"]),
        health: text(&raw["healthStatus"]),
        address: containers()
            .flat_map(|container| list(&container["networkInterfaces"]))
            .find_map(|interface| some_text(&interface["privateIpv4Address"])),
        task_definition: last_part(&text(&raw["taskDefinitionArn"])).to_owned(),
        created_at: raw["createdAt"].as_f64().unwrap_or_default(),
        started_at: raw["startedAt"].as_f64(),
        stopped_at: raw["stoppedAt"].as_f64(),
        stop_code: some_text(&raw["stopCode"]),
        stopped_reason: some_text(&raw["stoppedReason"]),
        exit_code: containers().find_map(|container| container["exitCode"].as_i64()),
        container_reason: containers().find_map(|container| some_text(&container["reason"])),
        listening: list(&raw["attributes"])
            .find(|attribute| attribute["name"] == LISTENING_ATTRIBUTE)
            .and_then(|attribute| some_text(&attribute["value"])),
    }
}

/// The service of an app; nothing when there is none (a deleted one counts as none).
pub async fn service(client: &Client, app: &App) -> anyhow::Result<Option<Service>> {
    let input = json!({ "cluster": CLUSTER, "services": [app.name()] });
    let answer = match client.call(ECS, "DescribeServices", input).await {
        Err(error) if super::client::code_of(&error) == Some("ClusterNotFoundException") => return Ok(None),
        answer => answer?,
    };
    Ok(list(&answer["services"])
        .map(read_service)
        .find(|service| service.status != "INACTIVE"))
}

/// Every item of a paged list of ECS.
pub async fn all_of(client: &Client, operation: &str, mut input: Value, member: &str) -> anyhow::Result<Vec<String>> {
    let mut items = Vec::new();
    for _ in 0..PAGES_MAX {
        let answer = client.call(ECS, operation, input.clone()).await?;
        items.extend(list(&answer[member]).map(text));
        let Some(next) = some_text(&answer["nextToken"]) else {
            break;
        };
        if let Some(members) = input.as_object_mut() {
            members.insert("nextToken".to_owned(), Value::String(next));
        }
    }
    Ok(items)
}

/// The tasks of a service: those that shall run, and those that stopped a short while ago.
pub async fn tasks(client: &Client, service: &str) -> anyhow::Result<Vec<Task>> {
    match tasks_by(client, "serviceName", service).await {
        Err(error) if super::client::code_of(&error) == Some("ServiceNotFoundException") => Ok(Vec::new()),
        tasks => tasks,
    }
}

/// The tasks of a task definition's family, also of services that are no more.
pub async fn tasks_of_family(client: &Client, family: &str) -> anyhow::Result<Vec<Task>> {
    tasks_by(client, "family", family).await
}

async fn tasks_by(client: &Client, filter: &str, value: &str) -> anyhow::Result<Vec<Task>> {
    let mut arns = Vec::new();
    for desired in ["RUNNING", "STOPPED"] {
        let input = json!({ "cluster": CLUSTER, filter: value, "desiredStatus": desired });
        arns.extend(all_of(client, "ListTasks", input, "taskArns").await?);
    }
    describe_tasks(client, &arns).await
}

/// Tasks by their ARNs or ids, oldest first.
pub async fn describe_tasks(client: &Client, arns: &[String]) -> anyhow::Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for some in arns.chunks(TASKS_DESCRIBED_MAX) {
        let answer = client
            .call(ECS, "DescribeTasks", json!({ "cluster": CLUSTER, "tasks": some }))
            .await?;
        tasks.extend(list(&answer["tasks"]).map(read_task));
    }
    tasks.sort_by(|a, b| a.created_at.total_cmp(&b.created_at));
    Ok(tasks)
}

/// The targets of a group. A group that is gone has none.
pub async fn targets(client: &Client, group: &str) -> anyhow::Result<Vec<Target>> {
    let answer = match client
        .call(ELBV2, "DescribeTargetHealth", json!({ "TargetGroupArn": group }))
        .await
    {
        Err(error) if super::client::code_of(&error).is_some_and(|code| code.starts_with("TargetGroupNotFound")) => {
            return Ok(Vec::new());
        }
        answer => answer?,
    };
    Ok(list(&answer["TargetHealthDescriptions"])
        .map(|row| Target {
            address: text(&row["Target"]["Id"]),
            port: row["Target"]["Port"]
                .as_str()
                .and_then(|port| port.parse().ok())
                .unwrap_or_default(),
            state: text(&row["TargetHealth"]["State"]),
            reason: text(&row["TargetHealth"]["Reason"]),
            description: text(&row["TargetHealth"]["Description"]),
        })
        .collect())
}

/// The last lines that a task wrote.
pub async fn last_lines(client: &Client, app: &App, task_id: &str, count: u32) -> Vec<String> {
    let input = json!({
        "logGroupName": app.log_group(), "logStreamName": app.log_stream(task_id),
        "limit": count, "startFromHead": false,
    });
    // Without its log a failure is still worth telling.
    let answer = client
        .call(super::client::LOGS, "GetLogEvents", input)
        .await
        .unwrap_or(Value::Null);
    list(&answer["events"])
        .map(|event| super::terminal::printable(event["message"].as_str().unwrap_or_default().trim_end()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_and_its_tasks_are_read() {
        let service = read_service(&json!({
            "serviceName": "hello", "status": "ACTIVE", "desiredCount": 2, "runningCount": 1,
            "deployments": [
                { "id": "ecs-svc/1", "status": "ACTIVE", "rolloutState": "COMPLETED" },
                { "id": "ecs-svc/2", "status": "PRIMARY", "rolloutState": "IN_PROGRESS", "failedTasks": 1 },
            ],
            "loadBalancers": [{ "targetGroupArn": "arn:tg", "containerName": "hello", "containerPort": 8080 }],
        }));
        assert_eq!(
            service.primary().map(|d| (d.id.as_str(), d.failed)),
            Some(("ecs-svc/2", 1))
        );
        assert_eq!(service.target, Some(("arn:tg".to_owned(), 8080)));
        let task = read_task(&json!({
            "taskArn": "arn:aws:ecs:us-east-1:000000000000:task/default/0123456789abcdef",
            "lastStatus": "STOPPED", "desiredStatus": "STOPPED", "stopCode": "EssentialContainerExited",
            "containers": [{ "exitCode": 3, "networkInterfaces": [{ "privateIpv4Address": "172.31.0.4" }] }],
            "attributes": [{ "name": "ecs.cpu-architecture", "value": "x86_64" },
                { "name": "honmaru.listening", "value": "127.0.0.1:8080" }],
        }));
        assert_eq!(task.listening.as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(
            (task.short(), task.exit_code, task.address.as_deref()),
            ("01234567", Some(3), Some("172.31.0.4"))
        );
    }
}
