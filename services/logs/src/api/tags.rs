//! Tags of log groups.

use crate::model::LogGroup;
use crate::names::{group_arn, group_of_arn, invalid, no_group};
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State, Tx};
use std::collections::BTreeMap;

/// Ref: CloudWatch Logs TagResource: at most 50 tags.
const TAGS_MAX: usize = 50;

/// The tags of a group, by its ARN, unless they are too many or nobody's to set.
pub(super) fn checked(arn: &str, tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ApiError> {
    if tags.keys().any(|key| key.to_ascii_lowercase().starts_with("aws:")) {
        return Err(invalid("Tag keys starting with aws: are reserved for AWS."));
    }
    if tags.len() > TAGS_MAX {
        return Err(
            ApiError::new("TooManyTagsException", "A resource can have no more than 50 tags.")
                .with_field("resourceName", arn.into()),
        );
    }
    Ok(tags)
}

fn tag(tx: &mut Tx<'_>, call: &Call, group: &str, tags: BTreeMap<String, String>) -> Result<(), ApiError> {
    let mut row = tx.get::<LogGroup>(&call.scope, group).ok_or_else(no_group)?.clone();
    row.tags.extend(tags);
    row.tags = checked(&group_arn(&call.scope, group), row.tags)?;
    tx.put(&call.scope, group, row);
    Ok(())
}

fn untag(tx: &mut Tx<'_>, call: &Call, group: &str, keys: &[String]) -> Result<(), ApiError> {
    let untagged = tx.update::<LogGroup>(&call.scope, group, |row| row.tags.retain(|key, _| !keys.contains(key)));
    untagged.map(drop).ok_or_else(no_group)
}

fn list(state: &State, call: &Call, group: &str) -> Result<BTreeMap<String, String>, ApiError> {
    state
        .get::<LogGroup>(&call.scope, group)
        .map(|row| row.tags.clone())
        .ok_or_else(no_group)
}

pub(super) fn tag_group(tx: &mut Tx<'_>, call: &Call, input: types::TagLogGroupRequest) -> Result<(), ApiError> {
    tag(tx, call, &input.log_group_name, input.tags)
}

pub(super) fn tag_resource(tx: &mut Tx<'_>, call: &Call, input: types::TagResourceRequest) -> Result<(), ApiError> {
    tag(tx, call, &group_of_arn(&call.scope, &input.resource_arn)?, input.tags)
}

pub(super) fn untag_group(tx: &mut Tx<'_>, call: &Call, input: types::UntagLogGroupRequest) -> Result<(), ApiError> {
    untag(tx, call, &input.log_group_name, &input.tags)
}

pub(super) fn untag_resource(tx: &mut Tx<'_>, call: &Call, input: types::UntagResourceRequest) -> Result<(), ApiError> {
    untag(
        tx,
        call,
        &group_of_arn(&call.scope, &input.resource_arn)?,
        &input.tag_keys,
    )
}

pub(super) fn list_of_group(
    state: &State,
    call: &Call,
    input: types::ListTagsLogGroupRequest,
) -> Result<types::ListTagsLogGroupResponse, ApiError> {
    Ok(types::ListTagsLogGroupResponse {
        tags: Some(list(state, call, &input.log_group_name)?),
    })
}

pub(super) fn list_of_resource(
    state: &State,
    call: &Call,
    input: types::ListTagsForResourceRequest,
) -> Result<types::ListTagsForResourceResponse, ApiError> {
    Ok(types::ListTagsForResourceResponse {
        tags: Some(list(state, call, &group_of_arn(&call.scope, &input.resource_arn)?)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::{call, in_tx};

    #[test]
    fn too_many_tags_are_refused_by_the_name_of_their_group() {
        let tags = |count: usize| (0..count).map(|n| (format!("k{n}"), String::new())).collect();
        in_tx(|tx| {
            assert!(tag(tx, &call(), "g", tags(TAGS_MAX)).is_ok());
            let error = tag(tx, &call(), "g", tags(TAGS_MAX + 1)).unwrap_err();
            assert_eq!(error.code, "TooManyTagsException");
            let arn = "arn:aws:logs:us-east-1:000000000000:log-group:g";
            assert_eq!(error.fields["resourceName"], arn);
        });
    }
}
