//! cgroup v1 and v2: made with their limits, joined, watched for kills, emptied, removed.
//!
//! v1: a process joins by writing `0` into each hierarchy's `tasks` for itself. A single thread that moves itself skips
//! the kernel's global lock; moving another process waits for an RCU grace period (measured: 11.5 ms against 0.08).

use crate::failure::{During, Step};
use honmaru_runtime_protocol::{ContainerLimits, TaskLimits};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

const MOUNT: &str = "/sys/fs/cgroup";
/// Ref: linux/magic.h, CGROUP2_SUPER_MAGIC.
const CGROUP2_MAGIC: u64 = 0x6367_7270;
/// The v1 hierarchies that we use. Not `blkio`: opencontainers/runc #861.
pub const V1_CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];
/// CPU units of one processor. Ref: ECS.
const CPU_UNITS_PER_CPU: u64 = 1024;
/// 20 ms, not the kernel's 100: a task of 256 units that has used its quota waits 15 ms, not 75.
const PERIOD_US: u64 = 20_000;
/// The kernel takes no smaller quota: smaller shares get a longer period.
const QUOTA_US_MIN: u64 = 1_000;
/// The least weight. Ref: kernel `cpu.shares`.
const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 262_144;
/// How often a cgroup that is still busy is tried again, 2 ms apart.
const REMOVE_ATTEMPTS_MAX: u32 = 100;
/// How often members that fork while we kill are hunted.
const KILL_ROUNDS_MAX: u32 = 100;

/// Which interface the host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    V1,
    V2,
}

/// A cgroup by its path below the hierarchies' roots.
#[derive(Debug, Clone)]
pub struct Cgroup {
    mode: Mode,
    path: String,
}

/// What the host has.
pub fn mode() -> Mode {
    let path = CString::from(c"/sys/fs/cgroup");
    // SAFETY: all-zero is a valid statfs; a live C string and a live structure.
    let found = unsafe {
        let mut found: libc::statfs = std::mem::zeroed();
        (libc::statfs(path.as_ptr(), &raw mut found) == 0).then_some(found.f_type as u64)
    };
    if found == Some(CGROUP2_MAGIC) {
        Mode::V2
    } else {
        Mode::V1
    }
}

/// Quota and period for CPU units.
fn quota(cpu_units: u32) -> (u64, u64) {
    let units = u64::from(cpu_units).max(1);
    let period = PERIOD_US
        .max((QUOTA_US_MIN * CPU_UNITS_PER_CPU).div_ceil(units))
        .min(1_000_000);
    ((period * units / CPU_UNITS_PER_CPU).max(QUOTA_US_MIN), period)
}

fn shares(cpu_units: u32) -> u64 {
    u64::from(cpu_units).clamp(SHARES_MIN, SHARES_MAX)
}

/// v1's weight on v2's scale: 2..262144 to 1..10000. Ref: opencontainers/runtime-spec, config-linux.
fn weight(shares: u64) -> u64 {
    1 + (shares - SHARES_MIN) * 9_999 / (SHARES_MAX - SHARES_MIN)
}

impl Cgroup {
    pub fn new(mode: Mode, path: &str) -> Self {
        Self {
            mode,
            path: path.to_string(),
        }
    }

    /// A cgroup inside this one.
    pub fn child(&self, name: &str) -> Self {
        Self {
            mode: self.mode,
            path: format!("{}/{name}", self.path),
        }
    }

    fn dir(&self, controller: &str) -> PathBuf {
        match self.mode {
            Mode::V1 => Path::new(MOUNT).join(controller).join(&self.path),
            Mode::V2 => Path::new(MOUNT).join(&self.path),
        }
    }

    fn dirs(&self) -> Vec<PathBuf> {
        match self.mode {
            Mode::V1 => V1_CONTROLLERS.iter().map(|controller| self.dir(controller)).collect(),
            Mode::V2 => vec![self.dir("")],
        }
    }

