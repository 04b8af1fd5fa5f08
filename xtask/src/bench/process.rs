//! What a process has used, from /proc.

use anyhow::{Context, Result};
use std::fs;

/// Clock ticks a second: `USER_HZ`, 100 on every architecture that we build for. Ref: proc(5), times(2).
const TICKS_PER_S: f64 = 100.0;

/// CPU seconds of a process so far, all of its threads: fields 14 and 15 of /proc/PID/stat.
pub fn cpu_s(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    // The second field is the name in parentheses and may hold blanks.
    let (_, rest) = text.rsplit_once(") ").with_context(|| format!("{path} is malformed"))?;
    let ticks: Option<f64> = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<f64>().ok())
        .sum();
    Ok(ticks.with_context(|| format!("{path} is malformed"))? / TICKS_PER_S)
}

/// The same for a process and its children, such as nginx's workers.
pub fn cpu_with_children_s(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let children = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    let mut total = cpu_s(pid)?;
    for child in children.split_whitespace() {
        total += cpu_s(child.parse()?)?;
    }
    Ok(total)
}

/// A line of /proc/PID/status that is in KiB (`VmRSS`, `VmHWM`), in MiB.
pub fn memory_mib(pid: u32, line: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    let kib = text
        .lines()
        .find_map(|l| l.strip_prefix(line)?.strip_prefix(':')?.split_whitespace().next());
    let kib: f64 = kib.with_context(|| format!("{path} has no {line}"))?.parse()?;
    Ok(kib / 1_024.0)
}
