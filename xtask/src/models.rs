//! `models`: takes botocore's service models from its pinned release, strips the documentation, and writes
//! `models/*.json.gz` with botocore's licence beside them.
//!
//! Not here: the Rust types made from the models (`models/types.rs`).
//! Invariant: the same release gives the same bytes (gzip without a time, key order of the source).

mod types;

use anyhow::{Context, Result, bail, ensure};
use flate2::{Compression, GzBuilder, read::GzDecoder};
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

const BOTOCORE_VERSION: &str = "1.44.5";
/// Of `botocore-1.44.5-py3-none-any.whl`; pip refuses any other bytes.
const BOTOCORE_WHEEL_SHA256: &str = "8f16a56d1dff125dd65322ae021efa7ba5195a6db5102b96862566055b748921";

/// The services whose models are embedded. A new one is a name here and a line in `foundation/wire/src/catalog.rs`.
const SERVICES: &[&str] = &[
    "acm",
    "apigatewayv2",
    "application-autoscaling",
    "apprunner",
    "cloudformation",
    "cloudfront",
    "cloudtrail",
    "cloudwatch",
    "codebuild",
    "codeconnections",
    "codedeploy",
    "codepipeline",
    "ec2",
    "ecr",
    "ecr-public",
    "ecs",
    "eks",
    "elbv2",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "proton",
    "resourcegroupstaggingapi",
    "route53",
    "s3",
    "secretsmanager",
    "servicediscovery",
    "ssm",
    "sts",
    "wafv2",
];

/// What a server never needs: prose, and traits that only steer a client's endpoint or retry logic.
const STRIPPED: &[&str] = &[
    "clientContextParams",
    "contextParam",
    "deprecatedMessage",
    "deprecatedSince",
    "documentation",
    "documentationUrl",
    "examples",
    "operationContextParams",
    "staticContextParams",
];

/// Runs `models` (fetch, strip, types) or `models types`.
pub fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        [] => {
            fetch()?;
            types::write_all()
        }
        ["types"] => types::write_all(),
        _ => bail!("usage: cargo xtask models [types]"),
    }
}

/// A stripped model from `models/`.
pub(crate) fn load(service: &str) -> Result<Value> {
    let path = crate::root().join("models").join(format!("{service}.json.gz"));
    read_model(&path)
}

fn fetch() -> Result<()> {
    let work = crate::root().join("target/botocore");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("failed to clear {}", work.display()))?;
    }
    fs::create_dir_all(&work)?;
    let requirements = work.join("requirements.txt");
    fs::write(
        &requirements,
        format!("botocore=={BOTOCORE_VERSION} --hash=sha256:{BOTOCORE_WHEEL_SHA256}\n"),
    )?;
    run_command(
        Command::new("pip")
            .args([
                "download",
                "--quiet",
                "--no-deps",
                "--require-hashes",
                "--only-binary=:all:",
            ])
            .arg("--dest")
            .arg(&work)
            .arg("-r")
            .arg(&requirements),
    )?;
    let wheel = work.join(format!("botocore-{BOTOCORE_VERSION}-py3-none-any.whl"));
    run_command(
        Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(&wheel)
            .arg(&work),
    )?;
    let info = work.join(format!("botocore-{BOTOCORE_VERSION}.dist-info"));
    let models = crate::root().join("models");
    fs::create_dir_all(&models)?;
    fs::copy(info.join("LICENSE.txt"), models.join("LICENSE")).context("failed to copy botocore's licence")?;
    fs::copy(info.join("NOTICE"), models.join("NOTICE")).context("failed to copy botocore's notice")?;
    for service in SERVICES {
        let source = newest(&work.join("botocore/data").join(service))?;
        let stripped = strip(read_model(&source)?);
        let target = models.join(format!("{service}.json.gz"));
        let mut gz = GzBuilder::new()
            .mtime(0)
            .write(File::create(&target)?, Compression::best());
        gz.write_all(&serde_json::to_vec(&stripped)?)?;
        gz.finish()
            .with_context(|| format!("failed to write {}", target.display()))?;
    }
    println!("wrote {} models to {}", SERVICES.len(), models.display());
    Ok(())
}

fn run_command(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("failed to start {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// `service-2.json.gz` (or `.json`) of the newest API version in a botocore data directory.
fn newest(directory: &Path) -> Result<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir(directory)
        .with_context(|| format!("botocore has no model in {}", directory.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    versions.sort();
    let version = versions
        .last()
        .with_context(|| format!("{} is empty", directory.display()))?;
    ["service-2.json.gz", "service-2.json"]
        .iter()
        .map(|name| version.join(name))
        .find(|path| path.exists())
        .with_context(|| format!("{} has no service-2.json", version.display()))
}

fn read_model(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    let mut json = Vec::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(bytes.as_slice()).read_to_end(&mut json)?;
    } else {
        json = bytes;
    }
    serde_json::from_slice(&json).with_context(|| format!("{} is no JSON", path.display()))
}

/// A model without [`STRIPPED`] traits. Below `shapes`, `members` and `operations` the keys are names, not traits.
fn strip(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .filter(|(key, _)| !STRIPPED.contains(&key.as_str()))
                .map(|(key, value)| match (key.as_str(), value) {
                    ("shapes" | "members" | "operations", Value::Object(named)) => {
                        let named: Map<String, Value> = named.into_iter().map(|(k, v)| (k, strip(v))).collect();
                        (key, Value::Object(named))
                    }
                    (_, value) => (key, strip(value)),
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(strip).collect()),
        other => other,
    }
}
