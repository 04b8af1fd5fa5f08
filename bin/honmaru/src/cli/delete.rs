//! `honmaru delete`: a service and everything that `deploy` made for it, in the order in which it can go.

use super::app::{App, CLUSTER};
use super::certificate;
use super::client::{Client, EC2, ECR, ECS, ELBV2, IAM, LOGS, Service, WAFV2, code_of};
use super::connection::Connection;
use super::deploy::{find_balancer, find_group, find_target_group, find_web_acl, listeners};
use super::failure::{Failure, Usage};
use super::observed;
use super::progress::{Progress, StepHandle};
use super::{ps, terminal};
use serde_json::{Value, json};
use std::io::Write;
use std::time::{Duration, Instant};

/// How long the last tasks may take to stop: the drain, SIGTERM's 30 s, and some more.
const STOP_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a thing may still be in use by one that was removed just before.
const IN_USE_TIMEOUT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(200);

/// The options of `honmaru delete`.
#[derive(Debug, clap::Args)]
pub struct DeleteOptions {
    /// The app
    name: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Keep what its containers said
    #[arg(long)]
    keep_logs: bool,
    /// Keep its images
    #[arg(long)]
    keep_images: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Deletes an app.
pub async fn run(options: DeleteOptions) -> anyhow::Result<()> {
    let app: App = options.name.parse()?;
    let client = options.connection.open()?;
    let service = observed::service(&client, &app).await?;
    // A deployment that failed half-way leaves no service and still something to remove.
    let is_known = service.is_some()
        || find_balancer(&client, app.name()).await?.is_some()
        || find_group(&client, &app.task_group()).await?.is_some();
    if !is_known {
        return Err(ps::no_app(&app));
    }
    if !options.yes {
        confirm(&app, &options, service.map_or(0, |service| service.running))?;
    }
    let progress = Progress::start();
    let deleted = delete(&client, &app, &options, &progress).await;
    progress.end();
    deleted?;
    say!("deleted `{}`", app.name());
    say!("next: `honmaru ps{}`", options.connection.flags());
    Ok(())
}

fn confirm(app: &App, options: &DeleteOptions, running: u64) -> anyhow::Result<()> {
    let name = app.name();
    if !terminal::can_ask() {
        return Err(Usage(format!(
            "`honmaru delete {name}` asks first, but there is no terminal\nhint: add `--yes`"
        ))
        .into());
    }
    tell!(
        "this goes: the service `{name}` with {running} tasks, its load balancer, web ACL, security groups, roles and certificates"
    );
    for (is_kept, what) in [(options.keep_logs, "its logs"), (options.keep_images, "its images")] {
        tell!("  {what}: {}", if is_kept { "kept" } else { "removed" });
    }
    std::io::stderr().write_all(b"type the app's name to go on: ")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim() != name {
        return Err(Failure::new("nothing was deleted").into());
    }
    Ok(())
}

/// A call whose object may be gone already.
async fn gone(client: &Client, service: Service, operation: &str, input: Value) -> anyhow::Result<()> {
    const MISSING: [&str; 12] = [
        "ServiceNotFoundException",
        "ClusterNotFoundException",
        "ResourceNotFoundException",
        "RepositoryNotFoundException",
        "NoSuchEntity",
        "NoSuchEntityException",
        "LoadBalancerNotFound",
        "TargetGroupNotFound",
        "ListenerNotFound",
        "InvalidGroup.NotFound",
        "InvalidGroupId.NotFound",
        "WAFNonexistentItemException",
    ];
    let deadline = Instant::now() + IN_USE_TIMEOUT;
    loop {
        match client.call(service, operation, input.clone()).await {
            Ok(_) => return Ok(()),
            Err(error) => match code_of(&error) {
                Some(code) if MISSING.contains(&code.trim_end_matches("Exception")) || MISSING.contains(&code) => {
                    return Ok(());
                }
                Some(
                    "ResourceInUse" | "ResourceInUseException" | "DependencyViolation" | "WAFAssociatedItemException",
                ) if Instant::now() < deadline => {
                    tokio::time::sleep(PAUSE).await;
                }
                _ => return Err(error),
            },
        }
    }
}

async fn delete(client: &Client, app: &App, options: &DeleteOptions, progress: &Progress) -> anyhow::Result<()> {
    let name = app.name();
    let step = progress.step("service");
    gone(
        client,
        ECS,
        "DeleteService",
        json!({ "cluster": CLUSTER, "service": name, "force": true }),
    )
    .await?;
    tasks_stopped(client, app, &step).await?;
    step.done("its tasks have stopped");

    let step = progress.step("network");
    if let Some(balancer) = find_balancer(client, name).await? {
        let arn = balancer["LoadBalancerArn"].clone();
        gone(client, WAFV2, "DisassociateWebACL", json!({ "ResourceArn": arn })).await?;
        for listener in listeners(client, arn.as_str().unwrap_or_default()).await? {
            gone(
                client,
                ELBV2,
                "DeleteListener",
                json!({ "ListenerArn": listener["ListenerArn"] }),
            )
            .await?;
        }
        gone(client, ELBV2, "DeleteLoadBalancer", json!({ "LoadBalancerArn": arn })).await?;
    }
    if let Some(group) = find_target_group(client, name).await? {
        gone(
            client,
            ELBV2,
            "DeleteTargetGroup",
            json!({ "TargetGroupArn": group["TargetGroupArn"] }),
        )
        .await?;
    }
    if let Some(acl) = find_web_acl(client, app).await? {
        let delete = json!({ "Name": name, "Scope": "REGIONAL", "Id": acl["Id"], "LockToken": acl["LockToken"] });
        gone(client, WAFV2, "DeleteWebACL", delete).await?;
    }
    // The tasks' group names the load balancer's: it goes first.
    for group in [app.task_group(), app.balancer_group()] {
        if let Some(group) = find_group(client, &group).await? {
            gone(
                client,
                EC2,
                "DeleteSecurityGroup",
                json!({ "GroupId": group["groupId"] }),
            )
            .await?;
        }
    }
    step.done("load balancer, web ACL and security groups are gone");

    let step = progress.step("rest");
    for name in certificate::forget_others(client, app, None).await? {
        progress.warn(&format!(
            "the certificate `{name}` stays: something else serves with it"
        ));
    }
    definitions(client, app).await?;
    for role in [app.execution_role(), app.task_role()] {
        delete_role(client, &role).await?;
    }
    if !options.keep_logs {
        gone(
            client,
            LOGS,
            "DeleteLogGroup",
            json!({ "logGroupName": app.log_group() }),
        )
        .await?;
    }
    if !options.keep_images {
        gone(
            client,
            ECR,
            "DeleteRepository",
            json!({ "repositoryName": name, "force": true }),
        )
        .await?;
    }
    step.done(match (options.keep_logs, options.keep_images) {
        (false, false) => "task definitions, roles, logs and images are gone",
        (true, false) => "task definitions, roles and images are gone, logs are kept",
        (false, true) => "task definitions, roles and logs are gone, images are kept",
        (true, true) => "task definitions and roles are gone, logs and images are kept",
    });
    Ok(())
}

/// Waits for the last task. The service is gone before: AWS's goes when its tasks are stopping, and they may take until
/// SIGKILL. Their network interfaces hold the security groups as long.
async fn tasks_stopped(client: &Client, app: &App, step: &StepHandle<'_>) -> anyhow::Result<()> {
    let deadline = Instant::now() + STOP_TIMEOUT;
    loop {
        let service = observed::service(client, app).await?;
        let is_active = service.is_some_and(|service| service.status == "ACTIVE");
        let left = match observed::tasks_of_family(client, app.name()).await {
            Err(error) if code_of(&error) == Some("ClusterNotFoundException") => 0,
            tasks => tasks?.iter().filter(|task| task.last_status != "STOPPED").count(),
        };
        step.note(&format!("tasks that are stopping: {left}"));
        if left == 0 && !is_active {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Failure::new(format!(
                "{left} tasks have not stopped after {} s",
                STOP_TIMEOUT.as_secs()
            ))
            .hint("run the command again: it goes on where it was")
            .into());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Every revision is deregistered, then deleted.
async fn definitions(client: &Client, app: &App) -> anyhow::Result<()> {
    let list = json!({ "familyPrefix": app.name(), "status": "ACTIVE" });
    let is_own = |arn: &String| {
        observed::last_part(arn)
            .rsplit_once(':')
            .is_some_and(|(family, _)| family == app.name())
    };
    for arn in observed::all_of(client, "ListTaskDefinitions", list, "taskDefinitionArns")
        .await?
        .iter()
        .filter(|arn| is_own(arn))
    {
        client
            .call(ECS, "DeregisterTaskDefinition", json!({ "taskDefinition": arn }))
            .await?;
    }
    Ok(())
}

async fn delete_role(client: &Client, role: &str) -> anyhow::Result<()> {
    let of_role = json!({ "RoleName": role });
    let attached = match client.call(IAM, "ListAttachedRolePolicies", of_role.clone()).await {
        Err(error) if code_of(&error).is_some_and(|code| code.starts_with("NoSuchEntity")) => return Ok(()),
        attached => attached?,
    };
    for policy in attached["AttachedPolicies"].as_array().into_iter().flatten() {
        let detach = json!({ "RoleName": role, "PolicyArn": policy["PolicyArn"] });
        gone(client, IAM, "DetachRolePolicy", detach).await?;
    }
    let inline = client.call(IAM, "ListRolePolicies", of_role.clone()).await?;
    for policy in inline["PolicyNames"].as_array().into_iter().flatten() {
        gone(
            client,
            IAM,
            "DeleteRolePolicy",
            json!({ "RoleName": role, "PolicyName": policy }),
        )
        .await?;
    }
    gone(client, IAM, "DeleteRole", of_role).await
}
