//! The steps of `demo --check`, each with what must be true after it.

use super::cloud::Cloud;
use super::host::signal;
use super::load::{CLIENTS, Load, request};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// The app's name; its host name follows from it.
const APP: &str = "hello";
const HOST: &str = "hello.localhost";
const GOES_ON: Duration = Duration::from_secs(20);

/// Runs all steps, one line each. Stops at the first that fails.
pub fn all(cloud: &Cloud, root: &Path) -> Result<()> {
    let example = root.join("examples/hello").display().to_string();
    step("deploy builds, checks, pushes and rolls out two tasks", || {
        cloud.honmaru(&["deploy", &example, "--name", APP, "--count", "2"])
    })?;
    step("two tasks answer through the load balancer", || two_tasks_answer(cloud))?;
    step("the stock aws CLI sees the same two tasks", || {
        let tasks = cloud.aws(&["ecs", "list-tasks", "--service-name", APP])?;
        let count = tasks["taskArns"].as_array().map_or(0, Vec::len);
        ensure!(count == 2, "aws ecs list-tasks shows {count} tasks");
        Ok(())
    })?;
    step("an SQL injection is answered 403 by the web ACL", || {
        let (status, _) = request(cloud.http_port, HOST, "/?id=1%27%20OR%20%271%27%3D%271")?;
        ensure!(status == 403, "the status is {status}");
        let (status, _) = request(cloud.http_port, HOST, "/?id=1")?;
        ensure!(status == 200, "an honest request has status {status}");
        Ok(())
    })?;
    step("the logs contain the requests", || logs_contain_requests(cloud))?;
    step("kill -9 of control under load: nothing fails, nothing is lost", || {
        kill_under_load(cloud, "control")
    })?;
    step("kill -9 of node under load: nothing fails, tasks are adopted", || {
        kill_under_load(cloud, "node")
    })?;
    step(
        "kill -9 of edge under load: nobody is refused, tasks are untouched",
        || kill_under_load(cloud, "edge"),
    )?;
    step("a rolling update under load: nothing fails", || {
        rolling_update(cloud, &example)
    })?;
    step(
        "a reboot (everything killed): the service comes back to two tasks",
        || reboot(cloud),
    )
}

fn step(what: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    let outcome = run();
    let took = started.elapsed().as_secs_f64();
    match &outcome {
        Ok(()) => println!("ok   {what} ({took:.1} s)"),
        Err(error) => println!("FAIL {what} ({took:.1} s): {error:#}"),
    }
    outcome
}

