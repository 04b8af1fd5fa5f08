//! Starts, finds and removes tasks.

use crate::cgroup::CgroupTree;
use crate::error::{At, RuntimeError, StartError};
use crate::extract::extract;
use crate::layout::{TASK_ID_CHARS_MAX, TaskDir, bin_dir, name_is_valid, problem_of, tasks_dir};
use crate::task::Task;
use honmaru_runtime_protocol::{Bundle, PROTOCOL, ShimTask, StartOutcome, TaskStatus};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

/// How long containers without dependencies may take to exec. The shim's own limit for one container is shorter.
const START_S_MAX: u64 = 60;
/// How long a killed shim may take to die.
const DEATH_MS_MAX: u64 = 5_000;
/// The longest answer of a starting shim.
const OUTCOME_BYTES_MAX: u64 = 1024 * 1024;

/// Where a runtime keeps its things.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// Tasks and the extracted shim. Short: sockets lie in it. On a file system that can be an overlay's upper layer.
    pub state_dir: PathBuf,
    /// The name of its cgroups, unique on the host: `honmaru-<id>`.
    pub cgroup_name: String,
}

/// The runtime. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Runtime {
    state_dir: PathBuf,
    shim: PathBuf,
    cgroups: CgroupTree,
}

/// What became of a task while nobody looked.
#[derive(Debug)]
pub enum Adopted {
    /// Its shim lives: it goes on.
    Running(Task),
    /// It ended, and its last state is on disk.
    Ended(TaskStatus),
    /// Its shim died or the machine was started anew; what was left of it is killed.
    Lost {
        /// The task.
        task_id: String,
        /// Why.
        reason: String,
        /// The last state on disk, if any.
        last: Option<TaskStatus>,
    },
}

/// What [`Runtime::sweep`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Tasks removed.
    pub tasks: Vec<String>,
    /// Shims killed that belonged to no task directory.
    pub shims: u32,
    /// What could not be removed.
    pub failed: Vec<String>,
}

