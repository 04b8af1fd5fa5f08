//! The condition keys of tags: those of the resources that a call names, and those that it sets.
//! Ref: Service Authorization Reference, "Condition keys for Amazon Elastic Container Service".

use super::settings::effective_setting;
use crate::tagged::tags_of;
use honmaru_machine::{Access, Call, State};
use serde_json::Value;

/// Each access with `aws:ResourceTag` and `ecs:ResourceTag` of its resource. Accesses to several resources are parted
/// where one of them has tags: the keys are of one resource each.
pub(super) fn of_resources(state: &State, call: &Call, accesses: Vec<Access>) -> Vec<Access> {
    let mut all = Vec::with_capacity(accesses.len());
    for access in accesses {
        let tags: Vec<_> = access
            .resources
            .iter()
            .map(|arn| tags_of(state, &call.scope, arn).unwrap_or_default())
            .collect();
        if tags.iter().all(|tags| tags.is_empty()) {
            all.push(access);
            continue;
        }
        for (arn, tags) in access.resources.iter().zip(tags) {
            let mut one = access.clone();
            one.resources = vec![arn.clone()];
            for tag in tags {
                for prefix in ["aws", "ecs"] {
                    one = one.with(&format!("{prefix}:ResourceTag/{}", tag.key), vec![tag.value.clone()]);
                }
            }
            all.push(one);
        }
    }
    all
}

/// The access with `aws:RequestTag` and `aws:TagKeys` of what the call sets or removes.
pub(super) fn of_request(access: Access, input: &Value) -> Access {
    let (mut access, mut keys) = (access, Vec::new());
    for tag in input.get("tags").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| tag.get(name).and_then(Value::as_str);
        if let Some(key) = text("key") {
            let value = text("value").unwrap_or_default().to_owned();
            access = access.with(&format!("aws:RequestTag/{key}"), vec![value]);
            keys.push(key.to_owned());
        }
    }
    let removed = input.get("tagKeys").and_then(Value::as_array).into_iter().flatten();
    keys.extend(removed.filter_map(Value::as_str).map(str::to_owned));
    if keys.is_empty() {
        access
    } else {
        access.with("aws:TagKeys", keys)
    }
}

/// A creation, and `ecs:TagResource` for the tags that it sets. Ref: ECS developer guide, "Grant permission to tag
/// resources on creation": while the account setting `tagResourceAuthorization` is on, as it is unless somebody turned
/// it off.
pub(super) fn of_creation(state: &State, call: &Call, input: &Value, access: Access, made: &str) -> Vec<Access> {
    let access = of_request(access, input);
    let sets_tags = input
        .get("tags")
        .and_then(Value::as_array)
        .is_some_and(|tags| !tags.is_empty());
    if !sets_tags || effective_setting(state, call, "tagResourceAuthorization") != "on" {
        return vec![access];
    }
    let action = access.action.strip_prefix("ecs:").unwrap_or(&access.action);
    let tagging = Access::new("ecs:TagResource", vec![made.to_owned()]);
    let tagging = tagging.with("ecs:CreateAction", vec![action.to_owned()]);
    let tagging = of_request(tagging, input);
    vec![access, tagging]
}
