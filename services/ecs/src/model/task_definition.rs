//! Task definitions: families and their revisions. A revision never changes but for its status and tags.

use super::{ContainerDefinition, Tag};
use honmaru_base::Time;
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A family's highest revision; its key is the family. It survives its revisions: numbers are never used again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Family {
    /// The last revision given out.
    pub last_revision: u32,
}

impl Resource for Family {
    const KIND: &'static str = "ecs.family";
}

/// Ref: ECS `TaskDefinitionStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Revision {
    /// Can be run.
    Active,
    /// Deregistered: what uses it goes on, nothing new may use it.
    Inactive,
    /// To be removed once nothing uses it.
    DeleteInProgress,
}

impl Revision {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::DeleteInProgress => "DELETE_IN_PROGRESS",
        }
    }
}

/// One revision; its key is [`crate::names::task_definition_key`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskDefinition {
    /// The family.
    pub family: String,
    /// The revision.
    pub revision: u32,
    /// Whether it can be used.
    pub status: Revision,
    /// Its containers.
    pub containers: Vec<ContainerDefinition>,
    /// CPU units of the whole task.
    pub cpu: Option<u32>,
    /// MiB of the whole task.
    pub memory: Option<u32>,
    /// `awsvpc`, `none`, `bridge`, `host`; nothing: `bridge`.
    pub network_mode: Option<String>,
    /// The role of the containers.
    pub task_role_arn: Option<String>,
    /// The role for images and logs.
    pub execution_role_arn: Option<String>,
    /// Its volumes.
    pub volumes: Vec<Volume>,
    /// `placementConstraints` of the API.
    pub placement_constraints: Vec<Value>,
    /// What the caller asked to be checked against.
    pub requires_compatibilities: Vec<String>,
    /// What it can run on.
    pub compatibilities: Vec<String>,
    /// `runtimePlatform` of the API.
    pub runtime_platform: Option<Value>,
    /// GiB.
    pub ephemeral_storage_gib: Option<u32>,
    /// Attribute names.
    pub requires_attributes: Vec<String>,
    /// When it was registered.
    pub registered_at: Time,
    /// By whom (ARN).
    pub registered_by: String,
    /// When it was deregistered.
    #[serde(default)]
    pub deregistered_at: Option<Time>,
    /// When its removal was asked for.
    #[serde(default)]
    pub delete_requested_at: Option<Time>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

impl TaskDefinition {
    /// Whether tasks get an interface of their own.
    pub fn is_awsvpc(&self) -> bool {
        self.network_mode.as_deref() == Some("awsvpc")
    }

    /// `family:revision`.
    pub fn short(&self) -> String {
        format!("{}:{}", self.family, self.revision)
    }
}

impl Resource for TaskDefinition {
    const KIND: &'static str = "ecs.task_definition";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add("family", self.family.clone());
        if self.status == Revision::DeleteInProgress {
            add("status", self.status.as_str().to_owned());
        }
    }
}

/// Ref: ECS `Volume`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// A directory of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostVolume>,
}

impl Volume {
    /// Whether it is a directory of the host.
    pub fn is_of_host(&self) -> bool {
        let path = self.host.as_ref().and_then(|host| host.source_path.as_deref());
        path.is_some_and(|path| !path.is_empty())
    }
}

/// Ref: ECS `HostVolumeProperties`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HostVolume {
    /// The directory; nothing: one that lives and dies with the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_path: Option<String>,
}
