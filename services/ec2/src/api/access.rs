//! What each operation needs. Ref: Service Authorization Reference, "Actions, resources, and condition keys for EC2".

use crate::model::SecurityGroup;
use honmaru_base::Arn;
use honmaru_machine::{Access, Call, State};
use serde_json::Value;

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
            vec![Access::new($action, vec![arn(call, format!("security-group/{}", group_id(state, call, input)))])]
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
    let resources = vec![
        arn(call, "security-group/*".to_owned()),
        arn(call, format!("vpc/{vpc}")),
    ];
    vec![Access::new("ec2:CreateSecurityGroup", resources)]
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

pub(super) fn create_tags(_: &State, call: &Call, input: &Value) -> Vec<Access> {
    vec![Access::new("ec2:CreateTags", tagged(call, input))]
}

pub(super) fn delete_tags(_: &State, call: &Call, input: &Value) -> Vec<Access> {
    vec![Access::new("ec2:DeleteTags", tagged(call, input))]
}
