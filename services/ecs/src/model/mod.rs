//! The rows of this service's tables, and the parts of the API that they keep as they were given.

mod cluster;
mod container;
mod deployment;
mod node;
mod service;
mod task;
mod task_definition;

pub use cluster::{AccountSetting, Cluster};
pub use container::{ContainerDefinition, HealthCheckDefinition, KeyValue};
pub use deployment::{Deployment, DeploymentConfiguration, RolloutState, ServiceDeployment, ServiceRevision};
pub use node::{IdempotentCall, Node, Session, SessionLog, node_scope};
pub use service::{Service, ServiceEvent, ServiceStatus};
pub use task::{
    ContainerOverride, ContainerState, Interface, LastStatus, Stop, StopCode, Task, TaskOverride, TaskTarget,
};
pub use task_definition::{Family, Revision, TaskDefinition, Volume};

use serde::{Deserialize, Serialize};

/// A tag. Ref: ECS `Tag`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Up to 128 characters.
    pub key: String,
    /// Up to 256 characters.
    #[serde(default)]
    pub value: String,
}

/// Ref: ECS `NetworkConfiguration`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkConfiguration {
    /// Subnets and groups of tasks in awsvpc mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awsvpc_configuration: Option<AwsVpcConfiguration>,
}

/// Ref: ECS `AwsVpcConfiguration`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsVpcConfiguration {
    /// 1 to 16 subnets of one VPC.
    #[serde(default)]
    pub subnets: Vec<String>,
    /// Up to 5 groups; none: the VPC's default group.
    #[serde(default)]
    pub security_groups: Vec<String>,
    /// `ENABLED` or `DISABLED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assign_public_ip: Option<String>,
}

/// Ref: ECS `CapacityProviderStrategyItem`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CapacityProviderStrategyItem {
    /// Its name.
    pub capacity_provider: String,
    /// Relative share, 0 to 1,000.
    #[serde(default)]
    pub weight: u32,
    /// How many tasks at least, 0 to 100,000.
    #[serde(default)]
    pub base: u32,
}

/// A service's load balancer. Ref: ECS `LoadBalancer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancer {
    /// The target group that tasks are registered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_group_arn: Option<String>,
    /// A classic load balancer; refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_name: Option<String>,
    /// The container that serves.
    #[serde(default)]
    pub container_name: String,
    /// Its port.
    #[serde(default)]
    pub container_port: u16,
}
