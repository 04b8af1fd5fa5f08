//! What a container has used, read from its cgroup and from its processes.
//!
//! Storage: on a unified hierarchy with the io controller the kernel counts for each device. Elsewhere no cgroup counts
//! (shims do not use `blkio`), and what the container's processes say of themselves is added up: a process takes over the
//! counters of the children that it has waited for, so that what has ended still counts.

use crate::cgroup::tree;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Processes of a container whose storage counters are read; those of further ones are left out.
const IO_PROCESSES_MAX: usize = 1_024;
/// Rows of a statistics file at most; kernels have some fifty.
const STAT_ROWS_MAX: usize = 256;

/// What a container has used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerStats {
    /// CPU time since its start, in nanoseconds.
    pub cpu_usage_ns: u64,
    /// Of that, outside of the kernel.
    pub cpu_user_ns: u64,
    /// Of that, inside of the kernel.
    pub cpu_system_ns: u64,
    /// How often and how long it was held back by its own limit of CPU time.
    pub throttling: Throttling,
    /// Memory now, page cache included.
    pub memory_usage_bytes: u64,
    /// Memory at most since its start.
    pub memory_max_usage_bytes: u64,
    /// Its limit; nothing: none of its own.
    pub memory_limit_bytes: Option<u64>,
    /// Page cache that can be given back at once.
    pub memory_inactive_file_bytes: u64,
    /// Everything that the kernel's `memory.stat` says.
    pub memory_stat: BTreeMap<String, u64>,
    /// Processes and threads now.
    pub pids: u64,
    /// Storage that it has read and written, by device.
    pub io: Vec<DeviceIo>,
}

/// Ref: Linux, sched-bwc: `cpu.stat`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Periods that have passed.
    pub periods: u64,
    /// Periods in which it was held back.
    pub throttled_periods: u64,
    /// For how long, in nanoseconds.
    pub throttled_ns: u64,
}

/// Storage of one device that a container has used since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceIo {
    /// The device.
    pub major: u64,
    /// The device.
    pub minor: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Operations, read and written; nothing where nobody counts them.
    pub operations: Option<(u64, u64)>,
}

/// The statistics of a cgroup in hierarchies of their own.
pub(crate) fn of_v1(mount: &Path, path: &Path, storage: &Path) -> Option<ContainerStats> {
    let dir = |controller: &str| mount.join(controller).join(path);
    let (memory, cpuacct) = (dir("memory"), dir("cpuacct"));
    let memory_stat = rows(&memory.join("memory.stat"));
    let cpu = rows(&dir("cpu").join("cpu.stat"));
    Some(ContainerStats {
        cpu_usage_ns: number(&cpuacct.join("cpuacct.usage"))?,
        cpu_user_ns: number(&cpuacct.join("cpuacct.usage_user")).unwrap_or(0),
        cpu_system_ns: number(&cpuacct.join("cpuacct.usage_sys")).unwrap_or(0),
        throttling: throttling(&cpu, "throttled_time", 1),
        memory_usage_bytes: number(&memory.join("memory.usage_in_bytes"))?,
        memory_max_usage_bytes: number(&memory.join("memory.max_usage_in_bytes"))?,
        memory_limit_bytes: number(&memory.join("memory.limit_in_bytes")).filter(|limit| *limit < 1 << 60),
        memory_inactive_file_bytes: memory_stat.get("total_inactive_file").copied().unwrap_or(0),
        memory_stat,
        pids: number(&dir("pids").join("pids.current")).unwrap_or(0),
        io: of_processes(&dir("pids"), storage),
    })
}

/// The statistics of a cgroup in the unified hierarchy.
pub(crate) fn of_v2(dir: &Path, storage: &Path) -> Option<ContainerStats> {
    let memory_stat = rows(&dir.join("memory.stat"));
    let cpu = rows(&dir.join("cpu.stat"));
    let time_ns = |name: &str| cpu.get(name).map(|usec| usec.saturating_mul(1_000));
    Some(ContainerStats {
        cpu_usage_ns: time_ns("usage_usec")?,
        cpu_user_ns: time_ns("user_usec").unwrap_or(0),
        cpu_system_ns: time_ns("system_usec").unwrap_or(0),
        throttling: throttling(&cpu, "throttled_usec", 1_000),
        memory_usage_bytes: number(&dir.join("memory.current"))?,
        memory_max_usage_bytes: number(&dir.join("memory.peak")).unwrap_or(0),
        memory_limit_bytes: number(&dir.join("memory.max")),
        memory_inactive_file_bytes: memory_stat.get("inactive_file").copied().unwrap_or(0),
        memory_stat,
        pids: number(&dir.join("pids.current")).unwrap_or(0),
        io: match fs::read_to_string(dir.join("io.stat")) {
            Ok(text) => io_stat(&text),
            Err(_) => of_processes(dir, storage),
        },
    })
}

