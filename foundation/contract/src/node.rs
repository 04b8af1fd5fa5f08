//! Control and node: tasks that shall run, tasks that do run, security groups, exec sessions, logs, credentials.

use crate::Base64;
use honmaru_base::Time;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Control to node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToNode {
    /// The whole desired state. What is not in it shall not run.
    Desired(Box<NodeDesired>),
    /// A part of it: tasks to add or change, ids to forget. Sent after a whole one on the same connection.
    Delta(Box<NodeDelta>),
    /// The answer to [`FromNode::CredentialsWanted`].
    Credentials(TaskCredentials),
    /// Log events up to and including this sequence number are stored.
    LogsStored {
        /// The number of [`FromNode::Logs`].
        sequence: u64,
    },
    /// Opens an exec session in a container.
    ExecOpen(ExecOpen),
    /// Input for an exec session.
    ExecInput {
        /// The session.
        session: String,
        /// Bytes for standard input; empty closes it.
        data: Base64,
    },
    /// A new terminal size.
    ExecResize {
        /// The session.
        session: String,
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// Ends an exec session and kills its process.
    ExecClose {
        /// The session.
        session: String,
    },
}

/// Node to control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromNode {
    /// The first message.
    Hello(crate::Hello),
    /// What the machine has, and every task that it knows; sent after `Hello` and whenever asked.
    Observed(Box<NodeObserved>),
    /// One task changed.
    Task(Box<TaskObserved>),
    /// A container log grew. Control answers `LogsStored` once the events are durable.
    Logs(Box<LogBatch>),
    /// What the tasks of [`NodeDesired::usage`] use: one message for all of them, at every interval.
    Usage(Box<UsageReport>),
    /// A container asked for its role's credentials.
    CredentialsWanted {
        /// The task's ARN.
        task_arn: String,
        /// Whether the execution role (image, logs) or the task role is wanted.
        execution_role: bool,
    },
    /// Output of an exec session.
    ExecOutput {
        /// The session.
        session: String,
        /// Whether it is standard error.
        stderr: bool,
        /// The bytes.
        data: Base64,
    },
    /// An exec session is over.
    ExecExited {
        /// The session.
        session: String,
        /// The exit code, or nothing when the process never started.
        exit_code: Option<i32>,
        /// Why it never started.
        error: Option<String>,
    },
    /// The desired state was refused, because a newer generation was seen.
    Stale {
        /// The newest generation seen.
        generation_seen: u64,
    },
}

/// Everything that shall be on the node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeDesired {
    /// Grows with every change; survives restarts of control.
    pub generation: u64,
    /// The tasks by id.
    pub tasks: BTreeMap<String, TaskSpec>,
    /// The security groups by id.
    pub security_groups: BTreeMap<String, SecurityGroup>,
    /// The VPCs by id.
    pub vpcs: BTreeMap<String, Vpc>,
    /// Addresses (/32) that load balancers of this host own, with the security groups that they are members of.
    pub host_addresses: BTreeMap<Ipv4Addr, HostAddress>,
    /// Names that the VPC's resolver answers, lower case, without a final dot, to addresses.
    pub dns: BTreeMap<String, Vec<Ipv4Addr>>,
    /// Whose use of the machine is to be reported.
    #[serde(default)]
    pub usage: UsageWanted,
}

/// Whose use of the machine a node reports, and how often. Without clusters nothing is measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageWanted {
    /// The ARNs of the clusters whose tasks are meant.
    pub clusters: BTreeSet<String>,
    /// Milliseconds between two reports; 0 counts as a minute.
    pub interval_ms: u64,
}

