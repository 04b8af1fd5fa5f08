//! Amazon ECS: clusters, task definitions, tasks, services.
//!
//! Not here: interfaces, images, target groups and log groups. They belong to other services; `honmaru-cloud` joins
//! them with the functions below ([`provisioned`], [`activated`], [`drained`], [`deprovisioned`]).
//!
//! Invariants: a task's `last_status` only grows. A node is told to run a task exactly while [`task_spec`] gives one.

#![forbid(unsafe_code)]

mod api;
mod error;
mod input;
mod insights;
mod machine;
mod model;
mod names;
mod reconcile;
mod tagged;

pub use api::{
    create_service, delete_service, operations, register_task_definition, run_task, start_task, update_service,
};
pub use insights::{PerformanceEvent, PerformanceLog, count_events, insights_clusters, usage_events};
pub use machine::{
    CPU_OVERSUBSCRIPTION, LogGroupWanted, TOKEN_RULES, TokenRule, activated, deprovisioned, drained, fail_provisioning,
    log_groups, node_task_versions, node_tasks, observe_node, observe_task, provisioned, service_event, stop_task,
    target_deregistered, target_registered, task_spec,
};
pub use model::{
    AwsVpcConfiguration, Cluster, ContainerDefinition, ContainerState, Deployment, Interface, LastStatus, LoadBalancer,
    Node, RolloutState, Service, ServiceEvent, ServiceStatus, Session, SessionLog, Stop, StopCode, Task,
    TaskDefinition, TaskTarget, node_scope,
};
pub use names::{cluster_arn, service_arn, service_key, task_arn, task_definition_arn, task_definition_key};
pub use reconcile::{HealthFn, TargetState, reconcilers};
pub use tagged::tagged;

use honmaru_base::Scope;
use honmaru_machine::State;

/// botocore's name of this service.
pub const SERVICE: &str = "ecs";

/// Adds this service's tables.
pub fn register(state: &mut State) {
    state.register::<model::Cluster>();
    state.register::<model::AccountSetting>();
    state.register::<model::Family>();
    state.register::<model::TaskDefinition>();
    state.register::<model::Task>();
    state.register::<model::Service>();
    state.register::<model::ServiceEvent>();
    state.register::<model::ServiceDeployment>();
    state.register::<model::ServiceRevision>();
    state.register::<model::Node>();
    state.register::<model::Session>();
    state.register::<model::IdempotentCall>();
}

/// The exec session of that id, with the scope that it belongs to. Whoever opens its data channel must compare the
/// token.
pub fn find_session<'a>(state: &'a State, id: &str) -> Option<(&'a Scope, &'a Session)> {
    state
        .all::<Session>()
        .find(|(_, key, _)| *key == id)
        .map(|(scope, _, session)| (scope, session))
}

/// The task of that id in any scope.
pub fn find_task<'a>(state: &'a State, id: &str) -> Option<(&'a Scope, &'a Task)> {
    state
        .all::<Task>()
        .find(|(_, key, _)| *key == id)
        .map(|(scope, _, task)| (scope, task))
}

/// The ARN of a task's execution role or task role, by the task's ARN: nothing when the task is gone, over, or has no
/// such role.
pub fn task_role(state: &State, task_arn: &str, execution_role: bool) -> Option<String> {
    let (scope, task) = find_task(state, names::short_name(task_arn))?;
    if !task.last_status.is_on_node() || names::task_arn(scope, &task.cluster, &task.id) != task_arn {
        return None;
    }
    let definition = state.get::<TaskDefinition>(scope, &task_definition_key(&task.family, task.revision))?;
    let (over, own) = if execution_role {
        (&task.overrides.execution_role_arn, &definition.execution_role_arn)
    } else {
        (&task.overrides.task_role_arn, &definition.task_role_arn)
    };
    over.clone().or_else(|| own.clone())
}
