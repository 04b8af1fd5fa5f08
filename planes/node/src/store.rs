//! What the agent remembers in `<state>/node/agent`: the newest generation, a record for each task, how far each log
//! was delivered. Files that are written beside and renamed: they survive kill -9 at any point.

use crate::NodeError;
use honmaru_base::Time;
use honmaru_contract::node::{TaskObserved, TaskSpec};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The newest format of records.
const FORMAT: u32 = 1;

/// What the node knows of a task, whatever happens to the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TaskRecord {
    format: u32,
    pub spec: TaskSpec,
    /// The first of its user ids on the host.
    pub uid_base: u32,
    /// The secret part of its credentials' path.
    pub credentials_id: String,
    /// Whether its start was ever begun: then it is never begun again.
    pub started: bool,
    /// The boot in which it was made.
    pub boot_id: String,
    pub pull_started_at: Option<Time>,
    pub pull_stopped_at: Option<Time>,
    /// Manifest digests by container.
    pub image_digests: BTreeMap<String, String>,
    /// Its end, once nothing of it runs and its network is gone.
    pub ended: Option<TaskObserved>,
}

impl TaskRecord {
    pub fn new(spec: TaskSpec, uid_base: u32, boot_id: String) -> Self {
        Self {
            format: FORMAT,
            spec,
            uid_base,
            credentials_id: uuid::Uuid::new_v4().to_string(),
            started: false,
            boot_id,
            pull_started_at: None,
            pull_stopped_at: None,
            image_digests: BTreeMap::new(),
            ended: None,
        }
    }
}

/// How far a container's log was delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogPosition {
    /// All before it is stored by control.
    pub stored: u64,
    /// The end of the batch that was or is about to be sent.
    pub sent: Option<u64>,
}

/// The directory.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    root: PathBuf,
}

/// Held while this process is the agent of its state directory.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: nix::fcntl::Flock<File>,
}

impl Store {
    pub fn open(state_dir: &Path) -> Result<Self, NodeError> {
        let store = Self::at(state_dir);
        for dir in [store.root.join("tasks"), store.root.join("logs")] {
            fs::create_dir_all(&dir).map_err(|e| NodeError::file("create", dir, e))?;
        }
        Ok(store)
    }

    /// The directory as it is: nothing is made.
    pub fn at(state_dir: &Path) -> Self {
        Self {
            root: state_dir.join("node/agent"),
        }
    }