impl Runtime {
    /// Makes the directories and extracts the shim.
    pub fn new(config: RuntimeConfig) -> Result<Self, RuntimeError> {
        let cgroups = CgroupTree::new(checked(&config.cgroup_name)?);
        let tasks = tasks_dir(&config.state_dir);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&tasks)
            .at("create", &tasks)?;
        let state_dir = config.state_dir.canonicalize().at("resolve", &config.state_dir)?;
        let shim = extract(&bin_dir(&state_dir))?;
        Ok(Self {
            state_dir,
            shim,
            cgroups,
        })
    }

    /// The runtime of a state directory that is to go, for [`Runtime::sweep`] alone: makes no directory and extracts no shim,
    /// so that a full disk does not keep what is to go.
    pub fn to_sweep(config: RuntimeConfig) -> Result<Self, RuntimeError> {
        let state_dir = config.state_dir.canonicalize().at("resolve", &config.state_dir)?;
        Ok(Self {
            shim: bin_dir(&state_dir),
            cgroups: CgroupTree::new(checked(&config.cgroup_name)?),
            state_dir,
        })
    }

    /// A task's directory.
    pub fn task_dir(&self, task_id: &str) -> PathBuf {
        TaskDir::new(&self.state_dir, task_id).0
    }

    /// A container's log. See [`crate::read_log`].
    pub fn log_path(&self, task_id: &str, container: &str) -> PathBuf {
        TaskDir::new(&self.state_dir, task_id).log(container)
    }

    /// Starts a task; returns once every container without unmet dependencies has exec'd. After an error nothing of it
    /// runs; call [`Runtime::remove`] for its directory (not after `Invalid` and `Exists`).
    pub async fn start(&self, bundle: Bundle) -> Result<Task, StartError> {
        let task_id = bundle.task_id.clone();
        if let Some(problem) = problem_of(&bundle, &self.state_dir) {
            return Err(StartError::Invalid { task_id, problem });
        }
        let task = self.handle(&task_id);
        match fs::DirBuilder::new().mode(0o700).create(&task.dir.0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(StartError::Exists { task_id }),
            Err(source) => {
                return Err(RuntimeError::File {
                    doing: "create",
                    path: task.dir.0,
                    source,
                }
                .into());
            }
        }
        let file = ShimTask {
            protocol: PROTOCOL,
            cgroup: self.cgroups.path(&task_id),
            bundle,
        };
        // The environment of containers is in it: for root only.
        write_private(
            &task.dir.task_file(),
            &serde_json::to_vec(&file)
                .map_err(io::Error::other)
                .at("encode", "task.json")?,
        )?;
        match self.run_shim(&task).await? {
            StartOutcome::Started(_) => Ok(task),
            StartOutcome::Failed(failure) => Err(StartError::Container(failure)),
        }
    }

    async fn run_shim(&self, task: &Task) -> Result<StartOutcome, RuntimeError> {
        let spawn_failed = |source| RuntimeError::Spawn {
            path: self.shim.clone(),
            source,
        };
        // Where a shim's last words would be, should it ever panic.
        let complaints = task.dir.complaints();
        let complaints = fs::File::create(&complaints).at("create", complaints)?;
        let mut child = Command::new(&self.shim)
            .arg("run")
            .arg(&task.dir.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(complaints)
            .env_clear()
            .spawn()
            .map_err(spawn_failed)?;
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| spawn_failed(io::Error::other("no standard output")))?;
        let mut text = Vec::new();
        let mut limited = stdout.take(OUTCOME_BYTES_MAX);
        let read = timeout(Duration::from_secs(START_S_MAX), limited.read_to_end(&mut text)).await;
        // The process that we spawned has forked the shim and ended.
        let _status = child.wait().await.map_err(spawn_failed)?;
        match read {
            Ok(read) => read.map_err(spawn_failed)?,
            Err(_) => {
                self.kill_shim(&task.dir).await;
                return Err(RuntimeError::Silent {
                    task_id: task.id.clone(),
                    limit_s: START_S_MAX,
                });
            }
        };
        serde_json::from_slice(&text).map_err(|error| {
            let text = String::from_utf8_lossy(&text).into_owned();
            spawn_failed(io::Error::other(format!("it answered `{text}` ({error})")))
        })
    }

    /// Every task that has a directory, running or not. What a dead shim left behind is killed; directories stay.
    pub async fn adopt(&self) -> Result<Vec<Adopted>, RuntimeError> {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let mut adopted = Vec::new();
        for task_id in self.task_ids()? {
            adopted.push(self.adopt_one(&task_id, boot_id.trim()).await?);
        }
        Ok(adopted)
    }

    async fn adopt_one(&self, task_id: &str, boot_id: &str) -> Result<Adopted, RuntimeError> {
        let task = self.handle(task_id);
        if shim_is_alive(&task.dir) {
            // A shim that is just ending gives its final state here.
            return match task.status().await {
                Ok(status) if status.ended() => Ok(Adopted::Ended(status)),
                Ok(_) => Ok(Adopted::Running(task)),
                Err(RuntimeError::Lost { reason, .. }) => self.lost(task_id, reason, None).await,
                Err(other) => Err(other),
            };
        }
        match read_status(&task.dir) {
            Ok(status) if status.ended() => Ok(Adopted::Ended(status)),
            Ok(status) if status.boot_id != boot_id => {
                self.lost(task_id, "the machine was started anew".into(), Some(status))
                    .await
            }
            Ok(status) => {
                self.lost(
                    task_id,
                    format!("its shim (pid {}) died", status.shim_pid),
                    Some(status),
                )
                .await
            }
            Err(_) => self.lost(task_id, "its shim died while it started".into(), None).await,
        }
    }

    async fn lost(&self, task_id: &str, reason: String, last: Option<TaskStatus>) -> Result<Adopted, RuntimeError> {
        self.destroy_cgroup(task_id).await?;
        Ok(Adopted::Lost {
            task_id: task_id.to_string(),
            reason,
            last,
        })
    }

    /// A handle on a task that has a directory.
    pub fn task(&self, task_id: &str) -> Result<Task, RuntimeError> {
        let task = self.handle(task_id);
        if !name_is_valid(task_id, TASK_ID_CHARS_MAX) || !task.dir.0.is_dir() {
            return Err(RuntimeError::NoSuchTask {
                task_id: task_id.to_string(),
            });
        }
        Ok(task)
    }

    /// Removes a task: whatever runs of it is killed at once, its cgroups and its directory (logs, upper layers) go.
    /// Nothing to do when it is not there.
    pub async fn remove(&self, task_id: &str) -> Result<(), RuntimeError> {
        if !name_is_valid(task_id, TASK_ID_CHARS_MAX) {
            return Err(RuntimeError::NoSuchTask {
                task_id: task_id.to_string(),
            });
        }
        let task = self.handle(task_id);
        self.kill_shim(&task.dir).await;
        self.destroy_cgroup(task_id).await?;
        let dir = task.dir.0.clone();
        let removed = blocking(move || fs::remove_dir_all(&dir)).await;
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", task.dir.0),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes everything of this runtime's: tasks, shims, cgroups. The state directory itself stays.
    pub async fn sweep(&self) -> Result<Swept, RuntimeError> {
        let mut swept = Swept::default();
        let mut ids = self.task_ids()?;
        ids.extend(self.cgroups.tasks());
        ids.sort();
        ids.dedup();
        // Shims first: one whose directory is gone still holds its cgroup.
        swept.shims = kill_strays(&bin_dir(&self.state_dir), &tasks_dir(&self.state_dir));
        for task_id in ids {
            match self.remove(&task_id).await {
                Ok(()) => swept.tasks.push(task_id),
                Err(error) => swept.failed.push(format!("task {task_id}: {error}")),
            }
        }
        if let Err(error) = self.destroy_cgroup("").await {
            swept.failed.push(error.to_string());
        }
        Ok(swept)
    }

    fn handle(&self, task_id: &str) -> Task {
        let dir = TaskDir::new(&self.state_dir, task_id);
        Task {
            id: task_id.to_string(),
            dir,
            cgroups: self.cgroups.clone(),
        }
    }

    fn task_ids(&self) -> Result<Vec<String>, RuntimeError> {
        let tasks = tasks_dir(&self.state_dir);
        let mut ids = Vec::new();
        let entries = match fs::read_dir(&tasks) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ids),
            Err(error) => return Err(error).at("list", tasks),
        };
        for entry in entries {
            let entry = entry.at("list", &tasks)?;
            if let Some(id) = entry
                .file_name()
                .to_str()
                .filter(|id| name_is_valid(id, TASK_ID_CHARS_MAX))
            {
                ids.push(id.to_string());
            }
        }
        ids.sort();
        Ok(ids)
    }

    async fn destroy_cgroup(&self, below: &str) -> Result<(), RuntimeError> {
        let (cgroups, below) = (self.cgroups.clone(), below.to_string());
        match spawn_blocking(move || cgroups.destroy(&below)).await {
            Ok(result) => result,
            Err(error) => Err(io::Error::other(error)).at("remove", "cgroup"),
        }
    }

    /// Kills the shim of a task directory, if it lives, and waits until it is dead.
    async fn kill_shim(&self, dir: &TaskDir) {
        for _ in 0..DEATH_MS_MAX / 2 {
            if !shim_is_alive(dir) {
                return;
            }
            if let Some(pid) = lock_holder(dir) {
                let _gone = kill_process(pid, Signal::KILL);
            }
            sleep(Duration::from_millis(2)).await;
        }
    }
}

