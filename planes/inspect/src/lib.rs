//! Looks at this machine from outside of the cloud: at the processes of tasks, at their control groups, at the firewall's
//! table, at the directories and sockets of the roles, and at the host. It changes nothing; from within each task's network
//! it tries two addresses that must be closed.
//!
//! Not here: what the facts mean (`services/responsibility`). Invariant: what could not be read is an error with its
//! reason, never a value that somebody could take for one that was seen.

mod cgroup;
mod container;
mod firewall;
mod host;
mod mounts;
mod probe;
mod process;
mod roles;

pub use cgroup::{CgroupLimits, Limit};
pub use container::{Container, Variable, containers};
pub use firewall::{Firewall, firewall};
pub use host::{Clock, Disk, Host, Kernel, Memory, host};
pub use mounts::Mount;
pub use probe::Probe;
pub use process::{IdRange, Ulimit};
pub use roles::{Listen, Role, Room, roles, rooms};

use std::collections::BTreeMap;
use std::path::Path;

/// Something that was looked at, or the reason why not.
pub type Seen<T> = Result<T, String>;

/// What needs root's eyes: tasks, roles, directories, the firewall.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// The containers of every running task.
    pub containers: Vec<Container>,
    /// What was tried from within each task, by its id.
    pub probes: BTreeMap<String, Seen<Probe>>,
    /// The host's own namespaces, by kind: `net` -> `net:[4026531840]`.
    pub namespaces: BTreeMap<String, String>,
    /// The security modules of the kernel, of those that confine programs.
    pub modules: Vec<String>,
    /// The state directory and what lies in it.
    pub rooms: Vec<Room>,
    /// The processes of the cloud.
    pub roles: Vec<Role>,
    /// The nft table.
    pub firewall: Option<Seen<Firewall>>,
}

/// Which cloud is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Cloud<'a> {
    /// Its state directory.
    pub state: &'a Path,
    /// The name of its nft table, in family `inet`.
    pub table: &'a str,
}

/// Looks at everything that needs root. Without root, the reason.
pub fn machine(cloud: &Cloud<'_>) -> Seen<Machine> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root may look at it: run this with `sudo`".to_owned());
    }
    let proc_dir = Path::new("/proc");
    let containers = containers(cloud.state, proc_dir)?;
    let mut tasks: Vec<(String, u32)> = containers.iter().map(|c| (c.task_id.clone(), c.pid)).collect();
    tasks.dedup_by(|a, b| a.0 == b.0);
    Ok(Machine {
        // Before the probes, which take a moment: a task that ends meanwhile is missing in the table.
        firewall: Some(firewall(cloud.table)),
        probes: probe::probes(cloud.state, proc_dir, &tasks).into_iter().collect(),
        containers,
        namespaces: host_namespaces(proc_dir),
        modules: host::confining_modules(),
        rooms: rooms(cloud.state),
        roles: roles(cloud.state, proc_dir)?,
    })
}

/// Those of the host's first process; of this one, where that one is hidden even from root.
fn host_namespaces(proc_dir: &Path) -> BTreeMap<String, String> {
    let of_first = process::namespaces(&proc_dir.join("1"));
    if of_first.is_empty() {
        return process::namespaces(&proc_dir.join("self"));
    }
    of_first
}
