//! What a task shall be.

use super::network::TaskNetwork;
use honmaru_base::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a task's specification asks of the node at this moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskGoal {
    /// It shall run.
    Run,
    /// It shall stop: SIGTERM, the containers' stop time-outs, SIGKILL.
    Stop,
}

/// A task to run. Fixed once sent, but for `goal` and `network.security_groups`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// The 32 hexadecimal digits.
    pub task_id: String,
    /// Its ARN.
    pub task_arn: String,
    /// Run or stop.
    pub goal: TaskGoal,
    /// The cluster's ARN, for task metadata.
    pub cluster: String,
    /// The task definition's family, for task metadata.
    pub family: String,
    /// The task definition's revision, for task metadata.
    pub revision: u32,
    /// The availability zone, for task metadata.
    pub availability_zone: String,
    /// The region, for `AWS_REGION`.
    pub region: String,
    /// `FARGATE` or `EC2`, for task metadata.
    pub launch_type: String,
    /// CPU units of the whole task: 1,024 are one vCPU; nothing: no limit.
    pub cpu_units: Option<u32>,
    /// Memory of the whole task; nothing: no limit.
    pub memory_mib: Option<u32>,
    /// Its interface, or nothing for network mode `none`.
    pub network: Option<TaskNetwork>,
    /// The name of the service that started it, for task metadata.
    #[serde(default)]
    pub service: Option<String>,
    /// Whether the task has a role: then containers get `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`.
    pub task_role: bool,
    /// The containers, in the order of the task definition.
    pub containers: Vec<ContainerSpec>,
    /// The volumes that containers mount.
    pub volumes: Vec<VolumeSpec>,
    /// The task's tags, for task metadata.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// In the registry of this cloud: its blobs lie in the shared store.
    Local {
        /// Digest of the manifest for this platform (not of an index).
        manifest_digest: String,
    },
    /// In another registry, to be pulled from there.
    Remote {
        /// The reference, for example `docker.io/library/nginx:1.27`.
        reference: String,
        /// `Basic` credentials as `user:password`.
        credentials: Option<String>,
    },
}

/// One container of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Its name in the task definition.
    pub name: String,
    /// The image as the task definition names it.
    pub image: String,
    /// Where the image is.
    pub source: ImageSource,
    /// Whether the task ends with it.
    pub essential: bool,
    /// CPU units (shares) of this container; 0: none given.
    pub cpu_units: u32,
    /// Hard memory limit.
    pub memory_mib: Option<u32>,
    /// Soft memory limit.
    pub memory_reservation_mib: Option<u32>,
    /// Replaces the image's entry point.
    pub entry_point: Option<Vec<String>>,
    /// Replaces the image's command.
    pub command: Option<Vec<String>>,
    /// Environment variables, in order; added to the image's.
    pub environment: Vec<(String, String)>,
    /// Replaces the image's working directory.
    pub working_directory: Option<String>,
    /// Replaces the image's user: `user`, `user:group`, `uid`, `uid:gid`.
    pub user: Option<String>,
    /// Whether the root file system is read-only.
    pub readonly_root_filesystem: bool,
    /// Whether a terminal is allocated.
    pub pseudo_terminal: bool,
    /// Whether an init process reaps inside the container.
    pub init_process_enabled: bool,
    /// Capabilities to add to the default set.
    pub capabilities_add: Vec<String>,
    /// Capabilities to drop; `ALL` drops all.
    pub capabilities_drop: Vec<String>,
    /// Resource limits: name (`nofile`), soft, hard.
    pub ulimits: Vec<(String, u64, u64)>,
    /// Kernel parameters of the task's namespaces.
    pub sysctls: Vec<(String, String)>,
    /// tmpfs mounts: path, size in MiB, mount options.
    pub tmpfs: Vec<(String, u32, Vec<String>)>,
    /// Size of /dev/shm.
    pub shared_memory_mib: Option<u32>,
    /// Where volumes are mounted.
    pub mounts: Vec<MountSpec>,
    /// Other containers that must reach a condition first: name, condition.
    pub depends_on: Vec<(String, DependencyCondition)>,
    /// Seconds that dependencies have to reach their condition.
    pub start_timeout_s: Option<u32>,
    /// Seconds from SIGTERM to SIGKILL.
    pub stop_timeout_s: u32,
    /// The container's own health check.
    pub health_check: Option<HealthCheck>,
    /// Ports the container listens on (task metadata and diagnosis).
    pub ports: Vec<u16>,
    /// Where its output goes.
    pub log: LogTarget,
    /// Labels.
    pub docker_labels: BTreeMap<String, String>,
    /// Its restart policy.
    pub restart: Option<RestartPolicy>,
}

/// When a container of a running task is started again. Ref: ECS `ContainerRestartPolicy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// Exit codes after which it is not restarted.
    pub ignored_exit_codes: Vec<i32>,
    /// Seconds that it must have run before it may be restarted; 60 to 1,800.
    pub restart_attempt_period_s: u32,
}

/// Ref: ECS `ContainerDependency.condition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyCondition {
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// The command and its arguments, without `CMD`; `CMD-SHELL` becomes `/bin/sh -c`.
    pub command: Vec<String>,
    /// Seconds between checks; 5 to 300.
    pub interval_s: u32,
    /// Seconds until a check counts as failed; 2 to 60.
    pub timeout_s: u32,
    /// Failures in a row until UNHEALTHY; 1 to 10.
    pub retries: u32,
    /// Seconds in which failures do not count; 0 to 300.
    pub start_period_s: u32,
}

/// Where a container's output goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogTarget {
    /// Kept on the node only.
    Local,
    /// To a log stream of CloudWatch Logs (`awslogs`).
    Stream {
        /// The account whose log group it is.
        account: String,
        /// The region of the log group.
        region: String,
        /// The log group's name.
        group: String,
        /// The log stream's name.
        stream: String,
    },
}

/// A volume mounted into a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MountSpec {
    /// The volume's name.
    pub volume: String,
    /// Where, inside the container.
    pub container_path: String,
    /// Whether it is read-only.
    pub read_only: bool,
}

/// A volume of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// Its name.
    pub name: String,
    /// A directory of the host: refused by nodes. Nothing: one that lives and dies with the task.
    pub host_path: Option<String>,
}

/// Credentials of a task's role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskCredentials {
    /// The task's ARN.
    pub task_arn: String,
    /// Whether these are the execution role's.
    pub execution_role: bool,
    /// The role's ARN.
    pub role_arn: String,
    /// `ASIA...`.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
    /// The session token.
    pub token: String,
    /// When they end.
    pub expiration: Time,
    /// Why there are none.
    pub error: Option<String>,
}
