//! What the network plane remembers in the state directory: the last desired state and each task's interface, so that a
//! restarted node rules the same packets before control has said anything.

use crate::{NetworkDesired, NetworkError};
use honmaru_contract::node::TaskNetwork;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The directories under `<state>/node`.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    root: PathBuf,
    namespaces: PathBuf,
}

impl Files {
    pub fn new(state_dir: &Path) -> Self {
        let node = state_dir.join("node");
        Self {
            root: node.join("network"),
            namespaces: node.join("netns"),
        }
    }

    pub fn create(&self) -> Result<(), NetworkError> {
        for dir in [&self.root.join("tasks"), &self.namespaces] {
            fs::create_dir_all(dir).map_err(|e| NetworkError::file("create", dir, e))?;
        }
        Ok(())
    }

    /// Where a task's namespace is mounted.
    pub fn namespace(&self, task_id: &str) -> PathBuf {
        self.namespaces.join(task_id)
    }

    fn task(&self, task_id: &str) -> PathBuf {
        self.root.join("tasks").join(task_id)
    }

    pub fn desired(&self) -> Result<Option<NetworkDesired>, NetworkError> {
        read(&self.root.join("desired.json"))
    }

    pub fn put_desired(&self, desired: &NetworkDesired) -> Result<(), NetworkError> {
        write(&self.root.join("desired.json"), desired)
    }

    pub fn metadata_port(&self) -> Result<Option<u16>, NetworkError> {
        read(&self.root.join("metadata_port.json"))
    }

    pub fn put_metadata_port(&self, port: u16) -> Result<(), NetworkError> {
        write(&self.root.join("metadata_port.json"), &port)
    }

    pub fn put_task(&self, task_id: &str, network: &TaskNetwork) -> Result<(), NetworkError> {
        write(&self.task(task_id), network)
    }

    pub fn forget_task(&self, task_id: &str) -> Result<(), NetworkError> {
        let path = self.task(task_id);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(NetworkError::file("remove", path, e)),
            _ => Ok(()),
        }
    }

    pub fn tasks(&self) -> Result<BTreeMap<String, TaskNetwork>, NetworkError> {
        let mut tasks = BTreeMap::new();
        for name in names(&self.root.join("tasks"))? {
            if let Some(network) = read(&self.task(&name))? {
                tasks.insert(name, network);
            }
        }
        Ok(tasks)
    }

    /// The names of all namespaces that have a file.
    pub fn namespaces(&self) -> Result<Vec<String>, NetworkError> {
        names(&self.namespaces)
    }

    pub fn remove_all(&self) -> Result<(), NetworkError> {
        for dir in [&self.root, &self.namespaces] {
            match fs::remove_dir_all(dir) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(NetworkError::file("remove", dir, e)),
                _ => {}
            }
        }
        Ok(())
    }
}

fn names(dir: &Path) -> Result<Vec<String>, NetworkError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(NetworkError::file("list", dir, e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| NetworkError::file("list", dir, e))?;
        // A name that begins with a dot is a file that was being written when we died.
        names.extend(
            entry
                .file_name()
                .into_string()
                .ok()
                .filter(|name| !name.starts_with('.')),
        );
    }
    Ok(names)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, NetworkError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| NetworkError::file("decode", path, e.into())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(NetworkError::file("read", path, e)),
    }
}

/// Written beside and renamed: a reader sees the old or the new text, never half of one.
fn write(path: &Path, value: &impl Serialize) -> Result<(), NetworkError> {
    let failed = |e| NetworkError::file("write", path, e);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}"));
    let bytes = serde_json::to_vec(value).map_err(|e| failed(e.into()))?;
    fs::write(&beside, bytes).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}
