//! Services and their events.

use super::{Deployment, DeploymentConfiguration, Tag};
use honmaru_base::Time;
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};

/// Ref: ECS `Service.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServiceStatus {
    /// Kept at its desired count.
    Active,
    /// Deleted; its tasks are being stopped.
    Draining,
    /// Deleted.
    Inactive,
}

impl ServiceStatus {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Inactive => "INACTIVE",
        }
    }
}

/// A service; its key is `<cluster>/<name>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its cluster's name.
    pub cluster: String,
    /// Whether it lives.
    pub status: ServiceStatus,
    /// How many tasks shall run.
    pub desired_count: u32,
    /// Seconds in which unhealthy checks do not count.
    pub health_check_grace_period_s: Option<u32>,
    /// How it is deployed.
    pub deployment_configuration: DeploymentConfiguration,
    /// Newest first; the first is PRIMARY, and there always is one. Task definition, capacity, network and load
    /// balancers of the service are those of the PRIMARY one.
    pub deployments: Vec<Deployment>,
    /// `ENABLED` or `DISABLED`.
    pub availability_zone_rebalancing: String,
    /// Whether tasks get ECS's own tags.
    pub enable_ecs_managed_tags: bool,
    /// `TASK_DEFINITION`, `SERVICE` or `NONE`.
    pub propagate_tags: String,
    /// Whether commands may be executed in its tasks.
    pub enable_execute_command: bool,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Who created it (ARN).
    pub created_by: String,
    /// When.
    pub created_at: Time,
    /// The token that created it.
    pub client_token: Option<String>,
    /// Failures in a row, for the back-off.
    pub failures: u32,
    /// No task is started before.
    pub start_after: Option<Time>,
    /// Whether its last event is that it reached a steady state.
    pub steady: bool,
    /// Whether it was said that tasks cannot be placed or replaced.
    pub complaint: Option<String>,
    /// The number of its next event.
    pub next_event: u64,
    /// When it became INACTIVE.
    #[serde(default)]
    pub inactive_at: Option<Time>,
}

impl Service {
    /// The row's key.
    pub fn key(&self) -> String {
        crate::names::service_key(&self.cluster, &self.name)
    }

    /// The PRIMARY deployment. A service that lives has one.
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.first()
    }

    /// The lower bound of healthy tasks.
    pub fn healthy_min(&self) -> u32 {
        let percent = u64::from(self.deployment_configuration.minimum_healthy_percent);
        (u64::from(self.desired_count) * percent).div_ceil(100) as u32
    }

    /// The upper bound of tasks.
    pub fn tasks_max(&self) -> u32 {
        (u64::from(self.desired_count) * u64::from(self.deployment_configuration.maximum_percent) / 100) as u32
    }
}

impl Resource for Service {
    const KIND: &'static str = "ecs.service";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add("cluster", self.cluster.clone());
    }
}

/// An event of a service; its key is `<cluster>/<name>/<number, twelve digits>`. The newest hundred are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceEvent {
    /// A UUID.
    pub id: String,
    /// When.
    pub at: Time,
    /// In AWS's words.
    pub message: String,
}

impl Resource for ServiceEvent {
    const KIND: &'static str = "ecs.service_event";
}