/// A change to [`NodeDesired`]. Every field that is present replaces the whole of that part, but for tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeDelta {
    /// The new generation.
    pub generation: u64,
    /// Tasks that are new or changed.
    #[serde(default)]
    pub tasks: BTreeMap<String, TaskSpec>,
    /// Tasks that are gone from the desired state: stop, clean up, forget.
    #[serde(default)]
    pub forget: Vec<String>,
    /// All security groups, when one changed.
    #[serde(default)]
    pub security_groups: Option<BTreeMap<String, SecurityGroup>>,
    /// All VPCs, when one changed.
    #[serde(default)]
    pub vpcs: Option<BTreeMap<String, Vpc>>,
    /// All load balancer addresses, when one changed.
    #[serde(default)]
    pub host_addresses: Option<BTreeMap<Ipv4Addr, HostAddress>>,
    /// All names, when one changed.
    #[serde(default)]
    pub dns: Option<BTreeMap<String, Vec<Ipv4Addr>>>,
    /// Whose use is to be reported, when that changed.
    #[serde(default)]
    pub usage: Option<UsageWanted>,
}

/// A VPC as the node needs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    /// The address range, for example `172.31.0.0/16`.
    pub cidr: String,
}

/// An address on the host's loopback interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostAddress {
    /// What it belongs to, for example a load balancer's ARN.
    pub owner: String,
    /// The groups whose rules may name it as a source and whose ingress rules protect it.
    pub security_groups: Vec<String>,
}

/// A security group with all its rules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Its VPC.
    pub vpc_id: String,
    /// What may come in.
    pub ingress: Vec<SecurityRule>,
    /// What may go out.
    pub egress: Vec<SecurityRule>,
}

/// One rule: protocol, ports, and one peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecurityRule {
    /// What it lets through.
    pub protocol: Protocol,
    /// First and last port for TCP and UDP, ICMP type and code for ICMP (-1: any); nothing: all.
    pub ports: Option<(i32, i32)>,
    /// The other side.
    pub peer: Peer,
}

/// An IP protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Every protocol (`-1`).
    All,
    /// TCP, 6.
    Tcp,
    /// UDP, 17.
    Udp,
    /// ICMP, 1.
    Icmp,
    /// Another protocol by its IANA number.
    Number(u8),
}

/// The other side of a security group's rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// An address range.
    Cidr(String),
    /// The members of a group.
    Group(String),
}

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

/// A task's interface in awsvpc mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskNetwork {
    /// Its address.
    pub address: Ipv4Addr,
    /// The subnet's range.
    pub subnet_cidr: String,
    /// The VPC.
    pub vpc_id: String,
    /// The VPC's resolver.
    pub dns: Ipv4Addr,
    /// The interface's MAC address.
    pub mac: String,
    /// The groups that protect it.
    pub security_groups: Vec<String>,
    /// Whether the task may reach addresses outside the VPC (masquerade). AWS: a public address or a NAT gateway.
    pub egress: bool,
    /// Ports published on the host: `127.0.0.1:host_port` to the task's port.
    #[serde(default)]
    pub published: Vec<PublishedPort>,
}

/// A port of the task that the host publishes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// On the host.
    pub host_port: u16,
    /// In the task.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
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

/// What is on the node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeObserved {
    /// CPU units of the machine: 1,024 for each processor.
    pub cpu_units: u32,
    /// Memory of the machine.
    pub memory_mib: u32,
    /// The boot id: another one means that nothing of before runs.
    pub boot_id: String,
    /// Every task that the node knows, running or not yet forgotten.
    pub tasks: Vec<TaskObserved>,
    /// The newest generation applied.
    pub generation: u64,
}

/// How far a task is on the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskPhase {
    /// The network and the images are being prepared.
    Preparing,
    /// All containers that can run are running.
    Running,
    /// It is being stopped.
    Stopping,
    /// Nothing of it runs any more; its network is removed.
    Stopped {
        /// Why.
        reason: StopReason,
    },
}

/// Why a task ended on the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "detail")]
pub enum StopReason {
    /// It was asked to stop.
    Asked,
    /// An essential container ended.
    EssentialContainerExited,
    /// An image could not be had: the whole text, starting with `CannotPullContainerError: `.
    CannotPull(String),
    /// A container could not be started: the whole text, starting with its ECS error name.
    CannotStart(String),
    /// The network could not be made.
    Network(String),
    /// The shim or the machine went away under it.
    Lost(String),
}

