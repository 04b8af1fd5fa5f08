//! The ECS service: created, or moved to the new task definition.

use super::{Resources, tags};
use crate::cli::app::{App, CLUSTER};
use crate::cli::client::{Client, ECS};
use crate::cli::failure::Failure;
use crate::cli::observed::{Service, read_service};
use crate::cli::rollout::Goal;
use serde_json::{Value, json};

/// Tasks of a service's first deployment.
const COUNT_FIRST: u32 = 2;

/// What the service shall be.
pub struct Request<'a> {
    pub definition: &'a str,
    pub resources: &'a Resources,
    pub port: u16,
    /// Nothing: as many as now.
    pub count: Option<u32>,
    pub grace_s: u32,
    pub force: bool,
}

/// Creates or updates the service. What comes back is what to wait for.
pub async fn ensure(
    client: &Client,
    app: &App,
    request: &Request<'_>,
    before: Option<&Service>,
) -> anyhow::Result<Goal> {
    let before = match before {
        Some(service) if service.status == "DRAINING" => {
            return Err(Failure::new(format!(
                "`{}` is being deleted: its last tasks are stopping",
                app.name()
            ))
            .hint("try again in a few seconds")
            .into());
        }
        before => before,
    };
    let mut input = json!({
        "cluster": CLUSTER,
        "taskDefinition": request.definition,
        "loadBalancers": [{
            "targetGroupArn": request.resources.target_group,
            "containerName": app.name(),
            "containerPort": request.port,
        }],
        "networkConfiguration": { "awsvpcConfiguration": {
            "subnets": request.resources.network.subnets,
            "securityGroups": [request.resources.network.task_group],
            "assignPublicIp": "ENABLED",
        } },
        "deploymentConfiguration": {
            "minimumHealthyPercent": 100,
            "maximumPercent": 200,
            "deploymentCircuitBreaker": { "enable": true, "rollback": true },
        },
        "healthCheckGracePeriodSeconds": request.grace_s,
        "enableExecuteCommand": true,
        "enableECSManagedTags": true,
        "propagateTags": "SERVICE",
    });
    let mut set = |name: &str, value: Value| {
        if let Some(members) = input.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    let operation = match before {
        None => {
            set("serviceName", json!(app.name()));
            set("launchType", json!("FARGATE"));
            set("desiredCount", json!(request.count.unwrap_or(COUNT_FIRST)));
            set("tags", tags::lower(app));
            "CreateService"
        }
        Some(service) => {
            set("service", json!(app.name()));
            if let Some(count) = request.count {
                set("desiredCount", json!(count));
            }
            // A deployment that was given up starts no task again unless it is told to, and one whose tasks fail is not
            // waited for a second time: it is tried anew.
            let has_failed = service
                .primary()
                .is_some_and(|primary| primary.rollout_state == "FAILED" || primary.failed > 0);
            set("forceNewDeployment", json!(request.force || has_failed));
            "UpdateService"
        }
    };
    let answer = client.call(ECS, operation, input).await?;
    let service = read_service(&answer["service"]);
    Ok(Goal::of(&service, before))
}