    fn make(&self) -> Step<()> {
        match self.mode {
            Mode::V1 => {
                for dir in self.dirs() {
                    fs::create_dir_all(&dir).during("cgroup", dir.to_string_lossy())?;
                }
            }
            Mode::V2 => {
                let mut dir = PathBuf::from(MOUNT);
                for name in Path::new(&self.path) {
                    let control = dir.join("cgroup.subtree_control");
                    // One at a time: a controller that is missing shows where its limit is written.
                    for controller in ["+memory", "+cpu", "+pids"] {
                        let _shown_when_used = fs::write(&control, controller);
                    }
                    dir.push(name);
                    match fs::create_dir(&dir) {
                        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                            return Err(error).during("cgroup", dir.to_string_lossy());
                        }
                        Ok(()) | Err(_) => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes a task's cgroup.
    pub fn create_for_task(&self, limits: &TaskLimits) -> Step<()> {
        self.make()?;
        self.limit_memory(limits.memory_bytes, None)?;
        self.limit_pids(limits.pids)?;
        let Some(units) = limits.cpu_units.filter(|units| *units > 0) else {
            return Ok(());
        };
        let (quota, period) = quota(units);
        match self.mode {
            Mode::V1 => {
                self.set("cpu", "cpu.cfs_period_us", period)?;
                self.set("cpu", "cpu.cfs_quota_us", quota)?;
            }
            Mode::V2 => self.set("", "cpu.max", format!("{quota} {period}"))?,
        }
        self.set_shares(units)
    }

    /// Makes a container's cgroup inside its task's.
    pub fn create_for_container(&self, limits: &ContainerLimits) -> Step<()> {
        self.make()?;
        self.limit_memory(limits.memory_bytes, limits.memory_reservation_bytes)?;
        self.limit_pids(limits.pids)?;
        if self.mode == Mode::V2 {
            // v1 has no such thing: there the supervisor kills the container when one of its processes was killed.
            // Without the memory controller there is no limit either, and no kill.
            self.set_if_there("", "memory.oom.group", 1)?;
        }
        self.set_shares(limits.cpu_units)
    }

    fn set_shares(&self, cpu_units: u32) -> Step<()> {
        match self.mode {
            Mode::V1 => self.set("cpu", "cpu.shares", shares(cpu_units)),
            Mode::V2 if cpu_units == 0 => self.set_if_there("", "cpu.weight", weight(SHARES_MIN)),
            Mode::V2 => self.set("", "cpu.weight", weight(shares(cpu_units))),
        }
    }

    fn limit_memory(&self, hard: Option<u64>, soft: Option<u64>) -> Step<()> {
        match self.mode {
            Mode::V1 => {
                if let Some(bytes) = hard {
                    self.set("memory", "memory.limit_in_bytes", bytes)?;
                    // Memory and swap together. Absent without swap accounting, and then there is nothing to limit.
                    let _absent = self.set("memory", "memory.memsw.limit_in_bytes", bytes);
                }
                if let Some(bytes) = soft {
                    self.set("memory", "memory.soft_limit_in_bytes", bytes)?;
                }
            }
            Mode::V2 => {
                if let Some(bytes) = hard {
                    self.set("", "memory.max", bytes)?;
                    let _absent = self.set("", "memory.swap.max", 0);
                }
                if let Some(bytes) = soft {
                    self.set("", "memory.low", bytes)?;
                }
            }
        }
        Ok(())
    }

    fn limit_pids(&self, pids: Option<u32>) -> Step<()> {
        pids.map_or(Ok(()), |pids| self.set("pids", "pids.max", pids))
    }

    fn set(&self, controller: &str, file: &str, value: impl ToString) -> Step<()> {
        let path = self.dir(controller).join(file);
        let value = value.to_string();
        fs::write(&path, &value).during("cgroup", format!("write {value} to {}", path.display()))
    }

    /// For what is no limit that somebody asked for: nothing to do where the controller is not enabled.
    fn set_if_there(&self, controller: &str, file: &str, value: impl ToString) -> Step<()> {
        if self.dir(controller).join(file).exists() {
            self.set(controller, file, value)
        } else {
            Ok(())
        }
    }

    /// For clone3 on v2; nothing on v1.
    pub fn descriptor(&self) -> Step<Option<OwnedFd>> {
        match self.mode {
            Mode::V1 => Ok(None),
            Mode::V2 => {
                let dir = self.dir("");
                fs::File::open(&dir)
                    .map(|file| Some(file.into()))
                    .during("cgroup", dir.to_string_lossy())
            }
        }
    }

    /// Moves the calling process here, on v1. On v2 it was born here.
    pub fn join(&self) -> Step<()> {
        if self.mode == Mode::V1 {
            for controller in V1_CONTROLLERS {
                self.join_one(controller)?;
            }
        }
        Ok(())
    }

    fn join_one(&self, controller: &str) -> Step<()> {
        let path = self.dir(controller).join("tasks");
        fs::write(&path, "0").during("cgroup", format!("join {}", path.display()))
    }

    /// A cgroup for one exec session within a container's: only to find its processes again. On v1 in `pids` alone.
    pub fn create_session(&self) -> Step<()> {
        let dir = self.session_dir();
        fs::create_dir(&dir).during("cgroup", dir.to_string_lossy())
    }

    /// Moves the calling process into a session, after [`Cgroup::join`] for the container. On v2 it was born here.
    pub fn join_session(&self) -> Step<()> {
        if self.mode == Mode::V1 {
            self.join_one("pids")
        } else {
            Ok(())
        }
    }

    fn session_dir(&self) -> PathBuf {
        self.dir("pids")
    }

    /// Kills all processes of a session, however they fork.
    pub fn kill_session(&self) {
        let dir = self.session_dir();
        if self.mode == Mode::V2 && fs::write(dir.join("cgroup.kill"), "1").is_ok() {
            return;
        }
        // No new ones from here on: a fork fails instead of escaping.
        let _gone = fs::write(dir.join("pids.max"), "0");
        for _ in 0..KILL_ROUNDS_MAX {
            let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            let pids: Vec<libc::pid_t> = text
                .lines()
                .filter_map(|line| line.parse().ok())
                .filter(|pid| *pid > 0)
                .collect();
            if pids.is_empty() {
                return;
            }
            for pid in pids {
                crate::sys::kill(pid, libc::SIGKILL);
            }
        }
    }

    /// Removes a session's cgroup if it is empty; else it goes with the container's.
    pub fn remove_session(&self) -> bool {
        fs::remove_dir(self.session_dir()).is_ok()
    }

    /// Processes that were killed for memory since the cgroup was made.
    pub fn oom_kills(&self) -> u64 {
        let path = match self.mode {
            Mode::V1 => self.dir("memory").join("memory.oom_control"),
            Mode::V2 => self.dir("").join("memory.events"),
        };
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
            .unwrap_or(0)
    }

    /// v1: a descriptor that becomes readable when this cgroup or one above runs out of memory. v2 needs none.
    pub fn oom_event(&self) -> io::Result<Option<OwnedFd>> {
        if self.mode == Mode::V2 {
            return Ok(None);
        }
        let dir = self.dir("memory");
        let event = crate::sys::eventfd()?;
        let control = fs::File::open(dir.join("memory.oom_control"))?;
        fs::write(
            dir.join("cgroup.event_control"),
            format!("{} {}", event.as_raw_fd(), control.as_raw_fd()),
        )?;
        Ok(Some(event))
    }

    /// Removes the cgroup and the sessions in it. What is still busy afterwards is left to the runtime's sweep.
    pub fn remove(&self) {
        for dir in self.dirs() {
            for _ in 0..REMOVE_ATTEMPTS_MAX {
                if let Ok(entries) = fs::read_dir(&dir) {
                    for entry in entries
                        .flatten()
                        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                    {
                        let _busy = fs::remove_dir(entry.path());
                    }
                }
                match fs::remove_dir(&dir) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(std::time::Duration::from_millis(2));
                    }
                    Ok(()) | Err(_) => break,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_keeps_the_ratio_and_the_kernels_minimum() {
        assert_eq!(quota(1024), (20_000, 20_000));
        assert_eq!(quota(256), (5_000, 20_000));
        assert_eq!(quota(2048), (40_000, 20_000));
        assert_eq!(quota(10), (1_000, 102_400));
        assert_eq!(quota(0), quota(1));
    }

    #[test]
    fn weights_span_the_scale() {
        assert_eq!(
            (weight(shares(0)), weight(shares(1024)), weight(shares(u32::MAX))),
            (1, 39, 10_000)
        );
    }
}
