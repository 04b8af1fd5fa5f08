//! The load balancer, its target group and its listener.

use super::manifest::Plan;
use super::network::{LISTENER_PORT, Network};
use super::tags;
use crate::cli::client::{Client, ELBV2, code_of};
use crate::cli::progress::Progress;
use anyhow::Context;
use serde_json::{Value, json};

/// Ref: ELBv2 `HealthCheckIntervalSeconds`: 5 to 300. The shortest: a deployment waits for two checks.
const CHECK_INTERVAL_S: u32 = 5;
/// Ref: ELBv2 `HealthCheckTimeoutSeconds`: 2 to 120.
const CHECK_TIMEOUT_S: u32 = 2;
/// Ref: ELBv2 `HealthyThresholdCount` and `UnhealthyThresholdCount`: 2 to 10.
const CHECK_THRESHOLD: u32 = 2;
/// How long requests in flight of a stopping task have. AWS's default of 300 s makes every roll-out take that long.
const DEREGISTRATION_DELAY_S: u32 = 5;

/// The app's load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balancer {
    /// Its ARN.
    pub arn: String,
    /// The target group's ARN.
    pub target_group: String,
}

/// A load balancer by its name.
pub async fn find(client: &Client, name: &str) -> anyhow::Result<Option<Value>> {
    first(
        client,
        "DescribeLoadBalancers",
        "LoadBalancers",
        "LoadBalancerNotFound",
        name,
    )
    .await
}

/// A target group by its name.
pub async fn find_target_group(client: &Client, name: &str) -> anyhow::Result<Option<Value>> {
    first(
        client,
        "DescribeTargetGroups",
        "TargetGroups",
        "TargetGroupNotFound",
        name,
    )
    .await
}

async fn first(
    client: &Client,
    operation: &str,
    member: &str,
    missing: &str,
    name: &str,
) -> anyhow::Result<Option<Value>> {
    match client.call(ELBV2, operation, json!({ "Names": [name] })).await {
        Err(error) if code_of(&error).is_some_and(|code| code.starts_with(missing)) => Ok(None),
        answer => Ok(answer?[member].as_array().and_then(|rows| rows.first()).cloned()),
    }
}

/// The path of an app's health check, where there is one.
pub async fn health_path(client: &Client, name: &str) -> anyhow::Result<Option<String>> {
    let group = find_target_group(client, name).await?;
    Ok(group.and_then(|group| group["HealthCheckPath"].as_str().map(str::to_owned)))
}

/// The listeners of a load balancer.
pub async fn listeners(client: &Client, balancer: &str) -> anyhow::Result<Vec<Value>> {
    let answer = client
        .call(ELBV2, "DescribeListeners", json!({ "LoadBalancerArn": balancer }))
        .await?;
    Ok(answer["Listeners"].as_array().cloned().unwrap_or_default())
}

fn arn(row: &Value, member: &str) -> anyhow::Result<String> {
    Ok(row[member]
        .as_str()
        .with_context(|| format!("ELBv2 does not say `{member}`"))?
        .to_owned())
}

/// Makes what is missing.
pub async fn ensure(
    client: &Client,
    plan: &Plan,
    port: u16,
    network: &Network,
    health_path: &str,
    progress: &Progress,
) -> anyhow::Result<Balancer> {
    let name = plan.app.name();
    let balancer = match find(client, name).await? {
        Some(known) => arn(&known, "LoadBalancerArn")?,
        None => {
            let create = json!({
                "Name": name, "Type": "application", "Scheme": "internet-facing", "Subnets": network.subnets,
                "SecurityGroups": [network.balancer_group], "Tags": tags::upper(&plan.app),
            });
            let answer = client.call(ELBV2, "CreateLoadBalancer", create).await?;
            arn(&answer["LoadBalancers"][0], "LoadBalancerArn")?
        }
    };
    let target_group = target_group(client, plan, port, network, health_path, progress).await?;
    let known = listeners(client, &balancer).await?;
    // Where somebody has changed the listener's action it stays as it is.
    if !known
        .iter()
        .any(|listener| listener["Port"].as_str() == Some(&LISTENER_PORT.to_string()))
    {
        let create = json!({
            "LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": LISTENER_PORT,
            "DefaultActions": [{ "Type": "forward", "TargetGroupArn": target_group }],
            "Tags": tags::upper(&plan.app),
        });
        client.call(ELBV2, "CreateListener", create).await?;
    }
    Ok(Balancer {
        arn: balancer,
        target_group,
    })
}

/// Checks the tasks at another path.
pub async fn set_health_path(client: &Client, group: &str, health_path: &str) -> anyhow::Result<()> {
    let modify = json!({ "TargetGroupArn": group, "HealthCheckPath": health_path });
    client.call(ELBV2, "ModifyTargetGroup", modify).await?;
    Ok(())
}

/// The group's own port is only the default of its targets: ECS registers each task with the port of its version, so
/// that a changed port needs no other group.
async fn target_group(
    client: &Client,
    plan: &Plan,
    port: u16,
    network: &Network,
    health_path: &str,
    progress: &Progress,
) -> anyhow::Result<String> {
    let name = plan.app.name();
    if let Some(known) = find_target_group(client, name).await? {
        let group = arn(&known, "TargetGroupArn")?;
        let path = known["HealthCheckPath"].as_str().unwrap_or_default();
        if path != health_path {
            progress.warn(&format!(
                "the health path changes from `{path}` to `{health_path}`: tasks of the old version are checked there, too"
            ));
            set_health_path(client, &group, health_path).await?;
        }
        return Ok(group);
    }
    let create = json!({
        "Name": name, "Protocol": "HTTP", "Port": port, "VpcId": network.vpc, "TargetType": "ip",
        "HealthCheckProtocol": "HTTP", "HealthCheckPath": health_path,
        "HealthCheckIntervalSeconds": CHECK_INTERVAL_S, "HealthCheckTimeoutSeconds": CHECK_TIMEOUT_S,
        "HealthyThresholdCount": CHECK_THRESHOLD, "UnhealthyThresholdCount": CHECK_THRESHOLD,
        "Matcher": { "HttpCode": "200" }, "Tags": tags::upper(&plan.app),
    });
    let answer = client.call(ELBV2, "CreateTargetGroup", create).await?;
    let group = arn(&answer["TargetGroups"][0], "TargetGroupArn")?;
    let delay = json!({ "Key": "deregistration_delay.timeout_seconds", "Value": DEREGISTRATION_DELAY_S.to_string() });
    let modify = json!({ "TargetGroupArn": group, "Attributes": [delay] });
    client.call(ELBV2, "ModifyTargetGroupAttributes", modify).await?;
    Ok(group)
}
