//! VPCs, subnets, interfaces, zones, regions: what there is to look at.

use super::filter::passes;
use super::pages::paged;
use super::routes::{domain, sibling};
use super::tags::into_tags;
use crate::model::{Interface, SecurityGroup, Subnet, Vpc};
use crate::types;
use honmaru_base::{ApiError, Arn};
use honmaru_machine::{Call, State};
use std::collections::BTreeMap;

/// The regions that DescribeRegions lists, and their names: any region works, these are the ones open to every account.
/// Ref: AWS General Reference, "AWS regions".
const REGIONS: &[(&str, &str)] = &[
    ("ap-northeast-1", "Asia Pacific (Tokyo)"),
    ("ap-northeast-2", "Asia Pacific (Seoul)"),
    ("ap-northeast-3", "Asia Pacific (Osaka)"),
    ("ap-south-1", "Asia Pacific (Mumbai)"),
    ("ap-southeast-1", "Asia Pacific (Singapore)"),
    ("ap-southeast-2", "Asia Pacific (Sydney)"),
    ("ca-central-1", "Canada (Central)"),
    ("eu-central-1", "Europe (Frankfurt)"),
    ("eu-north-1", "Europe (Stockholm)"),
    ("eu-west-1", "Europe (Ireland)"),
    ("eu-west-2", "Europe (London)"),
    ("eu-west-3", "Europe (Paris)"),
    ("sa-east-1", "South America (Sao Paulo)"),
    ("us-east-1", "US East (N. Virginia)"),
    ("us-east-2", "US East (Ohio)"),
    ("us-west-1", "US West (N. California)"),
    ("us-west-2", "US West (Oregon)"),
];

pub(super) fn vpcs(
    state: &State,
    call: &Call,
    input: types::DescribeVpcsRequest,
) -> Result<types::DescribeVpcsResult, ApiError> {
    let scope = &call.scope;
    for id in input.vpc_ids.iter().flatten() {
        vpc(state, call, id)?;
    }
    let mut vpcs = Vec::new();
    for (id, vpc) in state.list::<Vpc>(scope) {
        let value_of = |name: &str| {
            Some(match name {
                "vpc-id" => vec![id.to_owned()],
                "cidr" | "cidr-block-association.cidr-block" => vec![vpc.cidr.to_string()],
                "is-default" | "isDefault" => vec![vpc.is_default.to_string()],
                "state" => vec!["available".to_owned()],
                "owner-id" => vec![scope.account.to_string()],
                "dhcp-options-id" => vec![sibling(id, "dopt")],
                _ => return None,
            })
        };
        let asked = input.vpc_ids.as_ref().is_none_or(|ids| ids.iter().any(|i| i == id));
        if asked && passes(input.filters.as_deref(), &vpc.tags, value_of)? {
            vpcs.push(types::Vpc {
                vpc_id: Some(id.to_owned()),
                cidr_block: Some(vpc.cidr.to_string()),
                cidr_block_association_set: Some(vec![types::VpcCidrBlockAssociation {
                    association_id: Some(id.replacen("vpc-", "vpc-cidr-assoc-", 1)),
                    cidr_block: Some(vpc.cidr.to_string()),
                    cidr_block_state: Some(types::VpcCidrBlockState {
                        state: Some("associated".to_owned()),
                        ..types::VpcCidrBlockState::default()
                    }),
                }]),
                dhcp_options_id: Some(sibling(id, "dopt")),
                instance_tenancy: Some("default".to_owned()),
                is_default: Some(vpc.is_default),
                owner_id: Some(scope.account.to_string()),
                state: Some("available".to_owned()),
                tags: into_tags(&vpc.tags),
                ..types::Vpc::default()
            });
        }
    }
    let key = |vpc: &types::Vpc| vpc.vpc_id.clone().unwrap_or_default();
    let (vpcs, next_token) = paged(vpcs, key, input.next_token.as_deref(), input.max_results)?;
    Ok(types::DescribeVpcsResult {
        vpcs: Some(vpcs),
        next_token,
    })
}

