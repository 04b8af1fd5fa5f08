//! Goal: a service behind a load balancer keeps serving, over HTTPS too: through updates, bad versions, a renewed
//! certificate and the death of every role, and comes back after a reboot.
//! Method: boto3 makes and changes it, load runs against it from this process, roles are killed with SIGKILL.

use anyhow::{Context, Result, bail, ensure};
use honmaru_tests::cloud::{Cloud, phase, wait_until};
use honmaru_tests::load::Load;
use honmaru_tests::scratch::Scratch;
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// The service's name in the shared entry.
const HOST: &str = "web.localhost";
/// How long the load may stand still.
const GOES_ON: Duration = Duration::from_secs(60);

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
    phase("other users of the machine reach nothing of it", || {
        for room in ["control", "images", "node", "edge"] {
            let mode = std::fs::metadata(cloud.state.join(room))?.mode();
            ensure!(mode & 0o077 == 0, "{room} has mode {mode:o}");
        }
        Ok(())
    })?;
    phase("its requests are in the log", || run(&cloud, &["logged"]))?;
    let pem = Scratch::new("service")?;
    let secure = |cloud: &Cloud, what: &str| {
        let dir = pem.path().to_str().context("a path")?;
        cloud.python("secure.py", &[what, dir])
    };
    phase("HTTPS: names, versions, a redirect", || secure(&cloud, "create"))?;
    phase("a renewed certificate, and nobody is cut off", || {
        secure(&cloud, "renew")
    })?;
    for role in ["control", "node", "edge"] {
        phase(&format!("kill -9 of {role} under load"), || {
            kill_under_load(&cloud, role)
        })?;
    }
    phase("kill -9 of `up`, and of edge under the next one", || {
        replace_supervisor(&mut cloud)?;
        kill_under_load(&cloud, "edge")
    })?;
    phase("a listener outlives edge, and is gone when it is deleted", || {
        run(&cloud, &["listener", "create"])?;
        let edge = cloud.kill("edge")?;
        run(&cloud, &["listener", "check"])?;
        cloud.wait_for_restart("edge", edge)?;
        run(&cloud, &["listener", "check"])?;
        run(&cloud, &["listener", "delete"])
    })?;
    phase("another build replaces every role under load", || {
        let before = (run(&cloud, &["tasks"])?, roles(&cloud)?);
        let load = started(&cloud)?;
        cloud.upgrade()?;
        wait_until("every role is another process", GOES_ON, || {
            let (old, new) = (&before.1, roles(&cloud)?);
            ensure!(new.iter().all(|pid| !old.contains(pid)), "{old:?} became {new:?}");
            Ok(())
        })?;
        load.wait_for(200, GOES_ON)?;
        load.stop().nothing_failed()?;
        let after = run(&cloud, &["tasks"])?;
        ensure!(before.0 == after, "the tasks changed: {} became {after}", before.0);
        Ok(())
    })?;
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
        wait_until("two new tasks run", Duration::from_secs(120), || {
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
    phase("HTTPS is back, too", || secure(&cloud, "check"))?;
    phase("everything is deleted", || {
        run(&cloud, &["delete"])?;
        cloud.python("secure.py", &["delete"])
    })?;
    phase("destroy leaves the host clean", || cloud.finish())
}

fn roles(cloud: &Cloud) -> Result<Vec<i32>> {
    ["control", "node", "edge"]
        .iter()
        .map(|role| cloud.role_pid(role))
        .collect()
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
// there. Edge is the one that serves: what it had in its hands may fail, and nothing else: who connects while it is away
// waits. So do calls while control is away.
fn kill_under_load(cloud: &Cloud, role: &str) -> Result<()> {
    let before = cloud.python("service.py", &["tasks"])?;
    let group = format!("/written/before/{role}/died/{}", cloud.role_pid(role)?);
    let load = started(cloud)?;
    cloud.aws(&["logs", "create-log-group", "--log-group-name", &group])?;
    let pid = cloud.kill(role)?;
    if role == "control" {
        endpoint_waits(cloud)?;
    }
    cloud.wait_for_restart(role, pid)?;
    load.wait_for(200, GOES_ON)?;
    let outcome = load.stop();
    if role == "edge" {
        println!("     {} of {} requests failed", outcome.failed.len(), outcome.answered);
        outcome.only_what_was_in_flight_failed()?;
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

// The process may have accepted a connection in its last moment; refused is none.
fn endpoint_waits(cloud: &Cloud) -> Result<()> {
    for _ in 0..3 {
        match cloud.http(cloud.port, "localhost", "/_honmaru/health") {
            Ok((200, _)) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => bail!("the endpoint refused a call"),
            other => println!("     a call that was in flight: {other:?}"),
        }
    }
    bail!("the endpoint answered none of three calls")
}

/// Kills `honmaru up` and starts it anew; returns when it has edge's sockets.
fn replace_supervisor(cloud: &mut Cloud) -> Result<()> {
    let log = cloud.state.join("logs/edge.log");
    let handed_over = || -> Result<usize> {
        let text = std::fs::read_to_string(&log)?;
        Ok(text.matches("keeps listening sockets").count())
    };
    let before = handed_over()?;
    ensure!(before > 0, "edge has never handed its sockets over");
    let (up, edge) = (cloud.kill("up")?, cloud.role_pid("edge")?);
    cloud.up()?;
    wait_until("edge handed its sockets to the new `up`", GOES_ON, || {
        ensure!(cloud.role_pid("up")? != up, "the former one still has the lock");
        ensure!(handed_over()? > before, "not yet");
        Ok(())
    })?;
    ensure!(cloud.role_pid("edge")? == edge, "edge was not adopted");
    Ok(())
}
