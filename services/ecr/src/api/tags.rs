//! Tags of repositories.

use super::common::{merge_tags, shown_tags};
use crate::machine::get_repository;
use crate::model::Repository;
use crate::names::parse_repository_arn;
use crate::{errors, types};
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Call, State, Tx};

fn resource(call: &Call, arn: &str) -> Result<(Scope, String), ApiError> {
    let parsed = parse_repository_arn(arn).filter(|(scope, _)| scope.region == call.scope.region);
    parsed.ok_or_else(|| {
        errors::invalid("Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'")
    })
}

pub(super) fn list(
    state: &State,
    call: &Call,
    input: types::ListTagsForResourceRequest,
) -> Result<types::ListTagsForResourceResponse, ApiError> {
    let (scope, name) = resource(call, &input.resource_arn)?;
    let row = get_repository(state, &scope, &name)?;
    Ok(types::ListTagsForResourceResponse {
        tags: Some(shown_tags(&row.resource_tags)),
    })
}

pub(super) fn tag(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::TagResourceRequest,
) -> Result<types::TagResourceResponse, ApiError> {
    let (scope, name) = resource(call, &input.resource_arn)?;
    let mut tags = get_repository(tx, &scope, &name)?.resource_tags.clone();
    merge_tags(&mut tags, input.tags)?;
    tx.update::<Repository>(&scope, &name, |row| row.resource_tags = tags);
    Ok(types::TagResourceResponse {})
}

pub(super) fn untag(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::UntagResourceRequest,
) -> Result<types::UntagResourceResponse, ApiError> {
    let (scope, name) = resource(call, &input.resource_arn)?;
    get_repository(tx, &scope, &name)?;
    tx.update::<Repository>(&scope, &name, |row| {
        row.resource_tags.retain(|key, _| !input.tag_keys.contains(key));
    });
    Ok(types::UntagResourceResponse {})
}