fn vpc<'a>(state: &'a State, call: &Call, id: &str) -> Result<&'a Vpc, ApiError> {
    let message = || format!("The vpc ID '{id}' does not exist");
    state
        .get::<Vpc>(&call.scope, id)
        .ok_or_else(|| ApiError::new("InvalidVpcID.NotFound", message()))
}

pub(super) fn vpc_attribute(
    state: &State,
    call: &Call,
    input: types::DescribeVpcAttributeRequest,
) -> Result<types::DescribeVpcAttributeResult, ApiError> {
    let vpc = vpc(state, call, &input.vpc_id)?;
    let mut answer = types::DescribeVpcAttributeResult {
        vpc_id: Some(vpc.id.clone()),
        ..Default::default()
    };
    let value = |value| Some(types::AttributeBooleanValue { value: Some(value) });
    match input.attribute.as_str() {
        "enableDnsSupport" => answer.enable_dns_support = value(true),
        "enableDnsHostnames" => answer.enable_dns_hostnames = value(true),
        "enableNetworkAddressUsageMetrics" => answer.enable_network_address_usage_metrics = value(false),
        other => {
            let message = format!("Value ({other}) for parameter attribute is invalid. Unknown attribute.");
            return Err(ApiError::new("InvalidParameterValue", message));
        }
    }
    Ok(answer)
}

pub(super) fn subnets(
    state: &State,
    call: &Call,
    input: types::DescribeSubnetsRequest,
) -> Result<types::DescribeSubnetsResult, ApiError> {
    let scope = &call.scope;
    for id in input.subnet_ids.iter().flatten() {
        crate::subnet(state, scope, id)?;
    }
    let mut subnets = Vec::new();
    for (id, subnet) in state.list::<Subnet>(scope) {
        let value_of = |name: &str| {
            Some(match name {
                "subnet-id" => vec![id.to_owned()],
                "vpc-id" => vec![subnet.vpc_id.clone()],
                "availability-zone" | "availabilityZone" => vec![subnet.availability_zone.clone()],
                "availability-zone-id" => vec![subnet.availability_zone_id.clone()],
                "cidr-block" | "cidrBlock" | "cidr" => vec![subnet.cidr.to_string()],
                "default-for-az" | "defaultForAz" => vec![subnet.is_default.to_string()],
                "map-public-ip-on-launch" => vec![subnet.is_default.to_string()],
                "state" => vec!["available".to_owned()],
                "owner-id" => vec![scope.account.to_string()],
                _ => return None,
            })
        };
        let asked = input.subnet_ids.as_ref().is_none_or(|ids| ids.iter().any(|i| i == id));
        if !asked || !passes(input.filters.as_deref(), &subnet.tags, value_of)? {
            continue;
        }
        let size = 1_i64 << (32 - i64::from(subnet.cidr.prefix_len()));
        let used = state.find::<Interface>(scope, "subnet", id).count();
        let free = size - 5 - i64::try_from(used).unwrap_or(size);
        let arn = Arn::new(
            "ec2",
            scope.region.as_str(),
            scope.account.as_str(),
            format!("subnet/{id}"),
        );
        subnets.push(types::Subnet {
            subnet_id: Some(id.to_owned()),
            subnet_arn: Some(arn.to_string()),
            vpc_id: Some(subnet.vpc_id.clone()),
            cidr_block: Some(subnet.cidr.to_string()),
            availability_zone: Some(subnet.availability_zone.clone()),
            availability_zone_id: Some(subnet.availability_zone_id.clone()),
            available_ip_address_count: Some(i32::try_from(free).unwrap_or(0)),
            default_for_az: Some(subnet.is_default),
            map_public_ip_on_launch: Some(subnet.is_default),
            assign_ipv6_address_on_creation: Some(false),
            block_public_access_states: Some(types::BlockPublicAccessStates {
                internet_gateway_block_mode: Some("off".to_owned()),
            }),
            ipv6_cidr_block_association_set: Some(Vec::new()),
            enable_dns64: Some(false),
            ipv6_native: Some(false),
            map_customer_owned_ip_on_launch: Some(false),
            owner_id: Some(scope.account.to_string()),
            state: Some("available".to_owned()),
            tags: into_tags(&subnet.tags),
            private_dns_name_options_on_launch: Some(types::PrivateDnsNameOptionsOnLaunch {
                hostname_type: Some("ip-name".to_owned()),
                enable_resource_name_dns_a_record: Some(false),
                enable_resource_name_dns_aaaa_record: Some(false),
            }),
            ..types::Subnet::default()
        });
    }
    let key = |subnet: &types::Subnet| subnet.subnet_id.clone().unwrap_or_default();
    let (subnets, next_token) = paged(subnets, key, input.next_token.as_deref(), input.max_results)?;
    Ok(types::DescribeSubnetsResult {
        subnets: Some(subnets),
        next_token,
    })
}

