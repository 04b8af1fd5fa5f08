//! Deployments of a service: beginning one, giving one up, finishing one. Which tasks that starts and stops is
//! decided elsewhere (`reconcile`).

use super::push_event;
use crate::model::{Deployment, RolloutState, Service, ServiceDeployment, ServiceRevision};
use honmaru_base::{Rng, Scope, alphanumeric_id};
use honmaru_machine::Tx;
use serde_json::json;

/// How many service deployments are remembered for each service.
const SERVICE_DEPLOYMENTS_MAX: usize = 100;

/// Makes `deployment` the PRIMARY one of a service whose row the caller will write. Its ids, times and state are set
/// here; the rest is the caller's.
pub(crate) fn begin(tx: &mut Tx<'_>, scope: &Scope, service: &mut Service, mut deployment: Deployment) {
    let key = service.key();
    let now = tx.now();
    deployment.id = format!("ecs-svc/{}", digits(tx.rng()));
    deployment.service_deployment = alphanumeric_id(tx.rng(), 21);
    deployment.revision = digits(tx.rng());
    deployment.created_at = now;
    deployment.updated_at = now;
    deployment.failed_tasks = 0;
    deployment.rollout_state = RolloutState::InProgress;
    deployment.rollout_state_reason = format!("ECS deployment {} in progress.", deployment.id);
    deployment.was_completed = false;

    if let Some(primary) = service.deployments.first() {
        finish(
            tx,
            scope,
            &key,
            &primary.service_deployment,
            "STOPPED",
            "The deployment was superseded by a newer one.",
        );
    }
    let revision = ServiceRevision {
        id: deployment.revision.clone(),
        service_key: key.clone(),
        created_at: now,
        shape: json!({
            "taskDefinition": deployment.task_definition,
            "launchType": deployment.launch_type,
            "capacityProviderStrategy": deployment.capacity_provider_strategy,
            "platformVersion": deployment.platform_version,
            "loadBalancers": deployment.load_balancers,
            "networkConfiguration": deployment.network_configuration,
        }),
    };
    let remembered = ServiceDeployment {
        id: deployment.service_deployment.clone(),
        service_key: key.clone(),
        deployment_id: deployment.id.clone(),
        target_revision: deployment.revision.clone(),
        source_revisions: service.deployments.iter().map(|d| d.revision.clone()).collect(),
        status: "IN_PROGRESS".to_owned(),
        status_reason: None,
        deployment_configuration: service.deployment_configuration.clone(),
        desired_count: service.desired_count,
        failures: 0,
        created_at: now,
        updated_at: now,
        finished_at: None,
        stopped_at: None,
        rollback: None,
    };
    tx.put(scope, &format!("{key}/{}", revision.id), revision);
    tx.put(scope, &format!("{key}/{}", remembered.id), remembered);
    forget_old(tx, scope, &key);

    service.deployments.insert(0, deployment);
    service.failures = 0;
    service.start_after = None;
    service.complaint = None;
    service.steady = false;
}

/// Gives the PRIMARY deployment up, and rolls back to the newest one that was complete if `rollback` says so. Returns
/// whether it was rolled back.
pub(crate) fn fail(tx: &mut Tx<'_>, scope: &Scope, service: &mut Service, why: &Failure, rollback: bool) -> bool {
    let key = service.key();
    let now = tx.now();
    let Some(primary) = service.deployments.first_mut() else {
        return false;
    };
    primary.rollout_state = RolloutState::Failed;
    primary.rollout_state_reason = why.reason.to_owned();
    primary.updated_at = now;
    let failed = primary.clone();
    push_event(
        tx,
        scope,
        service,
        &format!("(deployment {}) deployment failed: {}", failed.id, why.event),
    );

    let target = service
        .deployments
        .iter()
        .position(|d| d.was_completed && d.id != failed.id);
    let Some(target) = target.filter(|_| rollback) else {
        finish(tx, scope, &key, &failed.service_deployment, "STOPPED", why.reason);
        return false;
    };
    let mut old = service.deployments.remove(target);
    old.rollout_state = RolloutState::InProgress;
    old.rollout_state_reason = format!("{}: rolling back to deploymentId {}.", why.actor, old.id);
    old.failed_tasks = 0;
    old.updated_at = now;
    push_event(tx, scope, service, &format!("rolling back to deployment {}.", old.id));
    tx.update::<ServiceDeployment>(scope, &format!("{key}/{}", failed.service_deployment), |row| {
        row.status = "ROLLBACK_IN_PROGRESS".to_owned();
        row.status_reason = Some(why.reason.to_owned());
        row.failures = failed.failed_tasks;
        row.updated_at = now;
        row.rollback = Some((why.reason.to_owned(), now, old.revision.clone()));
    });
    service.deployments.insert(0, old);
    service.failures = 0;
    service.start_after = None;
    service.steady = false;
    true
}