    /// Takes the agent's place, or says that another process has it.
    pub fn lock(&self) -> Result<Lock, NodeError> {
        let path = self.lock_file();
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| NodeError::file("open", &path, e))?;
        Self::lock_of(file, path)
    }

    /// The same where there was an agent ever; makes no file.
    pub fn lock_if_there(&self) -> Result<Option<Lock>, NodeError> {
        let path = self.lock_file();
        match File::options().write(true).open(&path) {
            Ok(file) => Self::lock_of(file, path).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(NodeError::file("open", path, e)),
        }
    }

    fn lock_file(&self) -> PathBuf {
        self.root.join("lock")
    }

    fn lock_of(file: File, path: PathBuf) -> Result<Lock, NodeError> {
        match nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Lock { _file: file }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Err(NodeError::Locked(path)),
            Err((_, error)) => Err(NodeError::file("lock", path, error.into())),
        }
    }

    pub fn generation(&self) -> Result<u64, NodeError> {
        Ok(read(&self.root.join("generation.json"))?.unwrap_or(0))
    }

    /// In place, where there is one: on a full disk the desired state is followed nevertheless. So few bytes of one length are
    /// written whole or not at all.
    pub fn put_generation(&self, generation: u64) -> Result<(), NodeError> {
        let path = self.root.join("generation.json");
        // As wide as the largest number; JSON may begin with blanks.
        let text = format!("{generation:>20}");
        match File::options().write(true).open(&path) {
            Ok(mut file) if file.metadata().is_ok_and(|found| found.len() == text.len() as u64) => file
                .write_all(text.as_bytes())
                .map_err(|e| NodeError::file("write", path, e)),
            _ => write_bytes(&path, text.as_bytes()),
        }
    }

    pub fn tasks(&self) -> Result<BTreeMap<String, TaskRecord>, NodeError> {
        let dir = self.root.join("tasks");
        let mut tasks = BTreeMap::new();
        for name in names(&dir)? {
            let Some(task_id) = name.strip_suffix(".json") else {
                continue;
            };
            if let Some(record) = read(&dir.join(&name))? {
                tasks.insert(task_id.to_owned(), record);
            }
        }
        Ok(tasks)
    }

    pub fn put_task(&self, record: &TaskRecord) -> Result<(), NodeError> {
        write(&self.task_file(&record.spec.task_id), record)
    }

    pub fn remove_task(&self, task_id: &str) -> Result<(), NodeError> {
        remove(fs::remove_file, &self.task_file(task_id))
    }

    fn task_file(&self, task_id: &str) -> PathBuf {
        self.root.join("tasks").join(format!("{task_id}.json"))
    }

    pub fn log_position(&self, task_id: &str, container: &str) -> Result<LogPosition, NodeError> {
        Ok(read(&self.log_file(task_id, container))?.unwrap_or_default())
    }

    pub fn put_log_position(&self, task_id: &str, container: &str, position: LogPosition) -> Result<(), NodeError> {
        let file = self.log_file(task_id, container);
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir).map_err(|e| NodeError::file("create", dir, e))?;
        }
        write(&file, &position)
    }

    pub fn remove_log_positions(&self, task_id: &str) -> Result<(), NodeError> {
        remove(fs::remove_dir_all, &self.root.join("logs").join(task_id))
    }

    fn log_file(&self, task_id: &str, container: &str) -> PathBuf {
        self.root.join("logs").join(task_id).join(format!("{container}.json"))
    }

    /// Forgets everything but the generation and the lock.
    pub fn clear(&self) -> Result<(), NodeError> {
        remove(fs::remove_dir_all, &self.root.join("tasks"))?;
        remove(fs::remove_dir_all, &self.root.join("logs"))
    }
}

fn remove(how: fn(PathBuf) -> io::Result<()>, path: &Path) -> Result<(), NodeError> {
    match how(path.to_path_buf()) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(NodeError::file("remove", path, e)),
        _ => Ok(()),
    }
}

fn names(dir: &Path) -> Result<Vec<String>, NodeError> {
    let failed = |e| NodeError::file("list", dir, e);
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        // A name that begins with a dot is a file that was being written when we died.
        names.extend(
            entry
                .map_err(failed)?
                .file_name()
                .into_string()
                .ok()
                .filter(|name| !name.starts_with('.')),
        );
    }
    Ok(names)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, NodeError> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| NodeError::file("decode", path, e.into())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(NodeError::file("read", path, e)),
    }
}

/// For root only: environments of containers are in it.
fn write(path: &Path, value: &impl Serialize) -> Result<(), NodeError> {
    let bytes = serde_json::to_vec(value).map_err(|e| NodeError::file("write", path, e.into()))?;
    write_bytes(path, &bytes)
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), NodeError> {
    let failed = |e| NodeError::file("write", path, e);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}"));
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&beside)
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_agent_at_a_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("a store");
        let held = store.lock().expect("the lock");
        assert!(matches!(store.lock(), Err(NodeError::Locked(_))));
        drop(held);
        assert!(store.lock().is_ok());
    }

    #[test]
    fn positions_and_generation_survive() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path()).expect("a store");
        assert_eq!(store.generation().expect("none yet"), 0);
        store.put_generation(7).expect("write");
        let position = LogPosition {
            stored: 10,
            sent: Some(20),
        };
        store.put_log_position("t", "c", position).expect("write");
        let again = Store::open(dir.path()).expect("a store");
        assert_eq!(again.generation().expect("read"), 7);
        again.put_generation(u64::MAX).expect("write");
        assert_eq!(again.generation().expect("read"), u64::MAX);
        again.put_generation(8).expect("write");
        assert_eq!(again.generation().expect("read"), 8);
        assert_eq!(again.log_position("t", "c").expect("read"), position);
        again.remove_log_positions("t").expect("remove");
        assert_eq!(again.log_position("t", "c").expect("read"), LogPosition::default());
    }
}
