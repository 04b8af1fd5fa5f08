//! Container Insights: the performance log events of clusters whose setting `containerInsights` is `enabled`.
//! Ref: CloudWatch User Guide, "Container Insights performance log events for Amazon ECS".
//!
//! Not here: measuring (`planes/node`), storing (control). There is no CloudWatch: nobody makes metrics of the events,
//! though they say, in the embedded metric format, which they would be.
//! Invariant: a cluster that does not want events, or that is gone, has none. Ephemeral storage is left out: nobody
//! reserves it, and what a task uses of it is not counted.

mod counts;
mod usage;

pub use counts::count_events;
pub use usage::usage_events;

use crate::model::Cluster;
use crate::names::cluster_arn;
use honmaru_base::{Scope, Time};
use honmaru_machine::State;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The cluster setting.
pub(crate) const SETTING: &str = "containerInsights";
/// Ref: as above: every event has it.
const VERSION: &str = "0";
/// The namespace of the metrics that the events stand for.
const NAMESPACE: &str = "ECS/ContainerInsights";

/// Performance log events for one log group.
#[derive(Debug, Clone, PartialEq)]
pub struct PerformanceLog {
    /// Whose log group it is.
    pub scope: Scope,
    /// Its name: `/aws/ecs/containerinsights/CLUSTER/performance`.
    pub group: String,
    /// The events by stream, in the order of time.
    pub events: Vec<PerformanceEvent>,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct PerformanceEvent {
    /// The log stream.
    pub stream: String,
    /// When.
    pub at: Time,
    /// JSON.
    pub message: String,
}

/// The ARNs of all clusters that want events.
pub fn insights_clusters(state: &State) -> BTreeSet<String> {
    state
        .all::<Cluster>()
        .filter(|(_, _, cluster)| is_wanted(cluster))
        .map(|(scope, _, cluster)| cluster_arn(scope, &cluster.name))
        .collect()
}

fn is_wanted(cluster: &Cluster) -> bool {
    let mut settings = cluster.settings.iter();
    cluster.active && settings.any(|(name, value)| name == SETTING && value == "enabled")
}

fn log(scope: &Scope, cluster: &str, events: Vec<PerformanceEvent>) -> PerformanceLog {
    PerformanceLog {
        scope: scope.clone(),
        group: format!("/aws/ecs/containerinsights/{cluster}/performance"),
        events,
    }
}

/// What says which metrics an event stands for. Ref: CloudWatch, "Embedded metric format" (its older form).
fn metrics(names: &[(&str, &str)], dimensions: &[&[&str]]) -> Value {
    let metrics: Vec<Value> = names
        .iter()
        .map(|(name, unit)| json!({ "Name": name, "Unit": unit }))
        .collect();
    json!([{ "Namespace": NAMESPACE, "Metrics": metrics, "Dimensions": dimensions }])
}
