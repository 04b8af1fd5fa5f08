//! `honmaru ps`: the services, or the tasks of one.

use super::app::{App, CLUSTER};
use super::certificate::{self, Kept, end_words, ends_soon};
use super::client::{Client, ECS, code_of};
use super::connection::Connection;
use super::failure::Failure;
use super::observed::{self, Service, Target, Task, last_part};
use super::output::{OutputOption, Table, print, print_json};
use super::rollout::task_state;
use super::secure_entry::AtEntry;
use super::terminal::Style;
use honmaru_base::{Clock, Time};
use honmaru_engine::SystemClock;
use serde_json::{Value, json};
use std::io::IsTerminal;

/// Services that one call describes. Ref: ECS `DescribeServices`.
const SERVICES_DESCRIBED_MAX: usize = 10;
/// Stopped tasks that are shown, the newest.
const STOPPED_SHOWN_MAX: usize = 5;

/// The options of `honmaru ps`.
#[derive(Debug, clap::Args)]
pub struct PsOptions {
    /// Show the tasks of this app
    name: Option<String>,
    #[command(flatten)]
    output: OutputOption,
    #[command(flatten)]
    connection: Connection,
}

/// Prints the table.
pub async fn run(options: PsOptions) -> anyhow::Result<()> {
    let client = options.connection.open()?;
    let flags = options.connection.flags();
    match &options.name {
        None => services(&client, &options, &flags).await,
        Some(name) => tasks(&client, &options, &name.parse()?, &flags).await,
    }
}

fn next(text: &str) {
    if std::io::stdout().is_terminal() {
        tell!("next: {text}");
    }
}

async fn services(client: &Client, options: &PsOptions, flags: &str) -> anyhow::Result<()> {
    let listed = observed::all_of(client, "ListServices", json!({ "cluster": CLUSTER }), "serviceArns").await;
    let arns = match listed {
        Err(error) if code_of(&error) == Some("ClusterNotFoundException") => Vec::new(),
        listed => listed?,
    };
    let mut services = Vec::new();
    for some in arns.chunks(SERVICES_DESCRIBED_MAX) {
        let answer = client
            .call(ECS, "DescribeServices", json!({ "cluster": CLUSTER, "services": some }))
            .await?;
        services.extend(
            answer["services"]
                .as_array()
                .into_iter()
                .flatten()
                .map(observed::read_service),
        );
    }
    services.sort_by(|a, b| a.name.cmp(&b.name));
    let certificates = certificates(client).await;
    if options.output.is_json() {
        let mut rows = Vec::with_capacity(services.len());
        for service in &services {
            rows.push(service_json(client, service, &certificates).await);
        }
        return print_json(&json!({ "services": rows }));
    }
    if services.is_empty() {
        tell!("no service runs yet");
        next(&format!("`honmaru deploy{flags} DIR`"));
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "STATUS", "TASKS", "VERSION", "URL"]);
    for service in &services {
        table.row(vec![
            service.name.clone(),
            status(service),
            format!("{}/{}", service.running, service.desired),
            version(service),
            url(client, &service.name, &certificates)
                .await
                .unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    print(&options.output.text_of(&table))?;
    for service in &services {
        warn(service, &certificates);
    }
    if let Some(first) = services.first() {
        next(&format!("`honmaru ps {}{flags}` shows its tasks", first.name));
    }
    Ok(())
}

/// What the service does, in a word.
pub fn status(service: &Service) -> String {
    let word = match service.primary().map(|primary| primary.rollout_state.as_str()) {
        _ if service.status == "DRAINING" => "deleting",
        Some("FAILED") => "failed",
        Some("IN_PROGRESS") if service.deployments.len() > 1 => "updating",
        Some("IN_PROGRESS") => "starting",
        _ if service.running < service.desired => "degraded",
        Some("COMPLETED") => "steady",
        _ => "unknown",
    };
    word.to_owned()
}

fn version(service: &Service) -> String {
    service
        .primary()
        .map(|primary| last_part(&primary.task_definition).to_owned())
        .unwrap_or_default()
}

/// Where the shared entry has an app: by HTTPS, if it has a certificate.
async fn url(client: &Client, name: &str, certificates: &[Kept]) -> Option<String> {
    let app: App = name.parse().ok()?;
    if client.secure_entry.is_some()
        && let Some(kept) = certificates.iter().rfind(|kept| kept.app == name)
        && let Ok(Some((_, facts))) = certificate::read(client, &kept.name).await
        && let Some(entry) = AtEntry::of(client, &app, &facts)
    {
        return Some(entry.url());
    }
    app.url(client.entry.as_deref())
}

/// The certificates that `deploy` has uploaded. Who may not see them still sees the services.
async fn certificates(client: &Client) -> Vec<Kept> {
    certificate::of_all(client).await.unwrap_or_default()
}

/// The one that an app serves with: the newest.
fn certificate_of<'a>(service: &Service, certificates: &'a [Kept]) -> Option<&'a Kept> {
    certificates.iter().rfind(|kept| kept.app == service.name)
}

