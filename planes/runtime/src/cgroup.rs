//! The cgroups from outside: who is in them, their end. What was used is read by `stats`; limits are set by the shim.

use crate::error::{At, RuntimeError};
use crate::stats::{self, ContainerStats};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

const MOUNT: &str = "/sys/fs/cgroup";
/// Ref: linux/magic.h, CGROUP2_SUPER_MAGIC.
const CGROUP2_MAGIC: rustix::fs::FsWord = 0x6367_7270;
/// The v1 hierarchies that shims use.
const V1_CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];
/// rmdir answers EBUSY for a moment after the last exit: so often do we try again, with `REMOVE_PAUSE_MS` between.
const REMOVE_ATTEMPTS_MAX: u32 = 500;
const REMOVE_PAUSE_MS: u64 = 2;
/// Deepest nesting below a task: container, exec.
const DEPTH_MAX: u32 = 8;

/// Which cgroup interface the host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupMode {
    /// A hierarchy for each controller.
    V1,
    /// One hierarchy.
    V2,
}

/// What the host has.
pub fn cgroup_mode() -> CgroupMode {
    match rustix::fs::statfs(MOUNT) {
        Ok(found) if found.f_type == CGROUP2_MAGIC => CgroupMode::V2,
        Ok(_) | Err(_) => CgroupMode::V1,
    }
}

/// Everything below one name.
#[derive(Debug, Clone)]
pub(crate) struct CgroupTree {
    mode: CgroupMode,
    name: String,
}

impl CgroupTree {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            mode: cgroup_mode(),
            name: name.to_string(),
        }
    }

    /// The path below the hierarchy's root.
    pub(crate) fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.name)
    }

    fn dirs(&self, below: &str) -> Vec<PathBuf> {
        let path = Path::new(&self.name).join(below);
        match self.mode {
            CgroupMode::V1 => V1_CONTROLLERS
                .iter()
                .map(|name| Path::new(MOUNT).join(name).join(&path))
                .collect(),
            CgroupMode::V2 => vec![Path::new(MOUNT).join(&path)],
        }
    }

    /// Kills every process in it and below it, then removes it. Blocks for at most a few seconds.
    pub(crate) fn destroy(&self, below: &str) -> Result<(), RuntimeError> {
        for dir in self.dirs(below) {
            destroy_dir(&dir)?;
        }
        Ok(())
    }

    /// The names below the tree's root: task ids.
    pub(crate) fn tasks(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .dirs("")
            .iter()
            .flat_map(|dir| subdirs(dir))
            .filter_map(name_of)
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// What was used there; nothing when it is not there. `storage` is where its containers write.
    pub(crate) fn stats(&self, below: &str, storage: &Path) -> Option<ContainerStats> {
        let path = Path::new(&self.name).join(below);
        match self.mode {
            CgroupMode::V1 => stats::of_v1(Path::new(MOUNT), &path, storage),
            CgroupMode::V2 => stats::of_v2(&Path::new(MOUNT).join(&path), storage),
        }
    }
}

fn name_of(dir: PathBuf) -> Option<String> {
    Some(dir.file_name()?.to_str()?.to_string())
}

fn subdirs(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let is_dir = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.flatten().filter(is_dir).map(|entry| entry.path()).collect()
}

/// The directory and all below it, deepest first.
pub(crate) fn tree(dir: &Path, depth: u32) -> Vec<PathBuf> {
    let mut all = Vec::new();
    if depth < DEPTH_MAX {
        for below in subdirs(dir) {
            all.extend(tree(&below, depth + 1));
        }
    }
    all.push(dir.to_path_buf());
    all
}

fn destroy_dir(dir: &Path) -> Result<(), RuntimeError> {
    for _ in 0..REMOVE_ATTEMPTS_MAX {
        let mut busy = false;
        for path in tree(dir, 0) {
            kill_members(&path);
            match fs::remove_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if matches!(error.raw_os_error(), Some(code) if code == rustix::io::Errno::BUSY.raw_os_error()) => {
                    busy = true
                }
                Err(error) => return Err(error).at("remove", path),
            }
        }
        if !busy {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(REMOVE_PAUSE_MS));
    }
    Err(RuntimeError::CgroupBusy {
        path: dir.to_path_buf(),
    })
}

/// Sends SIGKILL to every process in this very cgroup. Errors mean that it is gone: the removal will tell.
fn kill_members(dir: &Path) {
    let Ok(text) = fs::read_to_string(dir.join("cgroup.procs")) else {
        return;
    };
    for pid in text
        .lines()
        .filter_map(|line| line.parse().ok())
        .filter_map(Pid::from_raw)
    {
        let _gone = kill_process(pid, Signal::KILL);
    }
}