/// A container's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerPhase {
    /// Not started yet.
    Pending,
    /// Running.
    Running {
        /// Since when.
        started_at: Time,
        /// The process id on the host.
        pid: u32,
    },
    /// Ended, or never started.
    Stopped {
        /// The exit code, when there was a process.
        exit_code: Option<i32>,
        /// `OutOfMemoryError: ...`, `CannotStartContainerError: ...`, or nothing.
        reason: Option<String>,
        /// When it started, if it did.
        started_at: Option<Time>,
        /// When it ended.
        stopped_at: Time,
    },
}

/// A container's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// No check, or none finished yet.
    Unknown,
    /// The last check passed.
    Healthy,
    /// The checks failed.
    Unhealthy,
}

/// What the node sees of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerObserved {
    /// Its name.
    pub name: String,
    /// Its state.
    pub phase: ContainerPhase,
    /// Its health.
    pub health: Health,
    /// The manifest digest of its image, once known.
    pub image_digest: Option<String>,
    /// The runtime's id of it.
    pub runtime_id: String,
    /// How often it was restarted.
    #[serde(default)]
    pub restarts: u32,
}

/// What the node sees of one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskObserved {
    /// The task.
    pub task_id: String,
    /// How far it is.
    pub phase: TaskPhase,
    /// Its containers.
    pub containers: Vec<ContainerObserved>,
    /// When pulling began and ended.
    pub pull_started_at: Option<Time>,
    /// See `pull_started_at`.
    pub pull_stopped_at: Option<Time>,
    /// Ports that containers declare but nobody outside of the task can reach, while they run.
    #[serde(default)]
    pub silent_ports: Vec<u16>,
    /// What the task listens on instead, while there are silent ports: says why they are silent.
    #[serde(default)]
    pub listening: Vec<Listener>,
}

/// A TCP socket that listens in a task's network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listener {
    /// Whether it listens on a loopback address: for the task itself only.
    pub loopback: bool,
    /// Its port.
    pub port: u16,
}

/// What tasks of a node use at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageReport {
    /// When it was measured.
    pub at: Time,
    /// The tasks that run.
    pub tasks: Vec<TaskUsage>,
}

/// What a running task uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskUsage {
    /// The task.
    pub task_id: String,
    /// Its running containers.
    pub containers: Vec<ContainerUsage>,
    /// Its interface's counters; nothing for a task without network.
    pub network: Option<NetworkUsage>,
}

/// What a running container uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerUsage {
    /// Its name.
    pub name: String,
    /// CPU units since the report before, on average: 1,024 are one vCPU.
    pub cpu_units: f64,
    /// Memory without page cache that can be given back at once.
    pub memory_bytes: u64,
    /// Bytes read from storage since its start.
    pub storage_read_bytes: u64,
    /// Bytes written to storage since its start.
    pub storage_write_bytes: u64,
}

/// The counters of a task's interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkUsage {
    /// What came in.
    pub rx: NetworkCounters,
    /// What went out.
    pub tx: NetworkCounters,
    /// Bytes that came in each second since the report before, on average.
    pub rx_bytes_per_s: f64,
    /// Bytes that went out each second since the report before, on average.
    pub tx_bytes_per_s: f64,
}

/// One direction of an interface, counted since it exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkCounters {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Errors.
    pub errors: u64,
    /// Packets that were dropped.
    pub dropped: u64,
}

/// Opens an exec session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecOpen {
    /// Chosen by control.
    pub session: String,
    /// The task.
    pub task_id: String,
    /// The container's name.
    pub container: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// The terminal's size.
    pub cols: u16,
    /// The terminal's size.
    pub rows: u16,
}

/// Log lines of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogBatch {
    /// Grows by one with every batch of this node; the acknowledgement names it.
    pub sequence: u64,
    /// The task.
    pub task_id: String,
    /// The container.
    pub container: String,
    /// The account whose log group it is.
    pub account: String,
    /// The region of the log group.
    pub region: String,
    /// The log group's name.
    pub group: String,
    /// The log stream's name.
    pub stream: String,
    /// The lines.
    pub events: Vec<LogEvent>,
    /// Where in the container's log this batch ends: a repeated batch has the same and is stored once.
    pub offset: u64,
}

/// One log line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEvent {
    /// When it was written.
    pub at: Time,
    /// The text without its newline.
    pub message: String,
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
