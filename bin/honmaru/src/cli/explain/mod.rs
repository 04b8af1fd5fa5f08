//! `honmaru explain`: how a service is, in sentences. Gathers; [`words`] tells.

mod words;

use super::app::{App, CLUSTER};
use super::client::{Client, EC2, ECS, ELBV2, WAFV2};
use super::connection::Connection;
use super::deploy::{Served, find_balancer, listeners, served};
use super::observed::{self, Service, Target, Task, last_part};
use super::output::{OutputOption, print, print_json};
use super::ps::no_app;
use super::secure_entry::AtEntry;
use honmaru_base::{Clock, Time};
use honmaru_engine::SystemClock;
use serde_json::{Value, json};

/// Deployments that are told, the newest.
const DEPLOYMENTS_SHOWN_MAX: usize = 5;

/// The options of `honmaru explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainOptions {
    /// The app
    name: String,
    #[command(flatten)]
    output: OutputOption,
    #[command(flatten)]
    connection: Connection,
}

/// What is told.
#[derive(Debug, Clone, Default)]
struct Facts {
    name: String,
    url: Option<String>,
    service: Service,
    tasks: Vec<Task>,
    targets: Vec<Target>,
    /// As ECS lists them, newest first.
    deployments: Vec<Deployed>,
    /// The task definition in force.
    definition: Value,
    balancer: Option<Value>,
    listeners: Vec<Value>,
    /// HTTPS as `deploy` made it.
    secure: Option<Served>,
    target_group: Option<Value>,
    web_acl: Option<Value>,
    /// Of the load balancer, then of the tasks.
    balancer_groups: Vec<Value>,
    task_groups: Vec<Value>,
    now_s: f64,
}

/// A deployment that is remembered.
#[derive(Debug, Clone, Default)]
struct Deployed {
    version: String,
    status: String,
    reason: String,
    at_s: f64,
}

/// Tells.
pub async fn run(options: ExplainOptions) -> anyhow::Result<()> {
    let app: App = options.name.parse()?;
    let client = options.connection.open()?;
    let facts = gather(&client, &app).await?;
    if options.output.is_json() {
        return print_json(&tree(&facts));
    }
    print(&words::tell(&facts))?;
    tell!(
        "next: `honmaru logs {}{} --follow`",
        app.name(),
        options.connection.flags()
    );
    Ok(())
}

async fn gather(client: &Client, app: &App) -> anyhow::Result<Facts> {
    let Some(service) = observed::service(client, app).await? else {
        return Err(no_app(app));
    };
    let mut facts = Facts {
        name: app.name().to_owned(),
        url: app.url(client.entry.as_deref()),
        now_s: SystemClock.now().as_epoch_s(),
        tasks: observed::tasks(client, app.name()).await?,
        deployments: deployments(client, app).await?,
        ..Facts::default()
    };
    if let Some(primary) = service.primary() {
        let describe = json!({ "taskDefinition": primary.task_definition });
        facts.definition = client.call(ECS, "DescribeTaskDefinition", describe).await?["taskDefinition"].clone();
    }
    if let Some((group, _)) = &service.target {
        facts.targets = observed::targets(client, group).await?;
        let answer = client
            .call(ELBV2, "DescribeTargetGroups", json!({ "TargetGroupArns": [group] }))
            .await?;
        facts.target_group = answer["TargetGroups"].as_array().and_then(|rows| rows.first()).cloned();
    }
    facts.balancer = find_balancer(client, app.name()).await?;
    if let Some(balancer) = &facts.balancer {
        let arn = balancer["LoadBalancerArn"].as_str().unwrap_or_default();
        facts.listeners = listeners(client, arn).await?;
        facts.secure = served(client, app, arn).await?;
        let answer = client
            .call(WAFV2, "GetWebACLForResource", json!({ "ResourceArn": arn }))
            .await;
        facts.web_acl = answer
            .ok()
            .map(|answer| answer["WebACL"].clone())
            .filter(Value::is_object);
        facts.balancer_groups = groups(client, &balancer["SecurityGroups"]).await?;
    }
    let task_groups = &service.raw["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"];
    facts.task_groups = groups(client, task_groups).await?;
    facts.service = service;
    Ok(facts)
}

async fn groups(client: &Client, ids: &Value) -> anyhow::Result<Vec<Value>> {
    if ids.as_array().is_none_or(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let answer = client
        .call(EC2, "DescribeSecurityGroups", json!({ "GroupId": ids }))
        .await?;
    Ok(answer["securityGroupInfo"].as_array().cloned().unwrap_or_default())
}

async fn deployments(client: &Client, app: &App) -> anyhow::Result<Vec<Deployed>> {
    let list = json!({ "cluster": CLUSTER, "service": app.name(), "maxResults": DEPLOYMENTS_SHOWN_MAX });
    let answer = client.call(ECS, "ListServiceDeployments", list).await?;
    let rows = answer["serviceDeployments"].as_array().cloned().unwrap_or_default();
    let arns: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["targetServiceRevisionArn"].as_str())
        .collect();
    if arns.is_empty() {
        return Ok(Vec::new());
    }
    let answer = client
        .call(ECS, "DescribeServiceRevisions", json!({ "serviceRevisionArns": arns }))
        .await?;
    let revisions = answer["serviceRevisions"].as_array().cloned().unwrap_or_default();
    let version = |arn: &Value| {
        let revision = revisions.iter().find(|revision| revision["serviceRevisionArn"] == *arn);
        revision
            .and_then(|revision| revision["taskDefinition"].as_str())
            .map(last_part)
            .unwrap_or("?")
            .to_owned()
    };
    Ok(rows
        .iter()
        .map(|row| Deployed {
            version: version(&row["targetServiceRevisionArn"]),
            status: row["status"].as_str().unwrap_or_default().to_owned(),
            reason: row["statusReason"].as_str().unwrap_or_default().to_owned(),
            at_s: row["createdAt"].as_f64().unwrap_or_default(),
        })
        .collect())
}

/// Everything as the APIs answered, for programs.
fn tree(facts: &Facts) -> Value {
    json!({
        "name": facts.name,
        "url": facts.url,
        "service": facts.service.raw,
        "taskDefinition": facts.definition,
        "loadBalancer": facts.balancer,
        "listeners": facts.listeners,
        "https": facts.secure.as_ref().map(|served| json!({
            "url": served.url(), "entryUrl": served.at_entry.as_ref().map(AtEntry::url), "address": served.address, "port": served.port, "certificate": served.arn,
            "names": served.facts.names, "endsAt": Time::from_ms(served.facts.ends_ms).rfc3339(),
        })),
        "targetGroup": facts.target_group,
        "targets": facts.targets.iter().map(|target| json!({
            "address": target.address, "port": target.port, "state": target.state,
            "reason": target.reason, "description": target.description,
        })).collect::<Vec<_>>(),
        "webAcl": facts.web_acl,
        "loadBalancerSecurityGroups": facts.balancer_groups,
        "taskSecurityGroups": facts.task_groups,
        "sentences": words::tell(facts).lines().collect::<Vec<_>>(),
    })
}
