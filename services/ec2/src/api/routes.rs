//! What surrounds the default VPC: its main route table, internet gateway, network ACL and DHCP options, as AWS makes
//! them with every default VPC. None of it can be changed, so nothing is stored: the ids are the VPC's with another
//! prefix.
//!
//! And what there is none of: gateways, endpoints, instances. Their lists are empty, and an id is not found.

use super::filter::passes;
use super::pages::page_of_trees;
use crate::model::{Subnet, Vpc};
use crate::types::Filter;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State};
use honmaru_wire::tree::Tree;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The domain of interfaces' names. Ref: EC2 user guide: us-east-1 has one of its own.
pub(super) fn domain(region: &str) -> String {
    match region {
        "us-east-1" => "ec2.internal".to_owned(),
        region => format!("{region}.compute.internal"),
    }
}

/// The id of something that belongs to a VPC, or to one of its subnets: the owner's with another prefix.
pub(super) fn sibling(id: &str, prefix: &str) -> String {
    let rest = id.split_once('-').map_or(id, |(_, rest)| rest);
    format!("{prefix}-{rest}")
}

/// One row of a list: its id, its tree, and its values of each filter.
struct Row {
    id: String,
    tree: Value,
    values: Vec<(&'static str, Vec<String>)>,
}

/// The rows that an input asks for, as a page: by the ids under `ids`, and by `Filters`. `absent` is the error of an id
/// that is not found: its code, and its sentence with `{}` where the id goes.
fn answer(
    input: &Value,
    rows: Vec<Row>,
    ids: &str,
    absent: (&str, &str),
    member: &str,
    unused: &[&str],
) -> Result<Value, ApiError> {
    let asked = texts(input, ids);
    let (code, sentence) = absent;
    if let Some(id) = asked.iter().find(|id| !rows.iter().any(|row| row.id == **id)) {
        return Err(ApiError::new(code.to_owned(), sentence.replace("{}", id)));
    }
    let filters = filters(input);
    let mut found = Vec::new();
    for row in rows {
        let value_of = |name: &str| {
            let known = row.values.iter().find(|(known, _)| *known == name);
            // A filter by what such a row never has matches nothing.
            known
                .map(|(_, values)| values.clone())
                .or_else(|| unused.contains(&name).then(Vec::new))
        };
        let is_asked = asked.is_empty() || asked.contains(&row.id);
        if is_asked && passes(Some(&filters), &BTreeMap::new(), value_of)? {
            found.push((row.id, row.tree));
        }
    }
    page_of_trees(input, found, member)
}

fn filters(input: &Value) -> Vec<Filter> {
    let given = input.get("Filters").and_then(Value::as_array);
    given.into_iter().flatten().cloned().map(Filter::from_tree).collect()
}

fn texts(input: &Value, member: &str) -> Vec<String> {
    let given = input.get(member).and_then(Value::as_array);
    let texts = given.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// DescribeRouteTables: the main one of each VPC.
pub(super) fn route_tables(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let account = call.scope.account.to_string();
    let table = |(vpc_id, vpc): (&str, &Vpc)| {
        let (id, gateway) = (sibling(vpc_id, "rtb"), sibling(vpc_id, "igw"));
        let association = sibling(vpc_id, "rtbassoc");
        let range = vpc.cidr.to_string();
        let one = |text: &str| vec![text.to_owned()];
        Row {
            tree: json!({
                "RouteTableId": id, "VpcId": vpc_id, "OwnerId": account,
                "Associations": [{
                    "Main": true, "RouteTableAssociationId": association, "RouteTableId": id,
                    "AssociationState": { "State": "associated" },
                }],
                "PropagatingVgws": [],
                "Routes": [
                    { "DestinationCidrBlock": range, "GatewayId": "local",
                      "Origin": "CreateRouteTable", "State": "active" },
                    { "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway,
                      "Origin": "CreateRoute", "State": "active" },
                ],
                "Tags": [],
            }),
            values: vec![
                ("route-table-id", one(&id)),
                ("vpc-id", one(vpc_id)),
                ("owner-id", one(&account)),
                ("association.main", one("true")),
                ("association.route-table-id", one(&id)),
                ("association.route-table-association-id", one(&association)),
                ("route.destination-cidr-block", vec![range, "0.0.0.0/0".to_owned()]),
                ("route.gateway-id", vec!["local".to_owned(), gateway]),
                (
                    "route.origin",
                    vec!["CreateRouteTable".to_owned(), "CreateRoute".to_owned()],
                ),
                ("route.state", one("active")),
            ],
            id,
        }
    };
    let rows = state.list::<Vpc>(&call.scope).map(table).collect();
    // Subnets have no association of their own: the main table counts for them. Ref: VPC guide, "Main route table".
    let unused = [
        "association.subnet-id",
        "association.gateway-id",
        "route.destination-ipv6-cidr-block",
        "route.destination-prefix-list-id",
        "route.egress-only-internet-gateway-id",
        "route.instance-id",
        "route.nat-gateway-id",
        "route.transit-gateway-id",
        "route.vpc-peering-connection-id",
    ];
    let absent = ("InvalidRouteTableID.NotFound", "The routeTable ID '{}' does not exist");
    answer(&input, rows, "RouteTableIds", absent, "RouteTables", &unused)
}

/// DescribeInternetGateways: the one of each VPC.
pub(super) fn internet_gateways(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let account = call.scope.account.to_string();
    let gateway = |(vpc_id, _): (&str, &Vpc)| {
        let id = sibling(vpc_id, "igw");
        Row {
            tree: json!({
                "InternetGatewayId": id, "OwnerId": account, "Tags": [],
                "Attachments": [{ "State": "available", "VpcId": vpc_id }],
            }),
            values: vec![
                ("internet-gateway-id", vec![id.clone()]),
                ("owner-id", vec![account.clone()]),
                ("attachment.vpc-id", vec![vpc_id.to_owned()]),
                ("attachment.state", vec!["available".to_owned()]),
            ],
            id,
        }
    };
    let rows = state.list::<Vpc>(&call.scope).map(gateway).collect();
    let absent = (
        "InvalidInternetGatewayID.NotFound",
        "The internetGateway ID '{}' does not exist",
    );
    answer(&input, rows, "InternetGatewayIds", absent, "InternetGateways", &[])
}

/// DescribeNetworkAcls: the default one of each VPC, which lets everything through.
pub(super) fn network_acls(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let account = call.scope.account.to_string();
    let entry = |egress: bool, number: i64, action: &str| {
        json!({
            "CidrBlock": "0.0.0.0/0", "Egress": egress, "Protocol": "-1",
            "RuleAction": action, "RuleNumber": number,
        })
    };
    let acl = |(vpc_id, _): (&str, &Vpc)| {
        let id = sibling(vpc_id, "acl");
        let subnets = state.list::<Subnet>(&call.scope).filter(|(_, s)| s.vpc_id == vpc_id);
        let subnets: Vec<String> = subnets.map(|(id, _)| id.to_owned()).collect();
        let associations: Vec<Value> = subnets
            .iter()
            .map(|subnet| {
                json!({
                    "NetworkAclAssociationId": sibling(subnet, "aclassoc"), "NetworkAclId": id, "SubnetId": subnet,
                })
            })
            .collect();
        let both = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        Row {
            tree: json!({
                "NetworkAclId": id, "VpcId": vpc_id, "OwnerId": account, "IsDefault": true, "Tags": [],
                "Associations": associations,
                "Entries": [
                    entry(true, 100, "allow"), entry(true, 32_767, "deny"),
                    entry(false, 100, "allow"), entry(false, 32_767, "deny"),
                ],
            }),
            values: vec![
                ("network-acl-id", vec![id.clone()]),
                ("vpc-id", vec![vpc_id.to_owned()]),
                ("owner-id", vec![account.clone()]),
                ("default", vec!["true".to_owned()]),
                ("association.network-acl-id", vec![id.clone()]),
                (
                    "association.association-id",
                    subnets.iter().map(|s| sibling(s, "aclassoc")).collect(),
                ),
                ("association.subnet-id", subnets.clone()),
                ("entry.cidr", vec!["0.0.0.0/0".to_owned()]),
                ("entry.egress", both("true", "false")),
                ("entry.protocol", vec!["-1".to_owned()]),
                ("entry.rule-action", both("allow", "deny")),
                ("entry.rule-number", both("100", "32767")),
            ],
            id,
        }
    };
    let rows = state.list::<Vpc>(&call.scope).map(acl).collect();
    let unused = [
        "entry.icmp.code",
        "entry.icmp.type",
        "entry.ipv6-cidr",
        "entry.port-range.from",
        "entry.port-range.to",
    ];
    let absent = ("InvalidNetworkAclID.NotFound", "The networkAcl ID '{}' does not exist");
    answer(&input, rows, "NetworkAclIds", absent, "NetworkAcls", &unused)
}

/// DescribeDhcpOptions: what every VPC has.
pub(super) fn dhcp_options(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let account = call.scope.account.to_string();
    let domain = domain(call.scope.region.as_str());
    let options = |(vpc_id, _): (&str, &Vpc)| {
        let id = sibling(vpc_id, "dopt");
        let option = |key: &str, value: &str| json!({ "Key": key, "Values": [{ "Value": value }] });
        Row {
            tree: json!({
                "DhcpOptionsId": id, "OwnerId": account, "Tags": [],
                "DhcpConfigurations": [
                    option("domain-name", &domain), option("domain-name-servers", "AmazonProvidedDNS"),
                ],
            }),
            values: vec![
                ("dhcp-options-id", vec![id.clone()]),
                ("owner-id", vec![account.clone()]),
                ("key", vec!["domain-name".to_owned(), "domain-name-servers".to_owned()]),
                ("value", vec![domain.clone(), "AmazonProvidedDNS".to_owned()]),
            ],
            id,
        }
    };
    let rows = state.list::<Vpc>(&call.scope).map(options).collect();
    let absent = ("InvalidDhcpOptionID.NotFound", "The dhcpOption ID '{}' does not exist");
    answer(&input, rows, "DhcpOptionsIds", absent, "DhcpOptions", &[])
}

/// The list of something that there is none of: no row, and no such id.
fn none(input: &Value, ids: &str, absent: (&str, &str), member: &str) -> Result<Value, ApiError> {
    answer(input, Vec::new(), ids, absent, member, &[])
}

/// DescribeNatGateways.
pub(super) fn nat_gateways(_: &State, _: &Call, input: Value) -> Result<Value, ApiError> {
    let absent = ("NatGatewayNotFound", "NAT gateway {} was not found");
    none(&input, "NatGatewayIds", absent, "NatGateways")
}

/// DescribeVpnGateways.
pub(super) fn vpn_gateways(_: &State, _: &Call, input: Value) -> Result<Value, ApiError> {
    let absent = ("InvalidVpnGatewayID.NotFound", "The vpnGateway ID '{}' does not exist");
    none(&input, "VpnGatewayIds", absent, "VpnGateways")
}

/// DescribeEgressOnlyInternetGateways.
pub(super) fn egress_only_gateways(_: &State, _: &Call, input: Value) -> Result<Value, ApiError> {
    let absent = ("InvalidGatewayID.NotFound", "The eigw ID '{}' does not exist");
    none(
        &input,
        "EgressOnlyInternetGatewayIds",
        absent,
        "EgressOnlyInternetGateways",
    )
}

/// DescribeVpcEndpoints.
pub(super) fn vpc_endpoints(_: &State, _: &Call, input: Value) -> Result<Value, ApiError> {
    let absent = (
        "InvalidVpcEndpointId.NotFound",
        "The Vpc Endpoint Id '{}' does not exist",
    );
    none(&input, "VpcEndpointIds", absent, "VpcEndpoints")
}

/// DescribeVpcPeeringConnections.
pub(super) fn peering_connections(_: &State, _: &Call, input: Value) -> Result<Value, ApiError> {
    let absent = (
        "InvalidVpcPeeringConnectionID.NotFound",
        "The vpcPeeringConnection ID '{}' does not exist",
    );
    none(&input, "VpcPeeringConnectionIds", absent, "VpcPeeringConnections")
}

/// DescribeInstances.
pub(super) fn instances(_: &State, _: &Call, input: Value) -> Result<Value, ApiError> {
    let absent = ("InvalidInstanceID.NotFound", "The instance ID '{}' does not exist");
    none(&input, "InstanceIds", absent, "Reservations")
}

/// DescribeAddresses.
pub(super) fn addresses(_: &State, _: &Call, input: Value) -> Result<Value, ApiError> {
    none(
        &input,
        "AllocationIds",
        ("InvalidAllocationID.NotFound", "The allocation ID '{}' does not exist"),
        "Addresses",
    )?;
    let absent = ("InvalidAddress.NotFound", "Address '{}' not found.");
    none(&input, "PublicIps", absent, "Addresses")
}