/// The prefix of what holds an interface; its id is the interface's otherwise.
const ATTACHMENT: &str = "eni-attach";
/// An interface that a service attaches is never its holder's first one.
const DEVICE_INDEX: i32 = 1;

/// Whose an interface's holder is: a load balancer is AWS's, a task the account's.
fn owner_of_attachment(interface: &Interface, call: &Call) -> String {
    if interface.description.starts_with("ELB ") {
        "amazon-elb".to_owned()
    } else {
        call.scope.account.to_string()
    }
}

/// DescribeNetworkInterfaces. What it tells of an attachment is what Cloud Custodian's tests recorded of tasks and load
/// balancers.
pub(super) fn interfaces(
    state: &State,
    call: &Call,
    input: types::DescribeNetworkInterfacesRequest,
) -> Result<types::DescribeNetworkInterfacesResult, ApiError> {
    let scope = &call.scope;
    for id in input.network_interface_ids.iter().flatten() {
        if state.get::<Interface>(scope, id).is_none() {
            let message = format!("The networkInterface ID '{id}' does not exist");
            return Err(ApiError::new("InvalidNetworkInterfaceID.NotFound", message));
        }
    }
    let mut interfaces = Vec::new();
    for (id, interface) in state.list::<Interface>(scope) {
        let name_of = |id: &String| state.get::<SecurityGroup>(scope, id).map(|group| group.name.clone());
        let dns = format!(
            "ip-{}.{}",
            interface.private_ip.to_string().replace('.', "-"),
            domain(scope.region.as_str())
        );
        let value_of = |name: &str| {
            Some(match name {
                "network-interface-id" => vec![id.to_owned()],
                "subnet-id" => vec![interface.subnet_id.clone()],
                "vpc-id" => vec![interface.vpc_id.clone()],
                "group-id" => interface.security_groups.clone(),
                "group-name" => interface.security_groups.iter().filter_map(name_of).collect(),
                "private-ip-address" | "addresses.private-ip-address" => vec![interface.private_ip.to_string()],
                "mac-address" => vec![interface.mac.clone()],
                "availability-zone" => vec![interface.availability_zone.clone()],
                "description" => vec![interface.description.clone()],
                "interface-type" => vec![interface.interface_type.clone()],
                "status" | "attachment.status" => vec!["in-use".to_owned()],
                "owner-id" => vec![scope.account.to_string()],
                "private-dns-name" => vec![dns.clone()],
                "requester-managed" | "source-dest-check" => vec!["true".to_owned()],
                "requester-id" => vec![scope.account.to_string()],
                "attachment.attachment-id" => vec![sibling(id, ATTACHMENT)],
                "attachment.instance-owner-id" => vec![owner_of_attachment(interface, call)],
                "attachment.device-index" => vec![DEVICE_INDEX.to_string()],
                "attachment.delete-on-termination" => vec!["false".to_owned()],
                // Interfaces here belong to tasks and load balancers, never to an instance.
                "attachment.instance-id" => Vec::new(),
                _ => return None,
            })
        };
        let asked = input
            .network_interface_ids
            .as_ref()
            .is_none_or(|ids| ids.iter().any(|i| i == id));
        if !asked || !passes(input.filters.as_deref(), &BTreeMap::new(), value_of)? {
            continue;
        }
        interfaces.push(types::NetworkInterface {
            network_interface_id: Some(id.to_owned()),
            attachment: Some(types::NetworkInterfaceAttachment {
                attachment_id: Some(sibling(id, ATTACHMENT)),
                delete_on_termination: Some(false),
                device_index: Some(DEVICE_INDEX),
                instance_owner_id: Some(owner_of_attachment(interface, call)),
                network_card_index: Some(0),
                status: Some("attached".to_owned()),
                ..types::NetworkInterfaceAttachment::default()
            }),
            availability_zone: Some(interface.availability_zone.clone()),
            description: Some(interface.description.clone()),
            groups: Some(
                interface
                    .security_groups
                    .iter()
                    .map(|id| types::GroupIdentifier {
                        group_id: Some(id.clone()),
                        group_name: name_of(id),
                    })
                    .collect(),
            ),
            interface_type: Some(interface.interface_type.clone()),
            ipv6_addresses: Some(Vec::new()),
            mac_address: Some(interface.mac.clone()),
            owner_id: Some(scope.account.to_string()),
            private_dns_name: Some(dns.clone()),
            private_ip_address: Some(interface.private_ip.to_string()),
            private_ip_addresses: Some(vec![types::NetworkInterfacePrivateIpAddress {
                primary: Some(true),
                private_dns_name: Some(dns),
                private_ip_address: Some(interface.private_ip.to_string()),
                ..types::NetworkInterfacePrivateIpAddress::default()
            }]),
            requester_id: Some(scope.account.to_string()),
            requester_managed: Some(true),
            source_dest_check: Some(true),
            status: Some("in-use".to_owned()),
            subnet_id: Some(interface.subnet_id.clone()),
            tag_set: Some(Vec::new()),
            vpc_id: Some(interface.vpc_id.clone()),
            ..types::NetworkInterface::default()
        });
    }
    let key = |interface: &types::NetworkInterface| interface.network_interface_id.clone().unwrap_or_default();
    let (interfaces, next_token) = paged(interfaces, key, input.next_token.as_deref(), input.max_results)?;
    Ok(types::DescribeNetworkInterfacesResult {
        network_interfaces: Some(interfaces),
        next_token,
    })
}

