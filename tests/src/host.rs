//! What clouds leave on a host, looked at from outside, with the kernel's own files and the usual tools.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// What clouds have on this host: each trace a kind and a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces {
    found: BTreeSet<String>,
    /// The six digits in the names of everything that the cloud of this test makes on the host.
    own: String,
}

impl Traces {
    /// Looks at interfaces, addresses, routes, nft tables, mounts, cgroups and processes. What carries the name of
    /// another cloud, which somebody runs beside the tests, is left out.
    pub fn look(state: &Path) -> Result<Self> {
        let own = instance(state);
        let mut found = BTreeSet::new();
        let mut add = |kind: &str, name: &str| {
            if !is_of_another(name, &own, state) {
                found.insert(format!("{kind} {}", name.trim()));
            }
        };
        for line in run("ip", &["-o", "link"])?.lines() {
            // `7: hm1a2b3c...@if2: <...>`: the number differs from time to time, the name counts.
            if let Some(name) = line.split(": ").nth(1).filter(|name| name.starts_with("hm")) {
                add("interface", name.split('@').next().unwrap_or(name));
            }
        }
        for line in run("ip", &["-o", "address", "show", "dev", "lo"])?.lines() {
            // `1: lo inet 172.31.1.2/32 scope global lo:hm1a2b3c valid_lft ...`.
            add(
                "address",
                line.split(" valid_lft").next().unwrap_or(line).trim_end_matches('\\'),
            );
        }
        for line in run("ip", &["route", "show", "table", "all"])?.lines() {
            if line.contains("dev hm") || line.starts_with("unreachable") {
                add("route", line);
            }
        }
        for line in run("nft", &["list", "tables"])?.lines() {
            if line.contains("honmaru") {
                add("nft", line);
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
        for pid in processes_of(state)? {
            add("process", &pid.to_string());
        }
        Ok(Self { found, own })
    }

    /// Fails when something is there that was not before.
    pub fn compare(&self, state: &Path) -> Result<()> {
        let after = Self::look(state)?;
        let left: Vec<&String> = after.found.difference(&self.found).collect();
        ensure!(left.is_empty(), "left on the host by {}: {left:#?}", self.own);
        Ok(())
    }
}

/// Six hexadecimal digits of the state directory's path, as documented for `honmaru_network::InstanceId`.
pub fn instance(state: &Path) -> String {
    let digest = hex::encode(Sha256::digest(state.as_os_str().as_encoded_bytes()));
    digest.chars().take(6).collect()
}

/// Whether a name is another cloud's: it carries other digits, or lies in another state directory.
fn is_of_another(name: &str, own: &str, state: &Path) -> bool {
    let carries = |mark: &str| {
        name.split(mark).skip(1).any(|rest| {
            let digits: String = rest.chars().take(6).collect();
            digits.len() == 6 && digits.chars().all(|c| c.is_ascii_hexdigit()) && digits != own
        })
    };
    let in_another = |home: &str| name.starts_with(home) && !name.starts_with(&state.display().to_string());
    // The unreachable routes of a cloud have its digits in their metric.
    let metric = name
        .split("metric ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    let own_metric = u32::from_str_radix(own, 16).map(|digits| 0x0200_0000 | digits);
    carries("hm")
        || carries("honmaru_")
        || carries("honmaru-")
        || in_another("/tmp/honmaru")
        || in_another("/var/lib/honmaru")
        || metric.is_some_and(|metric| metric >> 24 == 2 && Ok(metric) != own_metric)
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