fn wait_until(what: &str, limit: Duration, mut is_true: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let last = is_true();
        if matches!(last, Ok(true)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            last.with_context(|| format!("{what}: not within {} s", limit.as_secs()))?;
            bail!("{what}: not within {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The example's answer names the task that gave it.
fn two_tasks_answer(cloud: &Cloud) -> Result<()> {
    let mut bodies = BTreeSet::new();
    wait_until("two different tasks answer", GOES_ON, || {
        let (status, body) = request(cloud.http_port, HOST, "/")?;
        ensure!(status == 200, "the status is {status}");
        bodies.extend(body.lines().find(|line| line.contains("task")).map(str::to_owned));
        Ok(bodies.len() == 2)
    })
}

fn logs_contain_requests(cloud: &Cloud) -> Result<()> {
    let mark = format!("/mark-{}", std::process::id());
    request(cloud.http_port, HOST, &mark)?;
    wait_until("the request is in the logs", GOES_ON, || {
        let group = format!("/honmaru/{APP}");
        let found = cloud.aws(&[
            "logs",
            "filter-log-events",
            "--log-group-name",
            &group,
            "--filter-pattern",
            &format!("\"{mark}\""),
        ])?;
        Ok(found["events"].as_array().is_some_and(|events| !events.is_empty()))
    })?;
    ensure!(
        cloud.honmaru_output(&["logs", APP])?.contains(&mark),
        "`honmaru logs` does not show the request"
    );
    Ok(())
}

/// What must not change when a role is killed: the tasks, when they started, and the containers behind them.
fn running(cloud: &Cloud) -> Result<Vec<(String, String, String)>> {
    let listed = cloud.aws(&["ecs", "list-tasks", "--service-name", APP])?;
    let arns: Vec<&str> = listed["taskArns"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    ensure!(!arns.is_empty(), "no task runs");
    let mut arguments = vec!["ecs", "describe-tasks", "--tasks"];
    arguments.extend(arns);
    let described = cloud.aws(&arguments)?;
    let mut tasks: Vec<_> = described["tasks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|task| task["lastStatus"] == "RUNNING")
        .map(|task| {
            (
                task["taskArn"].to_string(),
                task["startedAt"].to_string(),
                task["containers"][0]["runtimeId"].to_string(),
            )
        })
        .collect();
    tasks.sort();
    Ok(tasks)
}

fn kill_under_load(cloud: &Cloud, role: &str) -> Result<()> {
    let before = running(cloud)?;
    let group = format!("/demo/written-before-{role}-died");
    let load = Load::start(cloud.http_port, HOST);
    ensure!(load.wait_for(50, GOES_ON), "the load gets no answers");
    let pid = cloud.role_pid(role)?;
    // Acknowledged the moment before: it must be there afterwards.
    cloud.aws(&["logs", "create-log-group", "--log-group-name", &group])?;
    signal(pid, "KILL")?;
    wait_until("the role starts again", GOES_ON, || Ok(cloud.role_pid(role)? != pid))?;
    wait_until("the API answers", GOES_ON, || {
        cloud.aws(&["sts", "get-caller-identity"]).map(|_| true)
    })?;
    let goes_on = load.wait_for(100, GOES_ON);
    let outcome = load.stop();
    ensure!(
        goes_on,
        "the load stands still after the kill; {} requests failed",
        outcome.failed.len()
    );
    let failed = &outcome.failed;
    if role == "edge" {
        // What it had in its hands is lost; who connects while it is away waits.
        ensure!(
            failed.len() <= CLIENTS && !failed.iter().any(|cause| cause.contains("refused")),
            "{} of {} requests failed, and only {CLIENTS} can have been in flight: {failed:?}",
            failed.len(),
            outcome.answered
        );
    } else {
        ensure!(
            failed.is_empty(),
            "{} of {} requests failed, the first: {:?}",
            failed.len(),
            outcome.answered,
            failed.first()
        );
    }
    let groups = cloud.aws(&["logs", "describe-log-groups", "--log-group-name-prefix", &group])?;
    ensure!(
        groups["logGroups"].as_array().is_some_and(|g| g.len() == 1),
        "an acknowledged write is lost"
    );
    let after = running(cloud)?;
    ensure!(before == after, "the tasks changed: {before:?} became {after:?}");
    Ok(())
}

fn rolling_update(cloud: &Cloud, example: &str) -> Result<()> {
    let before = running(cloud)?;
    let load = Load::start(cloud.http_port, HOST);
    let updated = cloud.honmaru(&[
        "deploy",
        example,
        "--name",
        APP,
        "--count",
        "2",
        "--env",
        "GREETING=again",
    ]);
    let outcome = load.stop();
    updated?;
    let failed = &outcome.failed;
    ensure!(
        failed.is_empty(),
        "{} of {} requests failed, the first: {:?}",
        failed.len(),
        outcome.answered,
        failed.first()
    );
    let after = running(cloud)?;
    ensure!(after.len() == 2, "{} tasks run", after.len());
    ensure!(
        before.iter().all(|task| !after.contains(task)),
        "an old task still runs"
    );
    Ok(())
}

/// Kills every process of the cloud and clears what a reboot clears, then starts it again.
fn reboot(cloud: &Cloud) -> Result<()> {
    let before = running(cloud)?;
    if let Some(pid) = cloud.up_pid() {
        signal(i32::try_from(pid)?, "KILL")?;
        cloud.reap_up();
    }
    for role in ["control", "node", "edge"] {
        signal(cloud.role_pid(role)?, "KILL")?;
    }
    cloud.honmaru(&["destroy", "--yes", "--keep-state"])?;
    cloud.up()?;
    wait_until("two new tasks run and answer", Duration::from_secs(90), || {
        let after = running(cloud)?;
        let is_new = after.len() == 2 && before.iter().all(|task| !after.contains(task));
        Ok(is_new && request(cloud.http_port, HOST, "/").is_ok_and(|(status, _)| status == 200))
    })
}
