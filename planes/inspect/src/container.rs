//! The containers that run, by their shims' status files, each looked at through its first process.

use crate::cgroup::{self, CgroupLimits};
use crate::mounts::{self, Mount};
use crate::process::{self, IdRange, Ulimit};
use crate::{Seen, host};
use honmaru_runtime_protocol::{ContainerPhase, STATUS_FILE, TaskStatus};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// What the kernel shows of a container's first process.
#[derive(Debug, Clone, Default)]
pub struct Container {
    /// The task.
    pub task_id: String,
    /// The container's name.
    pub name: String,
    /// The process on the host.
    pub pid: u32,
    /// The effective user id on the host.
    pub uid: u32,
    /// Capabilities that count now.
    pub cap_eff: u64,
    /// Capabilities that it can ever get.
    pub cap_bnd: u64,
    /// `NoNewPrivs` of its status.
    pub no_new_privs: Option<u32>,
    /// `Seccomp` of its status.
    pub seccomp: Option<u32>,
    /// How its users are those of the host.
    pub uid_map: Vec<IdRange>,
    /// Its namespaces by kind.
    pub namespaces: BTreeMap<String, String>,
    /// `attr/current`; nothing when the kernel has no module that fills it.
    pub confinement: Option<String>,
    /// Its mounts.
    pub mounts: Vec<Mount>,
    /// Files of the host that it has mounted, by the host's paths: where in the container, and what.
    pub host_files: Vec<(String, String)>,
    /// The names of the devices below `/dev`.
    pub devices: Option<Vec<String>>,
    /// Its resource limits.
    pub ulimits: Vec<Ulimit>,
    /// The limits of its control groups.
    pub cgroup: Option<CgroupLimits>,
    /// The variables that it was started with.
    pub variables: Vec<Variable>,
}

/// A variable of a process. Its value may be a secret: it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=...", self.name)
    }
}

/// Every container of a task that runs.
pub fn containers(state: &Path, proc_dir: &Path) -> Seen<Vec<Container>> {
    let tasks = state.join("tasks");
    let entries = match fs::read_dir(&tasks) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| format!("{} cannot be read: {error}", tasks.display()))?,
    };
    let host_mounts = fs::read_to_string(proc_dir.join("self/mountinfo")).unwrap_or_default();
    let host_mounts = mounts::mountinfo(&host_mounts);
    let boot = host::boot_id();
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let status = fs::read(entry.path().join(STATUS_FILE)).ok();
        let Some(status) = status.and_then(|bytes| serde_json::from_slice::<TaskStatus>(&bytes).ok()) else {
            continue;
        };
        if boot.as_ref().is_some_and(|boot| *boot != status.boot_id) {
            continue;
        }
        for container in &status.containers {
            let ContainerPhase::Running { pid, .. } = container.phase else {
                continue;
            };
            let dir = proc_dir.join(pid.to_string());
            match look(&dir, &status.task_id, &host_mounts) {
                Ok(Some(seen)) => found.push(Container {
                    name: container.name.clone(),
                    pid,
                    ..seen
                }),
                // It has ended meanwhile.
                Ok(None) => {}
                Err(reason) => return Err(format!("process {pid} of task {}: {reason}", status.task_id)),
            }
        }
    }
    found.sort_by(|a, b| (&a.task_id, &a.name).cmp(&(&b.task_id, &b.name)));
    Ok(found)
}