pub(super) fn availability_zones(
    state: &State,
    call: &Call,
    input: types::DescribeAvailabilityZonesRequest,
) -> Result<types::DescribeAvailabilityZonesResult, ApiError> {
    let region = call.scope.region.as_str();
    let known = crate::default_subnets(state, &call.scope);
    let unknown = |zone: &String| known.iter().all(|subnet| subnet.availability_zone != *zone);
    let unknown_id = |id: &String| known.iter().all(|subnet| subnet.availability_zone_id != *id);
    let by_name = input.zone_names.iter().flatten().find(|zone| unknown(zone));
    let by_id = input.zone_ids.iter().flatten().find(|id| unknown_id(id));
    if let Some(zone) = by_name.or(by_id) {
        let message = format!("Invalid availability zone: [{zone}]");
        return Err(ApiError::new("InvalidParameterValue", message));
    }
    // Ref: as LocalStack's suite recorded it of AWS: the zones of a region are its first group, which has a name too.
    let group = format!("{region}-zg-1");
    let names = REGIONS.iter().find(|(code, _)| *code == region);
    let group_name = names.map(|(_, name)| format!("{name} 1"));
    let mut zones = Vec::new();
    for subnet in &known {
        let (name, id) = (&subnet.availability_zone, &subnet.availability_zone_id);
        let value_of = |filter: &str| {
            Some(match filter {
                "zone-name" => vec![name.clone()],
                "zone-id" => vec![id.clone()],
                "region-name" | "network-border-group" => vec![region.to_owned()],
                "group-name" => vec![group.clone()],
                "group-long-name" => group_name.iter().cloned().collect(),
                "state" => vec!["available".to_owned()],
                "opt-in-status" => vec!["opt-in-not-required".to_owned()],
                "zone-type" => vec!["availability-zone".to_owned()],
                _ => return None,
            })
        };
        let asked = input.zone_names.as_ref().is_none_or(|names| names.contains(name))
            && input.zone_ids.as_ref().is_none_or(|ids| ids.contains(id));
        if asked && passes(input.filters.as_deref(), &BTreeMap::new(), value_of)? {
            zones.push(types::AvailabilityZone {
                zone_name: Some(name.clone()),
                zone_id: Some(id.clone()),
                region_name: Some(region.to_owned()),
                group_name: Some(group.clone()),
                group_long_name: group_name.clone(),
                network_border_group: Some(region.to_owned()),
                opt_in_status: Some("opt-in-not-required".to_owned()),
                zone_type: Some("availability-zone".to_owned()),
                state: Some("available".to_owned()),
                messages: Some(Vec::new()),
                ..types::AvailabilityZone::default()
            });
        }
    }
    Ok(types::DescribeAvailabilityZonesResult {
        availability_zones: Some(zones),
    })
}

