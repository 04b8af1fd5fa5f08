//! wrk, with exact numbers.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;

/// What a run came to. Every answer had a status below 400; how long one took is the figure's matter, not an error.
pub struct Answered {
    pub requests: f64,
    pub seconds: f64,
}

/// Runs wrk (`command` may pin it) against a URL with one thread.
pub fn run(
    mut command: Command,
    dir: &Path,
    connections: &str,
    seconds: &str,
    headers: &[String],
    url: &str,
) -> Result<Answered> {
    let script = dir.join("sum.lua");
    // wrk's own words round; its script sees numbers.
    std::fs::write(
        &script,
        "done = function(s, l, r) local e = s.errors; io.write(string.format('sum %d %d %d\\n', s.requests, s.duration, \
         e.connect + e.read + e.write + e.status)) end\n",
    )?;
    command
        .args(["-t1", "-c", connections, "-d", seconds, "-s"])
        .arg(&script);
    for header in headers {
        command.args(["-H", header]);
    }
    let output = command.arg(url).output().context("failed to run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let sum = text
        .lines()
        .find_map(|line| line.strip_prefix("sum "))
        .with_context(|| format!("wrk says: {text}"))?;
    let numbers: Vec<f64> = sum
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .collect();
    let [requests, micros, errors] = numbers[..] else {
        anyhow::bail!("wrk says: {sum}")
    };
    ensure!(errors == 0.0, "{errors} of {requests} requests to {url} failed: {text}");
    Ok(Answered {
        requests,
        seconds: micros / 1e6,
    })
}
