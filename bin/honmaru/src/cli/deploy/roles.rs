//! Two IAM roles: one for the platform (pull the image, write the logs), one for the app itself, with nothing in it.

use super::tags;
use crate::cli::app::App;
use crate::cli::client::{Client, IAM, code_of};
use anyhow::Context;
use serde_json::json;

const EXECUTION_POLICY: &str = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy";

/// The roles' ARNs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// The platform's.
    pub execution: String,
    /// The app's.
    pub task: String,
}

/// Makes the roles.
pub async fn ensure(client: &Client, app: &App) -> anyhow::Result<Roles> {
    let (execution_name, task_name) = (app.execution_role(), app.task_role());
    let (execution, task) = tokio::try_join!(role(client, app, &execution_name), role(client, app, &task_name))?;
    // Attaching what is attached changes nothing.
    let attach = json!({ "RoleName": app.execution_role(), "PolicyArn": EXECUTION_POLICY });
    client.call(IAM, "AttachRolePolicy", attach).await?;
    Ok(Roles { execution, task })
}

async fn role(client: &Client, app: &App, name: &str) -> anyhow::Result<String> {
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": "ecs-tasks.amazonaws.com" },
            "Action": "sts:AssumeRole",
        }],
    });
    let create = json!({
        "RoleName": name, "AssumeRolePolicyDocument": trust.to_string(), "Tags": tags::upper(app),
    });
    let answer = match client.call(IAM, "CreateRole", create).await {
        Err(error) if code_of(&error).is_some_and(|code| code.starts_with("EntityAlreadyExists")) => {
            client.call(IAM, "GetRole", json!({ "RoleName": name })).await?
        }
        answer => answer?,
    };
    Ok(answer["Role"]["Arn"]
        .as_str()
        .with_context(|| format!("IAM does not say the ARN of role {name}"))?
        .to_owned())
}
