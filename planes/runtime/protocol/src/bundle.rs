//! A task as the shim needs it: everything is resolved, nothing is fetched or looked up outside the image.

use serde::{Deserialize, Serialize};

/// What the runtime writes for the shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimTask {
    /// [`crate::PROTOCOL`] of the writer.
    pub protocol: u32,
    /// The task's cgroup, relative to the hierarchy's root: `<cgroup name>/<task id>`.
    pub cgroup: String,
    /// The task.
    pub bundle: Bundle,
}

/// A task to start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bundle {
    /// Names its directory, cgroup and shim: 1 to 64 of `[A-Za-z0-9_-]`.
    pub task_id: String,
    /// The host ids that the task's user namespace maps 0.. to; nothing: no user namespace (root is the host's root).
    pub user_namespace: Option<IdRange>,
    /// Limits of the whole task.
    pub limits: TaskLimits,
    /// Path of the task's network namespace (a bind mount); nothing: a new one with `lo` only.
    pub network_namespace: Option<String>,
    /// The host name inside; empty: the task id.
    pub hostname: String,
    /// The text of `/etc/resolv.conf`; nothing: the image's own.
    pub resolv_conf: Option<String>,
    /// The text of `/etc/hosts`; nothing: `localhost` and the host name.
    pub hosts: Option<String>,
    /// The containers, in the order of the task definition.
    pub containers: Vec<Container>,
}

/// A range of host user and group ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The first host id: it is root inside.
    pub base: u32,
    /// How many, normally 65,536.
    pub size: u32,
}

/// Limits of a whole task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskLimits {
    /// CPU units: 1,024 are one vCPU. A hard quota, and the task's weight.
    pub cpu_units: Option<u32>,
    /// Memory, hard.
    pub memory_bytes: Option<u64>,
    /// Most processes and threads.
    pub pids: Option<u32>,
}

/// Limits of one container within its task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerLimits {
    /// CPU units as a weight against the task's other containers; 0: the least.
    pub cpu_units: u32,
    /// Memory, hard.
    pub memory_bytes: Option<u64>,
    /// Memory, soft.
    pub memory_reservation_bytes: Option<u64>,
    /// Most processes and threads.
    pub pids: Option<u32>,
}

/// One container of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Container {
    /// Its name: 1 to 255 of `[A-Za-z0-9_-]`, unique in the task.
    pub name: String,
    /// Whether the task ends with it.
    pub essential: bool,
    /// The whole command: entry point and command. The first is looked up in PATH when it has no slash.
    pub args: Vec<String>,
    /// The environment. PATH, HOSTNAME and HOME are added when missing, TERM with a terminal.
    pub env: Vec<(String, String)>,
    /// The working directory; created when missing. Nothing: `/`.
    pub working_directory: Option<String>,
    /// `user`, `user:group`, `uid`, `uid:gid`, resolved in the image's own passwd and group. Nothing: root.
    pub user: Option<String>,
    /// Directories of unpacked layers, absolute, lowest first. Upper and work lie in the task's directory.
    pub layers: Vec<String>,
    /// Whether the root file system is read-only.
    pub readonly_root: bool,
    /// Whether the command gets a terminal; its output is then one stream.
    pub pseudo_terminal: bool,
    /// Whether a reaper of the shim's is process 1 and the command its child.
    pub init_process: bool,
    /// Capabilities to add to the default set: `NET_ADMIN`, `CAP_NET_ADMIN` or `ALL`.
    pub capabilities_add: Vec<String>,
    /// Capabilities to drop; `ALL` drops all.
    pub capabilities_drop: Vec<String>,
    /// Resource limits; clamped to the shim's own hard limits.
    pub ulimits: Vec<Ulimit>,
    /// Namespaced kernel parameters: `net.*`, `kernel.shm*`, `kernel.msg*`, `kernel.sem`, `fs.mqueue.*`.
    pub sysctls: Vec<(String, String)>,
    /// tmpfs mounts.
    pub tmpfs: Vec<Tmpfs>,
    /// Size of `/dev/shm` in MiB; nothing: 64.
    pub shm_mib: Option<u32>,
    /// Volumes and single files.
    pub binds: Vec<Bind>,
    /// Directories of the root that stay writable where it is read-only, with what is in them; created when missing.
    pub writable_dirs: Vec<String>,
    /// Its limits.
    pub limits: ContainerLimits,
    /// What must be so before it starts.
    pub depends_on: Vec<Dependency>,
    /// Seconds that *this* container, once started, has to reach the condition that others wait for. Nothing: for ever.
    pub start_timeout_s: Option<u32>,
    /// Seconds from the stop signal to SIGKILL; nothing: 30.
    pub stop_timeout_s: Option<u32>,
    /// The image's StopSignal: `SIGQUIT`, `QUIT` or `3`. Nothing: SIGTERM.
    pub stop_signal: Option<String>,
    /// Its health check.
    pub health_check: Option<HealthCheck>,
    /// Its restart policy.
    pub restart: Option<RestartPolicy>,
}

/// A resource limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile`, `nproc`, ... Ref: ECS `Ulimit.name`.
    pub name: String,
    /// The soft limit.
    pub soft: u64,
    /// The hard limit.
    pub hard: u64,
}

/// A tmpfs mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Where, inside the container.
    pub path: String,
    /// Its size.
    pub size_mib: u32,
    /// Mount options: `ro`, `noexec`, `nosuid`, `mode=1777`, ... Unknown ones fail the start.
    pub options: Vec<String>,
}

/// A directory or file of the host inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// On the host, absolute; must exist.
    pub source: String,
    /// Inside; created when missing; never resolved outside the container's root.
    pub target: String,
    /// Whether it is read-only.
    pub read_only: bool,
}

/// When a container may start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The other container.
    pub container: String,
    /// What it must have reached.
    pub condition: Condition,
}

/// Ref: ECS `ContainerDependency.condition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Started.
    Start,
    /// Ran to its end.
    Complete,
    /// Ran to its end with exit code 0.
    Success,
    /// Passed its health check.
    Healthy,
}

/// A container's health check. Ref: ECS `HealthCheck`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// The command and its arguments, without `CMD`; `CMD-SHELL text` is `/bin/sh -c text`.
    pub command: Vec<String>,
    /// Milliseconds from the end of one check to the next.
    pub interval_ms: u64,
    /// Milliseconds until a check is killed and counts as failed.
    pub timeout_ms: u64,
    /// Failures in a row until unhealthy.
    pub retries: u32,
    /// Milliseconds in which failures do not count, until the first success.
    pub start_period_ms: u64,
}

/// When a container is started again. Ref: ECS `ContainerRestartPolicy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// Exit codes after which it is not.
    pub ignored_exit_codes: Vec<i32>,
    /// Milliseconds that it must have run.
    pub attempt_period_ms: u64,
}
