//! A task: one run of a task definition, from PROVISIONING to STOPPED.

use super::{AwsVpcConfiguration, KeyValue, Tag};
use honmaru_base::Time;
use honmaru_contract::node::{Health, ImageSource, Listener};
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Where a task is in its life. Ref: ECS developer guide, "Task lifecycle". The order is that of the life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LastStatus {
    /// Waits for its node, interface and images.
    Provisioning,
    /// Its node shall start it.
    Pending,
    /// Its containers run; it is being registered with its target groups.
    Activating,
    /// It runs.
    Running,
    /// It was deregistered from its target groups and finishes its requests.
    Deactivating,
    /// Its containers are being stopped.
    Stopping,
    /// Its interface is being given back.
    Deprovisioning,
    /// Nothing of it is left.
    Stopped,
}

impl LastStatus {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }

    /// Whether the task's node must know it.
    pub fn is_on_node(self) -> bool {
        (Self::Pending..=Self::Stopping).contains(&self)
    }
}

/// Ref: ECS `TaskStopCode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCode {
    /// It never ran.
    TaskFailedToStart,
    /// One of its essential containers ended.
    EssentialContainerExited,
    /// StopTask.
    UserInitiated,
    /// Its service did not want it any more.
    ServiceSchedulerInitiated,
    /// Its node went away.
    TerminationNotice,
}

impl StopCode {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TaskFailedToStart => "TaskFailedToStart",
            Self::EssentialContainerExited => "EssentialContainerExited",
            Self::UserInitiated => "UserInitiated",
            Self::ServiceSchedulerInitiated => "ServiceSchedulerInitiated",
            Self::TerminationNotice => "TerminationNotice",
        }
    }
}

/// Why and since when a task's desired status is STOPPED.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// The code.
    pub code: StopCode,
    /// `stoppedReason`.
    pub reason: String,
    /// Since when.
    pub at: Time,
}

/// A task; its key is the id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its cluster's name.
    pub cluster: String,
    /// The task definition's family.
    pub family: String,
    /// The task definition's revision.
    pub revision: u32,
    /// `family:...`, `service:...` or the caller's.
    pub group: String,
    /// Its service's name.
    pub service: Option<String>,
    /// The deployment that started it, or the caller's text.
    pub started_by: Option<String>,
    /// `FARGATE` or `EC2`.
    pub launch_type: String,
    /// Its capacity provider.
    pub capacity_provider: Option<String>,
    /// CPU units of the whole task, if it is limited.
    pub cpu: Option<u32>,
    /// MiB of the whole task, if it is limited.
    pub memory: Option<u32>,
    /// What placement reserves for it: CPU units, MiB.
    pub reserved: (u32, u32),
    /// What differs from the task definition.
    pub overrides: TaskOverride,
    /// Subnets and groups.
    pub network: Option<AwsVpcConfiguration>,
    /// Whether commands may be executed in it.
    pub enable_execute_command: bool,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Where it is in its life.
    pub last_status: LastStatus,
    /// Set once its desired status is STOPPED.
    pub stop: Option<Stop>,
    /// The node that it was placed on.
    pub node: Option<String>,
    /// Its interface, once there is one.
    pub interface: Option<Interface>,
    /// Where the containers' images come from, once that is known.
    pub images: BTreeMap<String, ImageSource>,
    /// Its containers, in the task definition's order.
    pub containers: Vec<ContainerState>,
    /// The targets that it is registered as while it serves.
    pub targets: Vec<TaskTarget>,
    /// Whether its node has ever reported it.
    pub observed: bool,
    /// Whether its end was counted as its deployment's success or failure.
    pub accounted: bool,
    /// Grows with every change that the API shows.
    pub version: u64,
    /// Grows whenever what its node must know changes.
    pub spec_version: u64,
    /// When it was created.
    pub created_at: Time,
    /// When pulling began.
    pub pull_started_at: Option<Time>,
    /// When pulling ended.
    pub pull_stopped_at: Option<Time>,
    /// When it reached RUNNING.
    pub started_at: Option<Time>,
    /// When it left RUNNING on its way to the end.
    pub stopping_at: Option<Time>,
    /// When its containers had ended.
    pub execution_stopped_at: Option<Time>,
    /// When it reached STOPPED.
    pub stopped_at: Option<Time>,
    /// Until when scale-in and deployments spare it (UpdateTaskProtection).
    #[serde(default)]
    pub protected_until: Option<Time>,
    /// What it listens on while a port that it declares cannot be reached.
    #[serde(default)]
    pub listening: Vec<Listener>,
}

