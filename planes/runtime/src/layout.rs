//! Where things lie in the state directory, and which names may lie there.

use honmaru_runtime_protocol::{Bundle, CONTAINERS_MAX, LOCK_FILE, SOCKET_FILE, STATUS_FILE, TASK_FILE, log_file};
use std::path::{Path, PathBuf};

/// Longest task id: it is part of a cgroup's and a socket's path.
pub(crate) const TASK_ID_CHARS_MAX: usize = 64;
/// Longest container name. Ref: ECS `ContainerDefinition.name`.
pub(crate) const CONTAINER_NAME_CHARS_MAX: usize = 255;
/// Longest path of a socket. Ref: unix(7), `sun_path`.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// `<state>/tasks/<task id>/...`
#[derive(Debug, Clone)]
pub(crate) struct TaskDir(pub PathBuf);

impl TaskDir {
    pub(crate) fn new(state_dir: &Path, task_id: &str) -> Self {
        Self(tasks_dir(state_dir).join(task_id))
    }

    pub(crate) fn task_file(&self) -> PathBuf {
        self.0.join(TASK_FILE)
    }

    pub(crate) fn status_file(&self) -> PathBuf {
        self.0.join(STATUS_FILE)
    }

    pub(crate) fn lock_file(&self) -> PathBuf {
        self.0.join(LOCK_FILE)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join(SOCKET_FILE)
    }

    pub(crate) fn complaints(&self) -> PathBuf {
        self.0.join("shim.stderr")
    }

    pub(crate) fn log(&self, container: &str) -> PathBuf {
        self.0.join(log_file(container))
    }
}

pub(crate) fn tasks_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("tasks")
}

pub(crate) fn bin_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("bin")
}

/// Whether a name may be a directory, a cgroup and a file.
pub(crate) fn name_is_valid(name: &str, chars_max: usize) -> bool {
    (1..=chars_max).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// What is wrong with a bundle, if anything. The shim relies on names; the rest it checks itself.
pub(crate) fn problem_of(bundle: &Bundle, state_dir: &Path) -> Option<String> {
    if !name_is_valid(&bundle.task_id, TASK_ID_CHARS_MAX) {
        return Some(format!(
            "task id `{}` is not 1 to {TASK_ID_CHARS_MAX} of [A-Za-z0-9_-]",
            bundle.task_id
        ));
    }
    let socket = TaskDir::new(state_dir, &bundle.task_id).socket();
    if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Some(format!(
            "path {} is too long for a socket; choose a shorter state directory",
            socket.display()
        ));
    }
    if bundle.containers.is_empty() || bundle.containers.len() > CONTAINERS_MAX {
        return Some(format!(
            "{} containers; 1 to {CONTAINERS_MAX} are possible",
            bundle.containers.len()
        ));
    }
    for (index, container) in bundle.containers.iter().enumerate() {
        let name = &container.name;
        if !name_is_valid(name, CONTAINER_NAME_CHARS_MAX) {
            return Some(format!(
                "container name `{name}` is not 1 to {CONTAINER_NAME_CHARS_MAX} of [A-Za-z0-9_-]"
            ));
        }
        if bundle.containers.iter().take(index).any(|other| other.name == *name) {
            return Some(format!("two containers are called `{name}`"));
        }
        if container.layers.is_empty() {
            return Some(format!("container `{name}` has no layers"));
        }
        if container.args.is_empty() {
            return Some(format!("container `{name}` has no command"));
        }
        if let Some(layer) = container.layers.iter().find(|layer| !layer.starts_with('/')) {
            return Some(format!("layer `{layer}` of container `{name}` is not an absolute path"));
        }
        for dependency in &container.depends_on {
            if dependency.container == *name
                || !bundle.containers.iter().any(|other| other.name == dependency.container)
            {
                return Some(format!(
                    "container `{name}` depends on `{}`, which is no other container",
                    dependency.container
                ));
            }
        }
    }
    has_cycle(bundle).then(|| "the containers' dependencies form a circle".to_string())
}

/// Takes away containers whose dependencies are all taken away already; what remains is a circle.
fn has_cycle(bundle: &Bundle) -> bool {
    let mut left: Vec<_> = bundle.containers.iter().collect();
    for _ in 0..bundle.containers.len() {
        let names: Vec<String> = left.iter().map(|container| container.name.clone()).collect();
        left.retain(|container| {
            container
                .depends_on
                .iter()
                .any(|dependency| names.contains(&dependency.container))
        });
    }
    !left.is_empty()
}