pub(super) fn regions(
    _: &State,
    call: &Call,
    input: types::DescribeRegionsRequest,
) -> Result<types::DescribeRegionsResult, ApiError> {
    let mut regions = Vec::new();
    let here = call.scope.region.as_str();
    let known = REGIONS.iter().map(|(code, _)| *code);
    let extra = known.clone().all(|code| code != here).then_some(here);
    for name in known.chain(extra) {
        let endpoint = format!("ec2.{name}.amazonaws.com");
        let value_of = |filter: &str| match filter {
            "region-name" => Some(vec![name.to_owned()]),
            "endpoint" => Some(vec![endpoint.clone()]),
            "opt-in-status" => Some(vec!["opt-in-not-required".to_owned()]),
            _ => None,
        };
        let asked = input
            .region_names
            .as_ref()
            .is_none_or(|names| names.iter().any(|n| n == name));
        if asked && passes(input.filters.as_deref(), &BTreeMap::new(), value_of)? {
            regions.push(types::Region {
                region_name: Some(name.to_owned()),
                endpoint: Some(endpoint),
                opt_in_status: Some("opt-in-not-required".to_owned()),
                ..types::Region::default()
            });
        }
    }
    Ok(types::DescribeRegionsResult { regions: Some(regions) })
}

pub(super) fn account_attributes(
    state: &State,
    call: &Call,
    input: types::DescribeAccountAttributesRequest,
) -> Result<types::DescribeAccountAttributesResult, ApiError> {
    let default_vpc = crate::default_vpc(state, &call.scope).map_or_else(|| "none".to_owned(), |vpc| vpc.id.clone());
    let all = [("supported-platforms", "VPC".to_owned()), ("default-vpc", default_vpc)];
    let asked = |name: &str| {
        input
            .attribute_names
            .as_ref()
            .is_none_or(|names| names.iter().any(|n| n == name))
    };
    let attributes = all
        .into_iter()
        .filter(|(name, _)| asked(name))
        .map(|(name, value)| types::AccountAttribute {
            attribute_name: Some(name.to_owned()),
            attribute_values: Some(vec![types::AccountAttributeValue {
                attribute_value: Some(value),
            }]),
        })
        .collect();
    Ok(types::DescribeAccountAttributesResult {
        account_attributes: Some(attributes),
    })
}
