//! Tags of load balancers, listeners, rules and target groups.

use crate::error;
use crate::model::{Listener, LoadBalancer, Rule, TargetGroup};
use crate::types;
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Call, State, Tx};
use std::collections::BTreeMap;

type Tags = BTreeMap<String, String>;

/// Ref: ELBv2 `TooManyTagsException`: 50 tags per resource.
const TAGS_MAX: usize = 50;

/// The tags of a Create operation.
pub(super) fn from_input(tags: Option<Vec<types::Tag>>) -> Result<Tags, ApiError> {
    let mut all = Tags::new();
    merge(&mut all, tags.unwrap_or_default())?;
    Ok(all)
}

fn merge(all: &mut Tags, tags: Vec<types::Tag>) -> Result<(), ApiError> {
    let mut seen = Vec::new();
    for tag in tags {
        if seen.contains(&tag.key) {
            return Err(ApiError::new(
                "DuplicateTagKeys",
                format!("A tag key was specified more than once: '{}'", tag.key),
            ));
        }
        if tag.key.starts_with("aws:") {
            return Err(error::validation("Tag keys cannot start with 'aws:'"));
        }
        seen.push(tag.key.clone());
        all.insert(tag.key, tag.value.unwrap_or_default());
    }
    if all.len() > TAGS_MAX {
        return Err(ApiError::new(
            "TooManyTags",
            format!("The maximum number of tags is '{TAGS_MAX}'"),
        ));
    }
    Ok(())
}

/// The tags of a resource, whatever it is.
pub(super) fn read(state: &State, scope: &Scope, arn: &str) -> Result<Tags, ApiError> {
    let resource = arn.rsplit(':').next().unwrap_or("");
    let kind = resource.split('/').next().unwrap_or("");
    let (found, missing) = match kind {
        "loadbalancer" => (
            state.get::<LoadBalancer>(scope, arn).map(|row| &row.tags),
            error::load_balancer_not_found(arn),
        ),
        "targetgroup" => (
            state.get::<TargetGroup>(scope, arn).map(|row| &row.tags),
            error::named_group_not_found(arn),
        ),
        "listener" => (
            state.get::<Listener>(scope, arn).map(|row| &row.tags),
            error::listener_not_found(),
        ),
        "listener-rule" => {
            let default = state
                .list::<Listener>(scope)
                .any(|(_, listener)| listener.default_rule_arn == arn);
            if default {
                return Ok(Tags::new());
            }
            (
                state.get::<Rule>(scope, arn).map(|row| &row.tags),
                error::rule_not_found(),
            )
        }
        _ => return Err(error::validation(format!("'{arn}' is not a valid resource ARN"))),
    };
    found.cloned().ok_or(missing)
}

fn store(tx: &mut Tx<'_>, scope: &Scope, arn: &str, tags: Tags) {
    // The row's kind is known to exist; the other tables have no row of this key.
    if tx
        .update::<LoadBalancer>(scope, arn, |row| row.tags = tags.clone())
        .is_none()
        && tx
            .update::<TargetGroup>(scope, arn, |row| row.tags = tags.clone())
            .is_none()
        && tx
            .update::<Listener>(scope, arn, |row| row.tags = tags.clone())
            .is_none()
    {
        tx.update::<Rule>(scope, arn, |row| row.tags = tags);
    }
}

pub(super) fn add(tx: &mut Tx<'_>, call: &Call, input: types::AddTagsInput) -> Result<types::AddTagsOutput, ApiError> {
    for arn in &input.resource_arns {
        let mut tags = read(tx, &call.scope, arn)?;
        merge(&mut tags, input.tags.clone())?;
        store(tx, &call.scope, arn, tags);
    }
    Ok(types::AddTagsOutput {})
}

pub(super) fn remove(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::RemoveTagsInput,
) -> Result<types::RemoveTagsOutput, ApiError> {
    for arn in &input.resource_arns {
        let mut tags = read(tx, &call.scope, arn)?;
        tags.retain(|key, _| !input.tag_keys.contains(key));
        store(tx, &call.scope, arn, tags);
    }
    Ok(types::RemoveTagsOutput {})
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeTagsInput,
) -> Result<types::DescribeTagsOutput, ApiError> {
    let mut descriptions = Vec::new();
    for arn in input.resource_arns {
        let tags = read(state, &call.scope, &arn)?;
        descriptions.push(types::TagDescription {
            resource_arn: Some(arn),
            tags: Some(
                tags.into_iter()
                    .map(|(key, value)| types::Tag {
                        key,
                        value: Some(value),
                    })
                    .collect(),
            ),
        });
    }
    Ok(types::DescribeTagsOutput {
        tag_descriptions: Some(descriptions),
    })
}