impl Task {
    /// Whether its desired status is RUNNING.
    pub fn is_wanted(&self) -> bool {
        self.stop.is_none()
    }

    /// Ref: ECS `desiredStatus`.
    pub fn desired_status(&self) -> &'static str {
        if self.is_wanted() { "RUNNING" } else { "STOPPED" }
    }

    /// The worst health of its containers, over those that have a check: `UNKNOWN` without any.
    pub fn health(&self) -> Health {
        let mut health = Health::Unknown;
        for container in self.containers.iter().filter(|c| c.essential && c.checked) {
            match container.health {
                Health::Unhealthy => return Health::Unhealthy,
                Health::Unknown => return Health::Unknown,
                Health::Healthy => health = Health::Healthy,
            }
        }
        health
    }

    /// Whether any essential container has a health check.
    pub fn is_checked(&self) -> bool {
        self.containers.iter().any(|c| c.essential && c.checked)
    }
}

impl Resource for Task {
    const KIND: &'static str = "ecs.task";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add("cluster", self.cluster.clone());
        add(
            "definition",
            crate::names::task_definition_key(&self.family, self.revision),
        );
        if let Some(service) = &self.service {
            add("service", crate::names::service_key(&self.cluster, service));
        }
    }
}

/// Ref: ECS `TaskOverride`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskOverride {
    /// By container.
    pub container_overrides: Vec<ContainerOverride>,
    /// CPU units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// The role of the containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_role_arn: Option<String>,
    /// The role for images and logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_role_arn: Option<String>,
}

/// Ref: ECS `ContainerOverride`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerOverride {
    /// The container.
    pub name: String,
    /// Replaces the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Added to or replacing the environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<KeyValue>,
    /// CPU units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u32>,
    /// MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_reservation: Option<u32>,
}

/// A task's elastic network interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// `eni-...`.
    pub id: String,
    /// The attachment's id, a UUID.
    pub attachment_id: String,
    /// Its address.
    pub private_ip: Ipv4Addr,
    /// Its MAC address.
    pub mac: String,
    /// Its subnet.
    pub subnet_id: String,
    /// The subnet's range.
    pub subnet_cidr: String,
    /// The VPC.
    pub vpc_id: String,
    /// The VPC's resolver.
    pub dns: Ipv4Addr,
    /// The subnet's zone.
    pub availability_zone: String,
    /// The groups that protect it.
    pub security_groups: Vec<String>,
    /// Whether it reaches addresses outside the VPC.
    pub egress: bool,
}

/// A container of a task as far as it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerState {
    /// The UUID in its ARN.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its image as the task definition names it.
    pub image: String,
    /// Whether the task ends with it.
    pub essential: bool,
    /// Whether it has a health check.
    pub checked: bool,
    /// `PENDING`, `RUNNING` or `STOPPED`.
    pub last_status: String,
    /// Its exit code.
    pub exit_code: Option<i32>,
    /// Why it ended or never started.
    pub reason: Option<String>,
    /// Its health.
    pub health: Health,
    /// Its image's manifest digest.
    pub image_digest: Option<String>,
    /// The runtime's id.
    pub runtime_id: Option<String>,
}

/// A target group that a task registers with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskTarget {
    /// The target group's ARN.
    pub target_group_arn: String,
    /// The container that serves.
    pub container_name: String,
    /// Its port.
    pub port: u16,
    /// Whether it is registered at this moment.
    pub registered: bool,
    /// Since when it drains.
    pub deregistered_at: Option<Time>,
}
