//! The audit trail: every call is in it, no secret is, and both CloudTrail's API and our command read it.

use crate::raw::fetch;
use crate::{GOES_ON, ok};
use anyhow::{Context, Result, bail, ensure};
use honmaru_tests::cloud::{Cloud, text};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

pub fn document(event: &Value) -> Result<Value> {
    let text = event["CloudTrailEvent"]
        .as_str()
        .with_context(|| format!("no document: {event}"))?;
    Ok(serde_json::from_str(text)?)
}

pub fn audit(cloud: &Cloud) -> Result<()> {
    let secret = "Very-S3cret-passw0rd";
    cloud.aws(&["iam", "create-user", "--user-name", "audited"])?;
    // Not implemented, and all the same no reason to write the secret down.
    let _ = cloud.aws_output(&[
        "iam",
        "create-login-profile",
        "--user-name",
        "audited",
        "--password",
        secret,
    ])?;
    let key = cloud.aws(&["iam", "create-access-key", "--user-name", "audited"])?;
    let issued = key["AccessKey"]["SecretAccessKey"]
        .as_str()
        .context("a secret")?
        .to_owned();
    let definition =
        json!([{ "name": "a", "image": "b", "memory": 64, "environment": [{ "name": "P", "value": secret }] }])
            .to_string();
    cloud.aws(&[
        "ecs",
        "register-task-definition",
        "--family",
        "audited",
        "--container-definitions",
        &definition,
    ])?;
    let _ = cloud.aws_output(&["ecs", "delete-cluster", "--cluster", "not-there"])?;
    let by = |key: &str, value: &str| -> Result<Value> {
        let attribute = format!("AttributeKey={key},AttributeValue={value}");
        cloud.aws(&["cloudtrail", "lookup-events", "--lookup-attributes", &attribute])
    };
    let created = by("EventName", "CreateUser")?;
    let event = document(&created["Events"][0])?;
    ensure!(event["requestParameters"]["userName"] == "audited", "{event}");
    ensure!(
        event["sourceIPAddress"] == "127.0.0.1" && event["eventSource"] == "iam.amazonaws.com",
        "{event}"
    );
    ensure!(event["userIdentity"]["accessKeyId"].is_string(), "{event}");
    let failed = document(&by("EventName", "DeleteCluster")?["Events"][0])?;
    ensure!(failed["errorCode"] == "ClusterNotFoundException", "{failed}");
    ensure!(
        by("EventName", "CreateAccessKey")?["Events"].as_array().map(Vec::len) == Some(1),
        "no event"
    );
    let hidden = document(&by("EventName", "RegisterTaskDefinition")?["Events"][0])?;
    let value = &hidden["requestParameters"]["containerDefinitions"][0]["environment"];
    ensure!(value == "HIDDEN_DUE_TO_SECURITY_REASONS", "{hidden}");
    // Nowhere on disk, and in no log.
    for folder in ["control/audit", "logs"] {
        for entry in std::fs::read_dir(cloud.state.join(folder))? {
            let path = entry?.path();
            let bytes = std::fs::read(&path)?;
            let all = String::from_utf8_lossy(&bytes);
            for secret in [secret, &issued] {
                ensure!(!all.contains(secret), "a secret is in {}", path.display());
            }
        }
    }
    let bad = cloud.aws_output(&["cloudtrail", "lookup-events", "--next-token", "x"])?;
    ensure!(text(&bad.stderr).contains("InvalidNextTokenException"), "{bad:?}");
    let (_, metrics) = cloud.http(cloud.port, "localhost", "/metrics")?;
    ensure!(metrics.contains("honmaru_audit_lost_total 0"), "{metrics}");
    Ok(())
}

