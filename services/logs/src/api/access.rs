//! What each operation needs. Ref: Service Authorization Reference, "Actions, resources, and condition keys for
//! Amazon CloudWatch Logs".

use crate::model::LogGroup;
use crate::names::{group_arn, group_of, group_of_arn};
use honmaru_machine::{Access, Call, State};
use serde_json::Value;

fn text(input: &Value, member: &str) -> Option<String> {
    input.get(member).and_then(Value::as_str).map(str::to_owned)
}

/// The group that a call names.
fn named(call: &Call, input: &Value) -> Option<String> {
    match text(input, "resourceArn") {
        Some(arn) => group_of_arn(&call.scope, &arn).ok(),
        None => group_of(
            &call.scope,
            text(input, "logGroupName"),
            text(input, "logGroupIdentifier"),
        )
        .ok(),
    }
}

/// The action on a resource, with the tags of the group and of the request.
fn access(state: &State, call: &Call, input: &Value, action: &str, resource: String) -> Vec<Access> {
    let mut access = Access::new(action, vec![resource]);
    let group = named(call, input).and_then(|name| state.get::<LogGroup>(&call.scope, &name));
    for (key, value) in group.into_iter().flat_map(|group| &group.tags) {
        access = access.with(&format!("aws:ResourceTag/{key}"), vec![value.clone()]);
    }
    let mut keys = Vec::new();
    match input.get("tags") {
        Some(Value::Object(tags)) => {
            for (key, value) in tags {
                let value = value.as_str().unwrap_or_default().to_owned();
                access = access.with(&format!("aws:RequestTag/{key}"), vec![value]);
                keys.push(key.clone());
            }
        }
        Some(Value::Array(untagged)) => keys.extend(untagged.iter().filter_map(Value::as_str).map(str::to_owned)),
        _ => {}
    }
    let untagged = input.get("tagKeys").and_then(Value::as_array).into_iter().flatten();
    keys.extend(untagged.filter_map(Value::as_str).map(str::to_owned));
    if !keys.is_empty() {
        access = access.with("aws:TagKeys", keys);
    }
    vec![access]
}

/// What policies name with `:*` at the end. Ref: user guide, "CloudWatch Logs resources and operations": in policies the
/// ARN of a group ends with `:*`, but for the three operations of tags by ARN; the error messages show why: what is
/// asked for is a group's stream without a name.
fn below(call: &Call, input: &Value, stream: &str) -> String {
    let group = named(call, input).unwrap_or_default();
    format!("{}:log-stream:{stream}", group_arn(&call.scope, &group))
}

macro_rules! on_group {
    ($($function:ident => $action:literal),* $(,)?) => {
        $(pub(super) fn $function(state: &State, call: &Call, input: &Value) -> Vec<Access> {
            access(state, call, input, $action, below(call, input, ""))
        })*
    };
}

/// Whoever sets tags needs the permission to. Ref: CreateLogGroup, `tags`: "you must have both the logs:TagResource and
/// logs:CreateLogGroup permissions".
pub(super) fn create_log_group(state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let mut all = access(state, call, input, "logs:CreateLogGroup", below(call, input, ""));
    let sets_tags = input
        .get("tags")
        .and_then(Value::as_object)
        .is_some_and(|tags| !tags.is_empty());
    if sets_tags {
        let group = group_arn(&call.scope, &named(call, input).unwrap_or_default());
        all.extend(access(state, call, input, "logs:TagResource", group));
    }
    all
}

macro_rules! on_everything {
    ($($function:ident => $action:literal),* $(,)?) => {
        $(pub(super) fn $function(_: &State, _: &Call, _: &Value) -> Vec<Access> {
            vec![Access::any($action)]
        })*
    };
}

