//! Goal: images that a replication rule covers reach another cloud, over TLS, with its own templates applied; while that
//! cloud is away pushes go on, what waits is said to wait and outlives control, and arrives when it is back.
//! Method: two clouds on this machine, boto3 and skopeo on both.

use anyhow::{Context, Result, ensure};
use honmaru_tests::cloud::{Cloud, phase};
use honmaru_tests::tls::self_signed;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The other cloud's default scope.
const REGION: &str = "eu-west-1";
const ACCOUNT: &str = "123456789012";

/// A directory that goes with its value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let path = PathBuf::from(format!("/tmp/hm-e2e-replication-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn replication() -> Result<()> {
    let scratch = Scratch::new()?;
    let (cert, key) = (scratch.file("cert.pem"), scratch.file("key.pem"));
    self_signed(Path::new(&cert), Path::new(&key))?;
    let mut other = phase("the other cloud", || {
        let tls = ["--tls-cert", &cert, "--tls-key", &key];
        let cloud = Cloud::start_with(&[&["--account", ACCOUNT, "--region", REGION], &tls[..]].concat())?;
        cloud.python("replication.py", &["template"])?;
        Ok(cloud)
    })?;
    let replicas = scratch.file("replicas.json");
    std::fs::write(&replicas, named(&other, &cert)?)?;
    let cloud = Cloud::start_with(&["--replicas", &replicas])?;
    let here = |arguments: &[&str]| cloud.python("replication.py", arguments);
    let digest = |answer: Value| -> Result<String> { Ok(answer["digest"].as_str().context("a digest")?.to_owned()) };
    phase("a rule with two destinations", || here(&["configure", REGION, ACCOUNT]))?;
    let first = phase("a pushed image arrives", || {
        let first = digest(here(&["pushed", "v1", "1"])?)?;
        here(&["arrives", "v1", ACCOUNT])?;
        other.python("replication.py", &["holds", "v1", &first])?;
        Ok(first)
    })?;
    phase("what no rule covers stays", || {
        here(&["uncovered", ACCOUNT])?;
        other.python("replication.py", &["lacks", "dev/app"])
    })?;
    other.stop();
    let second = phase("the other cloud is away: pushes go on, and wait", || {
        let second = digest(here(&["pushed", "v2", "2"])?)?;
        here(&["waits", "v2", ACCOUNT])?;
        Ok(second)
    })?;
    let index = phase("what waits outlives control", || {
        let before = cloud.kill("control")?;
        cloud.wait_for_restart("control", before)?;
        let index = digest(here(&["index", &first, &second])?)?;
        here(&["waits", "v2", ACCOUNT])?;
        Ok(index)
    })?;
    phase("it is back: all arrives, an index after its images", || {
        other.up()?;
        here(&["arrives", "v2", ACCOUNT])?;
        here(&["arrives", "all", ACCOUNT])?;
        other.python("replication.py", &["holds", "v2", &second])?;
        other.python("replication.py", &["holds", "all", &index])
    })?;
    phase("no log tells the secret", || {
        let secret = secret_of(&other)?;
        for role in ["control", "node", "edge"] {
            let path = cloud.state.join(format!("logs/{role}.log"));
            let log = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            ensure!(!log.contains(&secret), "{} has the secret", path.display());
        }
        let log = std::fs::read_to_string(cloud.state.join("logs/control.log"))?;
        ensure!(
            log.contains("names no cloud for its destination"),
            "no reason is logged"
        );
        ensure!(
            log.contains("is away"),
            "it is not logged that the other cloud was away"
        );
        Ok(())
    })?;
    phase("destroy leaves the host clean", || {
        cloud.finish()?;
        other.finish()
    })
}

fn secret_of(cloud: &Cloud) -> Result<String> {
    let environment = cloud.environment()?;
    let secret = environment
        .into_iter()
        .find(|(name, _)| *name == "AWS_SECRET_ACCESS_KEY");
    Ok(secret.context("a secret")?.1)
}

/// The operator's file.
fn named(other: &Cloud, cert: &str) -> Result<String> {
    let environment = other.environment()?;
    let id = environment.into_iter().find(|(name, _)| *name == "AWS_ACCESS_KEY_ID");
    let entry = json!({
        "endpoint": format!("https://localhost:{}", other.port),
        "accessKeyId": id.context("a key")?.1,
        "secretAccessKey": secret_of(other)?,
        "ca": cert,
    });
    Ok(json!({ (format!("{REGION}/{ACCOUNT}")): entry }).to_string())
}
