//! StopTask, DescribeTasks, ListTasks.

use super::cluster::existing_name;
use super::{find, task_view};
use crate::error::invalid;
use crate::input::Input;
use crate::machine::stop_task;
use crate::model::{Node, StopCode, Task, node_scope};
use crate::names::{service_key, short_name, task_arn};
use honmaru_base::ApiError;
use honmaru_machine::{Call, State, Tx};
use serde_json::{Value, json};

/// Ref: StopTask `reason`: 1,024 characters.
const REASON_CHARS_MAX: usize = 1_024;

/// StopTask.
pub(super) fn stop(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let cluster = existing_name(tx, call, &input)?;
    let wanted = find::task_id(&cluster, input.required("task")?, "taskId")?;
    let task =
        find::task(tx, &call.scope, &cluster, wanted).ok_or_else(|| invalid("The referenced task was not found."))?;
    let id = task.id.clone();
    let reason = input.text("reason").unwrap_or_default();
    if reason.chars().count() > REASON_CHARS_MAX {
        return Err(invalid("reason can have at most 1024 characters."));
    }
    let reason = if reason.is_empty() {
        "Task stopped by a call to StopTask"
    } else {
        reason
    };
    stop_task(tx, &call.scope, &id, StopCode::UserInitiated, reason);
    let task = tx
        .get::<Task>(&call.scope, &id)
        .ok_or_else(|| invalid("The referenced task was not found."))?;
    Ok(json!({ "task": task_view::view(tx, &call.scope, task, task_view::Tags::Shown) }))
}

/// DescribeTasks.
pub(super) fn describe(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let cluster = existing_name(state, call, &input)?;
    let names = input.texts("tasks");
    find::check_count(&names, "Tasks", 100)?;
    let tags = if input.texts("include").iter().any(|name| name == "TAGS") {
        task_view::Tags::Shown
    } else {
        task_view::Tags::Hidden
    };
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for name in &names {
        find::task_id(&cluster, name, "taskId")?;
    }
    for name in &names {
        match find::task(state, &call.scope, &cluster, name) {
            Some(task) => tasks.push(task_view::view(state, &call.scope, task, tags)),
            None => failures.push(json!({
                "arn": task_arn(&call.scope, &cluster, short_name(name)), "reason": "MISSING",
            })),
        }
    }
    Ok(json!({ "tasks": tasks, "failures": failures }))
}

/// ListTasks.
pub(super) fn list(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let cluster = existing_name(state, call, &input)?;
    input.refuse(&["daemonName"])?;
    if let Some(service) = input.text("serviceName") {
        find::service(state, &call.scope, &cluster, find::service_name(&cluster, service)?)?;
    }
    let stopped = input.text("desiredStatus") == Some("STOPPED");
    // Ref: ListTasks: "no matches" for PENDING, because ECS never sets a task's desired status to it.
    let pending = input.text("desiredStatus") == Some("PENDING");
    let instance = input.text("containerInstance").map(short_name);
    let node = instance.map(|id| {
        let found = state
            .list::<Node>(&node_scope())
            .find(|(_, node)| node.instance_id == id);
        found.map(|(name, _)| name.to_owned()).unwrap_or_default()
    });
    let wanted = |task: &Task| {
        !pending
            && task.is_wanted() != stopped
            && input.text("family").is_none_or(|family| task.family == family)
            && input
                .text("startedBy")
                .is_none_or(|text| task.started_by.as_deref() == Some(text))
            && input.text("launchType").is_none_or(|kind| task.launch_type == kind)
            && node.as_ref().is_none_or(|node| task.node.as_ref() == Some(node))
    };
    let arn = |(id, _): (&str, &Task)| (id.to_owned(), Value::String(task_arn(&call.scope, &cluster, id)));
    let items = match input.text("serviceName") {
        Some(service) => {
            let key = service_key(&cluster, short_name(service));
            state
                .find::<Task>(&call.scope, "service", &key)
                .filter(|(_, task)| wanted(task))
                .map(arn)
                .collect()
        }
        None => state
            .find::<Task>(&call.scope, "cluster", &cluster)
            .filter(|(_, task)| wanted(task))
            .map(arn)
            .collect(),
    };
    Ok(input.page(items, 100, 100)?.answer("taskArns"))
}