/// Nothing when the process has gone, or when its number is somebody else's by now.
fn look(dir: &Path, task_id: &str, host_mounts: &[Mount]) -> Seen<Option<Container>> {
    let read = |name: &str| fs::read_to_string(dir.join(name));
    let groups = match read("cgroup") {
        Ok(groups) if groups.contains(task_id) => groups,
        _ => return Ok(None),
    };
    let text = |name: &str| read(name).map_err(|error| format!("{name} cannot be read: {error}"));
    let status = process::status(&text("status")?)?;
    let mounts = mounts::mountinfo(&text("mountinfo")?);
    let host_files = mounts
        .iter()
        .filter_map(|mount| Some((mount.point.clone(), mounts::host_path(mount, host_mounts)?)))
        .filter(|(point, _)| !is_kernels(point))
        .collect();
    Ok(Some(Container {
        task_id: task_id.to_owned(),
        name: String::new(),
        pid: 0,
        uid: status.uid,
        cap_eff: status.cap_eff,
        cap_bnd: status.cap_bnd,
        no_new_privs: status.no_new_privs,
        seccomp: status.seccomp,
        uid_map: process::uid_map(&text("uid_map")?),
        namespaces: process::namespaces(dir),
        confinement: read("attr/current")
            .ok()
            .map(|label| label.trim_end_matches(['\0', '\n']).to_owned()),
        mounts,
        host_files,
        devices: devices(&dir.join("root/dev")),
        ulimits: process::limits(&text("limits")?),
        cgroup: Some(cgroup::limits(&groups)),
        variables: variables(&fs::read(dir.join("environ")).unwrap_or_default()),
    }))
}

/// The container's own group in each hierarchy is shown to it, read-only: the kernel's files, not the host's.
fn is_kernels(point: &str) -> bool {
    point.starts_with("/sys/fs/cgroup") || point.starts_with("/proc/")
}

fn variables(environ: &[u8]) -> Vec<Variable> {
    let variable = |row: &[u8]| {
        let row = String::from_utf8_lossy(row);
        let (name, value) = row.split_once('=')?;
        Some(Variable {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    };
    environ.split(|byte| *byte == 0).filter_map(variable).collect()
}

fn devices(dir: &Path) -> Option<Vec<String>> {
    let is_device = |entry: &fs::DirEntry| {
        entry
            .file_type()
            .is_ok_and(|kind| kind.is_block_device() || kind.is_char_device())
    };
    let mut names: Vec<String> = fs::read_dir(dir)
        .ok()?
        .flatten()
        .filter(is_device)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: a number that is somebody else's by now is not taken for the container.
    // Method: a status file that names this very process, which is in no task's cgroup.
    #[test]
    fn a_process_of_another_is_not_looked_at() {
        let state = tempfile::tempdir().expect("a directory");
        let task = state.path().join("tasks/0123456789abcdef");
        fs::create_dir_all(&task).expect("made");
        let status = serde_json::json!({
            "task_id": "0123456789abcdef", "protocol": 1, "boot_id": host::boot_id(), "shim_pid": 1, "sequence": 1,
            "phase": "running", "cause": null, "containers": [{ "name": "c", "health": "unknown", "restarts": 0,
                "phase": { "kind": "running", "pid": std::process::id(), "started_at_ms": 0 } }],
        });
        fs::write(task.join(STATUS_FILE), status.to_string()).expect("written");
        let found = containers(state.path(), Path::new("/proc")).expect("seen");
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn variables_are_read_and_their_values_not_shown() {
        let seen = variables(b"A=1\0TOKEN=a=b\0odd\0");
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[1].value, "a=b");
        assert_eq!(format!("{seen:?}"), "[A=..., TOKEN=...]");
    }

    #[test]
    fn a_process_is_seen_as_the_kernel_shows_it() {
        let me = Path::new("/proc/self");
        // Every path contains the empty text: the process counts as the task's.
        let seen = look(me, "", &[]).expect("seen").expect("it runs");
        assert_eq!(seen.uid, rustix::process::geteuid().as_raw());
        assert_eq!(seen.namespaces, process::namespaces(me));
        assert!(seen.mounts.iter().any(|mount| mount.point == "/"));
        assert!(seen.ulimits.iter().any(|limit| limit.name == "Max open files"));
        assert!(seen.devices.is_some_and(|names| names.contains(&"null".to_owned())));
    }
}
