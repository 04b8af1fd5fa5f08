//! DescribeServices, ListServices, and a service as the API shows it.

use super::cluster::{existing_name, insert_some};
use super::find;
use super::tags::tags_answer;
use crate::input::Input;
use crate::model::{Deployment, LastStatus, Service, ServiceEvent, ServiceStatus, Task};
use crate::names::{arn, cluster_arn, family_and_revision, service_arn, service_deployment_arn, service_revision_arn};
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Call, State};
use serde_json::{Value, json};

/// Whether tags are part of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tags {
    Shown,
    Hidden,
}

/// DescribeServices.
pub(super) fn describe(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let cluster = existing_name(state, call, &input)?;
    let names = input.texts("services");
    find::check_count(&names, "Services", 10)?;
    let tags = if input.texts("include").iter().any(|n| n == "TAGS") {
        Tags::Shown
    } else {
        Tags::Hidden
    };
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for name in &names {
        find::service_name(&cluster, name)?;
    }
    for name in &names {
        match find::service(state, &call.scope, &cluster, name) {
            Ok(service) => services.push(view(state, &call.scope, service, tags)),
            Err(_) => failures.push(json!({ "arn": missing_arn(&call.scope, name), "reason": "MISSING" })),
        }
    }
    Ok(json!({ "services": services, "failures": failures }))
}

/// What a service that is not there is called: the ARN by which it was asked for, or the short one of its name, which AWS
/// keeps to here (`service/NAME`, without the cluster) as amazon-ecs-deploy-task-definition's issues 312 and 369 show.
fn missing_arn(scope: &Scope, name: &str) -> String {
    if name.starts_with("arn:") {
        return name.to_owned();
    }
    arn(scope, &format!("service/{name}"))
}

/// ListServices.
pub(super) fn list(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let cluster = existing_name(state, call, &input)?;
    let wanted = |service: &Service| {
        let launch_type = service.primary().and_then(|d| d.launch_type.as_deref());
        service.status == ServiceStatus::Active
            && input.text("launchType").is_none_or(|kind| launch_type == Some(kind))
            && input
                .text("schedulingStrategy")
                .is_none_or(|strategy| strategy == "REPLICA")
            && input
                .text("resourceManagementType")
                .is_none_or(|kind| kind == "CUSTOMER")
    };
    let items = state
        .find::<Service>(&call.scope, "cluster", &cluster)
        .filter(|(_, service)| wanted(service))
        .map(|(key, service)| {
            (
                key.to_owned(),
                Value::String(service_arn(&call.scope, &cluster, &service.name)),
            )
        })
        .collect();
    Ok(input.page(items, 10, 100)?.answer("serviceArns"))
}

/// RUNNING and not yet running tasks.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    running: u32,
    pending: u32,
    /// Tasks whose desired status is RUNNING.
    wanted: u32,
}

fn counts<'a>(tasks: impl Iterator<Item = &'a Task>) -> Counts {
    let mut counts = Counts::default();
    for task in tasks {
        counts.wanted += u32::from(task.is_wanted());
        counts.running += u32::from(task.last_status == LastStatus::Running);
        counts.pending += u32::from(task.last_status < LastStatus::Running);
    }
    counts
}

