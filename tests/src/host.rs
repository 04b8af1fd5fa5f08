//! What clouds leave on a host, looked at from outside, with the kernel's own files and the usual tools.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Traces that carry our name: each a kind and a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces(BTreeSet<String>);

impl Traces {
    /// Looks at interfaces, addresses, rules, routes, nft tables, mounts, cgroups and processes.
    pub fn look() -> Result<Self> {
        let mut traces = BTreeSet::new();
        let mut add = |kind: &str, name: &str| {
            traces.insert(format!("{kind} {}", name.trim()));
        };
        for line in run("ip", &["-o", "link"])?.lines() {
            // `7: hm1a2b3c...@if2: <...>`: the number differs from time to time, the name counts.
            if let Some(name) = line.split(": ").nth(1).filter(|name| name.starts_with("hm")) {
                add("interface", name.split('@').next().unwrap_or(name));
            }
        }
        for line in run("ip", &["-o", "address", "show", "dev", "lo"])?.lines() {
            if let Some(address) = line.split_whitespace().nth(3) {
                add("address on lo", address);
            }
        }
        for line in run("ip", &["route", "show", "table", "all"])?.lines() {
            if line.contains("dev hm") || line.starts_with("unreachable") {
                add("route", line);
            }
        }
        for line in run("nft", &["list", "tables"])?.lines() {
            if line.contains("honmaru") {
                add("nft table", line);
            }
        }
        for line in std::fs::read_to_string("/proc/self/mountinfo")?.lines() {
            if line.contains("honmaru") {
                add("mount", line.split_whitespace().nth(4).unwrap_or(line));
            }
        }
        let cgroups = ["/sys/fs/cgroup", "-maxdepth", "4", "-type", "d", "-name", "honmaru*"];
        for line in run("find", &cgroups)?.lines() {
            add("cgroup", line);
        }
        for (pid, command) in processes()? {
            if command.contains("/tmp/honmaru-e2e-") {
                add("process", &format!("{pid} {command}"));
            }
        }
        Ok(Self(traces))
    }

    /// Fails when something is there that was not before.
    pub fn compare(&self) -> Result<()> {
        let after = Self::look()?;
        let left: Vec<&String> = after.0.difference(&self.0).collect();
        ensure!(left.is_empty(), "left on the host: {left:#?}");
        Ok(())
    }

    /// The same, where the state directory itself may still be there.
    pub fn compare_without(&self, state: &Path) -> Result<()> {
        self.compare()?;
        ensure!(state.is_dir(), "{} is gone", state.display());
        Ok(())
    }
}

/// The processes whose program or arguments lie in a directory.
pub fn processes_of(state: &Path) -> Result<Vec<i32>> {
    let state = state.display().to_string();
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    let of_state = |(pid, command): (i32, String)| (pid != me && command.contains(&state)).then_some(pid);
    Ok(processes()?.into_iter().filter_map(of_state).collect())
}

/// The processes with a word among their arguments, wherever they run.
pub fn processes_with(word: &str) -> Result<Vec<i32>> {
    let has_word = |(pid, command): (i32, String)| command.split(' ').any(|w| w == word).then_some(pid);
    Ok(processes()?.into_iter().filter_map(has_word).collect())
}

/// All processes: id, and program with arguments.
fn processes() -> Result<Vec<(i32, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").context("failed to read /proc")? {
        let path = entry?.path();
        let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else {
            continue;
        };
        // A process that ended meanwhile is none.
        let command = std::fs::read(path.join("cmdline")).unwrap_or_default();
        let program = std::fs::read_link(path.join("exe")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if !command.is_empty() {
            found.push((pid, format!("{} {}", program.display(), command.trim())));
        }
    }
    Ok(found)
}

/// A process's namespace of a kind, for example `net:[4026532008]`.
pub fn namespace(pid: i32, kind: &str) -> Result<String> {
    let path = format!("/proc/{pid}/ns/{kind}");
    let link = std::fs::read_link(&path).with_context(|| format!("failed to read {path}"))?;
    Ok(link.display().to_string())
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .output()
        .with_context(|| format!("failed to run {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
