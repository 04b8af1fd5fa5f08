//! A roll-out, watched: what each task does, until all of them are healthy or the cause of a failure is known.

mod cause;
mod judge;
mod listening;

pub use judge::{Goal, RolledOut, state as task_state};
pub use listening::ATTRIBUTE as LISTENING_ATTRIBUTE;

use super::app::App;
use super::client::{Client, ECS, ELBV2};
use super::observed::{self, Service, Task};
use super::progress::StepHandle;
use anyhow::bail;
use cause::{Cause, Scene};
use honmaru_base::Clock;
use honmaru_engine::SystemClock;
use judge::{Look, Memory, Verdict, judge};
use serde_json::json;
use std::time::{Duration, Instant};

/// How often the cloud is asked.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a roll-out may take when no cause for a failure is known.
const ROLLOUT_TIMEOUT: Duration = Duration::from_secs(600);
/// Lines of a failed task's log that are shown.
const LOG_LINES: u32 = 10;
/// How long the last lines of a task may be on their way.
const LOG_TIMEOUT: Duration = Duration::from_secs(2);

/// How a watched roll-out went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// It ended well.
    Done(RolledOut),
    /// The app answers, but has nothing at the path of the health check, and nobody has said that it does.
    LacksPath,
}

/// Watches until the goal is reached, for whoever has named no path that may be missing.
pub async fn reach(client: &Client, app: &App, goal: &Goal, step: &StepHandle<'_>) -> anyhow::Result<RolledOut> {
    match watch(client, app, goal, step).await? {
        Watched::Done(rolled) => Ok(rolled),
        Watched::LacksPath => bail!("the path of the health check is missing"),
    }
}

/// Watches until the goal is reached. A failure names its cause, and the roll-out is taken back where there is an
/// earlier version.
pub async fn watch(client: &Client, app: &App, goal: &Goal, step: &StepHandle<'_>) -> anyhow::Result<Watched> {
    let deadline = Instant::now() + ROLLOUT_TIMEOUT;
    let mut memory = Memory::default();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(service) = observed::service(client, app).await? else {
            return Err(fail(client, app, goal, Cause::Vanished, None, &[]).await);
        };
        let tasks = observed::tasks(client, app.name()).await?;
        let targets = match &service.target {
            Some((group, _)) => observed::targets(client, group).await?,
            None => Vec::new(),
        };
        let look = Look {
            service: &service,
            tasks: &tasks,
            targets: &targets,
            now_s: SystemClock.now().as_epoch_s(),
        };
        for (key, text) in judge::lines(goal, &mut memory, &look) {
            step.line(&key, &text);
        }
        match judge(goal, &mut memory, &look) {
            Verdict::Wait { healthy } => step.note(&format!("{healthy} of {} tasks healthy", service.desired)),
            Verdict::Done(rolled) => return Ok(Watched::Done(rolled)),
            Verdict::LacksPath => return Ok(Watched::LacksPath),
            Verdict::Failed(cause) => return Err(fail(client, app, goal, cause, Some(&service), &tasks).await),
        }
        if Instant::now() > deadline {
            let cause = Cause::Slow {
                seconds: ROLLOUT_TIMEOUT.as_secs(),
            };
            return Err(fail(client, app, goal, cause, Some(&service), &tasks).await);
        }
    }
}

/// Takes the roll-out back and tells why.
async fn fail(
    client: &Client,
    app: &App,
    goal: &Goal,
    cause: Cause,
    service: Option<&Service>,
    tasks: &[Task],
) -> anyhow::Error {
    let lines = match cause.task() {
        Some(task) => log_lines(client, app, task).await,
        None => Vec::new(),
    };
    let (mut path, mut port) = (String::new(), 0);
    if let Some((group, container_port)) = service.and_then(|service| service.target.clone()) {
        port = container_port;
        let answer = client
            .call(ELBV2, "DescribeTargetGroups", json!({ "TargetGroupArns": [group] }))
            .await;
        if let Ok(answer) = answer {
            answer["TargetGroups"][0]["HealthCheckPath"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut path);
        }
    }
    let is_rolled_back = goal.is_new && cause.is_of_the_version();
    if is_rolled_back && let Some(arn) = service.and_then(|service| service.service_deployment.clone()) {
        // Refused where there is no earlier version, or where the circuit breaker was faster: both are fine.
        let stop = json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" });
        let _ = client.call(ECS, "StopServiceDeployment", stop).await;
    }
    let old_tasks = service
        .filter(|_| is_rolled_back)
        .map(|service| old_tasks(service, tasks));
    cause::failure(
        app,
        &cause,
        &Scene {
            port,
            path,
            lines,
            old_tasks,
        },
    )
    .into()
}

/// Tasks of earlier versions that run.
fn old_tasks(service: &Service, tasks: &[Task]) -> usize {
    let newest = service
        .deployments
        .iter()
        .max_by(|a, b| a.created_at.total_cmp(&b.created_at))
        .map(|deployment| deployment.id.as_str());
    tasks
        .iter()
        .filter(|task| task.is_wanted() && task.last_status == "RUNNING" && Some(task.started_by.as_str()) != newest)
        .count()
}

/// The last lines of a task; they may come a moment after its end.
async fn log_lines(client: &Client, app: &App, task: &str) -> Vec<String> {
    let deadline = Instant::now() + LOG_TIMEOUT;
    loop {
        let lines = observed::last_lines(client, app, task, LOG_LINES).await;
        if !lines.is_empty() || Instant::now() > deadline {
            return lines;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