/// The service's tree.
pub(super) fn view(state: &State, scope: &Scope, service: &Service, tags: Tags) -> Value {
    let key = service.key();
    let tasks = || state.find::<Task>(scope, "service", &key).map(|(_, task)| task);
    let all = counts(tasks());
    let shown = match service.status {
        ServiceStatus::Inactive => &[][..],
        ServiceStatus::Active | ServiceStatus::Draining => &service.deployments[..],
    };
    let deployments: Vec<Value> = shown
        .iter()
        .enumerate()
        .map(|(n, d)| {
            let own = counts(tasks().filter(|t| t.started_by.as_ref() == Some(&d.id)));
            deployment(
                scope,
                service,
                d,
                if n == 0 { Role::Primary } else { Role::Active },
                own,
            )
        })
        .collect();
    let prefix = format!("{key}/");
    let events: Vec<Value> = state
        .prefixed::<ServiceEvent>(scope, &prefix)
        .rev()
        .map(|(_, event)| json!({ "id": event.id, "createdAt": event.at.as_epoch_s(), "message": event.message }))
        .collect();
    let config = &service.deployment_configuration;
    let mut answer = json!({
        "serviceArn": service_arn(scope, &service.cluster, &service.name),
        "serviceName": service.name,
        "clusterArn": cluster_arn(scope, &service.cluster),
        "loadBalancers": [],
        "serviceRegistries": [],
        "status": service.status.as_str(),
        "desiredCount": service.desired_count,
        "runningCount": all.running,
        "pendingCount": all.pending,
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": config.deployment_circuit_breaker,
            "maximumPercent": config.maximum_percent,
            "minimumHealthyPercent": config.minimum_healthy_percent,
            "strategy": config.strategy,
            "bakeTimeInMinutes": config.bake_time_in_minutes,
        },
        "deployments": deployments,
        "events": events,
        "createdAt": service.created_at.as_epoch_s(),
        "createdBy": service.created_by,
        "placementConstraints": [],
        "placementStrategy": [],
        "schedulingStrategy": "REPLICA",
        "deploymentController": { "type": "ECS" },
        "enableECSManagedTags": service.enable_ecs_managed_tags,
        "propagateTags": service.propagate_tags,
        "enableExecuteCommand": service.enable_execute_command,
        "availabilityZoneRebalancing": service.availability_zone_rebalancing,
        "roleArn": format!(
            "arn:aws:iam::{}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS",
            scope.account
        ),
    });
    let members = answer.as_object_mut().expect("an object was built above");
    if let Some(primary) = service.primary() {
        let revision = json!([{
            "arn": service_revision_arn(scope, &key, &primary.revision),
            "requestedTaskCount": service.desired_count,
            "runningTaskCount": all.running,
            "pendingTaskCount": all.pending,
        }]);
        members.insert("loadBalancers".to_owned(), json!(primary.load_balancers));
        members.insert(
            "taskDefinition".to_owned(),
            json!(definition_arn(scope, &primary.task_definition)),
        );
        members.insert("currentServiceRevisions".to_owned(), revision);
        let arn = service_deployment_arn(scope, &key, &primary.service_deployment);
        members.insert("currentServiceDeployment".to_owned(), json!(arn));
        insert_capacity(members, primary);
    }
    insert_some(
        members,
        "healthCheckGracePeriodSeconds",
        service.health_check_grace_period_s.map(|s| json!(s)),
    );
    if tags == Tags::Shown && !service.tags.is_empty() {
        members.insert("tags".to_owned(), tags_answer(&service.tags));
    }
    answer
}

fn definition_arn(scope: &Scope, short: &str) -> String {
    let (family, revision) = family_and_revision(short);
    let revision = revision.and_then(|r| r.parse().ok()).unwrap_or(0);
    crate::names::task_definition_arn(scope, family, revision)
}

fn insert_capacity(members: &mut serde_json::Map<String, Value>, d: &Deployment) {
    insert_some(members, "launchType", d.launch_type.clone().map(Value::String));
    if !d.capacity_provider_strategy.is_empty() {
        members.insert(
            "capacityProviderStrategy".to_owned(),
            json!(d.capacity_provider_strategy),
        );
    }
    if d.platform_version.is_some() {
        members.insert("platformFamily".to_owned(), json!("Linux"));
    }
    insert_some(
        members,
        "platformVersion",
        d.platform_version.clone().map(Value::String),
    );
    insert_some(
        members,
        "networkConfiguration",
        d.network_configuration.as_ref().map(|n| json!(n)),
    );
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Primary,
    Active,
}

fn deployment(scope: &Scope, service: &Service, d: &Deployment, role: Role, counts: Counts) -> Value {
    let mut answer = json!({
        "id": d.id,
        "status": match role { Role::Primary => "PRIMARY", Role::Active => "ACTIVE" },
        "taskDefinition": definition_arn(scope, &d.task_definition),
        "desiredCount": match role { Role::Primary => service.desired_count, Role::Active => counts.wanted },
        "pendingCount": counts.pending,
        "runningCount": counts.running,
        "failedTasks": d.failed_tasks,
        "createdAt": d.created_at.as_epoch_s(),
        "updatedAt": d.updated_at.as_epoch_s(),
        "rolloutState": d.rollout_state.as_str(),
        "rolloutStateReason": d.rollout_state_reason,
    });
    let members = answer.as_object_mut().expect("an object was built above");
    insert_capacity(members, d);
    answer
}