fn warn(service: &Service, certificates: &[Kept]) {
    let now_ms = SystemClock.now().as_ms();
    if let Some(kept) = certificate_of(service, certificates).filter(|kept| ends_soon(kept.ends_ms, now_ms)) {
        tell!(
            "{} the certificate of `{}` {}: deploy with a renewed one",
            Style::of_stderr().yellow("warning:"),
            service.name,
            end_words(kept.ends_ms, now_ms)
        );
    }
}

async fn service_json(client: &Client, service: &Service, certificates: &[Kept]) -> Value {
    let ends_at = certificate_of(service, certificates).map(|kept| Time::from_ms(kept.ends_ms).rfc3339());
    json!({
        "name": service.name,
        "status": status(service),
        "running": service.running,
        "pending": service.pending,
        "desired": service.desired,
        "version": version(service),
        "url": url(client, &service.name, certificates).await,
        "certificateEndsAt": ends_at,
    })
}

async fn tasks(client: &Client, options: &PsOptions, app: &App, flags: &str) -> anyhow::Result<()> {
    let Some(service) = observed::service(client, app).await? else {
        return Err(no_app(app));
    };
    let tasks = observed::tasks(client, app.name()).await?;
    let targets = match &service.target {
        Some((group, _)) => observed::targets(client, group).await?,
        None => Vec::new(),
    };
    let target = |task: &Task| {
        targets
            .iter()
            .find(|target| Some(&target.address) == task.address.as_ref())
    };
    let shown = shown(&tasks);
    let certificates = certificates(client).await;
    if options.output.is_json() {
        let rows: Vec<Value> = shown.iter().map(|task| task_json(task, target(task))).collect();
        let mut tree = service_json(client, &service, &certificates).await;
        if let Some(members) = tree.as_object_mut() {
            members.insert("tasks".to_owned(), Value::Array(rows));
        }
        return print_json(&tree);
    }
    let now = SystemClock.now().as_epoch_s();
    let mut table = Table::new(&["TASK", "VERSION", "AGE", "ADDRESS", "STATE"]);
    for task in shown {
        table.row(vec![
            task.short().to_owned(),
            task.task_definition.clone(),
            age(now - task.created_at),
            task.address.clone().unwrap_or_else(|| "-".to_owned()),
            task_state(task, target(task)),
        ]);
    }
    print(&options.output.text_of(&table))?;
    warn(&service, &certificates);
    next(&format!(
        "`honmaru logs {}{flags} --follow`, `honmaru explain {}{flags}`",
        app.name(),
        app.name()
    ));
    Ok(())
}

/// The error for an app that is not there.
pub fn no_app(app: &App) -> anyhow::Error {
    Failure::new(format!("there is no app `{}`", app.name()))
        .hint("`honmaru ps` shows the apps")
        .into()
}

/// All that run, and the newest of those that stopped.
fn shown(tasks: &[Task]) -> Vec<&Task> {
    let (stopped, going): (Vec<&Task>, Vec<&Task>) = tasks.iter().partition(|task| task.last_status == "STOPPED");
    let skipped = stopped.len().saturating_sub(STOPPED_SHOWN_MAX);
    going.into_iter().chain(stopped.into_iter().skip(skipped)).collect()
}

fn task_json(task: &Task, target: Option<&Target>) -> Value {
    let time = |at: Option<f64>| at.map(|at| Time::from_ms((at * 1_000.0) as i64).rfc3339());
    json!({
        "task": task.id,
        "version": task.task_definition,
        "lastStatus": task.last_status,
        "desiredStatus": task.desired_status,
        "address": task.address,
        "target": target.map(|target| json!({
            "state": target.state, "reason": target.reason, "description": target.description,
        })),
        "createdAt": time(Some(task.created_at)),
        "startedAt": time(task.started_at),
        "stoppedAt": time(task.stopped_at),
        "stopCode": task.stop_code,
        "stoppedReason": task.stopped_reason,
        "exitCode": task.exit_code,
    })
}

/// `45s`, `12m`, `3h`, `5d`.
pub fn age(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::observed::Deployment;

    #[test]
    fn ages_are_short() {
        let ages: Vec<String> = [0.4, 119.0, 120.0, 7_200.0, 172_800.0, -5.0].map(age).into();
        assert_eq!(ages, ["0s", "119s", "2m", "2h", "2d", "0s"]);
    }

    #[test]
    fn one_word_for_a_service() {
        let service = |status: &str, rollout_state: &str, running| Service {
            status: status.to_owned(),
            desired: 2,
            running,
            deployments: vec![Deployment {
                rollout_state: rollout_state.to_owned(),
                ..Deployment::default()
            }],
            ..Service::default()
        };
        for (seen, word) in [
            (service("ACTIVE", "COMPLETED", 2), "steady"),
            (service("ACTIVE", "COMPLETED", 1), "degraded"),
            (service("ACTIVE", "IN_PROGRESS", 1), "starting"),
            (service("ACTIVE", "FAILED", 0), "failed"),
            (service("DRAINING", "COMPLETED", 2), "deleting"),
        ] {
            assert_eq!(status(&seen), word);
        }
    }
}