/// The lines of `honmaru audit --json` with some filters.
pub fn trail(cloud: &Cloud, filters: &[&str]) -> Result<Vec<Value>> {
    let said = ok(cloud, &[&["audit", "--json", "--limit", "1000"], filters].concat())?;
    said.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

pub fn strangers(cloud: &Cloud) -> Result<()> {
    let answer = cloud.aws(&["ecr", "get-authorization-token"])?;
    let token = answer["authorizationData"][0]["authorizationToken"]
        .as_str()
        .context("a token")?
        .to_owned();
    cloud.aws(&["ecr", "create-repository", "--repository-name", "audited"])?;
    let get = |path: &str, headers: &str| fetch(cloud, path, headers);
    let basic = format!("Authorization: Basic {token}\r\nUser-Agent: docker/1\r\n");
    ensure!(
        get("/v2/audited/manifests/v1", &basic)? == Some(404),
        "there is an image"
    );
    ensure!(get("/v2/", &basic)? == Some(200), "the token is not taken");
    for _ in 0..200 {
        ensure!(get("/v2/", "")? == Some(401), "a stranger is let in");
        ensure!(get("/nowhere/at/all", "X-Amz-Security-Token: Very-S3cret-passw0rd\r\n")?.is_some_and(|s| s >= 400));
    }
    let pulled = trail(cloud, &["--event", "BatchGetImage"])?;
    let [pull] = pulled.as_slice() else { bail!("{pulled:?}") };
    ensure!(
        pull["errorCode"] == "MANIFEST_UNKNOWN" && pull["userAgent"] == "docker/1",
        "{pull}"
    );
    ensure!(pull["requestParameters"]["imageIds"][0]["imageTag"] == "v1", "{pull}");
    ensure!(
        pull["sourceIPAddress"] == "127.0.0.1" && pull["userIdentity"]["arn"].is_string(),
        "{pull}"
    );
    let refused = trail(cloud, &["--event", "ecr:Ping", "--errors"])?;
    ensure!(refused.len() == 1, "{} records of 200 refused pings", refused.len());
    let unrouted = trail(cloud, &["--event", "Unrouted"])?;
    let here = |record: &&Value| record["requestParameters"]["path"] == "/nowhere/at/all";
    ensure!(
        unrouted.iter().filter(here).count() <= 1,
        "{} records of strangers",
        unrouted.len()
    );
    for entry in std::fs::read_dir(cloud.state.join("control/audit"))? {
        let text = std::fs::read_to_string(entry?.path())?;
        for secret in [token.as_str(), "Very-S3cret-passw0rd"] {
            ensure!(!text.contains(secret), "a secret is in the trail");
        }
    }
    Ok(())
}

pub fn audit_command(cloud: &Cloud) -> Result<()> {
    let lines = ok(cloud, &["audit", "--event", "CreateUser"])?;
    ensure!(
        lines.contains("iam:CreateUser user/audited from 127.0.0.1: 200 in "),
        "{lines}"
    );
    let failed = trail(cloud, &["--errors", "--event", "ecs:Delete*"])?;
    ensure!(
        failed.len() == 1 && failed.iter().all(|record| record["errorCode"].is_string()),
        "{failed:?}"
    );
    ensure!(
        !trail(cloud, &["--resource", "audited", "--event", "iam:*"])?.is_empty(),
        "no resource"
    );
    ensure!(
        trail(cloud, &["--user", "nobody-at-all"])?.is_empty(),
        "whose are these?"
    );
    ensure!(
        trail(cloud, &["--until", "1h"])?.is_empty(),
        "the cloud is younger than that"
    );
    let wrong = cloud.honmaru(&["audit", "--since", "yesterday"])?;
    ensure!(wrong.status.code() == Some(2), "{wrong:?}");
    // It follows: a call that comes later is printed, once, and its own questions are not.
    let mut follow = cloud.command(cloud.binary())?;
    let mut follow = follow
        .args(["audit", "--follow", "--json"])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(follow.stdout.take().context("a pipe")?).lines();
    cloud.aws(&["iam", "create-user", "--user-name", "followed"])?;
    let (found, is_found) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let found_line = lines.find_map(|line| line.ok().filter(|line| line.contains("\"followed\"")));
        let _ = found.send(found_line);
    });
    let line = is_found.recv_timeout(GOES_ON);
    follow.kill()?;
    follow.wait()?;
    let line = line.context("it was not printed")?.context("it ended")?;
    let record: Value = serde_json::from_str(&line)?;
    ensure!(record["eventName"] == "CreateUser", "{record}");
    Ok(())
}
