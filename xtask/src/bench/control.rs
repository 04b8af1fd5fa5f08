//! What `control` costs: its start, signed calls, durable writes.

use super::cloud::{Lab, load_binary, number};
use super::process::{cpu_s, memory_mib};
use super::report::Better;
use super::{Bench, least, median};
use crate::tools;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Goals of the issues that describe the benches.
const STARTUP_MS_GOAL: f64 = 1_000.0;
const IDLE_MIB_GOAL: f64 = 100.0;
const CALLS_PER_CORE_GOAL: f64 = 10_000.0;
const WRITES_PER_S_GOAL: f64 = 10_000.0;
const LIST_TASKS_US_GOAL: f64 = 30.0;
const REGISTER_US_GOAL: f64 = 60.0;

/// Starts in a row.
const STARTS: usize = 5;
/// How long the roles have for coming to rest before their memory is read.
const REST: Duration = Duration::from_secs(3);
/// Runs of each load; the first one only warms up.
const RUNS: usize = 4;
/// How long one run takes.
const RUN_S: &str = "3";

/// `honmaru up` in a new state directory to the first signed answer; then idle memory.
pub fn startup(bench: &mut Bench) -> Result<()> {
    let binary = super::binary(&bench.root)?;
    let load = load_binary(&bench.root)?;
    let (mut first_ms, mut again_ms) = (Vec::new(), Vec::new());
    let mut memory = 0.0;
    for n in 0..STARTS {
        let state = bench.scratch.path().join(format!("up-{n}"));
        first_ms.push(up(&binary, &load, &state, None)?);
        again_ms.push(up(&binary, &load, &state, Some(&mut memory))?);
        destroy(&binary, &state)?;
    }
    bench.report.add(
        "startup_new_ms",
        median(&first_ms)?,
        "goal",
        STARTUP_MS_GOAL,
        "ms, median",
        Better::Less,
    );
    bench.report.add(
        "startup_again_ms",
        median(&again_ms)?,
        "goal",
        STARTUP_MS_GOAL,
        "ms, median",
        Better::Less,
    );
    bench.report.add(
        "startup_idle_memory",
        memory,
        "goal",
        IDLE_MIB_GOAL,
        "MiB RSS, 3 roles",
        Better::Less,
    );
    Ok(())
}

