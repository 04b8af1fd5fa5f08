//! What each operation needs. Ref: Service Authorization Reference, "Amazon Elastic Container Registry".

use super::common::scope_of;
use crate::machine::{any_access, repository_access, under_policy, with_request_tags};
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
    vec![with_tags(repository_access(state, &scope, name, action), input)]
}

/// The same with the tags that the request sets, or the keys of those that it takes.
fn with_tags(access: Access, input: &Value) -> Access {
    let list = |name: &str| input.get(name).and_then(Value::as_array).into_iter().flatten();
    let set = list("tags").filter_map(|tag| Some((text(tag, "Key")?, text(tag, "Value").unwrap_or_default())));
    let access = with_request_tags(access, set);
    let taken: Vec<String> = list("tagKeys").filter_map(Value::as_str).map(str::to_owned).collect();
    match taken.is_empty() {
        true => access,
        false => access.with("aws:TagKeys", taken),
    }
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
        let all = Access::new(action, vec![repository_arn(&scope, "*")]);
        return vec![under_policy(state, &scope, all)];
    }
    named
        .into_iter()
        .map(|name| repository_access(state, &scope, name, action))
        .collect()
}

/// An operation on the registry.
pub(super) fn registry(state: &State, call: &Call, _input: &Value, action: &str) -> Vec<Access> {
    vec![any_access(state, &call.scope, action)]
}

/// An operation on the resource whose ARN the input names.
pub(super) fn resource(state: &State, _call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let arn = text(input, "resourceArn").unwrap_or_default();
    match parse_repository_arn(arn) {
        Some((scope, name)) => vec![with_tags(repository_access(state, &scope, &name, action), input)],
        None => vec![Access::new(action, vec![arn.to_owned()])],
    }
}