/// Every group that a session looks at.
pub(super) fn start_live_tail(state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let groups = input.get("logGroupIdentifiers").and_then(Value::as_array);
    let groups = groups.into_iter().flatten().filter_map(Value::as_str);
    let of_group = |identifier: &str| {
        let one = serde_json::json!({ "logGroupIdentifier": identifier });
        access(state, call, &one, "logs:StartLiveTail", below(call, &one, ""))
    };
    groups.flat_map(of_group).collect()
}

macro_rules! on_group_itself {
    ($($function:ident => $action:literal),* $(,)?) => {
        $(pub(super) fn $function(state: &State, call: &Call, input: &Value) -> Vec<Access> {
            let group = named(call, input).unwrap_or_default();
            access(state, call, input, $action, group_arn(&call.scope, &group))
        })*
    };
}

macro_rules! on_stream {
    ($($function:ident => $action:literal),* $(,)?) => {
        $(pub(super) fn $function(state: &State, call: &Call, input: &Value) -> Vec<Access> {
            let stream = text(input, "logStreamName").unwrap_or_default();
            access(state, call, input, $action, below(call, input, &stream))
        })*
    };
}

on_group! {
    delete_log_group => "logs:DeleteLogGroup",
    delete_retention_policy => "logs:DeleteRetentionPolicy",
    describe_log_groups => "logs:DescribeLogGroups",
    describe_log_streams => "logs:DescribeLogStreams",
    filter_log_events => "logs:FilterLogEvents",
    list_tags_log_group => "logs:ListTagsLogGroup",
    put_log_group_deletion_protection => "logs:PutLogGroupDeletionProtection",
    put_retention_policy => "logs:PutRetentionPolicy",
    tag_log_group => "logs:TagLogGroup",
    untag_log_group => "logs:UntagLogGroup",
}

on_everything! {
    delete_query_definition => "logs:DeleteQueryDefinition",
    delete_resource_policy => "logs:DeleteResourcePolicy",
    describe_query_definitions => "logs:DescribeQueryDefinitions",
    describe_resource_policies => "logs:DescribeResourcePolicies",
    list_log_groups => "logs:ListLogGroups",
    put_query_definition => "logs:PutQueryDefinition",
    put_resource_policy => "logs:PutResourcePolicy",
    test_metric_filter => "logs:TestMetricFilter",
}

on_group_itself! {
    list_tags_for_resource => "logs:ListTagsForResource",
    tag_resource => "logs:TagResource",
    untag_resource => "logs:UntagResource",
}

on_stream! {
    create_log_stream => "logs:CreateLogStream",
    delete_log_stream => "logs:DeleteLogStream",
    get_log_events => "logs:GetLogEvents",
    put_log_events => "logs:PutLogEvents",
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::call;
    use serde_json::json;

    #[test]
    fn resources_are_what_policies_name_with_a_star_at_the_end() {
        let mut state = State::new();
        crate::register(&mut state);
        let call = call();
        let input = json!({"logGroupName": "/ecs/web", "logStreamName": "a/b", "tags": {"team": "x"}});
        let of = |access: fn(&State, &Call, &Value) -> Vec<Access>| {
            access(&state, &call, &input)
                .first()
                .expect("an access")
                .resources
                .clone()
        };
        const GROUP: &str = "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/web";
        assert_eq!(of(create_log_stream), [format!("{GROUP}:log-stream:a/b")]);
        assert_eq!(of(put_log_events), [format!("{GROUP}:log-stream:a/b")]);
        assert_eq!(of(describe_log_streams), [format!("{GROUP}:log-stream:")]);
        assert_eq!(of(create_log_group), [format!("{GROUP}:log-stream:")]);
        assert_eq!(of(tag_resource), [GROUP]);
        let access = create_log_group(&state, &call, &input);
        let context = &access.first().expect("an access").context;
        assert!(context.contains(&("aws:RequestTag/team".to_owned(), vec!["x".to_owned()])));
        assert!(context.contains(&("aws:TagKeys".to_owned(), vec!["team".to_owned()])));
    }
}
