//! Service deployments and service revisions.

use super::cluster::{existing, insert_some};
use super::find;
use crate::error::{client, unsupported};
use crate::input::Input;
use crate::machine::rollout;
use crate::model::{
    LastStatus, RolloutState, Service, ServiceDeployment, ServiceRevision, ServiceStatus, Task, TaskDefinition,
};
use crate::names::{
    cluster_arn, cluster_of_service, family_and_revision, service_arn, service_deployment_arn, service_revision_arn,
    task_definition_arn, task_definition_key,
};
use honmaru_base::{ApiError, Scope, Time};
use honmaru_machine::{Call, State, Tx};
use serde_json::{Value, json};

/// ListServiceDeployments, newest first. A service's ARN is enough to name its cluster. Ref: the aws CLI's example of
/// list-service-deployments.
pub(super) fn list(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let name = input.required("service")?;
    let cluster = existing(state, call, cluster_of_service(input.text("cluster"), name))?;
    let service = find::service(state, &call.scope, &cluster, find::service_name(&cluster, name)?)?;
    let wanted = input.texts("status");
    let bound = |name: &str| {
        input
            .value("createdAt")
            .and_then(|range| range.get(name))
            .and_then(Value::as_f64)
    };
    let (before, after) = (bound("before"), bound("after"));
    let prefix = format!("{}/", service.key());
    let mut rows: Vec<&ServiceDeployment> = state
        .prefixed::<ServiceDeployment>(&call.scope, &prefix)
        .map(|(_, row)| row)
        .filter(|row| {
            let at = row.created_at.as_epoch_s();
            (wanted.is_empty() || wanted.contains(&row.status))
                && before.is_none_or(|bound| at <= bound)
                && after.is_none_or(|bound| at >= bound)
        })
        .collect();
    rows.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
    let items = rows
        .into_iter()
        .map(|row| (row.id.clone(), brief(&call.scope, row)))
        .collect();
    Ok(input.page(items, 100, 100)?.answer("serviceDeployments"))
}

/// DescribeServiceDeployments.
pub(super) fn describe(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let arns = Input::new(input).texts("serviceDeploymentArns");
    find::check_count(&arns, "ServiceDeploymentArns", 20)?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in &arns {
        match row(state, &call.scope, arn) {
            Some(row) => found.push(view(state, &call.scope, row)),
            None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "serviceDeployments": found, "failures": failures }))
}

/// DescribeServiceRevisions.
pub(super) fn revisions(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let arns = Input::new(input).texts("serviceRevisionArns");
    find::check_count(&arns, "ServiceRevisionArns", 20)?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in &arns {
        let key = arn
            .split_once("service-revision/")
            .map(|(_, key)| key)
            .unwrap_or_default();
        match state.get::<ServiceRevision>(&call.scope, key) {
            Some(revision) => found.push(revision_view(state, &call.scope, revision)),
            None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "serviceRevisions": found, "failures": failures }))
}

/// StopServiceDeployment: gives a deployment in progress up and goes back to the one before.
pub(super) fn stop(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let arn = input.required("serviceDeploymentArn")?.to_owned();
    if input.text("stopType") == Some("ABORT") {
        return Err(unsupported("stopType ABORT"));
    }
    let missing = || {
        ApiError::new(
            "ServiceDeploymentNotFoundException",
            "The service deployment was not found.",
        )
    };
    let stopped = row(tx, &call.scope, &arn).ok_or_else(missing)?.clone();
    let mut service = tx
        .get::<Service>(&call.scope, &stopped.service_key)
        .ok_or_else(missing)?
        .clone();
    let primary = service.primary().filter(|d| {
        service.status == ServiceStatus::Active
            && d.service_deployment == stopped.id
            && d.rollout_state == RolloutState::InProgress
    });
    if primary.is_none() {
        return Err(ApiError::new(
            "ConflictException",
            "The service deployment is not in progress.",
        ));
    }
    if !service.deployments.iter().skip(1).any(|d| d.was_completed) {
        return Err(client("There is no completed service deployment to roll back to."));
    }
    rollout::fail(tx, &call.scope, &mut service, &rollout::STOPPED, true);
    tx.put(&call.scope, &stopped.service_key, service);
    Ok(json!({ "serviceDeploymentArn": arn }))
}

fn row<'a>(state: &'a State, scope: &Scope, arn: &str) -> Option<&'a ServiceDeployment> {
    state.get::<ServiceDeployment>(scope, arn.split_once("service-deployment/")?.1)
}

fn service_and_cluster(scope: &Scope, key: &str) -> (String, String) {
    let (cluster, service) = key.split_once('/').unwrap_or(("", key));
    (service_arn(scope, cluster, service), cluster_arn(scope, cluster))
}

fn brief(scope: &Scope, row: &ServiceDeployment) -> Value {
    let (service, cluster) = service_and_cluster(scope, &row.service_key);
    let mut answer = json!({
        "serviceDeploymentArn": service_deployment_arn(scope, &row.service_key, &row.id),
        "serviceArn": service,
        "clusterArn": cluster,
        "createdAt": row.created_at.as_epoch_s(),
        "startedAt": row.created_at.as_epoch_s(),
        "targetServiceRevisionArn": service_revision_arn(scope, &row.service_key, &row.target_revision),
        "status": row.status,
    });
    let members = answer.as_object_mut().expect("an object was built above");
    insert_some(members, "finishedAt", row.finished_at.map(|at| json!(at.as_epoch_s())));
    insert_some(members, "statusReason", row.status_reason.clone().map(Value::String));
    answer
}

