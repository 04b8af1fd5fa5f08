//! What each operation needs. Ref: Service Authorization Reference, "Actions, resources, and condition keys for EC2".

use crate::model::{SecurityGroup, Subnet, Vpc};
use honmaru_base::Arn;
use honmaru_machine::{Access, Call, State};
use serde_json::Value;
use std::collections::BTreeMap;

macro_rules! describe {
    ($($function:ident => $action:literal),* $(,)?) => {
        $(pub(super) fn $function(_: &State, _: &Call, _: &Value) -> Vec<Access> {
            vec![Access::any($action)]
        })*
    };
}

// The Describe operations have no resource-level permissions.
describe! {
    describe_account_attributes => "ec2:DescribeAccountAttributes",
    describe_availability_zones => "ec2:DescribeAvailabilityZones",
    describe_network_interfaces => "ec2:DescribeNetworkInterfaces",
    describe_regions => "ec2:DescribeRegions",
    describe_security_group_rules => "ec2:DescribeSecurityGroupRules",
    describe_security_groups => "ec2:DescribeSecurityGroups",
    describe_subnets => "ec2:DescribeSubnets",
    describe_tags => "ec2:DescribeTags",
    describe_vpc_attribute => "ec2:DescribeVpcAttribute",
    describe_vpcs => "ec2:DescribeVpcs",
}

fn arn(call: &Call, resource: String) -> String {
    Arn::new("ec2", call.scope.region.as_str(), call.scope.account.as_str(), resource).to_string()
}

fn text<'a>(input: &'a Value, member: &str) -> Option<&'a str> {
    input.get(member).and_then(Value::as_str)
}

macro_rules! on_group {
    ($($function:ident => $action:literal),* $(,)?) => {
        $(pub(super) fn $function(state: &State, call: &Call, input: &Value) -> Vec<Access> {
            let group = arn(call, format!("security-group/{}", group_id(state, call, input)));
            of_resources(state, call, Access::new($action, vec![group]))
        })*
    };
}

on_group! {
    authorize_egress => "ec2:AuthorizeSecurityGroupEgress",
    authorize_ingress => "ec2:AuthorizeSecurityGroupIngress",
    delete_group => "ec2:DeleteSecurityGroup",
    describe_egress_rules => "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
    describe_ingress_rules => "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
    modify_rules => "ec2:ModifySecurityGroupRules",
    revoke_egress => "ec2:RevokeSecurityGroupEgress",
    revoke_ingress => "ec2:RevokeSecurityGroupIngress",
}

/// The group that a call names by id, or by its name in the default VPC.
fn group_id(state: &State, call: &Call, input: &Value) -> String {
    if let Some(id) = text(input, "GroupId") {
        return id.to_owned();
    }
    let by_name = |name: &str| {
        let vpc = crate::default_vpc(state, &call.scope)?;
        let (id, _) = state
            .find::<SecurityGroup>(&call.scope, "name", &format!("{}/{name}", vpc.id))
            .next()?;
        Some(id.to_owned())
    };
    text(input, "GroupName")
        .and_then(by_name)
        .unwrap_or_else(|| "*".to_owned())
}

pub(super) fn create_group(state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let vpc = text(input, "VpcId")
        .map(str::to_owned)
        .or_else(|| crate::default_vpc(state, &call.scope).map(|vpc| vpc.id.clone()))
        .unwrap_or_else(|| "*".to_owned());
    let group = arn(call, "security-group/*".to_owned());
    let mut all = vec![of_request(
        Access::new("ec2:CreateSecurityGroup", vec![group.clone()]),
        input,
    )];
    let vpc = Access::new("ec2:CreateSecurityGroup", vec![arn(call, format!("vpc/{vpc}"))]);
    all.extend(of_resources(state, call, vpc));
    // Ref: EC2 user guide, "Grant permission to tag Amazon EC2 resources during creation".
    if !request_tags(input).is_empty() {
        let tagging = Access::new("ec2:CreateTags", vec![group]);
        let tagging = tagging.with("ec2:CreateAction", vec!["CreateSecurityGroup".to_owned()]);
        all.push(of_request(tagging, input));
    }
    all
}

/// The tags that a call sets, or names to remove: in `Tags`, or in `TagSpecifications`.
fn request_tags(input: &Value) -> Vec<(String, Option<String>)> {
    let list = |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut tags = list(input, "Tags");
    tags.extend(
        list(input, "TagSpecifications")
            .iter()
            .flat_map(|one| list(one, "Tags")),
    );
    let pair = |tag: &Value| Some((text(tag, "Key")?.to_owned(), text(tag, "Value").map(str::to_owned)));
    tags.iter().filter_map(pair).collect()
}

/// The access with the tags that the call sets or removes.
fn of_request(mut access: Access, input: &Value) -> Access {
    let tags = request_tags(input);
    let keys: Vec<String> = tags.iter().map(|(key, _)| key.clone()).collect();
    for (key, value) in tags {
        access = access.with(&format!("aws:RequestTag/{key}"), vec![value.unwrap_or_default()]);
    }
    if keys.is_empty() {
        access
    } else {
        access.with("aws:TagKeys", keys)
    }
}

/// Each access with the tags of its resource; one for each resource where one of them has tags.
fn of_resources(state: &State, call: &Call, access: Access) -> Vec<Access> {
    let tags_of = |arn: &String| {
        let (noun, id) = arn.rsplit(':').next()?.split_once('/')?;
        match noun {
            "security-group" => state.get::<SecurityGroup>(&call.scope, id).map(|row| &row.tags),
            "subnet" => state.get::<Subnet>(&call.scope, id).map(|row| &row.tags),
            "vpc" => state.get::<Vpc>(&call.scope, id).map(|row| &row.tags),
            _ => None,
        }
    };
    let tags: Vec<_> = access.resources.iter().map(tags_of).collect();
    if tags.iter().flatten().all(|tags| tags.is_empty()) {
        return vec![access];
    }
    let one = |(arn, tags): (&String, Option<&BTreeMap<String, String>>)| {
        let mut one = access.clone();
        one.resources = vec![arn.clone()];
        for (key, value) in tags.into_iter().flatten() {
            one = one.with(&format!("aws:ResourceTag/{key}"), vec![value.clone()]);
            one = one.with(&format!("ec2:ResourceTag/{key}"), vec![value.clone()]);
        }
        one
    };
    access.resources.iter().zip(tags).map(one).collect()
}

fn tagged(call: &Call, input: &Value) -> Vec<String> {
    let ids = input
        .get("Resources")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    ids.map(|id| arn(call, format!("{}/{id}", super::tags::resource_type(id))))
        .collect()
}

pub(super) fn create_tags(state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let access = of_request(Access::new("ec2:CreateTags", tagged(call, input)), input);
    of_resources(state, call, access)
}

pub(super) fn delete_tags(state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let access = of_request(Access::new("ec2:DeleteTags", tagged(call, input)), input);
    of_resources(state, call, access)
}
