//! `cargo xtask bench [--json] [NAME...]`: Honmaru beside its peers, measured in one run on this machine.
//!
//! Figures of different runs must not be compared: peers run in the same minute, interleaved where that is possible, and
//! the ratio counts. Above 1 means that ours is better.

mod cloud;
mod containers;
mod control;
mod docker;
mod podman;
mod process;
mod proxy;
mod registry;
mod report;
mod scratch;
mod wrk;

use crate::tools;
use anyhow::{Context, Result, bail};
use report::Report;
use scratch::Scratch;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every bench, the group that also names it, and whether it runs only when it is named.
const BENCHES: [(&str, &str, bool); 9] = [
    ("startup", "control", false),
    ("signed_list_tasks_per_core", "control", false),
    ("durable_writes_128", "control", false),
    ("wire", "wire", false),
    ("proxy_per_cpu", "edge", false),
    ("run_task_to_http", "containers", false),
    ("tasks_50_running", "containers", false),
    ("registry", "registry", true),
    ("registry_small", "registry_small", true),
];

const USAGE: &str = "usage: cargo xtask bench [--json] [NAME...]

  startup                      `honmaru up` to the first signed answer, and idle memory
  signed_list_tasks_per_core   signed ECS ListTasks a second and core of control
  durable_writes_128           acknowledged writes a second with 128 callers
  wire                         CPU of control for a signed call
  proxy_per_cpu                requests per CPU second of the edge, against nginx
  run_task_to_http             RunTask to the first HTTP answer, against docker and podman
  tasks_50_running             50 tasks running, against docker and podman
  registry                     pushes, pulls and reads against docker-registry (long; only when named)
  registry_small               the same without the large image (only when named)";

/// Names a binary to measure instead of building one, as for the end-to-end tests.
const BINARY: &str = "HONMARU_BINARY";

/// What the benches share.
pub struct Bench {
    root: PathBuf,
    scratch: Scratch,
    report: Report,
}

/// Runs the benches that are named, or all but the long ones.
pub fn run(arguments: &[&str]) -> Result<()> {
    // Run again inside a peer's network namespace, which only a process of its own can enter.
    if let ["--inside", rest @ ..] = arguments {
        return containers::inside(rest);
    }
    let is_json = arguments.contains(&"--json");
    let names: Vec<&str> = arguments.iter().filter(|a| **a != "--json").copied().collect();
    if let Some(stranger) = names
        .iter()
        .find(|n| !BENCHES.iter().any(|(name, group, _)| name == *n || group == *n))
    {
        bail!("there is no bench `{stranger}`\n\n{USAGE}");
    }
    if !tools::is_root() {
        bail!("the benches start containers and need root\nrun: sudo -E env \"PATH=$PATH\" cargo xtask bench");
    }
    let is_wanted = |name: &str, group: &str, only_named: bool| {
        names.contains(&name) || names.contains(&group) || (names.is_empty() && !only_named)
    };
    let wanted: Vec<&str> = BENCHES
        .iter()
        .filter(|(n, g, o)| is_wanted(n, g, *o))
        .map(|(n, _, _)| *n)
        .collect();
    tools::ensure()?;
    let mut bench = Bench {
        root: crate::root(),
        scratch: Scratch::new()?,
        report: Report::new(is_json),
    };
    let mut failed = Vec::new();
    for name in wanted {
        eprintln!("bench {name}");
        let ended = match name {
            "startup" => control::startup(&mut bench),
            "signed_list_tasks_per_core" => control::list_tasks(&mut bench),
            "durable_writes_128" => control::durable_writes(&mut bench),
            "wire" => control::wire(&mut bench),
            "proxy_per_cpu" => proxy::run(&mut bench),
            "run_task_to_http" => containers::run_task_to_http(&mut bench),
            "tasks_50_running" => containers::tasks_running(&mut bench),
            "registry" => registry::run(&mut bench, true),
            "registry_small" => registry::run(&mut bench, false),
            other => bail!("`{other}` is listed and not written"),
        };
        // One bench that cannot run does not take the others with it.
        if let Err(error) = ended {
            eprintln!("bench {name} failed: {error:#}");
            failed.push(name);
        }
    }
    bench.report.print();
    if !failed.is_empty() {
        bail!("these benches failed: {}", failed.join(", "));
    }
    Ok(())
}

/// The binary that is measured: built now, or the one that `HONMARU_BINARY` names.
fn binary(root: &Path) -> Result<PathBuf> {
    match std::env::var_os(BINARY) {
        Some(path) => Ok(path.into()),
        None => tools::release_binary(root),
    }
}

/// Builds an example optimized and returns its path. Who brings a binary has built what belongs to it.
fn example(root: &Path, package: &str, name: &str) -> Result<PathBuf> {
    let path = tools::target(root).join("release/examples").join(name);
    if std::env::var_os(BINARY).is_some() && path.is_file() {
        return Ok(path);
    }
    tools::run(
        Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--package", package, "--example", name])
            .current_dir(root),
    )?;
    Ok(path)
}

/// The middle one.
fn median(values: &[f64]) -> Result<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().context("nothing was measured")
}

/// The smallest one: the nearest to a quiet machine.
fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}