fn view(state: &State, scope: &Scope, row: &ServiceDeployment) -> Value {
    let (service, cluster) = service_and_cluster(scope, &row.service_key);
    let live = state.get::<Service>(scope, &row.service_key);
    let summary = |revision: &str, requested: u32| {
        let deployment = live.and_then(|s| s.deployments.iter().find(|d| d.revision == revision));
        let tasks = || {
            state
                .find::<Task>(scope, "service", &row.service_key)
                .map(|(_, task)| task)
                .filter(|task| deployment.is_some_and(|d| task.started_by.as_ref() == Some(&d.id)))
        };
        json!({
            "arn": service_revision_arn(scope, &row.service_key, revision),
            "requestedTaskCount": requested,
            "runningTaskCount": tasks().filter(|t| t.last_status == LastStatus::Running).count(),
            "pendingTaskCount": tasks().filter(|t| t.last_status < LastStatus::Running).count(),
        })
    };
    let breaker = &row.deployment_configuration.deployment_circuit_breaker;
    let now = live.and_then(|s| s.deployments.iter().find(|d| d.service_deployment == row.id));
    let failures = now.map_or(row.failures, |d| d.failed_tasks);
    let status = match (breaker.enable, row.status.as_str()) {
        (false, _) => "DISABLED",
        (true, "IN_PROGRESS") => "MONITORING",
        (true, "ROLLBACK_IN_PROGRESS" | "ROLLBACK_SUCCESSFUL") => "TRIGGERED",
        (true, _) => "MONITORING_COMPLETE",
    };
    let time = |at: Option<Time>| at.map(|at| json!(at.as_epoch_s()));
    let mut answer = json!({
        "serviceDeploymentArn": service_deployment_arn(scope, &row.service_key, &row.id),
        "serviceArn": service,
        "clusterArn": cluster,
        "createdAt": row.created_at.as_epoch_s(),
        "startedAt": row.created_at.as_epoch_s(),
        "updatedAt": row.updated_at.as_epoch_s(),
        "sourceServiceRevisions": row.source_revisions.iter().map(|r| summary(r, 0)).collect::<Vec<_>>(),
        "targetServiceRevision": summary(&row.target_revision, row.desired_count),
        "status": row.status,
        "deploymentConfiguration": {
            "deploymentCircuitBreaker": breaker,
            "maximumPercent": row.deployment_configuration.maximum_percent,
            "minimumHealthyPercent": row.deployment_configuration.minimum_healthy_percent,
            "strategy": row.deployment_configuration.strategy,
            "bakeTimeInMinutes": row.deployment_configuration.bake_time_in_minutes,
        },
        "deploymentCircuitBreaker": {
            "status": status,
            "failureCount": failures,
            "threshold": breaker.threshold(row.desired_count),
        },
        // Ref: the aws CLI's example of describe-service-deployments. A service with alarms is refused.
        "alarms": { "status": "DISABLED" },
    });
    let members = answer.as_object_mut().expect("an object was built above");
    insert_some(members, "finishedAt", time(row.finished_at));
    insert_some(members, "stoppedAt", time(row.stopped_at));
    insert_some(members, "statusReason", row.status_reason.clone().map(Value::String));
    let rollback = row.rollback.as_ref().map(|(reason, at, revision)| {
        json!({
            "reason": reason,
            "startedAt": at.as_epoch_s(),
            "serviceRevisionArn": service_revision_arn(scope, &row.service_key, revision),
        })
    });
    insert_some(members, "rollback", rollback);
    answer
}

fn revision_view(state: &State, scope: &Scope, revision: &ServiceRevision) -> Value {
    let (service, cluster) = service_and_cluster(scope, &revision.service_key);
    let mut answer = json!({
        "serviceRevisionArn": service_revision_arn(scope, &revision.service_key, &revision.id),
        "serviceArn": service,
        "clusterArn": cluster,
        "createdAt": revision.created_at.as_epoch_s(),
        // Ref: the aws CLI's example of describe-service-revisions.
        "guardDutyEnabled": false,
    });
    let members = answer.as_object_mut().expect("an object was built above");
    for (name, value) in revision.shape.as_object().into_iter().flatten() {
        if !value.is_null() {
            members.insert(name.clone(), value.clone());
        }
    }
    if members.contains_key("platformVersion") {
        members.insert("platformFamily".to_owned(), json!("Linux"));
    }
    let short = revision
        .shape
        .get("taskDefinition")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let (family, number) = family_and_revision(short);
    let number = number.and_then(|n| n.parse().ok()).unwrap_or(0);
    members.insert(
        "taskDefinition".to_owned(),
        json!(task_definition_arn(scope, family, number)),
    );
    if let Some(definition) = state.get::<TaskDefinition>(scope, &task_definition_key(family, number)) {
        let images = definition
            .containers
            .iter()
            .map(|c| json!({ "containerName": c.name, "image": c.image }));
        members.insert("containerImages".to_owned(), images.collect());
    }
    answer
}