fn throttling(cpu: &BTreeMap<String, u64>, time: &str, unit_ns: u64) -> Throttling {
    let of = |name: &str| cpu.get(name).copied().unwrap_or(0);
    Throttling {
        periods: of("nr_periods"),
        throttled_periods: of("nr_throttled"),
        throttled_ns: of(time).saturating_mul(unit_ns),
    }
}

/// Ref: Linux, cgroup-v2: `io.stat` has a row `MAJOR:MINOR name=value ...` for each device.
fn io_stat(text: &str) -> Vec<DeviceIo> {
    let row = |line: &str| {
        let (device, values) = line.split_once(' ')?;
        let (major, minor) = device.split_once(':')?;
        let of = |name: &str| {
            values
                .split(' ')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
                .unwrap_or(0)
        };
        Some(DeviceIo {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            read_bytes: of("rbytes"),
            write_bytes: of("wbytes"),
            operations: Some((of("rios"), of("wios"))),
        })
    };
    text.lines().take(STAT_ROWS_MAX).filter_map(row).collect()
}

/// What the processes below a cgroup have read and written, under the device where containers write. Nothing of it is
/// known as soon as no process is left.
fn of_processes(dir: &Path, storage: &Path) -> Vec<DeviceIo> {
    let mut sum = DeviceIo::default();
    let mut count = 0;
    for group in tree(dir, 0) {
        let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        for pid in processes.lines() {
            if count == IO_PROCESSES_MAX {
                break;
            }
            let said = rows(Path::new(&format!("/proc/{pid}/io")));
            sum.read_bytes += said.get("read_bytes").copied().unwrap_or(0);
            sum.write_bytes += said.get("write_bytes").copied().unwrap_or(0);
            count += 1;
        }
    }
    if count == 0 {
        return Vec::new();
    }
    if let Ok(found) = rustix::fs::stat(storage) {
        sum.major = rustix::fs::major(found.st_dev).into();
        sum.minor = rustix::fs::minor(found.st_dev).into();
    }
    vec![sum]
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The rows `name value` or `name: value` of a file; others are left out.
fn rows(path: &Path) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let row = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.trim_end_matches(':').to_string(), value.trim().parse().ok()?))
    };
    text.lines().take(STAT_ROWS_MAX).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_counted_by_a_unified_hierarchy() {
        let text = "8:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n254:0 \n8:0 rbytes=4096\n";
        let found = io_stat(text);
        assert_eq!(
            found[0],
            DeviceIo {
                major: 8,
                minor: 16,
                read_bytes: 1_459_200,
                write_bytes: 314_773_504,
                operations: Some((192, 353)),
            }
        );
        assert_eq!((found[1].major, found[1].read_bytes), (254, 0));
        assert_eq!((found[2].read_bytes, found[2].write_bytes), (4_096, 0));
        assert_eq!(io_stat(""), []);
    }

    // Method: a directory that looks like a cgroup of the unified hierarchy without io controller, with this very process.
    #[test]
    fn a_unified_cgroup_is_read() {
        let dir = std::env::temp_dir().join(format!("honmaru-stats-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        for (name, text) in [
            (
                "cpu.stat",
                "usage_usec 50\nuser_usec 30\nsystem_usec 20\nnr_periods 4\nnr_throttled 1\nthrottled_usec 7\n",
            ),
            ("memory.current", "4096\n"),
            ("memory.max", "max\n"),
            ("memory.stat", "anon 1\ninactive_file 2\n"),
            ("cgroup.procs", &format!("{}\n", std::process::id())),
        ] {
            fs::write(dir.join(name), text).expect("write");
        }
        let stats = of_v2(&dir, &dir);
        fs::remove_dir_all(&dir).expect("remove");
        let stats = stats.expect("statistics");
        assert_eq!(
            (stats.cpu_usage_ns, stats.cpu_user_ns, stats.cpu_system_ns),
            (50_000, 30_000, 20_000)
        );
        assert_eq!(
            stats.throttling,
            Throttling {
                periods: 4,
                throttled_periods: 1,
                throttled_ns: 7_000,
            }
        );
        assert_eq!((stats.memory_limit_bytes, stats.memory_inactive_file_bytes), (None, 2));
        assert_eq!(stats.memory_stat.get("anon"), Some(&1));
        assert_eq!((stats.io.len(), stats.io[0].operations), (1, None));
        assert_eq!(of_v2(&dir, &dir), None);
    }
}