/// Starts a cloud, returns the milliseconds until its first signed answer, and ends its roles.
fn up(binary: &Path, load: &Path, state: &Path, memory: Option<&mut f64>) -> Result<f64> {
    let [listen, http, https] = [free_port()?, free_port()?, free_port()?];
    // Keys of an earlier start name an endpoint that is gone.
    let credentials = state.join("control/credentials.json");
    let _ = std::fs::remove_file(&credentials);
    let waiting = Command::new(load)
        .arg("first")
        .arg(&credentials)
        .stdout(Stdio::null())
        .spawn()?;
    let started = Instant::now();
    let up = Command::new(binary)
        .args(["up", "--state"])
        .arg(state)
        .args([
            "--listen",
            &format!("127.0.0.1:{listen}"),
            "--http",
            &format!("127.0.0.1:{http}"),
            "--https",
            &format!("127.0.0.1:{https}"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to start `honmaru up`")?;
    let answered = waiting.wait_with_output()?;
    let took_ms = started.elapsed().as_secs_f64() * 1e3;
    let measured = if answered.status.success() {
        idle_memory(state, memory)
    } else {
        Ok(())
    };
    tools::run(Command::new("kill").args(["-TERM", &up.id().to_string()]))?;
    let mut up = up;
    up.wait()?;
    measured?;
    anyhow::ensure!(answered.status.success(), "no signed answer from `honmaru up`");
    Ok(took_ms)
}

fn idle_memory(state: &Path, memory: Option<&mut f64>) -> Result<()> {
    let Some(memory) = memory else { return Ok(()) };
    std::thread::sleep(REST);
    *memory = 0.0;
    for role in ["control", "node", "edge"] {
        let text = std::fs::read_to_string(state.join(format!("lock/{role}.lock")))?;
        let holder: Value = serde_json::from_str(&text).with_context(|| format!("role {role} has not started"))?;
        let pid = holder["pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok())
            .context("no pid in the lock")?;
        let mib = memory_mib(pid, "VmRSS")?;
        eprintln!("  {role}: {mib:.1} MiB");
        *memory += mib;
    }
    Ok(())
}

fn destroy(binary: &Path, state: &Path) -> Result<()> {
    tools::run(
        Command::new(binary)
            .args(["destroy", "--yes", "--state"])
            .arg(state)
            .stdout(Stdio::null()),
    )
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// What one load came to.
struct Measured {
    calls_per_s: f64,
    /// CPU microseconds of `control` for a call: the least of the runs.
    cpu_us: f64,
    /// The same without what appending to the log took.
    without_append_us: f64,
}

fn measure(lab: &Lab, operation: &str, callers: &str) -> Result<Measured> {
    let pid = lab.role_pid("control")?;
    let (mut rates, mut costs, mut without) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..RUNS {
        let (before, append_before) = (cpu_s(pid)?, append_cpu_s(lab)?);
        let answer = lab.load(&["rate", operation, callers, RUN_S])?;
        let (cpu, append) = (cpu_s(pid)? - before, append_cpu_s(lab)? - append_before);
        let calls = number(&answer, "calls")?;
        let rate = calls / number(&answer, "seconds")?;
        let us = |cpu_s: f64| cpu_s / calls * 1e6;
        eprintln!(
            "  {operation}, {callers} callers: {rate:.0}/s, {:.1} us CPU, {:.1} of it in the log's append, {answer}",
            us(cpu),
            us(append)
        );
        if n > 0 {
            rates.push(rate);
            costs.push(us(cpu));
            without.push(us(cpu - append));
        }
    }
    Ok(Measured {
        calls_per_s: median(&rates)?,
        cpu_us: least(&costs),
        without_append_us: least(&without),
    })
}

/// CPU seconds that `control` spent on appending to its log so far: SQLite and the disk.
fn append_cpu_s(lab: &Lab) -> Result<f64> {
    let url = format!("http://127.0.0.1:{}/metrics", lab.port());
    let answered = Command::new("curl")
        .args(["-sf", &url])
        .output()
        .context("failed to run curl")?;
    let text = String::from_utf8(answered.stdout)?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("honmaru_log_append_cpu_seconds_total "));
    line.context("the metrics do not tell of the log's appends")?
        .parse()
        .context("the metric is no number")
}

/// Signed calls for a CPU second of `control`.
pub fn list_tasks(bench: &mut Bench) -> Result<()> {
    let lab = Lab::start(bench)?;
    let measured = measure(&lab, "list-tasks", "16")?;
    let per_core = 1e6 / measured.cpu_us;
    let unit = "calls/CPU s";
    bench.report.add(
        "signed_list_tasks_per_core",
        per_core,
        "goal",
        CALLS_PER_CORE_GOAL,
        unit,
        Better::More,
    );
    Ok(())
}

/// Acknowledged writes a second, each of them signed anew and durable.
pub fn durable_writes(bench: &mut Bench) -> Result<()> {
    let lab = Lab::start(bench)?;
    let measured = measure(&lab, "create-log-group", "128")?;
    let rate = measured.calls_per_s;
    bench.report.add(
        "durable_writes_128",
        rate,
        "goal",
        WRITES_PER_S_GOAL,
        "writes/s",
        Better::More,
    );
    Ok(())
}

/// CPU of `control` for one signed call over HTTP, without the log's append: that is what a durable commit costs.
pub fn wire(bench: &mut Bench) -> Result<()> {
    let lab = Lab::start(bench)?;
    for (name, operation, goal) in [
        ("wire_list_tasks", "list-tasks", LIST_TASKS_US_GOAL),
        (
            "wire_register_task_definition",
            "register-task-definition",
            REGISTER_US_GOAL,
        ),
    ] {
        let cost = measure(&lab, operation, "16")?;
        eprintln!("  {operation}: {:.1} us with the log's append", cost.cpu_us);
        let us = cost.without_append_us;
        bench.report.add(name, us, "goal", goal, "CPU us/call", Better::Less);
    }
    // Beside it, without HTTP, signature and policies: the wire alone.
    let speed = super::example(&bench.root, "honmaru-wire", "speed")?;
    tools::run(Command::new(speed).stdout(Stdio::from(std::io::stderr())))
}
