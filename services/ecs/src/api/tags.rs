//! Tags of clusters, task definitions, services and tasks.

use crate::error::{invalid, resource_not_found};
use crate::input::Input;
use crate::model::{Cluster, Service, Tag, Task, TaskDefinition};
use crate::names::{revision_number, service_key, task_definition_key};
use honmaru_base::{ApiError, Arn};
use honmaru_machine::{Call, State, Tx};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Ref: ECS `Tags`: 50 a resource, keys of 128 and values of 256 characters.
const TAGS_MAX: usize = 50;
const KEY_CHARS_MAX: usize = 128;
const VALUE_CHARS_MAX: usize = 256;

/// The rules of tags.
pub(super) fn check_tags(tags: &[Tag]) -> Result<(), ApiError> {
    if tags.len() > TAGS_MAX {
        return Err(invalid("Too many tags: a resource has at most 50."));
    }
    let mut keys = BTreeSet::new();
    for tag in tags {
        if tag.key.is_empty() || tag.key.chars().count() > KEY_CHARS_MAX {
            return Err(invalid("A tag key has 1 to 128 characters."));
        }
        if tag.value.chars().count() > VALUE_CHARS_MAX {
            return Err(invalid("A tag value has at most 256 characters."));
        }
        if is_reserved(&tag.key) {
            return Err(invalid("Tag keys can not start with 'aws:'."));
        }
        if !tag.key.chars().chain(tag.value.chars()).all(is_of_tag) {
            return Err(invalid(
                "Some tags contain invalid characters. Valid characters: UTF-8 letters, spaces, numbers and _ . / = + - : @.",
            ));
        }
        if !keys.insert(&tag.key) {
            return Err(invalid(format!("Duplicate tag key: {}", tag.key)));
        }
    }
    Ok(())
}

/// Whether a key is one of AWS's own. Ref: ECS `Tag`: nobody edits or deletes those, and they do not count.
fn is_reserved(key: &str) -> bool {
    key.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("aws:"))
}

/// Ref: ECS `TagKey`: `[\p{L}\p{Z}\p{N}_.:/=+\-@]`.
fn is_of_tag(c: char) -> bool {
    c.is_alphabetic() || c.is_numeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

/// Tags as the API shows them.
pub(super) fn tags_answer(tags: &[Tag]) -> Value {
    tags.iter()
        .map(|tag| json!({ "key": tag.key, "value": tag.value }))
        .collect()
}

/// A resource that can be tagged.
enum Target {
    Cluster(String),
    Definition(String),
    Service(String),
    Task { cluster: String, id: String },
}

/// TagResource.
pub(super) fn tag(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let new: Vec<Tag> = input.parse_or_default("tags")?;
    check_tags(&new)?;
    let target = target(call, input.required("resourceArn")?)?;
    let mut tags = tags_of(tx, call, &target)?;
    for tag in new {
        match tags.iter_mut().find(|known| known.key == tag.key) {
            Some(known) => known.value = tag.value,
            None => tags.push(tag),
        }
    }
    if tags.iter().filter(|tag| !is_reserved(&tag.key)).count() > TAGS_MAX {
        return Err(invalid("Too many tags: a resource has at most 50."));
    }
    set_tags(tx, call, &target, tags);
    Ok(json!({}))
}

/// UntagResource.
pub(super) fn untag(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let gone = input.texts("tagKeys");
    if gone.iter().any(|key| is_reserved(key)) {
        return Err(invalid("Tag keys that start with 'aws:' can not be removed."));
    }
    let target = target(call, input.required("resourceArn")?)?;
    let mut tags = tags_of(tx, call, &target)?;
    tags.retain(|tag| !gone.contains(&tag.key));
    set_tags(tx, call, &target, tags);
    Ok(json!({}))
}

/// ListTagsForResource.
pub(super) fn list(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let target = target(call, input.required("resourceArn")?)?;
    Ok(json!({ "tags": tags_answer(&tags_of(state, call, &target)?) }))
}

fn target(call: &Call, text: &str) -> Result<Target, ApiError> {
    let bad = || {
        invalid(format!(
            "Invalid identifier: Identifier is for an unknown resource. Your ARN is {text}"
        ))
    };
    let arn: Arn = text.parse().map_err(|_| bad())?;
    if arn.service != "ecs" || arn.account != call.scope.account.as_str() || arn.region != call.scope.region.as_str() {
        return Err(bad());
    }
    let parts: Vec<&str> = arn.resource.split('/').collect();
    match parts[..] {
        ["cluster", name] => Ok(Target::Cluster(name.to_owned())),
        ["service", cluster, name] => Ok(Target::Service(service_key(cluster, name))),
        ["task", cluster, id] => Ok(Target::Task {
            cluster: cluster.to_owned(),
            id: id.to_owned(),
        }),
        ["task-definition", name] => {
            let (family, revision) = name.split_once(':').ok_or_else(bad)?;
            Ok(Target::Definition(task_definition_key(
                family,
                revision_number(revision).ok_or_else(bad)?,
            )))
        }
        _ => Err(bad()),
    }
}

fn tags_of(state: &State, call: &Call, target: &Target) -> Result<Vec<Tag>, ApiError> {
    let scope = &call.scope;
    let found = match target {
        Target::Cluster(key) => state
            .get::<Cluster>(scope, key)
            .filter(|c| c.active)
            .map(|row| row.tags.clone()),
        Target::Definition(key) => state.get::<TaskDefinition>(scope, key).map(|row| row.tags.clone()),
        Target::Service(key) => state.get::<Service>(scope, key).map(|row| row.tags.clone()),
        // Under another cluster's name it is another resource to policies.
        Target::Task { cluster, id } => state
            .get::<Task>(scope, id)
            .filter(|task| task.cluster == *cluster)
            .map(|row| row.tags.clone()),
    };
    found.ok_or_else(|| match target {
        Target::Cluster(_) => crate::error::cluster_not_found(),
        Target::Definition(_) | Target::Service(_) | Target::Task { .. } => {
            resource_not_found("The specified resource wasn't found.")
        }
    })
}

fn set_tags(tx: &mut Tx<'_>, call: &Call, target: &Target, tags: Vec<Tag>) {
    let scope = &call.scope;
    match target {
        Target::Cluster(key) => drop(tx.update::<Cluster>(scope, key, |row| row.tags = tags)),
        Target::Definition(key) => drop(tx.update::<TaskDefinition>(scope, key, |row| row.tags = tags)),
        Target::Service(key) => drop(tx.update::<Service>(scope, key, |row| row.tags = tags)),
        Target::Task { id, .. } => drop(tx.update::<Task>(scope, id, |row| {
            row.tags = tags;
            row.spec_version += 1;
        })),
    }
}
