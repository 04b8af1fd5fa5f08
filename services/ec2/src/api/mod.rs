//! The operations: what each needs, and the function that answers it.

mod access;
mod filter;
mod groups;
mod network;
mod pages;
mod permissions;
mod references;
mod routes;
mod rules;
mod tags;

use honmaru_base::ApiError;
use honmaru_machine::{Call, Handler, Operation, State, Tx};
use honmaru_wire::tree::Tree;
use serde_json::Value;

macro_rules! read {
    ($name:literal, $access:path, $handler:path) => {
        Operation {
            name: $name,
            access: $access,
            handler: Handler::Read(|state: &State, call: &Call, input: Value| {
                refuse_dry_run(&input)?;
                Ok($handler(state, call, Tree::from_tree(input))?.into_tree())
            }),
        }
    };
}

macro_rules! write {
    ($name:literal, $access:path, $handler:path) => {
        Operation {
            name: $name,
            access: $access,
            handler: Handler::Write(|tx: &mut Tx<'_>, call: &Call, input: Value| {
                refuse_dry_run(&input)?;
                Ok($handler(tx, call, Tree::from_tree(input))?.into_tree())
            }),
        }
    };
}

/// A read whose handler takes and gives trees.
macro_rules! tree {
    ($name:literal, $access:path, $handler:path) => {
        Operation {
            name: $name,
            access: $access,
            handler: Handler::Read(|state: &State, call: &Call, input: Value| {
                refuse_dry_run(&input)?;
                $handler(state, call, input)
            }),
        }
    };
    ($name:literal, $action:literal, $handler:path) => {
        Operation {
            name: $name,
            access: |_: &State, call: &Call, _: &Value| access::any(call, $action),
            handler: Handler::Read(|state: &State, call: &Call, input: Value| {
                refuse_dry_run(&input)?;
                $handler(state, call, input)
            }),
        }
    };
}

/// A dry run asks whether the call would be allowed; authorization is over when a handler runs, so it would.
/// Ref: EC2 API reference, `DryRun`.
fn refuse_dry_run(input: &Value) -> Result<(), ApiError> {
    if input.get("DryRun").and_then(Value::as_bool) == Some(true) {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(ApiError::new("DryRunOperation", message).with_status(412));
    }
    Ok(())
}

/// Every operation that this service implements.
pub fn operations() -> Vec<Operation> {
    vec![
        write!(
            "AuthorizeSecurityGroupEgress",
            access::authorize_egress,
            rules::authorize_egress
        ),
        write!(
            "AuthorizeSecurityGroupIngress",
            access::authorize_ingress,
            rules::authorize_ingress
        ),
        write!("CreateSecurityGroup", access::create_group, groups::create),
        write!("CreateTags", access::create_tags, tags::create),
        write!("DeleteSecurityGroup", access::delete_group, groups::delete),
        write!("DeleteTags", access::delete_tags, tags::delete),
        read!(
            "DescribeAccountAttributes",
            access::describe_account_attributes,
            network::account_attributes
        ),
        read!(
            "DescribeAvailabilityZones",
            access::describe_availability_zones,
            network::availability_zones
        ),
        read!(
            "DescribeNetworkInterfaces",
            access::describe_network_interfaces,
            network::interfaces
        ),
        read!("DescribeRegions", access::describe_regions, network::regions),
        read!(
            "DescribeSecurityGroupRules",
            access::describe_security_group_rules,
            rules::describe
        ),
        read!(
            "DescribeSecurityGroups",
            access::describe_security_groups,
            groups::describe
        ),
        read!("DescribeSubnets", access::describe_subnets, network::subnets),
        read!("DescribeTags", access::describe_tags, tags::describe),
        read!(
            "DescribeVpcAttribute",
            access::describe_vpc_attribute,
            network::vpc_attribute
        ),
        read!("DescribeVpcs", access::describe_vpcs, network::vpcs),
        write!("ModifySecurityGroupRules", access::modify_rules, rules::modify),
        write!("RevokeSecurityGroupEgress", access::revoke_egress, rules::revoke_egress),
        write!(
            "RevokeSecurityGroupIngress",
            access::revoke_ingress,
            rules::revoke_ingress
        ),
        tree!("DescribeAddresses", "ec2:DescribeAddresses", routes::addresses),
        tree!("DescribeDhcpOptions", "ec2:DescribeDhcpOptions", routes::dhcp_options),
        tree!(
            "DescribeEgressOnlyInternetGateways",
            "ec2:DescribeEgressOnlyInternetGateways",
            routes::egress_only_gateways
        ),
        tree!("DescribeInstances", "ec2:DescribeInstances", routes::instances),
        tree!(
            "DescribeInternetGateways",
            "ec2:DescribeInternetGateways",
            routes::internet_gateways
        ),
        tree!("DescribeNatGateways", "ec2:DescribeNatGateways", routes::nat_gateways),
        tree!("DescribeNetworkAcls", "ec2:DescribeNetworkAcls", routes::network_acls),
        tree!("DescribeRouteTables", "ec2:DescribeRouteTables", routes::route_tables),
        tree!(
            "DescribeSecurityGroupReferences",
            access::references,
            references::from_peers
        ),
        tree!(
            "DescribeStaleSecurityGroups",
            "ec2:DescribeStaleSecurityGroups",
            references::stale
        ),
        tree!(
            "DescribeVpcEndpoints",
            "ec2:DescribeVpcEndpoints",
            routes::vpc_endpoints
        ),
        tree!(
            "DescribeVpcPeeringConnections",
            "ec2:DescribeVpcPeeringConnections",
            routes::peering_connections
        ),
        tree!("DescribeVpnGateways", "ec2:DescribeVpnGateways", routes::vpn_gateways),
        tree!("GetSecurityGroupsForVpc", access::groups_for_vpc, references::for_vpc),
        write!(
            "UpdateSecurityGroupRuleDescriptionsEgress",
            access::describe_egress_rules,
            rules::describe_egress
        ),
        write!(
            "UpdateSecurityGroupRuleDescriptionsIngress",
            access::describe_ingress_rules,
            rules::describe_ingress
        ),
    ]
}
