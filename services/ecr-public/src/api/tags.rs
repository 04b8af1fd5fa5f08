//! Tags of repositories.

use super::repositories;
use crate::access::parse_arn;
use crate::types;
use honmaru_base::{ApiError, Scope};
use honmaru_ecr::shared::merge_tags;
use honmaru_ecr::{Repository, get_repository};
use honmaru_machine::{Call, State, Tx};

fn resource(arn: &str) -> Result<(Scope, String), ApiError> {
    parse_arn(arn).ok_or_else(|| {
        ApiError::new(
            "InvalidParameterException",
            format!("Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN {arn}'"),
        )
    })
}

pub(super) fn list(
    state: &State,
    _call: &Call,
    input: types::ListTagsForResourceRequest,
) -> Result<types::ListTagsForResourceResponse, ApiError> {
    let (scope, name) = resource(&input.resource_arn)?;
    let row = get_repository(state, &scope, &name)?;
    let tag = |(key, value): (&String, &String)| types::Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    Ok(types::ListTagsForResourceResponse {
        tags: Some(row.resource_tags.iter().map(tag).collect()),
    })
}

pub(super) fn tag(
    tx: &mut Tx<'_>,
    _call: &Call,
    input: types::TagResourceRequest,
) -> Result<types::TagResourceResponse, ApiError> {
    let (scope, name) = resource(&input.resource_arn)?;
    let mut tags = get_repository(tx, &scope, &name)?.resource_tags.clone();
    merge_tags(&mut tags, repositories::tags(input.tags))?;
    tx.update::<Repository>(&scope, &name, |row| row.resource_tags = tags);
    Ok(types::TagResourceResponse {})
}

pub(super) fn untag(
    tx: &mut Tx<'_>,
    _call: &Call,
    input: types::UntagResourceRequest,
) -> Result<types::UntagResourceResponse, ApiError> {
    let (scope, name) = resource(&input.resource_arn)?;
    get_repository(tx, &scope, &name)?;
    tx.update::<Repository>(&scope, &name, |row| {
        row.resource_tags.retain(|key, _| !input.tag_keys.contains(key));
    });
    Ok(types::UntagResourceResponse {})
}
