//! What each operation needs. Ref: Service Authorization Reference, "Actions, resources, and condition keys for EC2".

use crate::model::{SecurityGroup, Subnet, Vpc};
use honmaru_base::Arn;
use honmaru_machine::{Access, Call, State};
use serde_json::Value;
use std::collections::BTreeMap;

macro_rules! describe {
    ($($function:ident => $action:literal),* $(,)?) => {
        $(pub(super) fn $function(_: &State, call: &Call, _: &Value) -> Vec<Access> {
            any(call, $action)
        })*
    };
}

/// An action without resource-level permissions.
pub(super) fn any(call: &Call, action: &str) -> Vec<Access> {
    vec![in_region(call, Access::any(action))]
}

/// Every action of EC2 knows `ec2:Region`.
fn in_region(call: &Call, access: Access) -> Access {
    access.with("ec2:Region", vec![call.scope.region.to_string()])
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
    delete_group => "ec2:DeleteSecurityGroup",
    describe_egress_rules => "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
    describe_ingress_rules => "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
    revoke_egress => "ec2:RevokeSecurityGroupEgress",
    revoke_ingress => "ec2:RevokeSecurityGroupIngress",
}

macro_rules! on_new_rules {
    ($($function:ident => $name:literal),* $(,)?) => {
        $(pub(super) fn $function(state: &State, call: &Call, input: &Value) -> Vec<Access> {
            new_rules(state, call, input, $name)
        })*
    };
}

on_new_rules! {
    authorize_egress => "AuthorizeSecurityGroupEgress",
    authorize_ingress => "AuthorizeSecurityGroupIngress",
}

/// The group, and its rules where they get tags.
fn new_rules(state: &State, call: &Call, input: &Value, name: &str) -> Vec<Access> {
    let action = format!("ec2:{name}");
    let group = arn(call, format!("security-group/{}", group_id(state, call, input)));
    let mut all = of_resources(state, call, Access::new(&action, vec![group]));
    if !request_tags(input).is_empty() {
        let rules = arn(call, "security-group-rule/*".to_owned());
        all.push(of_request(
            in_region(call, Access::new(&action, vec![rules.clone()])),
            input,
        ));
        let tagging = Access::new("ec2:CreateTags", vec![rules]).with("ec2:CreateAction", vec![name.to_owned()]);
        all.push(of_request(in_region(call, tagging), input));
    }
    all
}

/// The group and the rules that change.
pub(super) fn modify_rules(state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let rules = input.get("SecurityGroupRules").and_then(Value::as_array);
    let rules = rules.into_iter().flatten();
    let ids = rules.filter_map(|rule| text(rule, "SecurityGroupRuleId"));
    let mut resources = vec![arn(call, format!("security-group/{}", group_id(state, call, input)))];
    resources.extend(ids.map(|id| arn(call, format!("security-group-rule/{id}"))));
    of_resources(state, call, Access::new("ec2:ModifySecurityGroupRules", resources))
}

/// The groups that are asked about.
pub(super) fn references(state: &State, call: &Call, input: &Value) -> Vec<Access> {
    let ids = input.get("GroupId").and_then(Value::as_array);
    let ids = ids.into_iter().flatten().filter_map(Value::as_str);
    let arns: Vec<String> = ids.map(|id| arn(call, format!("security-group/{id}"))).collect();
    match arns.is_empty() {
        true => any(call, "ec2:DescribeSecurityGroupReferences"),
        false => of_resources(state, call, Access::new("ec2:DescribeSecurityGroupReferences", arns)),
    }
}

macro_rules! on_vpc {
    ($($function:ident => $action:literal),* $(,)?) => {
        $(pub(super) fn $function(state: &State, call: &Call, input: &Value) -> Vec<Access> {
            let vpc = arn(call, format!("vpc/{}", text(input, "VpcId").unwrap_or("*")));
            of_resources(state, call, Access::new($action, vec![vpc]))
        })*
    };
}

on_vpc! {
    describe_vpc_attribute => "ec2:DescribeVpcAttribute",
    groups_for_vpc => "ec2:GetSecurityGroupsForVpc",
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
    let made = Access::new("ec2:CreateSecurityGroup", vec![group.clone()]);
    let mut all = vec![of_request(in_region(call, made), input)];
    let vpc = Access::new("ec2:CreateSecurityGroup", vec![arn(call, format!("vpc/{vpc}"))]);
    all.extend(of_resources(state, call, vpc));
    // Ref: EC2 user guide, "Grant permission to tag Amazon EC2 resources during creation".
    if !request_tags(input).is_empty() {
        let tagging = Access::new("ec2:CreateTags", vec![group]);
        let tagging = tagging.with("ec2:CreateAction", vec!["CreateSecurityGroup".to_owned()]);
        all.push(of_request(in_region(call, tagging), input));
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

/// An access for each resource, with its tags and what else policies may look at.
fn of_resources(state: &State, call: &Call, access: Access) -> Vec<Access> {
    let none = BTreeMap::new();
    // Of what loses tags the reference lists the tags alone.
    let is_known = access.action != "ec2:DeleteTags";
    let one = |named: &String| {
        let mut one = in_region(call, access.clone());
        one.resources = vec![named.clone()];
        let resource = named.rsplit(':').next().unwrap_or_default();
        let (noun, id) = resource.split_once('/').unwrap_or((resource, ""));
        let mut more = |key: &str, value: String| {
            if is_known {
                one.context.push((key.to_owned(), vec![value]));
            }
        };
        let vpc_arn = |id: &str| arn(call, format!("vpc/{id}"));
        let tags = match noun {
            "security-group" => {
                more("ec2:SecurityGroupID", id.to_owned());
                state.get::<SecurityGroup>(&call.scope, id).map(|row| {
                    more("ec2:Vpc", vpc_arn(&row.vpc_id));
                    &row.tags
                })
            }
            "subnet" => {
                more("ec2:SubnetID", id.to_owned());
                state.get::<Subnet>(&call.scope, id).map(|row| {
                    more("ec2:Vpc", vpc_arn(&row.vpc_id));
                    &row.tags
                })
            }
            "vpc" => {
                more("ec2:VpcID", id.to_owned());
                more("ec2:Tenancy", "default".to_owned());
                state.get::<Vpc>(&call.scope, id).map(|row| &row.tags)
            }
            _ => None,
        };
        for (key, value) in tags.unwrap_or(&none) {
            one = one.with(&format!("aws:ResourceTag/{key}"), vec![value.clone()]);
            one = one.with(&format!("ec2:ResourceTag/{key}"), vec![value.clone()]);
        }
        one
    };
    if access.resources.is_empty() {
        return vec![in_region(call, access)];
    }
    access.resources.iter().map(one).collect()
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
