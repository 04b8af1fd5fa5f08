//! Deployments of a service, and what the API remembers of them: service deployments and service revisions.

use super::{CapacityProviderStrategyItem, LoadBalancer, NetworkConfiguration};
use honmaru_base::Time;
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Ref: ECS `DeploymentConfiguration`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentConfiguration {
    /// Upper bound of tasks in percent of the desired count, rounded down.
    pub maximum_percent: u32,
    /// Lower bound of healthy tasks in percent of the desired count, rounded up.
    pub minimum_healthy_percent: u32,
    /// Detects deployments that fail.
    pub deployment_circuit_breaker: CircuitBreaker,
    /// `ROLLING`.
    pub strategy: String,
    /// Minutes; always 0 for rolling updates.
    pub bake_time_in_minutes: u32,
}

impl Default for DeploymentConfiguration {
    fn default() -> Self {
        Self {
            maximum_percent: 200,
            minimum_healthy_percent: 100,
            deployment_circuit_breaker: CircuitBreaker::default(),
            strategy: "ROLLING".to_owned(),
            bake_time_in_minutes: 0,
        }
    }
}

/// Ref: ECS `DeploymentCircuitBreaker`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CircuitBreaker {
    /// Whether it is on.
    pub enable: bool,
    /// Whether a failed deployment is rolled back.
    pub rollback: bool,
    /// Whether a healthy task sets the count of failures back to 0; default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_on_healthy_task: Option<bool>,
    /// How many failures are too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_configuration: Option<BreakerThreshold>,
}

/// Ref: ECS `thresholdConfiguration` of the circuit breaker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerThreshold {
    /// `COUNT`, `BOUNDED_PERCENT` or `UNBOUNDED_PERCENT`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u32>,
}

/// The bounds of a threshold in percent. Ref: ECS developer guide, "deployment circuit breaker": 3 to 200.
const THRESHOLD_MIN: u32 = 3;
const THRESHOLD_MAX: u32 = 200;

impl CircuitBreaker {
    /// How many failed tasks end a deployment of that many tasks.
    pub fn threshold(&self, desired_count: u32) -> u32 {
        let config = self.threshold_configuration.as_ref();
        let value = config.and_then(|c| c.value).unwrap_or(50);
        let percent = (u64::from(desired_count) * u64::from(value))
            .div_ceil(100)
            .min(u64::from(u32::MAX)) as u32;
        match config.and_then(|c| c.kind.as_deref()) {
            Some("COUNT") => value.max(1),
            Some("UNBOUNDED_PERCENT") => percent.max(1),
            _ => percent.clamp(THRESHOLD_MIN, THRESHOLD_MAX),
        }
    }
}

/// Ref: ECS `DeploymentRolloutState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RolloutState {
    /// Not steady yet.
    InProgress,
    /// Reached a steady state.
    Completed,
    /// Given up by the circuit breaker: it starts no more tasks.
    Failed,
}

impl RolloutState {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

/// A deployment in a service's row. The first one is PRIMARY, the others are ACTIVE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// `ecs-svc/` and 19 digits.
    pub id: String,
    /// The key of its [`ServiceDeployment`]: the last part of the ARN.
    pub service_deployment: String,
    /// What its tasks run: the key of its [`ServiceRevision`].
    pub revision: String,
    /// The task definition, `family:revision`.
    pub task_definition: String,
    /// `FARGATE` or `EC2`, when no strategy is set.
    pub launch_type: Option<String>,
    /// The strategy, when there is no launch type.
    pub capacity_provider_strategy: Vec<CapacityProviderStrategyItem>,
    /// `LATEST` or a number.
    pub platform_version: Option<String>,
    /// Subnets and groups.
    pub network_configuration: Option<NetworkConfiguration>,
    /// The target groups.
    pub load_balancers: Vec<LoadBalancer>,
    /// Tasks that failed and were not followed by a healthy one.
    pub failed_tasks: u32,
    /// How far it is.
    pub rollout_state: RolloutState,
    /// For example `ECS deployment ecs-svc/1234567890123456789 in progress.`
    pub rollout_state_reason: String,
    /// Whether it ever reached a steady state: then a failed successor is rolled back to it.
    pub was_completed: bool,
    /// When it was created.
    pub created_at: Time,
    /// When it changed last.
    pub updated_at: Time,
}

/// What the API remembers of a deployment; its key is `<cluster>/<service>/<id>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceDeployment {
    /// The last part of the key.
    pub id: String,
    /// `cluster/service`.
    pub service_key: String,
    /// `ecs-svc/...`.
    pub deployment_id: String,
    /// The revision that it brings.
    pub target_revision: String,
    /// The revisions that it replaces.
    pub source_revisions: Vec<String>,
    /// Ref: ECS `ServiceDeploymentStatus`.
    pub status: String,
    /// In words.
    pub status_reason: Option<String>,
    /// The configuration at its start.
    pub deployment_configuration: DeploymentConfiguration,
    /// The desired count at its start.
    pub desired_count: u32,
    /// Failures counted.
    pub failures: u32,
    /// When it was created.
    pub created_at: Time,
    /// When it changed last.
    pub updated_at: Time,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// When it was stopped.
    pub stopped_at: Option<Time>,
    /// The rollback: reason, begin, revision.
    pub rollback: Option<(String, Time, String)>,
}

impl Resource for ServiceDeployment {
    const KIND: &'static str = "ecs.service_deployment";
}

/// What a service's tasks run; its key is `<cluster>/<service>/<19 digits>`. Never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceRevision {
    /// The last part of the key.
    pub id: String,
    /// `cluster/service`.
    pub service_key: String,
    /// When it was created.
    pub created_at: Time,
    /// `ServiceRevision` of the API without ARNs and times.
    pub shape: Value,
}

impl Resource for ServiceRevision {
    const KIND: &'static str = "ecs.service_revision";
}
