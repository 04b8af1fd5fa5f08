//! Tags of this service's resources.

use super::filter::passes;
use super::pages::paged;
use crate::model::{SecurityGroup, Subnet, Vpc};
use crate::types;
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Call, State, Tx};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Tags of one resource at most. Ref: EC2 user guide, "Tag restrictions".
const TAGS_MAX: usize = 50;
/// Ref: as above.
const KEY_CHARS_MAX: usize = 128;
/// Ref: as above.
const VALUE_CHARS_MAX: usize = 256;

/// The resource type of an id, for example `security-group` of `sg-...`.
pub(super) fn resource_type(id: &str) -> &'static str {
    match id.split('-').next() {
        Some("sg") => "security-group",
        Some("sgr") => "security-group-rule",
        Some("subnet") => "subnet",
        Some("vpc") => "vpc",
        Some("eni") => "network-interface",
        _ => "*",
    }
}

/// As answers have them: VPCs, subnets and security groups without a tag have no such member.
pub(super) fn into_tags(tags: &BTreeMap<String, String>) -> Option<Vec<types::Tag>> {
    (!tags.is_empty()).then(|| {
        tags.iter()
            .map(|(k, v)| types::Tag {
                key: Some(k.clone()),
                value: Some(v.clone()),
            })
            .collect()
    })
}

