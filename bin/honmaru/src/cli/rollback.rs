//! `honmaru rollback`: back to the version before, which ran well once.

use super::app::{App, CLUSTER};
use super::client::{Client, ECS, code_of};
use super::connection::Connection;
use super::deploy::{kept, make_way, version_facts};
use super::failure::Failure;
use super::observed::{self, Service, last_part, read_service};
use super::progress::{Progress, seconds};
use super::ps::no_app;
use super::rollout::{self, Goal};
use serde_json::{Value, json};
use std::time::Instant;

/// Revisions that one call describes. Ref: ECS `DescribeServiceRevisions`.
const REVISIONS_DESCRIBED_MAX: usize = 20;
/// Versions whose images are kept, so that one may go back several times.
const TARGETS_KEPT: usize = 5;

/// The options of `honmaru rollback`.
#[derive(Debug, clap::Args)]
pub struct RollbackOptions {
    /// The app
    name: String,
    /// Go to this version instead, the number behind the colon of `honmaru ps`
    #[arg(long, value_name = "NUMBER")]
    to: Option<u32>,
    #[command(flatten)]
    connection: Connection,
}

/// A version that a deployment brought.
#[derive(Debug, Clone, PartialEq)]
struct Version {
    /// The ARN.
    task_definition: String,
    /// The load balancers at that time.
    load_balancers: Value,
}

