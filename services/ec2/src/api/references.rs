//! Who refers to security groups: what consoles and deployment tools ask before they offer or delete one.

use super::filter::passes;
use super::pages::page_of_trees;
use super::tags::into_tags;
use crate::model::{SecurityGroup, Vpc};
use crate::types::Filter;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State};
use honmaru_wire::tree::Tree;
use serde_json::{Value, json};

fn vpc_of<'a>(state: &State, call: &Call, input: &'a Value) -> Result<&'a str, ApiError> {
    let id = input.get("VpcId").and_then(Value::as_str).unwrap_or_default();
    match state.get::<Vpc>(&call.scope, id) {
        Some(_) => Ok(id),
        None => Err(ApiError::new(
            "InvalidVpcID.NotFound",
            format!("The vpc ID '{id}' does not exist"),
        )),
    }
}

/// GetSecurityGroupsForVpc.
pub(super) fn for_vpc(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let scope = &call.scope;
    let vpc = vpc_of(state, call, &input)?;
    let given = input.get("Filters").and_then(Value::as_array);
    let filters: Vec<Filter> = given.into_iter().flatten().cloned().map(Filter::from_tree).collect();
    let mut found = Vec::new();
    for (id, group) in state.list::<SecurityGroup>(scope).filter(|(_, g)| g.vpc_id == vpc) {
        let value_of = |name: &str| {
            Some(match name {
                "group-id" => vec![id.to_owned()],
                "group-name" => vec![group.name.clone()],
                "description" => vec![group.description.clone()],
                "owner-id" => vec![scope.account.to_string()],
                "primary-vpc-id" => vec![group.vpc_id.clone()],
                _ => return None,
            })
        };
        if passes(Some(&filters), &group.tags, value_of)? {
            let tags = into_tags(&group.tags).unwrap_or_default().into_iter();
            let tree = json!({
                "GroupId": id, "GroupName": group.name, "Description": group.description,
                "OwnerId": scope.account.to_string(), "PrimaryVpcId": group.vpc_id,
                "Tags": tags.map(Tree::into_tree).collect::<Vec<Value>>(),
            });
            found.push((id.to_owned(), tree));
        }
    }
    page_of_trees(&input, found, "SecurityGroupForVpcs")
}

/// DescribeSecurityGroupReferences: VPCs on the other side of a peering; there is no peering.
pub(super) fn from_peers(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let ids = input.get("GroupId").and_then(Value::as_array);
    for id in ids.into_iter().flatten().filter_map(Value::as_str) {
        crate::security_group(state, &call.scope, id)?;
    }
    Ok(json!({ "SecurityGroupReferenceSet": [] }))
}

/// DescribeStaleSecurityGroups: rules that refer to a deleted group of a peer; there is no peering.
pub(super) fn stale(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    vpc_of(state, call, &input)?;
    Ok(json!({ "StaleSecurityGroupSet": [] }))
}