fn checked(tags: Vec<types::Tag>) -> Result<BTreeMap<String, String>, ApiError> {
    let mut map = BTreeMap::new();
    for tag in tags {
        let (key, value) = (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
        let wrong = if key.is_empty() {
            Some(("key", &key, "Tag key must not be empty".to_owned()))
        } else if key.chars().count() > KEY_CHARS_MAX {
            let message = format!("Tag key exceeds the maximum length of {KEY_CHARS_MAX} characters");
            Some(("key", &key, message))
        } else if key.to_ascii_lowercase().starts_with("aws:") {
            let message = "Tag keys starting with 'aws:' are reserved for internal use";
            Some(("key", &key, message.to_owned()))
        } else if value.chars().count() > VALUE_CHARS_MAX {
            let message = format!("Tag value exceeds the maximum length of {VALUE_CHARS_MAX} characters");
            Some(("value", &value, message))
        } else {
            None
        };
        if let Some((parameter, given, why)) = wrong {
            let message = format!("Value ( {given} ) for parameter {parameter} is invalid. {why}");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        map.insert(key, value);
    }
    limited(map)
}

fn limited(map: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ApiError> {
    if map.len() > TAGS_MAX {
        let message = format!("The maximum number of Tags for a resource has been reached: {TAGS_MAX}.");
        return Err(ApiError::new("TagLimitExceeded", message));
    }
    Ok(map)
}

/// The tags of a new resource.
pub(super) fn of_specification(
    specifications: Option<Vec<types::TagSpecification>>,
    resource_type: &str,
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut all = Vec::new();
    for specification in specifications.unwrap_or_default() {
        let named = specification.resource_type.unwrap_or_default();
        if named != resource_type {
            let message = format!("'{named}' is not a valid taggable resource type for this operation.");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
        all.extend(specification.tags.unwrap_or_default());
    }
    checked(all)
}

/// Ref: AWS's answer to CreateTags and DeleteTags without a resource, as Cloud Custodian's tests recorded it.
fn some_resources(resources: &[String]) -> Result<(), ApiError> {
    if resources.is_empty() {
        let message = "The request must contain the parameter resourceIdSet";
        return Err(ApiError::new("MissingParameter", message));
    }
    Ok(())
}

/// Changes the tags of one resource.
fn change(
    tx: &mut Tx<'_>,
    scope: &Scope,
    id: &str,
    change: impl Fn(&mut BTreeMap<String, String>),
) -> Result<(), ApiError> {
    let tags_of = |tags: &mut BTreeMap<String, String>| -> Result<(), ApiError> {
        change(tags);
        limited(tags.clone()).map(drop)
    };
    let not_found = |code: &str, what: &str| Err(ApiError::new(code, format!("The {what} '{id}' does not exist")));
    match resource_type(id) {
        "vpc" => match tx.get::<Vpc>(scope, id).cloned() {
            Some(mut row) => {
                tags_of(&mut row.tags)?;
                tx.put(scope, id, row);
                Ok(())
            }
            None => not_found("InvalidVpcID.NotFound", "vpc ID"),
        },
        "subnet" => match tx.get::<Subnet>(scope, id).cloned() {
            Some(mut row) => {
                tags_of(&mut row.tags)?;
                tx.put(scope, id, row);
                Ok(())
            }
            None => not_found("InvalidSubnetID.NotFound", "subnet ID"),
        },
        "security-group" => match tx.get::<SecurityGroup>(scope, id).cloned() {
            Some(mut row) => {
                tags_of(&mut row.tags)?;
                tx.put(scope, id, row);
                Ok(())
            }
            None => not_found("InvalidGroup.NotFound", "security group"),
        },
        "security-group-rule" => {
            let group = tx.list::<SecurityGroup>(scope).map(|(_, group)| group.clone());
            let found = group
                .into_iter()
                .find(|group| group.rules.iter().any(|rule| rule.id == id));
            let Some(mut group) = found else {
                return not_found("InvalidSecurityGroupRuleId.NotFound", "security group rule ID");
            };
            for rule in group.rules.iter_mut().filter(|rule| rule.id == id) {
                tags_of(&mut rule.tags)?;
            }
            let key = group.id.clone();
            tx.put(scope, &key, group);
            Ok(())
        }
        _ => Err(ApiError::new("InvalidID", format!("The ID '{id}' is not valid"))),
    }
}

pub(super) fn create(tx: &mut Tx<'_>, call: &Call, input: types::CreateTagsRequest) -> Result<Value, ApiError> {
    some_resources(&input.resources)?;
    let tags = checked(input.tags)?;
    for id in &input.resources {
        change(tx, &call.scope, id, |have| have.extend(tags.clone()))?;
    }
    Ok(Value::Object(Map::new()))
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteTagsRequest) -> Result<Value, ApiError> {
    some_resources(&input.resources)?;
    for id in &input.resources {
        change(tx, &call.scope, id, |have| match &input.tags {
            // Without tags every tag goes. Ref: EC2 API reference, DeleteTags.
            None => have.clear(),
            Some(tags) => have.retain(|key, value| {
                !tags
                    .iter()
                    .any(|t| t.key.as_deref() == Some(key) && t.value.as_deref().is_none_or(|wanted| wanted == value))
            }),
        })?;
    }
    Ok(Value::Object(Map::new()))
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeTagsRequest,
) -> Result<types::DescribeTagsResult, ApiError> {
    let scope = &call.scope;
    let vpcs = state.list::<Vpc>(scope).map(|(id, row)| (id, &row.tags));
    let subnets = state.list::<Subnet>(scope).map(|(id, row)| (id, &row.tags));
    let groups = state.list::<SecurityGroup>(scope).map(|(id, row)| (id, &row.tags));
    let rules = state
        .list::<SecurityGroup>(scope)
        .flat_map(|(_, group)| group.rules.iter().map(|rule| (rule.id.as_str(), &rule.tags)));
    let mut found = Vec::new();
    for (id, tags) in vpcs.chain(subnets).chain(groups).chain(rules) {
        for (key, value) in tags {
            let value_of = |name: &str| match name {
                "key" => Some(vec![key.clone()]),
                "value" => Some(vec![value.clone()]),
                "resource-id" => Some(vec![id.to_owned()]),
                "resource-type" => Some(vec![resource_type(id).to_owned()]),
                _ => None,
            };
            if passes(
                input.filters.as_deref(),
                &BTreeMap::from([(key.clone(), value.clone())]),
                value_of,
            )? {
                found.push(types::TagDescription {
                    key: Some(key.clone()),
                    value: Some(value.clone()),
                    resource_id: Some(id.to_owned()),
                    resource_type: Some(resource_type(id).to_owned()),
                });
            }
        }
    }
    let key = |tag: &types::TagDescription| {
        let part = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{} {}", part(&tag.resource_id), part(&tag.key))
    };
    let (tags, next_token) = paged(found, key, input.next_token.as_deref(), input.max_results)?;
    Ok(types::DescribeTagsResult {
        tags: Some(tags),
        next_token,
    })
}
