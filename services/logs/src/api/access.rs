//! What each operation needs. Ref: Service Authorization Reference, "Actions, resources, and condition keys for
//! Amazon CloudWatch Logs".

use crate::names::{group_arn, group_of};
use honmaru_machine::{Access, Call, State};
use serde_json::Value;

fn text(input: &Value, member: &str) -> Option<String> {
    input.get(member).and_then(Value::as_str).map(str::to_owned)
}

/// The ARN of the group that a call names; `*` where it names none.
fn group(call: &Call, input: &Value) -> String {
    if let Some(arn) = text(input, "resourceArn") {
        return arn.strip_suffix(":*").unwrap_or(&arn).to_owned();
    }
    let named = group_of(text(input, "logGroupName"), text(input, "logGroupIdentifier"));
    group_arn(&call.scope, named.as_deref().unwrap_or("*"))
}

macro_rules! on_group {
    ($($function:ident => $action:literal),* $(,)?) => {
        $(pub(super) fn $function(_: &State, call: &Call, input: &Value) -> Vec<Access> {
            vec![Access::new($action, vec![group(call, input)])]
        })*
    };
}

macro_rules! on_stream {
    ($($function:ident => $action:literal),* $(,)?) => {
        $(pub(super) fn $function(_: &State, call: &Call, input: &Value) -> Vec<Access> {
            let stream = text(input, "logStreamName").unwrap_or_else(|| "*".to_owned());
            vec![Access::new($action, vec![format!("{}:log-stream:{stream}", group(call, input))])]
        })*
    };
}

on_group! {
    create_log_group => "logs:CreateLogGroup",
    create_log_stream => "logs:CreateLogStream",
    delete_log_group => "logs:DeleteLogGroup",
    delete_retention_policy => "logs:DeleteRetentionPolicy",
    describe_log_groups => "logs:DescribeLogGroups",
    describe_log_streams => "logs:DescribeLogStreams",
    filter_log_events => "logs:FilterLogEvents",
    list_tags_for_resource => "logs:ListTagsForResource",
    list_tags_log_group => "logs:ListTagsLogGroup",
    put_retention_policy => "logs:PutRetentionPolicy",
    tag_log_group => "logs:TagLogGroup",
    tag_resource => "logs:TagResource",
    untag_log_group => "logs:UntagLogGroup",
    untag_resource => "logs:UntagResource",
}

on_stream! {
    delete_log_stream => "logs:DeleteLogStream",
    get_log_events => "logs:GetLogEvents",
    put_log_events => "logs:PutLogEvents",
}
