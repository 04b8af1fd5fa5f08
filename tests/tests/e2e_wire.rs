//! Goal: AWS's own clients get AWS's answers and AWS's errors, nobody gets in without a signature and a policy, no
//! error leaves something half done, and no acknowledged write is lost when control is killed.
//! Method: boto3, the aws CLI, the SDK for JavaScript and bare HTTP against a cloud of the test's own.

use anyhow::{Result, ensure};
use honmaru_tests::cloud::{Cloud, bounded, phase, root, text, wait_until};
use std::path::PathBuf;
use std::time::Duration;

/// How long the SDK for JavaScript may take.
const NODE_TIMEOUT: Duration = Duration::from_secs(90);

#[test]
fn wire() -> Result<()> {
    let cloud = Cloud::start()?;
    for name in [
        "services",
        "unimplemented",
        "signatures",
        "presigned",
        "bodies",
        "policies",
        "sessions",
        "live_tail",
        "bad_input",
        "pages",
        "regions",
    ] {
        phase(name, || cloud.python("wire.py", &[name]))?;
    }
    phase("the aws CLI", || aws_cli(&cloud))?;
    phase("the SDK for JavaScript", || javascript(&cloud))?;
    phase("kill -9 of control among writes loses none", || {
        kill_among_writes(&cloud)
    })?;
    phase("destroy leaves the host clean", || cloud.finish())
}

/// `HONMARU_JAVASCRIPT` names a folder with the SDK; `cargo xtask test` makes it where there are node and npm.
fn javascript(cloud: &Cloud) -> Result<()> {
    if std::env::var_os("HONMARU_JAVASCRIPT").is_none() {
        eprintln!("skipped: HONMARU_JAVASCRIPT is not set");
        return Ok(());
    }
    let mut node = cloud.command("node")?;
    let output = bounded(node.arg(root().join("tests/clients/life.mjs")), NODE_TIMEOUT)?;
    ensure!(output.status.success(), "{}", text(&output.stderr));
    Ok(())
}

fn aws_cli(cloud: &Cloud) -> Result<()> {
    let identity = cloud.aws(&["sts", "get-caller-identity"])?;
    ensure!(identity["Account"] == "000000000000", "{identity}");
    cloud.aws(&[
        "ecs",
        "create-cluster",
        "--cluster-name",
        "cli",
        "--tags",
        "key=a,value=b",
    ])?;
    let described = cloud.aws(&["ecs", "describe-clusters", "--clusters", "cli", "--include", "TAGS"])?;
    ensure!(described["clusters"][0]["tags"][0]["value"] == "b", "{described}");
    let listed = cloud.aws(&["ecs", "list-clusters", "--query", "clusterArns"])?;
    ensure!(listed.as_array().map(Vec::len) == Some(1), "{listed}");
    let denied = cloud.aws_output(&["ecs", "describe-services", "--cluster", "none", "--services", "x"])?;
    // Ref: aws CLI, "Return codes": 255 for an error that the service answered with; 254 since version 2.
    ensure!(matches!(denied.status.code(), Some(254 | 255)), "{denied:?}");
    let said = text(&denied.stderr);
    let wanted = "An error occurred (ClusterNotFoundException) when calling the DescribeServices operation: Cluster not \
                  found.";
    ensure!(said.contains(wanted), "{said}");
    cloud.aws(&["ecs", "delete-cluster", "--cluster", "cli"])?;
    Ok(())
}

// Method: one client writes call after call; control is killed in the midst; every acknowledged group is there after.
fn kill_among_writes(cloud: &Cloud) -> Result<()> {
    let go = PathBuf::from(format!("{}.go", cloud.state.display()));
    let stop = PathBuf::from(format!("{}.stop", cloud.state.display()));
    let before = cloud.role_pid("control")?;
    let written = std::thread::scope(|scope| -> Result<_> {
        let writer = scope.spawn(|| cloud.python("wire.py", &["write_and_crash", "20000"]));
        let killed = wait_until("the writer writes", Duration::from_secs(90), || {
            ensure!(go.exists(), "it has not begun");
            Ok(())
        });
        let killed = killed.and_then(|()| cloud.kill("control"));
        let killed = killed.and_then(|_| cloud.wait_for_restart("control", before));
        // It goes on when no call was in flight: then it writes to the next control.
        std::fs::write(&stop, "")?;
        let written = writer
            .join()
            .map_err(|_| anyhow::anyhow!("the writer's thread panicked"))?;
        killed?;
        written
    });
    for file in [&go, &stop] {
        let _ = std::fs::remove_file(file);
    }
    let written = written?["written"].as_u64().unwrap_or_default();
    ensure!((20..20_000).contains(&written), "{written} groups were written");
    let found = cloud.python("wire.py", &["count_groups", "/kill/"])?;
    let names: Vec<&str> = found["names"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str())
        .collect();
    let lost: Vec<String> = (0..written)
        .map(|n| format!("/kill/{n:05}"))
        .filter(|name| !names.contains(&name.as_str()))
        .collect();
    ensure!(
        lost.is_empty(),
        "{} of {written} acknowledged writes are lost: {lost:?}",
        lost.len()
    );
    // One more may be there: the call that was in flight.
    ensure!(
        names.len() as u64 <= written + 1,
        "{} groups, {written} written",
        names.len()
    );
    Ok(())
}
