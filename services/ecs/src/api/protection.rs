//! Task scale-in protection.

use super::cluster::existing_name;
use super::find;
use crate::error::invalid;
use crate::input::Input;
use crate::model::Task;
use crate::names::{short_name, task_arn};
use honmaru_base::{ApiError, Scope, Time};
use honmaru_machine::{Call, State, Tx};
use serde_json::{Value, json};

/// Ref: UpdateTaskProtection `expiresInMinutes`: 1 to 2,880, default 120.
const MINUTES_MAX: i64 = 2_880;
const MINUTES_DEFAULT: i64 = 120;

/// UpdateTaskProtection.
pub(super) fn update(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let cluster = existing_name(tx, call, &input)?;
    let names = input.texts("tasks");
    find::check_count(&names, "Tasks", 10)?;
    let minutes = input.int("expiresInMinutes").unwrap_or(MINUTES_DEFAULT);
    if !(1..=MINUTES_MAX).contains(&minutes) {
        return Err(invalid("expiresInMinutes must be between 1 and 2880."));
    }
    let until = match input.flag("protectionEnabled") {
        Some(true) => Some(tx.now().plus_s(minutes * 60)),
        _ => None,
    };
    let (mut protected, mut failures) = (Vec::new(), Vec::new());
    for name in &names {
        find::task_id(&cluster, name, "taskId")?;
    }
    for name in &names {
        let found =
            find::task(tx, &call.scope, &cluster, name).map(|t| (t.id.clone(), t.service.is_some(), t.is_wanted()));
        match found {
            Some((id, true, true)) => {
                tx.update::<Task>(&call.scope, &id, |task| task.protected_until = until);
                protected.push(view(&call.scope, &cluster, &id, until));
            }
            Some((id, false, _)) => failures.push(failure(&call.scope, &cluster, &id, "TASK_NOT_VALID")),
            Some((id, true, false)) => failures.push(failure(&call.scope, &cluster, &id, "TASK_NOT_VALID")),
            None => failures.push(failure(&call.scope, &cluster, short_name(name), "MISSING")),
        }
    }
    Ok(json!({ "protectedTasks": protected, "failures": failures }))
}

/// GetTaskProtection.
pub(super) fn get(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let cluster = existing_name(state, call, &input)?;
    let names = input.texts("tasks");
    find::check_count(&names, "Tasks", 100)?;
    let (mut protected, mut failures) = (Vec::new(), Vec::new());
    for name in &names {
        find::task_id(&cluster, name, "taskId")?;
    }
    for name in &names {
        match find::task(state, &call.scope, &cluster, name) {
            Some(task) if task.service.is_some() => {
                let until = task.protected_until.filter(|until| *until > call.now);
                protected.push(view(&call.scope, &cluster, &task.id, until));
            }
            Some(task) => failures.push(failure(&call.scope, &cluster, &task.id, "TASK_NOT_VALID")),
            None => failures.push(failure(&call.scope, &cluster, short_name(name), "MISSING")),
        }
    }
    Ok(json!({ "protectedTasks": protected, "failures": failures }))
}

fn view(scope: &Scope, cluster: &str, id: &str, until: Option<Time>) -> Value {
    let arn = task_arn(scope, cluster, id);
    match until {
        Some(until) => json!({ "taskArn": arn, "protectionEnabled": true, "expirationDate": until.as_epoch_s() }),
        None => json!({ "taskArn": arn, "protectionEnabled": false }),
    }
}

fn failure(scope: &Scope, cluster: &str, id: &str, reason: &str) -> Value {
    json!({ "arn": task_arn(scope, cluster, id), "reason": reason })
}
