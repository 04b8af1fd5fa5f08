//! Goal: a task is real: its own namespaces, address, limits, security groups, credentials and logs; and what cannot
//! run says why.
//! Method: boto3 runs tasks of a busybox image; processes and namespaces are looked at from the host.

use anyhow::{Context, Result, ensure};
use honmaru_tests::cloud::{Cloud, bounded, phase, python, root, text, wait_until};
use honmaru_tests::host::{namespace, processes_with};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long the busy task is watched.
const WATCHED: Duration = Duration::from_secs(2);
/// Ticks of processor time in a second, on every Linux that we know. Ref: `getconf CLK_TCK`.
const TICKS_PER_S: f64 = 100.0;

#[test]
fn tasks() -> Result<()> {
    // Container Insights would have the test wait for a whole minute.
    let cloud = Cloud::start_with(&["--insights-seconds", "2"])?;
    let run = |name: &str| phase(name, || cloud.python("tasks.py", &[name]));
    run("setup")?;
    phase("namespaces are really separate", || namespaces(&cloud))?;
    for name in ["exits", "memory", "cannot", "security_groups", "credentials"] {
        run(name)?;
    }
    phase("a quarter of a processor is a quarter", || processor(&cloud))?;
    for name in ["health", "order", "repeated", "insights"] {
        run(name)?;
    }
    phase("execute-command", || execute(&cloud))?;
    run("end")?;
    phase("destroy leaves the host clean", || cloud.finish())
}

/// Marks no other process of this host carries.
fn mark(number: u32) -> String {
    format!("77{number}{}", std::process::id())
}

fn one_process(mark: &str) -> Result<i32> {
    let found = processes_with(mark)?;
    ensure!(found.len() == 1, "processes with {mark}: {found:?}");
    found.first().copied().context("one process")
}

fn tasks_of(answer: &serde_json::Value) -> Vec<&str> {
    answer["tasks"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|arn| arn.as_str())
        .collect()
}

fn namespaces(cloud: &Cloud) -> Result<()> {
    let (first, second) = (mark(1), mark(2));
    let answer = cloud.python("tasks.py", &["runs", &first, &second])?;
    let me = i32::try_from(std::process::id())?;
    let neighbours = [one_process(&first)?, one_process(&format!("{first}1"))?];
    let other = one_process(&second)?;
    for kind in ["pid", "mnt", "uts", "ipc", "net", "user", "cgroup"] {
        let all = [me, neighbours[0], other].map(|pid| namespace(pid, kind));
        let all: BTreeSet<String> = all.into_iter().collect::<Result<_>>()?;
        ensure!(all.len() == 3, "host and two tasks share a {kind} namespace: {all:?}");
    }
    for kind in ["pid", "mnt", "uts", "ipc"] {
        let (a, b) = (namespace(neighbours[0], kind)?, namespace(neighbours[1], kind)?);
        ensure!(a != b, "two containers of a task share the {kind} namespace {a}");
    }
    let (a, b) = (namespace(neighbours[0], "net")?, namespace(neighbours[1], "net")?);
    ensure!(a == b, "two containers of a task have different networks");
    // Root in a container is nobody's root outside.
    let status = std::fs::read_to_string(format!("/proc/{other}/status"))?;
    let uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .context("a Uid line")?;
    let uid: u32 = uid.split_whitespace().next().context("a uid")?.parse()?;
    ensure!(uid >= 100_000, "the container's root is user {uid} of the host");
    let seccomp = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp:"))
        .map(str::trim);
    ensure!(seccomp == Some("2"), "seccomp is {seccomp:?}");
    let nnp = status
        .lines()
        .find_map(|line| line.strip_prefix("NoNewPrivs:"))
        .map(str::trim);
    ensure!(nnp == Some("1"), "no_new_privs is {nnp:?}");
    let mut arguments = vec!["stop"];
    arguments.extend(tasks_of(&answer));
    cloud.python("tasks.py", &arguments)?;
    for mark in [&first, &second] {
        ensure!(processes_with(mark)?.is_empty(), "a stopped task's process runs");
    }
    Ok(())
}

