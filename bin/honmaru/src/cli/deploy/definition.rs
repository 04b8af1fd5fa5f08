//! The task definition: one container, with a fingerprint, so that an unchanged one is not registered again.

use super::manifest::Plan;
use super::roles::Roles;
use super::tags;
use crate::cli::app::STREAM_PREFIX;
use crate::cli::client::{Client, ECS};
use crate::cli::observed::Service;
use anyhow::Context;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The tag with the digest of what was registered.
const FINGERPRINT_TAG: &str = "honmaru:fingerprint";

/// The tag with the path of the health check that goes with this version.
const HEALTH_PATH_TAG: &str = "honmaru:health-path";

/// What a version needs beside its task definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionFacts {
    /// The port that its container listens on.
    pub port: Option<u16>,
    /// The path of its health check.
    pub health_path: Option<String>,
}

/// The facts of a version, by its task definition. A definition that is no more is an error that says so.
pub async fn version_facts(client: &Client, definition: &str) -> anyhow::Result<VersionFacts> {
    let describe = json!({ "taskDefinition": definition, "include": ["TAGS"] });
    let answer = client.call(ECS, "DescribeTaskDefinition", describe).await?;
    let definition = &answer["taskDefinition"];
    let port = &definition["containerDefinitions"][0]["portMappings"][0]["containerPort"];
    let tags = answer["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let path = tags
        .iter()
        .find(|tag| tag["key"] == HEALTH_PATH_TAG)
        .and_then(|tag| tag["value"].as_str());
    Ok(VersionFacts {
        port: port.as_u64().and_then(|port| u16::try_from(port).ok()),
        health_path: path.map(str::to_owned),
    })
}

/// Whether AWS takes a text as a tag's value: letters, digits, blanks and `_.:/=+-@`, at most 256.
fn is_tag_value(text: &str) -> bool {
    text.len() <= 256 && text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c))
}

/// What a version is made of.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    pub port: u16,
    pub image: &'a str,
    pub roles: &'a Roles,
    pub health_path: &'a str,
    /// The container of the version in force.
    pub now: Option<&'a Value>,
}

impl Made<'_> {
    /// The tags by which a version is known again, and gone back to. The path belongs to the version, though ECS does not
    /// know it: tasks are healthy by it.
    fn tags(&self, definition: &Value) -> Vec<Value> {
        let fingerprint = hex::encode(Sha256::digest(format!("{definition} {}", self.health_path)));
        let mut tags = vec![json!({ "key": FINGERPRINT_TAG, "value": fingerprint })];
        if is_tag_value(self.health_path) {
            tags.push(json!({ "key": HEALTH_PATH_TAG, "value": self.health_path }));
        }
        tags
    }
}

/// The version that was registered turned out to have another health path: this one.
pub async fn correct(client: &Client, plan: &Plan, made: &Made<'_>, arn: &str) -> anyhow::Result<()> {
    let input = definition(plan, made, &client.region);
    let tag = json!({ "resourceArn": arn, "tags": made.tags(&input) });
    client.call(ECS, "TagResource", tag).await?;
    Ok(())
}

/// The container of the version in force: what is not said stays as it is there.
pub async fn container_in_force(client: &Client, service: Option<&Service>) -> anyhow::Result<Option<Value>> {
    let Some(primary) = service.and_then(Service::primary) else {
        return Ok(None);
    };
    let describe = json!({ "taskDefinition": primary.task_definition });
    let answer = client.call(ECS, "DescribeTaskDefinition", describe).await?;
    let container = &answer["taskDefinition"]["containerDefinitions"][0];
    Ok(Some(container.clone()).filter(Value::is_object))
}

/// The ARN of the definition: the one in force when nothing changed, else a new revision.
pub async fn ensure(
    client: &Client,
    plan: &Plan,
    made: &Made<'_>,
    service: Option<&Service>,
) -> anyhow::Result<String> {
    let mut input = definition(plan, made, &client.region);
    let own = made.tags(&input);
    if let Some(primary) = service.and_then(Service::primary) {
        let describe = json!({ "taskDefinition": primary.task_definition, "include": ["TAGS"] });
        let answer = client.call(ECS, "DescribeTaskDefinition", describe).await?;
        let tags = answer["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_active = answer["taskDefinition"]["status"].as_str() == Some("ACTIVE");
        let is_same = own
            .iter()
            .filter(|tag| tag["key"] == FINGERPRINT_TAG)
            .all(|tag| tags.contains(tag));
        if is_active && is_same {
            return Ok(primary.task_definition.clone());
        }
    }
    let mut all = tags::lower(&plan.app);
    if let Some(all) = all.as_array_mut() {
        all.extend(own);
    }
    if let Some(members) = input.as_object_mut() {
        members.insert("tags".to_owned(), all);
    }
    let answer = client.call(ECS, "RegisterTaskDefinition", input).await?;
    let arn = answer["taskDefinition"]["taskDefinitionArn"].as_str();
    Ok(arn.context("ECS does not say the task definition's ARN")?.to_owned())
}

fn definition(plan: &Plan, made: &Made<'_>, region: &str) -> Value {
    let Made {
        port,
        image,
        roles,
        now,
        ..
    } = *made;
    let mut env = plan.env.clone();
    env.entry("PORT".to_owned()).or_insert_with(|| port.to_string());
    let environment: Vec<Value> = env
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let mut definition = json!({
        "family": plan.app.name(),
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": plan.cpu.to_string(),
        "memory": plan.memory_mib.to_string(),
        "executionRoleArn": roles.execution,
        "taskRoleArn": roles.task,
        "containerDefinitions": [{
            "name": plan.app.name(),
            "image": image,
            "essential": true,
            "portMappings": [{ "containerPort": port, "protocol": "tcp" }],
            "environment": environment,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": plan.app.log_group(),
                    "awslogs-region": region,
                    "awslogs-stream-prefix": STREAM_PREFIX,
                },
            },
        }],
    });
    for (member, value) in plan.root.members(now) {
        definition["containerDefinitions"][0][member] = value;
    }
    definition
}
