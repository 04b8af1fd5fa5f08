//! Removes what nobody needs any more: stopped tasks, deleted services and task definitions, old tokens and sessions.

use super::earliest;
use crate::api::is_definition_used;
use crate::machine::idempotency::TOKEN_S;
use crate::model::{
    IdempotentCall, LastStatus, Revision, Service, ServiceDeployment, ServiceEvent, ServiceRevision, Session, Task,
    TaskDefinition,
};
use honmaru_base::{Scope, Time};
use honmaru_machine::{Reconciler, Resource, Tx};

/// Ref: ECS DescribeTasks: stopped tasks are shown for at least an hour.
const STOPPED_TASK_S: i64 = 3_600;
/// How long a deleted service is shown as INACTIVE.
const INACTIVE_SERVICE_S: i64 = 3_600;
/// How long an exec session may be opened.
const SESSION_S: i64 = 600;

pub(super) struct Reap;

impl Reconciler for Reap {
    fn name(&self) -> &'static str {
        "ecs.reap"
    }

    fn watches(&self) -> &'static [&'static str] {
        &[
            "ecs.task",
            "ecs.service",
            "ecs.task_definition",
            "ecs.idempotent_call",
            "ecs.session",
        ]
    }

    fn reconcile(&mut self, tx: &mut Tx<'_>) -> Option<Time> {
        let mut next = None;
        let stopped = |task: &Task| match task.last_status {
            LastStatus::Stopped => task.stopped_at.map(|at| at.plus_s(STOPPED_TASK_S)),
            _ => None,
        };
        earliest(&mut next, expire::<Task>(tx, stopped));
        earliest(
            &mut next,
            expire::<IdempotentCall>(tx, |call| Some(call.at.plus_s(TOKEN_S))),
        );
        earliest(
            &mut next,
            expire::<Session>(tx, |session| Some(session.created_at.plus_s(SESSION_S))),
        );
        earliest(&mut next, services(tx));
        definitions(tx);
        next
    }
}

/// Removes the rows whose time is over; returns when the next one's is.
fn expire<R: Resource>(tx: &mut Tx<'_>, end: impl Fn(&R) -> Option<Time>) -> Option<Time> {
    let now = tx.now();
    let (mut next, mut over) = (None, Vec::new());
    for (scope, key, row) in tx.all::<R>() {
        match end(row) {
            Some(at) if at <= now => over.push((scope.clone(), key.to_owned())),
            at => earliest(&mut next, at),
        }
    }
    for (scope, key) in over {
        tx.delete::<R>(&scope, &key);
    }
    next
}

fn services(tx: &mut Tx<'_>) -> Option<Time> {
    let now = tx.now();
    let (mut next, mut over) = (None, Vec::new());
    for (scope, key, service) in tx.all::<Service>() {
        match service.inactive_at.map(|at| at.plus_s(INACTIVE_SERVICE_S)) {
            Some(at) if at <= now => over.push((scope.clone(), key.to_owned())),
            at => earliest(&mut next, at),
        }
    }
    for (scope, key) in over {
        tx.delete::<Service>(&scope, &key);
        let prefix = format!("{key}/");
        remove_prefixed::<ServiceEvent>(tx, &scope, &prefix);
        remove_prefixed::<ServiceDeployment>(tx, &scope, &prefix);
        remove_prefixed::<ServiceRevision>(tx, &scope, &prefix);
    }
    next
}

fn remove_prefixed<R: Resource>(tx: &mut Tx<'_>, scope: &Scope, prefix: &str) {
    let keys: Vec<String> = tx.prefixed::<R>(scope, prefix).map(|(key, _)| key.to_owned()).collect();
    for key in keys {
        tx.delete::<R>(scope, &key);
    }
}

fn definitions(tx: &mut Tx<'_>) {
    // By index: definitions are never few, and every registration comes by here.
    let over: Vec<(Scope, String)> = tx
        .find_everywhere::<TaskDefinition>("status", Revision::DeleteInProgress.as_str())
        .filter(|(scope, _, d)| !is_definition_used(tx, scope, d))
        .map(|(scope, key, _)| (scope.clone(), key.to_owned()))
        .collect();
    for (scope, key) in over {
        tx.delete::<TaskDefinition>(&scope, &key);
    }
}