fn checked(cgroup_name: &str) -> Result<&str, RuntimeError> {
    if name_is_valid(cgroup_name, TASK_ID_CHARS_MAX) {
        return Ok(cgroup_name);
    }
    let source = io::Error::other("a cgroup name is 1 to 64 of [A-Za-z0-9_-]");
    Err(source).at("use the cgroup name", cgroup_name)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

fn write_private(path: &Path, data: &[u8]) -> Result<(), RuntimeError> {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .at("create", path)?;
    io::Write::write_all(&mut file, data).at("write", path)
}

/// Whether a shim holds the task's lock.
pub(crate) fn shim_is_alive(dir: &TaskDir) -> bool {
    let Ok(file) = fs::File::open(dir.lock_file()) else {
        return false;
    };
    flock(&file, FlockOperation::NonBlockingLockShared).is_err()
}

/// The shim's process id: it writes it into its lock file. Only meaningful while the lock is held.
fn lock_holder(dir: &TaskDir) -> Option<Pid> {
    Pid::from_raw(fs::read_to_string(dir.lock_file()).ok()?.trim().parse().ok()?)
}

/// The state that the shim wrote last.
pub(crate) fn read_status(dir: &TaskDir) -> Result<TaskStatus, RuntimeError> {
    let path = dir.status_file();
    let text = fs::read(&path).at("read", &path)?;
    serde_json::from_slice(&text)
        .map_err(io::Error::from)
        .at("decode", path)
}

/// Kills processes that run one of our shims for a task directory that is no longer there.
fn kill_strays(bin: &Path, tasks: &Path) -> u32 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let mut killed = 0;
    for entry in entries.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
            .and_then(Pid::from_raw)
        else {
            continue;
        };
        let Ok(program) = fs::read_link(entry.path().join("exe")) else {
            continue;
        };
        let ours = program.parent() == Some(bin);
        let arguments = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        let task_dir = arguments.split('\0').nth(2).unwrap_or_default();
        let stray = Path::new(task_dir).starts_with(tasks) && !Path::new(task_dir).exists();
        if ours && stray && kill_process(pid, Signal::KILL).is_ok() {
            killed += 1;
        }
    }
    killed
}
