//! The limits of a process's control group, in both of the kernel's interfaces. The group is found through the process's own
//! `cgroup` file; the limits of the groups above it count, too.

use crate::Seen;
use std::fs;
use std::path::{Path, PathBuf};

const MOUNT: &str = "/sys/fs/cgroup";
/// What cgroup v1 says when memory has no limit: the greatest number of whole pages.
const V1_MEMORY_UNLIMITED: u64 = 9_223_372_036_854_771_712;
/// The kernel's own `cpu.shares` and `cpu.weight`: nobody has chosen them.
const SHARES_DEFAULT: &str = "1024";
const WEIGHT_DEFAULT: &str = "100";

/// A limit as the kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The file and its content, for example `/sys/fs/cgroup/memory/.../memory.limit_in_bytes = 536870912`.
    pub raw: String,
    /// Whether it limits anything.
    pub is_set: bool,
}

/// The limits of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupLimits {
    /// Bytes of memory.
    pub memory: Seen<Limit>,
    /// Time of processors, or a weight.
    pub cpu: Seen<Limit>,
    /// Processes and threads.
    pub pids: Seen<Limit>,
}

/// Which files say it, in order, for a controller: v1's, then v2's.
struct Files {
    controller: &'static str,
    v1: &'static [&'static str],
    v2: &'static [&'static str],
}

/// The limits that hold for a process; `text` is its `cgroup` file.
pub fn limits(text: &str) -> CgroupLimits {
    limits_below(text, Path::new(MOUNT))
}

fn limits_below(text: &str, mount: &Path) -> CgroupLimits {
    let of = |files: &Files| limit(text, mount, files);
    CgroupLimits {
        memory: of(&Files {
            controller: "memory",
            v1: &["memory.limit_in_bytes"],
            v2: &["memory.max"],
        }),
        cpu: of(&Files {
            controller: "cpu",
            v1: &["cpu.cfs_quota_us", "cpu.shares"],
            v2: &["cpu.max", "cpu.weight"],
        }),
        pids: of(&Files {
            controller: "pids",
            v1: &["pids.max"],
            v2: &["pids.max"],
        }),
    }
}

fn limit(text: &str, mount: &Path, files: &Files) -> Seen<Limit> {
    let rows = || text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let v1 = rows().find(|(names, _)| names.split(',').any(|name| name == files.controller));
    let unified = rows().find(|(names, _)| names.is_empty());
    let (base, path, names) = match (v1, unified) {
        (Some((_, path)), _) => (mount.join(files.controller), path, files.v1),
        (None, Some((_, path))) if mount.join("cgroup.controllers").exists() => (mount.to_owned(), path, files.v2),
        _ => return Err(format!("no cgroup hierarchy has the controller `{}`", files.controller)),
    };
    let mut seen: Option<Limit> = None;
    for name in names {
        for dir in ancestors(&base, path) {
            let file = dir.join(name);
            // The root of a hierarchy has no limit and often no such file.
            let Ok(value) = fs::read_to_string(&file) else { continue };
            let value = value.trim();
            let limit = Limit {
                raw: format!("{} = {value}", file.display()),
                is_set: is_set(name, value),
            };
            if limit.is_set {
                return Ok(limit);
            }
            seen.get_or_insert(limit);
        }
    }
    seen.ok_or_else(|| format!("{}{path} has none of {}", base.display(), names.join(", ")))
}

/// The group itself, then those above it.
fn ancestors(base: &Path, path: &str) -> Vec<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    relative
        .ancestors()
        .filter(|above| !above.as_os_str().is_empty())
        .map(|above| base.join(above))
        .collect()
}

fn is_set(name: &str, value: &str) -> bool {
    match name {
        "memory.limit_in_bytes" => value.parse::<u64>().is_ok_and(|bytes| bytes < V1_MEMORY_UNLIMITED),
        "cpu.cfs_quota_us" => value.parse::<i64>().is_ok_and(|us| us > 0),
        "cpu.shares" => value != SHARES_DEFAULT,
        "cpu.weight" => value != WEIGHT_DEFAULT,
        // `cpu.max` is `max 100000` or `5000 20000`.
        _ => !value.is_empty() && !value.starts_with("max"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let file = dir.path().join(path);
            fs::create_dir_all(file.parent().expect("a parent")).expect("made");
            fs::write(file, text).expect("written");
        }
        dir
    }

    #[test]
    fn hierarchies_of_their_own_and_the_limit_of_the_task_above() {
        let dir = tree(&[
            ("memory/h/t/c/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/h/t/memory.limit_in_bytes", "536870912\n"),
            ("cpu/h/t/c/cpu.cfs_quota_us", "-1\n"),
            ("cpu/h/t/c/cpu.shares", "1024\n"),
            ("pids/h/t/c/pids.max", "max\n"),
        ]);
        let seen = limits_below(
            "8:pids:/h/t/c\n4:memory:/h/t/c\n1:cpu,cpuacct:/h/t/c\n0::/\n",
            dir.path(),
        );
        let memory = seen.memory.expect("seen");
        assert!(memory.is_set && memory.raw.ends_with("memory/h/t/memory.limit_in_bytes = 536870912"));
        assert!(!seen.cpu.expect("seen").is_set);
        assert!(!seen.pids.expect("seen").is_set);
    }

    #[test]
    fn one_hierarchy() {
        let dir = tree(&[
            ("cgroup.controllers", "cpu memory pids\n"),
            ("h/t/c/cpu.max", "max 100000\n"),
            ("h/t/cpu.max", "5000 20000\n"),
            ("h/t/memory.max", "max\n"),
        ]);
        let seen = limits_below("0::/h/t/c\n", dir.path());
        assert!(seen.cpu.expect("seen").is_set);
        assert!(!seen.memory.expect("seen").is_set);
        assert!(seen.pids.is_err(), "what is not there was not seen");
        let none = limits_below("0::/\n", Path::new("/nonexistent"));
        assert!(none.memory.is_err());
    }
}