/// Rolls an app back.
pub async fn run(options: RollbackOptions) -> anyhow::Result<()> {
    let app: App = options.name.parse()?;
    let client = options.connection.open()?;
    let started = Instant::now();
    let Some(before) = observed::service(&client, &app).await? else {
        return Err(no_app(&app));
    };
    let current = before
        .primary()
        .map(|primary| primary.task_definition.clone())
        .unwrap_or_default();
    let version = choose(&client, &app, &before, &current, options.to).await?;
    let shown = last_part(&version.task_definition).to_owned();

    let progress = Progress::start();
    let step = progress.step("roll back");
    step.note(&format!("to {shown}"));
    let facts = match version_facts(&client, &version.task_definition).await {
        // Ref: ECS DescribeTaskDefinition: `ClientException` for a revision that does not exist.
        Err(error) if code_of(&error) == Some("ClientException") => {
            return Err(Failure::new(format!("there is no version {shown}"))
                .hint(format!("`honmaru explain {}` shows the versions", app.name()))
                .into());
        }
        facts => facts?,
    };
    make_way(&client, &app, &before, &facts).await?;
    let mut update = json!({
        "cluster": CLUSTER, "service": app.name(), "taskDefinition": version.task_definition,
    });
    if let (Some(members), Value::Array(_)) = (update.as_object_mut(), &version.load_balancers) {
        members.insert("loadBalancers".to_owned(), version.load_balancers.clone());
    }
    // Its tasks are started from its image for as long as it runs.
    kept::keep_or_warn(&client, &app, &[&version.task_definition], &progress).await;
    let answer = client.call(ECS, "UpdateService", update).await?;
    let goal = Goal::of(&read_service(&answer["service"]), Some(&before));
    let rolled = rollout::reach(&client, &app, &goal, &step).await?;
    step.done(&format!("{} of {} tasks healthy", rolled.healthy, rolled.desired));
    kept::keep_or_warn(&client, &app, &[], &progress).await;
    progress.end();
    let took = seconds(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    say!(
        "rolled `{}` back from {} to {shown} in {took}: {} of {} tasks healthy",
        app.name(),
        last_part(&current),
        rolled.healthy,
        rolled.desired
    );
    say!(
        "next: `honmaru logs {}{} --follow`",
        app.name(),
        options.connection.flags()
    );
    Ok(())
}

/// The number of a task definition.
fn number(arn: &str) -> u32 {
    arn.rsplit_once(':')
        .and_then(|(_, number)| number.parse().ok())
        .unwrap_or_default()
}

async fn choose(
    client: &Client,
    app: &App,
    service: &Service,
    current: &str,
    wanted: Option<u32>,
) -> anyhow::Result<Version> {
    let known = deployed_versions(client, app).await?;
    if let Some(wanted) = wanted {
        if wanted == number(current) {
            return Err(Failure::new(format!("`{}` runs {} already", app.name(), last_part(current))).into());
        }
        let found = known
            .into_iter()
            .find(|version| number(&version.task_definition) == wanted);
        return Ok(found.unwrap_or_else(|| Version {
            task_definition: format!("{}:{wanted}", app.name()),
            load_balancers: service.raw["loadBalancers"].clone(),
        }));
    }
    previous(known, current).ok_or_else(|| {
        Failure::new(format!("no version before {} ran well", last_part(current)))
            .hint(format!(
                "name one with `honmaru rollback {} --to NUMBER`, or deploy again",
                app.name()
            ))
            .into()
    })
}

/// The newest one below the current that was rolled out with success. What failed is not gone back to.
fn previous(known: Vec<Version>, current: &str) -> Option<Version> {
    let current = number(current);
    known
        .into_iter()
        .filter(|version| number(&version.task_definition) < current)
        .max_by_key(|version| number(&version.task_definition))
}

/// The task definitions that one may go back to: the newest that ran well, of all and of those below the current.
pub async fn targets(client: &Client, app: &App, current: &str) -> anyhow::Result<Vec<String>> {
    let known = deployed_versions(client, app).await?;
    Ok(newest(
        known.into_iter().map(|version| version.task_definition).collect(),
        current,
    ))
}

fn newest(mut definitions: Vec<String>, current: &str) -> Vec<String> {
    definitions.sort_by_key(|arn| std::cmp::Reverse(number(arn)));
    definitions.dedup();
    let below = definitions.iter().filter(|arn| number(arn) < number(current));
    let some = definitions.iter().take(TARGETS_KEPT).chain(below.take(TARGETS_KEPT));
    some.cloned().collect()
}

/// Versions whose roll-out succeeded.
async fn deployed_versions(client: &Client, app: &App) -> anyhow::Result<Vec<Version>> {
    let list = json!({ "cluster": CLUSTER, "service": app.name(), "status": ["SUCCESSFUL"] });
    let answer = client.call(ECS, "ListServiceDeployments", list).await?;
    let mut revisions: Vec<&str> = answer["serviceDeployments"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|deployment| deployment["targetServiceRevisionArn"].as_str())
        .collect();
    revisions.dedup();
    let mut versions = Vec::new();
    for some in revisions.chunks(REVISIONS_DESCRIBED_MAX) {
        let answer = client
            .call(ECS, "DescribeServiceRevisions", json!({ "serviceRevisionArns": some }))
            .await?;
        for revision in answer["serviceRevisions"].as_array().into_iter().flatten() {
            let Some(task_definition) = revision["taskDefinition"].as_str() else {
                continue;
            };
            versions.push(Version {
                task_definition: task_definition.to_owned(),
                load_balancers: revision["loadBalancers"].clone(),
            });
        }
    }
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_means_to_what_ran_well_before() {
        let version = |arn: &str| Version {
            task_definition: arn.to_owned(),
            load_balancers: Value::Null,
        };
        let known = || {
            vec![
                version("x:task-definition/a:4"),
                version("x/a:1"),
                version("x/a:2"),
                version("x/a:10"),
            ]
        };
        let back = |current| previous(known(), current).map(|version| version.task_definition);
        assert_eq!(back("x/a:4").as_deref(), Some("x/a:2"));
        assert_eq!(back("x/a:10").as_deref(), Some("x:task-definition/a:4"));
        assert_eq!(back("x/a:1"), None);
    }

    #[test]
    fn the_newest_ones_are_kept() {
        let known = || (1..=20).chain([20]).map(|number| format!("x/a:{number}")).collect();
        let kept = |current: &str| {
            let mut numbers: Vec<u32> = newest(known(), current).iter().map(|arn| number(arn)).collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        };
        assert_eq!(kept("x/a:20"), [15, 16, 17, 18, 19, 20]);
        assert_eq!(kept("x/a:8"), [3, 4, 5, 6, 7, 16, 17, 18, 19, 20]);
        assert_eq!(kept("x/a:1"), [16, 17, 18, 19, 20]);
    }
}
