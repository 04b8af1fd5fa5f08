//! What a cloud leaves on a host, looked at from outside.

use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::process::Command;

/// Traces that carry our name, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traces(BTreeSet<String>);

impl Traces {
    /// Looks at interfaces, addresses, nft tables, mounts, cgroups and processes.
    pub fn look() -> Result<Self> {
        let mut traces = BTreeSet::new();
        let mut add = |kind: &str, text: &str| traces.insert(format!("{kind}: {}", text.trim()));
        for line in run("ip", &["-o", "link"])?.lines() {
            // The number in front differs from time to time; the name counts.
            if let Some(name) = line.split(": ").nth(1).filter(|name| name.starts_with("hm")) {
                add("interface", name.split('@').next().unwrap_or(name));
            }
        }
        for line in run("ip", &["-o", "-4", "address", "show", "dev", "lo"])?.lines() {
            if let Some(address) = line.split_whitespace().nth(3) {
                add("address on lo", address);
            }
        }
        for line in run("nft", &["list", "tables"])?
            .lines()
            .filter(|line| line.contains("honmaru"))
        {
            add("nft table", line);
        }
        for line in std::fs::read_to_string("/proc/self/mountinfo")?
            .lines()
            .filter(|line| line.contains("honmaru"))
        {
            let path = line.split_whitespace().nth(4).unwrap_or(line);
            add("mount", path);
        }
        for line in run(
            "find",
            &["/sys/fs/cgroup", "-maxdepth", "3", "-type", "d", "-name", "honmaru*"],
        )?
        .lines()
        {
            add("cgroup", line);
        }
        for entry in std::fs::read_dir("/proc")? {
            let path = entry?.path();
            let Ok(command) = std::fs::read_to_string(path.join("cmdline")) else {
                continue;
            };
            let program = command.split('\0').next().unwrap_or_default();
            let name = program.rsplit('/').next().unwrap_or_default();
            if name.starts_with("honmaru-") || name.starts_with("shim-") {
                add("process", &command.replace('\0', " "));
            }
        }
        Ok(Self(traces))
    }

    /// Fails when something is there that was not before.
    pub fn compare(&self) -> Result<()> {
        let after = Self::look()?;
        let left: Vec<&String> = after.0.difference(&self.0).collect();
        if !left.is_empty() {
            bail!("left on the host: {left:?}");
        }
        Ok(())
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let path = crate::tools::find(program).unwrap_or_else(|| program.into());
    let output = Command::new(path)
        .args(arguments)
        .output()
        .with_context(|| format!("failed to run {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Sends a signal by name.
pub fn signal(pid: i32, name: &str) -> Result<()> {
    crate::tools::run(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]))
}

/// Lets an interrupt reach the children only.
pub fn ignore_interrupt() {
    // SAFETY: SIG_IGN is a valid disposition; no handler runs.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
}
