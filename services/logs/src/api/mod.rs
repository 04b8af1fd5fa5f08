//! The operations: what each needs, and the function that answers it.

mod access;
mod definitions;
mod groups;
mod policies;
mod probe;
mod read;
mod streams;
mod tags;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
mod write;

use crate::events::Events;
use honmaru_base::ApiError;
use honmaru_machine::{AsyncHandler, BoxFuture, Call, Handler, Operation, State, Tx};
use honmaru_wire::tree::Tree;
use serde_json::{Map, Value};
use std::sync::Arc;

macro_rules! read {
    ($name:literal, $access:path, $handler:path) => {
        Operation {
            name: $name,
            access: $access,
            handler: Handler::Read(|state: &State, call: &Call, input: Value| {
                Ok($handler(state, call, Tree::from_tree(input))?.into_tree())
            }),
        }
    };
}

macro_rules! write {
    ($name:literal, $access:path, $handler:path) => {
        Operation {
            name: $name,
            access: $access,
            handler: Handler::Write(|tx: &mut Tx<'_>, call: &Call, input: Value| {
                $handler(tx, call, Tree::from_tree(input))?;
                // None of these operations has an output.
                Ok(Value::Object(Map::new()))
            }),
        }
    };
}

macro_rules! change {
    ($name:literal, $access:path, $handler:path) => {
        Operation {
            name: $name,
            access: $access,
            handler: Handler::Write(|tx: &mut Tx<'_>, call: &Call, input: Value| {
                Ok($handler(tx, call, Tree::from_tree(input))?.into_tree())
            }),
        }
    };
}

fn waits<In, Out, F>(
    events: &Arc<dyn Events>,
    handler: impl Fn(Arc<dyn Events>, Call, In) -> F + Send + Sync + 'static,
) -> Handler
where
    In: Tree + 'static,
    Out: Tree + 'static,
    F: Future<Output = Result<Out, ApiError>> + Send + 'static,
{
    let events = events.clone();
    let handler: AsyncHandler = Arc::new(move |call, input| -> BoxFuture<Result<Value, ApiError>> {
        let answer = handler(events.clone(), call, In::from_tree(input));
        Box::pin(async move { Ok(answer.await?.into_tree()) })
    });
    Handler::Async(handler)
}

/// Every operation that this service implements, over a keeper of events.
pub fn operations(events: &Arc<dyn Events>) -> Vec<Operation> {
    let op = |name, access, handler| Operation { name, access, handler };
    let mut all = tagging();
    all.extend([
        write!("CreateLogGroup", access::create_log_group, groups::create),
        write!("CreateLogStream", access::create_log_stream, streams::create),
        write!("DeleteLogGroup", access::delete_log_group, groups::delete),
        write!("DeleteLogStream", access::delete_log_stream, streams::delete),
        change!(
            "DeleteQueryDefinition",
            access::delete_query_definition,
            definitions::delete
        ),
        write!("DeleteResourcePolicy", access::delete_resource_policy, policies::delete),
        write!(
            "DeleteRetentionPolicy",
            access::delete_retention_policy,
            groups::delete_retention
        ),
        op(
            "DescribeLogGroups",
            access::describe_log_groups,
            waits(events, groups::describe),
        ),
        op(
            "DescribeLogStreams",
            access::describe_log_streams,
            waits(events, streams::describe),
        ),
        read!(
            "DescribeQueryDefinitions",
            access::describe_query_definitions,
            definitions::describe
        ),
        read!(
            "DescribeResourcePolicies",
            access::describe_resource_policies,
            policies::describe
        ),
        op(
            "FilterLogEvents",
            access::filter_log_events,
            waits(events, read::filter),
        ),
        op("GetLogEvents", access::get_log_events, waits(events, read::get)),
        read!("ListLogGroups", access::list_log_groups, groups::list),
        read!(
            "ListTagsForResource",
            access::list_tags_for_resource,
            tags::list_of_resource
        ),
        read!("ListTagsLogGroup", access::list_tags_log_group, tags::list_of_group),
        op("PutLogEvents", access::put_log_events, waits(events, write::put)),
        write!(
            "PutLogGroupDeletionProtection",
            access::put_log_group_deletion_protection,
            groups::put_deletion_protection
        ),
        change!("PutQueryDefinition", access::put_query_definition, definitions::put),
        change!("PutResourcePolicy", access::put_resource_policy, policies::put),
        write!(
            "PutRetentionPolicy",
            access::put_retention_policy,
            groups::put_retention
        ),
        op("StartLiveTail", access::start_live_tail, waits(events, tail::start)),
        write!("TagLogGroup", access::tag_log_group, tags::tag_group),
        read!("TestMetricFilter", access::test_metric_filter, probe::test),
        write!("UntagLogGroup", access::untag_log_group, tags::untag_group),
    ]);
    all
}

/// Those of them that change tags: they need no data plane, and the Resource Groups Tagging API calls them.
pub fn tagging() -> Vec<Operation> {
    vec![
        write!("TagResource", access::tag_resource, tags::tag_resource),
        write!("UntagResource", access::untag_resource, tags::untag_resource),
    ]
}
