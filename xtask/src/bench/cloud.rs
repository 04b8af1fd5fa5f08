//! A cloud of a bench's own, and the load generator against it.

use super::{Bench, example};
use crate::demo::Cloud;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A running cloud that goes with its value.
pub struct Lab {
    cloud: Cloud,
    load: PathBuf,
}

/// The load generator, built.
pub fn load_binary(root: &Path) -> Result<PathBuf> {
    example(root, "honmaru-tests", "load")
}

impl Lab {
    /// Builds and starts one in a temporary directory on free ports.
    pub fn start(bench: &Bench) -> Result<Self> {
        let binary = super::binary(&bench.root)?;
        let load = load_binary(&bench.root)?;
        // No bench uses the clients in Python.
        let cloud = Cloud::temporary(&binary, Path::new("/usr/bin/python3"))?;
        Ok(Self { cloud, load })
    }

    /// The endpoint's port.
    pub fn port(&self) -> u16 {
        self.cloud.listen_port
    }

    /// The process of a role.
    pub fn role_pid(&self, role: &str) -> Result<u32> {
        Ok(u32::try_from(self.cloud.role_pid(role)?)?)
    }

    /// Runs the load generator as the administrator and returns what it printed.
    pub fn load(&self, arguments: &[&str]) -> Result<Value> {
        let text = std::fs::read_to_string(self.cloud.state.join("control/credentials.json"))?;
        let keys: Value = serde_json::from_str(&text)?;
        let key = |name: &str| keys[name].as_str().unwrap_or_default().to_owned();
        let mut command = Command::new(&self.load);
        command
            .args(arguments)
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port()))
            .env("AWS_ACCESS_KEY_ID", key("access_key_id"))
            .env("AWS_SECRET_ACCESS_KEY", key("secret_access_key"))
            .env("AWS_DEFAULT_REGION", key("region"));
        json(&mut command)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.cloud.destroy() {
            eprintln!(
                "failed to remove the cloud in {}: {error:#}",
                self.cloud.state.display()
            );
        }
    }
}

/// Runs a command that prints one JSON object.
pub fn json(command: &mut Command) -> Result<Value> {
    let shown = format!("{:?}", command.get_program());
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to run {shown}"))?;
    if !output.status.success() {
        bail!("{shown} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{shown} printed no JSON"))
}

/// A number of an answer.
pub fn number(answer: &Value, name: &str) -> Result<f64> {
    answer[name]
        .as_f64()
        .with_context(|| format!("`{name}` is missing in {answer}"))
}