/// Why a deployment is given up, in the texts that AWS has for it.
pub(crate) struct Failure {
    /// `rolloutStateReason`.
    pub reason: &'static str,
    /// The end of the event.
    pub event: &'static str,
    /// Who rolls back.
    pub actor: &'static str,
}

/// The circuit breaker's words.
pub(crate) const BREAKER: Failure = Failure {
    reason: "ECS deployment circuit breaker: tasks failed to start.",
    event: "tasks failed to start.",
    actor: "ECS deployment circuit breaker",
};

/// StopServiceDeployment's words.
pub(crate) const STOPPED: Failure = Failure {
    reason: "Service deployment was stopped by a call to StopServiceDeployment.",
    event: "stopped by the user.",
    actor: "StopServiceDeployment",
};

/// The PRIMARY deployment reached a steady state and is the only one left.
pub(crate) fn complete(tx: &mut Tx<'_>, scope: &Scope, service: &mut Service) {
    let key = service.key();
    let now = tx.now();
    for deployment in &service.deployments {
        let row = tx.get::<ServiceDeployment>(scope, &format!("{key}/{}", deployment.service_deployment));
        match row.map(|row| row.status.as_str()) {
            Some("IN_PROGRESS") => {
                finish(tx, scope, &key, &deployment.service_deployment, "SUCCESSFUL", "");
            }
            Some("ROLLBACK_IN_PROGRESS") => {
                finish(
                    tx,
                    scope,
                    &key,
                    &deployment.service_deployment,
                    "ROLLBACK_SUCCESSFUL",
                    BREAKER.reason,
                );
            }
            _ => {}
        }
    }
    service.deployments.truncate(1);
    let Some(primary) = service.deployments.first_mut() else {
        return;
    };
    primary.rollout_state = RolloutState::Completed;
    primary.rollout_state_reason = format!("ECS deployment {} completed.", primary.id);
    primary.was_completed = true;
    primary.failed_tasks = 0;
    primary.updated_at = now;
    let message = format!("(deployment {}) deployment completed.", primary.id);
    service.failures = 0;
    service.start_after = None;
    push_event(tx, scope, service, &message);
}

/// Ends a remembered deployment, unless it has ended before.
fn finish(tx: &mut Tx<'_>, scope: &Scope, service_key: &str, id: &str, status: &str, reason: &str) {
    let now = tx.now();
    let key = format!("{service_key}/{id}");
    if tx
        .get::<ServiceDeployment>(scope, &key)
        .is_some_and(|row| row.finished_at.is_none())
    {
        tx.update::<ServiceDeployment>(scope, &key, |row| {
            row.status = status.to_owned();
            row.status_reason = Some(reason.to_owned()).filter(|text| !text.is_empty());
            row.updated_at = now;
            row.finished_at = Some(now);
            row.stopped_at = (status == "STOPPED").then_some(now);
        });
    }
}

fn forget_old(tx: &mut Tx<'_>, scope: &Scope, service_key: &str) {
    let prefix = format!("{service_key}/");
    let mut known: Vec<_> = tx
        .prefixed::<ServiceDeployment>(scope, &prefix)
        .map(|(key, row)| (row.created_at, key.to_owned(), row.target_revision.clone()))
        .collect();
    known.sort();
    for (_, key, revision) in known.iter().rev().skip(SERVICE_DEPLOYMENTS_MAX) {
        tx.delete::<ServiceDeployment>(scope, key);
        tx.delete::<ServiceRevision>(scope, &format!("{prefix}{revision}"));
    }
}

/// Nineteen decimal digits, the first not 0.
fn digits(rng: &mut dyn Rng) -> String {
    (1_000_000_000_000_000_000 + rng.below(8_000_000_000_000_000_000)).to_string()
}