/// Processor time of a process so far, in seconds.
fn used_s(pid: i32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // After the name in parentheses: state is the first, utime the twelfth, stime the thirteenth. Ref: proc(5).
    let rest = stat.rsplit_once(')').context("a name in parentheses")?.1;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_S)
}

// Method: the share that a busy loop gets while it is watched. A busy machine makes it smaller, never larger.
fn processor(cloud: &Cloud) -> Result<()> {
    let mark = mark(3);
    let answer = cloud.python("tasks.py", &["busy", &mark])?;
    let pid = one_process(&mark)?;
    // The time is looked at outside of what is measured: a test that is held up sees a smaller share, never a larger one.
    let started = Instant::now();
    let before = used_s(pid)?;
    std::thread::sleep(WATCHED);
    let share = (used_s(pid)? - before) / started.elapsed().as_secs_f64();
    ensure!(share > 0.02, "the task hardly runs: {share:.2} of a processor");
    ensure!(share < 0.35, "a task of 0.25 vCPU uses {share:.2} of a processor");
    let mut arguments = vec!["stop"];
    arguments.extend(tasks_of(&answer));
    cloud.aws(&["ecs", "stop-task", "--cluster", "tasks", "--task", tasks_of(&answer)[0]])?;
    wait_until("the busy loop ends", Duration::from_secs(60), || {
        ensure!(processes_with(&mark)?.is_empty(), "it still runs");
        Ok(())
    })
}

// Method: the stock aws CLI with a small `session-manager-plugin` of our own in its PATH, for the real one is in no
// package registry; its output goes through a pipe.
fn execute(cloud: &Cloud) -> Result<()> {
    let answer = cloud.python("tasks.py", &["sleeper"])?;
    let task = tasks_of(&answer)[0].to_owned();
    let clients = root().join("tests/clients");
    let ran = |command: &str| -> Result<String> {
        let mut aws = cloud.command("aws")?;
        let path = std::env::var("PATH").unwrap_or_default();
        aws.env("PATH", format!("{}:{path}", clients.display()))
            .env("HONMARU_PYTHON", python())
            .args(["ecs", "execute-command", "--cluster", "tasks", "--task", &task])
            .args(["--interactive", "--command", command]);
        let output = bounded(&mut aws, Duration::from_secs(120))?;
        let said = text(&output.stdout);
        ensure!(
            output.status.success(),
            "execute-command failed: {said}\n{}",
            text(&output.stderr)
        );
        Ok(said)
    };
    let said = ran("sh -c 'echo greeting=$GREETING; hostname; ls /proc | grep -c ^1$'")?;
    ensure!(said.contains("greeting=hi"), "{said}");
    let said = ran("sh -c 'exit 7'")?;
    ensure!(said.contains("exit code 7"), "{said}");
    // DEFAULT: beside the container's own streams.
    let speak = |mark: &str| ran(&format!("sh -c 'echo {mark}; printf \"and \\377 too\\nthe end\"'"));
    speak("by-itself")?;
    cloud.python("tasks.py", &["recorded", "/tasks", "by-itself"])?;
    cloud.python("tasks.py", &["records", "NONE"])?;
    speak("not-at-all")?;
    cloud.python("tasks.py", &["records", "DEFAULT"])?;
    speak("by-default")?;
    cloud.python("tasks.py", &["records", "OVERRIDE"])?;
    speak("by-override")?;
    let elsewhere = ["by-itself", "by-default", "not-at-all"];
    cloud.python(
        "tasks.py",
        &[&["recorded", "/sessions", "by-override"], &elsewhere[..]].concat(),
    )?;
    cloud.python(
        "tasks.py",
        &["recorded", "/tasks", "by-default", "by-override", "not-at-all"],
    )?;
    // Without its log group a session goes on.
    cloud.python("tasks.py", &["unheard"])?;
    ensure!(speak("by-nobody")?.contains("the end"), "the session was cut");
    let ours = cloud.honmaru(&["exec", "--help"])?;
    if !ours.status.success() {
        println!("     `honmaru exec` does not exist: not tested");
    }
    Ok(())
}
