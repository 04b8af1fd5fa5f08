//! Goal: a service behind a load balancer keeps serving: through updates, bad versions and the death of every role,
//! and comes back after a reboot.
//! Method: boto3 makes and changes it, load runs against it from this process, roles are killed with SIGKILL.

use anyhow::{Context, Result, ensure};
use honmaru_tests::cloud::{Cloud, phase, wait_until};
use honmaru_tests::load::Load;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// The service's name in the shared entry.
const HOST: &str = "web.localhost";
/// How long the load may stand still.
const GOES_ON: Duration = Duration::from_secs(20);

#[test]
fn service() -> Result<()> {
    let mut cloud = Cloud::start()?;
    let run = |cloud: &Cloud, arguments: &[&str]| cloud.python("service.py", arguments);
    let made = phase("a service of two behind a load balancer", || run(&cloud, &["create"]))?;
    println!("     stable after {} s", made["stable_after_s"]);
    phase("both tasks answer", || both_answer(&cloud, HOST))?;
    phase("its DNS name leads there too", || {
        both_answer(&cloud, made["host"].as_str().context("a DNS name")?)
    })?;
    phase("its requests are in the log", || run(&cloud, &["logged"]))?;
    for role in ["control", "node", "edge"] {
        phase(&format!("kill -9 of {role} under load"), || {
            kill_under_load(&cloud, role)
        })?;
    }
    phase("a rolling update under load", || {
        let load = started(&cloud)?;
        let answer = run(&cloud, &["update", "two"])?;
        load.wait_for(50, GOES_ON)?;
        load.stop().nothing_failed()?;
        ensure!(running(&answer)?.len() == 2, "{answer}");
        Ok(())
    })?;
    for kind in ["exits", "unhealthy"] {
        phase(
            &format!("a version that is bad ({kind}) leaves the old one serving"),
            || {
                let before = run(&cloud, &["tasks"])?;
                let load = started(&cloud)?;
                run(&cloud, &["bad", kind])?;
                load.stop().nothing_failed()?;
                let after = run(&cloud, &["tasks"])?;
                ensure!(before == after, "the old tasks changed: {before} became {after}");
                Ok(())
            },
        )?;
    }
    phase("the web ACL", || run(&cloud, &["firewall"]))?;
    phase("scaled to three and back to two under load", || {
        let load = started(&cloud)?;
        run(&cloud, &["scale", "3"])?;
        run(&cloud, &["scale", "2"])?;
        load.stop().nothing_failed()
    })?;
    phase("a reboot", || {
        let before = running(&run(&cloud, &["tasks"])?)?;
        cloud.reboot()?;
        let mut after = Vec::new();
        wait_until("two new tasks run", Duration::from_secs(60), || {
            after = running(&run(&cloud, &["tasks"])?)?;
            ensure!(after.len() == 2, "{after:?} run");
            ensure!(
                before.iter().all(|task| !after.contains(task)),
                "a task survived: {after:?}"
            );
            Ok(())
        })?;
        both_answer(&cloud, HOST)
    })?;
    phase("everything is deleted", || run(&cloud, &["delete"]))?;
    phase("destroy leaves the host clean", || cloud.finish())
}

fn started(cloud: &Cloud) -> Result<Load> {
    let load = Load::start(cloud.http_port, HOST);
    load.wait_for(50, GOES_ON)?;
    Ok(load)
}

/// The tasks of an answer that run.
fn running(answer: &Value) -> Result<Vec<Value>> {
    let tasks = answer["tasks"]
        .as_array()
        .with_context(|| format!("tasks in {answer}"))?;
    Ok(tasks.iter().filter(|task| task[3] == "RUNNING").cloned().collect())
}

fn both_answer(cloud: &Cloud, host: &str) -> Result<()> {
    let mut seen = BTreeSet::new();
    wait_until("two tasks answer", GOES_ON, || {
        let (status, body) = cloud.http(cloud.http_port, host, "/")?;
        ensure!(status == 200, "status {status}: {body}");
        seen.insert(body);
        ensure!(seen.len() == 2, "only these answer: {seen:?}");
        Ok(())
    })
}

// Method: a write is acknowledged right before the kill; the load goes on; then the tasks are the same and the write is
// there. Edge is the one that serves: what it had in its hands may fail, what comes after it is back may not.
fn kill_under_load(cloud: &Cloud, role: &str) -> Result<()> {
    let before = cloud.python("service.py", &["tasks"])?;
    let group = format!("/written/before/{role}/died");
    let load = started(cloud)?;
    cloud.aws(&["logs", "create-log-group", "--log-group-name", &group])?;
    let pid = cloud.kill(role)?;
    cloud.wait_for_restart(role, pid)?;
    load.wait_for(200, GOES_ON)?;
    let outcome = load.stop();
    if role == "edge" {
        println!("     {} of {} requests failed", outcome.failed.len(), outcome.answered);
        let again = started(cloud)?;
        again.stop().nothing_failed()?;
    } else {
        outcome.nothing_failed()?;
    }
    let found = cloud.aws(&["logs", "describe-log-groups", "--log-group-name-prefix", &group])?;
    ensure!(
        found["logGroups"].as_array().map(Vec::len) == Some(1),
        "an acknowledged write is lost: {found}"
    );
    let after = cloud.python("service.py", &["tasks"])?;
    ensure!(before == after, "the tasks changed: {before} became {after}");
    Ok(())
}
