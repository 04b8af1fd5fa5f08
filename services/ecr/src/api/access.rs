//! What each operation needs. Ref: Service Authorization Reference, "Amazon Elastic Container Registry".

use super::common::scope_of;
use crate::machine::{get_repository, repository_access};
use crate::names::{parse_repository_arn, repository_arn};
use honmaru_machine::{Access, Call, State};
use serde_json::Value;

fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

/// An operation on the repository that the input names.
pub(super) fn repository(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    // A malformed registry id is refused by the handler; until then the call is judged in its own account.
    let scope = scope_of(call, text(input, "registryId")).unwrap_or_else(|_| call.scope.clone());
    let name = text(input, "repositoryName").unwrap_or_default();
    let mut access = repository_access(state, &scope, name, action);
    if get_repository(state, &scope, name).is_err() {
        for tag in input.get("tags").and_then(Value::as_array).into_iter().flatten() {
            if let (Some(key), Some(value)) = (text(tag, "Key"), text(tag, "Value")) {
                access = access.with(&format!("aws:RequestTag/{key}"), vec![value.to_owned()]);
            }
        }
    }
    vec![access]
}

/// An operation on some repositories, or on all when none is named.
pub(super) fn repositories(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let scope = scope_of(call, text(input, "registryId")).unwrap_or_else(|_| call.scope.clone());
    let named: Vec<&str> = input
        .get("repositoryNames")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if named.is_empty() {
        return vec![Access::new(action, vec![repository_arn(&scope, "*")])];
    }
    named
        .into_iter()
        .map(|name| repository_access(state, &scope, name, action))
        .collect()
}

/// An operation on the registry.
pub(super) fn registry(_state: &State, _call: &Call, _input: &Value, action: &str) -> Vec<Access> {
    vec![Access::any(action)]
}

/// An operation on the resource whose ARN the input names.
pub(super) fn resource(state: &State, _call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let arn = text(input, "resourceArn").unwrap_or_default();
    match parse_repository_arn(arn) {
        Some((scope, name)) => vec![repository_access(state, &scope, &name, action)],
        None => vec![Access::new(action, vec![arn.to_owned()])],
    }
}
