//! TagResources and UntagResources: one change to resources of several services, each of which may fail by itself.

use crate::api::invalid;
use crate::{Change, Source, types};
use honmaru_base::{ApiError, Arn};
use honmaru_machine::{Call, Tx};
use std::collections::{BTreeMap, BTreeSet};

/// Ref: Resource Groups Tagging API, TagResources: the prefix is reserved for AWS.
const RESERVED: &str = "aws:";
/// The status of an error whose own is the model's.
const STATUS: i32 = 400;

type Failed = BTreeMap<String, types::FailureInfo>;

pub(crate) fn tag<S: Source>(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::TagResourcesInput,
) -> Result<types::TagResourcesOutput, ApiError> {
    let tags: BTreeMap<String, String> = input.tags.into_iter().collect();
    checked(tags.keys())?;
    let failed = change::<S>(tx, call, input.resource_arn_list, &Change::Tag(tags))?;
    Ok(types::TagResourcesOutput {
        failed_resources_map: Some(failed),
    })
}

pub(crate) fn untag<S: Source>(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::UntagResourcesInput,
) -> Result<types::UntagResourcesOutput, ApiError> {
    checked(input.tag_keys.iter())?;
    let failed = change::<S>(tx, call, input.resource_arn_list, &Change::Untag(input.tag_keys))?;
    Ok(types::UntagResourcesOutput {
        failed_resources_map: Some(failed),
    })
}

fn checked<'k>(mut keys: impl Iterator<Item = &'k String>) -> Result<(), ApiError> {
    match keys.find(|key| key.to_ascii_lowercase().starts_with(RESERVED)) {
        Some(key) => Err(invalid(&format!(
            "The tag key '{key}' is not valid: keys that begin with aws: are reserved for AWS."
        ))),
        None => Ok(()),
    }
}

/// Every resource once; what is no ARN refuses the whole call. Ref: boto3's issue 2760 shows both kinds of failure: the
/// call's own for what is no ARN, and the service's code in the map.
fn change<S: Source>(tx: &mut Tx<'_>, call: &Call, arns: Vec<String>, change: &Change) -> Result<Failed, ApiError> {
    let parsed = arns.iter().collect::<BTreeSet<_>>().into_iter().map(|text| {
        let arn = text.parse::<Arn>();
        arn.map_err(|_| invalid(&format!("{text} not a valid AmazonResourceName (ARN)")))
    });
    let parsed = parsed.collect::<Result<Vec<Arn>, _>>()?;
    let mut failed = Failed::new();
    for arn in parsed {
        if let Err(error) = S::change(tx, call, &arn, change) {
            let info = types::FailureInfo {
                status_code: Some(error.status.map_or(STATUS, i32::from)),
                error_code: Some(error.code),
                error_message: Some(error.message),
            };
            failed.insert(arn.to_string(), info);
        }
    }
    Ok(failed)
}
