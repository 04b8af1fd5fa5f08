//! Describing, listing, deregistering and deleting task definitions.

use super::definition_view::View;
use super::find;
use super::tags::tags_answer;
use crate::error::{client, invalid};
use crate::input::Input;
use crate::model::{Deployment, LastStatus, Revision, Service, ServiceStatus, Task, TaskDefinition};
use crate::names::{family_and_revision, revision_number, task_definition_arn, task_definition_key};
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Call, State, Tx};
use serde_json::{Map, Value, json};

/// DescribeTaskDefinition.
pub(super) fn describe(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let name = input.required("taskDefinition")?;
    if let (_, Some(revision)) = family_and_revision(name)
        && revision_number(revision).is_none()
    {
        return Err(invalid(format!("Invalid revision number. Number: {revision}")));
    }
    let found = find::definition(state, &call.scope, name);
    let definition = found.ok_or_else(|| client("Unable to describe task definition."))?;
    let mut answer = Map::new();
    answer.insert("taskDefinition".to_owned(), view(&call.scope, definition));
    if input.texts("include").iter().any(|name| name == "TAGS") {
        answer.insert("tags".to_owned(), tags_answer(&definition.tags));
    }
    Ok(Value::Object(answer))
}

/// DeregisterTaskDefinition: ACTIVE to INACTIVE. What runs goes on.
pub(super) fn deregister(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let name = input.required("taskDefinition")?;
    if family_and_revision(name).1.is_none() {
        return Err(invalid(format!("Invalid revision number. Number: {name}")));
    }
    let mut definition = find::definition(tx, &call.scope, name)
        .ok_or_else(|| client("The specified task definition does not exist."))?
        .clone();
    match definition.status {
        Revision::Active => {
            definition.status = Revision::Inactive;
            definition.deregistered_at = Some(tx.now());
            let key = task_definition_key(&definition.family, definition.revision);
            tx.put(&call.scope, &key, definition.clone());
        }
        Revision::Inactive => {}
        Revision::DeleteInProgress => {
            return Err(client(
                "The specified task definition is in the process of being deleted.",
            ));
        }
    }
    Ok(json!({ "taskDefinition": view(&call.scope, &definition) }))
}

/// DeleteTaskDefinitions: INACTIVE to DELETE_IN_PROGRESS; a reconciler removes those that nothing uses.
pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let names = Input::new(input).texts("taskDefinitions");
    find::check_count(&names, "TaskDefinitions", 10)?;
    let (mut done, mut failures) = (Vec::new(), Vec::new());
    for name in &names {
        let found = family_and_revision(name)
            .1
            .and_then(|_| find::definition(tx, &call.scope, name))
            .cloned();
        let failure = |reason: &str, detail: &str| json!({ "arn": name, "reason": reason, "detail": detail });
        match found {
            None => failures.push(failure("INVALID_ARN", "The specified task definition was not found.")),
            Some(d) if d.status == Revision::Active => failures.push(failure(
                "ACTIVE",
                "The specified task definition is still in ACTIVE status. Please deregister the target and try again.",
            )),
            Some(mut d) => {
                if d.status == Revision::Inactive {
                    d.status = Revision::DeleteInProgress;
                    d.delete_requested_at = Some(tx.now());
                    tx.put(&call.scope, &task_definition_key(&d.family, d.revision), d.clone());
                }
                done.push(view(&call.scope, &d));
            }
        }
    }
    Ok(json!({ "taskDefinitions": done, "failures": failures }))
}

/// Whether a task that is not over or a service uses this revision.
pub(crate) fn is_used(state: &State, scope: &Scope, definition: &TaskDefinition) -> bool {
    let key = task_definition_key(&definition.family, definition.revision);
    let short = definition.short();
    let uses = |d: &Deployment| d.task_definition == short;
    state
        .find::<Task>(scope, "definition", &key)
        .any(|(_, t)| t.last_status != LastStatus::Stopped)
        || state
            .list::<Service>(scope)
            .any(|(_, s)| s.status != ServiceStatus::Inactive && s.deployments.iter().any(uses))
}

/// ListTaskDefinitions.
pub(super) fn list(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let status = input.text("status").unwrap_or("ACTIVE").to_owned();
    let family = input.text("familyPrefix");
    let mut items: Vec<(String, Value)> = state
        .list::<TaskDefinition>(&call.scope)
        // Despite its name the member holds a whole family. Ref: ListTaskDefinitions.
        .filter(|(_, d)| d.status.as_str() == status && family.is_none_or(|family| d.family == family))
        .map(|(key, d)| {
            (
                key.to_owned(),
                Value::String(task_definition_arn(&call.scope, &d.family, d.revision)),
            )
        })
        .collect();
    if input.text("sort") == Some("DESC") {
        items.reverse();
    }
    Ok(input.page(items, 100, 100)?.answer("taskDefinitionArns"))
}

/// ListTaskDefinitionFamilies.
pub(super) fn families(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let prefix = input.text("familyPrefix").unwrap_or_default().to_owned();
    let status = input.text("status").unwrap_or("ACTIVE").to_owned();
    let mut items: Vec<(String, Value)> = Vec::new();
    let mut families: std::collections::BTreeMap<&str, bool> = std::collections::BTreeMap::new();
    for (_, d) in state.list::<TaskDefinition>(&call.scope) {
        *families.entry(&d.family).or_default() |= d.status == Revision::Active;
    }
    for (family, active) in families {
        let shown = match status.as_str() {
            "ALL" => true,
            "INACTIVE" => !active,
            _ => active,
        };
        if shown && family.starts_with(&prefix) {
            items.push((family.to_owned(), Value::String(family.to_owned())));
        }
    }
    Ok(input.page(items, 100, 100)?.answer("families"))
}

/// A task definition as the API shows it.
pub(super) fn view(scope: &Scope, definition: &TaskDefinition) -> Value {
    json!(View::of(scope, definition))
}
