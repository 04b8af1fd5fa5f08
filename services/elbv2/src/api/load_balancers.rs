//! Load balancers.

use super::limits::{ATTRIBUTES_MAX, LOAD_BALANCERS_MAX};
use super::page::page;
use super::{listeners, tags};
use crate::attributes;
use crate::edge::balancer_owner;
use crate::error::{self, invalid_configuration, unsupported, validation};
use crate::glue;
use crate::model::{Listener, ListenerFailure, LoadBalancer, Zone};
use crate::names;
use crate::types;
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Call, State, Tx};

/// The hosted zones of load balancers' names in us-east-1, of Application and of Network Load Balancers; there is no
/// Route 53 behind them. Ref: AWS General Reference, "Elastic Load Balancing endpoints and quotas": a column for each.
const APPLICATION_HOSTED_ZONE: &str = "Z35SXDOTRQ7X7K";
const NETWORK_HOSTED_ZONE: &str = "Z26RNL4JYFTOTI";

/// The load balancer of that ARN, or `LoadBalancerNotFound`.
pub(super) fn get<'a>(state: &'a State, call: &Call, arn: &str) -> Result<&'a LoadBalancer, ApiError> {
    state
        .get::<LoadBalancer>(&call.scope, arn)
        .ok_or_else(|| error::load_balancer_not_found(arn))
}

/// Refuses what no load balancer here has; some of it AWS refuses, too. The texts were recorded by
/// badmintoncryer/cdk-preflight, `pf-elbv2-lb-eip-nlb-only`, `pf-elbv2-lb-private-ipv4-internal-only` and
/// `pf-elbv2-lb-source-nat-prefix-*`.
fn check_addresses(
    kind: &str,
    scheme: &str,
    mappings: Option<&[types::SubnetMapping]>,
    nat_prefix: Option<&str>,
) -> Result<(), ApiError> {
    let mappings = mappings.unwrap_or_default();
    if kind == "application" && mappings.iter().any(|mapping| mapping.allocation_id.is_some()) {
        return Err(invalid_configuration(
            "Elastic IPs are not supported for load balancers with type 'application'",
        ));
    }
    let has_address = mappings.iter().any(|mapping| mapping.private_i_pv4_address.is_some());
    if has_address && (kind, scheme) != ("network", "internal") {
        return Err(invalid_configuration(
            "You can only specify private IPv4 addresses for Network Load Balancers with scheme 'internal'.",
        ));
    }
    match nat_prefix {
        Some(_) if kind != "network" => Err(invalid_configuration(
            "'EnablePrefixForIpv6SourceNat' can only be specified for LoadBalancer type 'network'.",
        )),
        Some("on") => Err(invalid_configuration(
            "'EnablePrefixForIpv6SourceNat' can only be specified when using IpAddressType 'dualstack'.",
        )),
        _ if mappings.iter().any(|mapping| mapping.source_nat_ipv6_prefix.is_some()) => Err(invalid_configuration(
            "'EnablePrefixForIpv6SourceNat' must be set to 'on', before 'SourceNatIpv6Prefix' can be specified.",
        )),
        None | Some("off") => Ok(()),
        Some(_) => Err(unsupported("IPv6 source NAT is not supported")),
    }
}

/// A Gateway Load Balancer has neither. Recorded by badmintoncryer/cdk-preflight, `pf-elbv2-lb-gwlb-*`.
fn gateway(input: &types::CreateLoadBalancerInput) -> ApiError {
    if input.scheme.is_some() {
        return invalid_configuration("Scheme is not supported for Gateway Load Balancers.");
    }
    if input.security_groups.as_ref().is_some_and(|groups| !groups.is_empty()) {
        return invalid_configuration("Security Groups are not supported for Gateway Load Balancers.");
    }
    unsupported("load balancers of type 'gateway' are not supported")
}

/// The subnets that an input names, directly or by mappings.
fn subnet_ids(
    subnets: Option<Vec<String>>,
    mappings: Option<Vec<types::SubnetMapping>>,
) -> Result<Vec<String>, ApiError> {
    let (subnets, mappings) = (subnets.unwrap_or_default(), mappings.unwrap_or_default());
    if !subnets.is_empty() && !mappings.is_empty() {
        return Err(validation(
            "You must specify either subnets or subnet mappings, not both",
        ));
    }
    if mappings.iter().any(|mapping| {
        mapping.allocation_id.is_some() || mapping.private_i_pv4_address.is_some() || mapping.i_pv6_address.is_some()
    }) {
        return Err(unsupported(
            "choosing the addresses of a load balancer is not supported",
        ));
    }
    let mapped = mappings.into_iter().map(|mapping| {
        mapping
            .subnet_id
            .ok_or_else(|| validation("A subnet ID must be specified in each subnet mapping"))
    });
    let mapped = mapped.collect::<Result<Vec<_>, _>>()?;
    Ok(if subnets.is_empty() { mapped } else { subnets })
}

fn check_subnet_count(kind: &str, count: usize) -> Result<(), ApiError> {
    match (kind, count) {
        ("application", 0 | 1) => Err(validation(
            "At least two subnets in two different Availability Zones must be specified",
        )),
        (_, 0) => Err(validation("At least one subnet must be specified")),
        _ => Ok(()),
    }
}

fn check_address_type(kind: &str, wanted: Option<&str>) -> Result<String, ApiError> {
    match wanted {
        None | Some("ipv4") => Ok("ipv4".to_owned()),
        // Recorded by badmintoncryer/cdk-preflight, `pf-elbv2-lb-dualstack-no-public-ipv4-alb-only`.
        Some("dualstack-without-public-ipv4") if kind != "application" => Err(invalid_configuration(format!(
            "The specified IP address type is not supported on load balancers with type '{kind}'."
        ))),
        Some(other) => Err(unsupported(format!("IP address type '{other}' is not supported"))),
    }
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateLoadBalancerInput,
) -> Result<types::CreateLoadBalancerOutput, ApiError> {
    let scope = &call.scope;
    names::check("load balancer", &input.name)?;
    let kind = input.r#type.clone().unwrap_or_else(|| "application".to_owned());
    if kind == "gateway" {
        return Err(gateway(&input));
    }
    let scheme = input.scheme.unwrap_or_else(|| "internet-facing".to_owned());
    let nat_prefix = input.enable_prefix_for_ipv6_source_nat.as_deref();
    if input.ip_address_type.as_deref() != Some("dualstack") {
        check_addresses(&kind, &scheme, input.subnet_mappings.as_deref(), nat_prefix)?;
    }
    let ip_address_type = check_address_type(&kind, input.ip_address_type.as_deref())?;
    if input.customer_owned_ipv4_pool.is_some() || input.ipam_pools.is_some() {
        return Err(unsupported("address pools of load balancers are not supported"));
    }
    let tags = tags::from_input(input.tags)?;
    let subnets = subnet_ids(input.subnets, input.subnet_mappings)?;
    check_subnet_count(&kind, subnets.len())?;
    let places = glue::places(tx, scope, &subnets)?;
    let vpc_id = places.first().map(|place| place.vpc_id.clone()).unwrap_or_default();
    let wanted_groups = input.security_groups.unwrap_or_default();
    let security_groups = if kind == "network" && wanted_groups.is_empty() {
        Vec::new()
    } else {
        glue::security_groups(tx, scope, &vpc_id, &wanted_groups)?
    };

    if let Some((_, existing)) = tx.find::<LoadBalancer>(scope, "name", &input.name).next() {
        let mut have: Vec<&str> = existing.zones.iter().map(|zone| zone.subnet_id.as_str()).collect();
        let mut want: Vec<&str> = subnets.iter().map(String::as_str).collect();
        have.sort_unstable();
        want.sort_unstable();
        let is_same = existing.kind == kind
            && existing.scheme == scheme
            && have == want
            && existing.security_groups == security_groups
            && existing.tags == tags;
        if !is_same {
            return Err(ApiError::new(
                "DuplicateLoadBalancerName",
                format!(
                    "A load balancer with the same name '{}' exists, but with different settings",
                    input.name
                ),
            ));
        }
        return Ok(types::CreateLoadBalancerOutput {
            load_balancers: Some(vec![view(tx, scope, existing)]),
        });
    }
    if tx
        .list::<LoadBalancer>(scope)
        .filter(|(_, balancer)| balancer.kind == kind)
        .count()
        >= LOAD_BALANCERS_MAX
    {
        return Err(ApiError::new(
            "TooManyLoadBalancers",
            "The maximum number of load balancers has been reached",
        ));
    }

    let short = if kind == "network" { "net" } else { "app" };
    let arn = names::arn(
        scope,
        format!("loadbalancer/{short}/{}/{}", input.name, names::id(tx.rng())),
    );
    let number = 100_000_000 + tx.rng().below(2_000_000_000);
    let internal = if scheme == "internal" { "internal-" } else { "" };
    let dns_name = format!("{internal}{}-{number}.{}.elb.localhost", input.name, scope.region).to_ascii_lowercase();
    let mut zones = Vec::with_capacity(places.len());
    for place in &places {
        zones.push(glue::attach(tx, scope, place, &security_groups, &arn)?);
    }
    let mut row = LoadBalancer {
        arn: arn.clone(),
        name: input.name,
        kind,
        scheme,
        dns_name,
        vpc_id,
        zones,
        security_groups,
        private_link_rules: None,
        ip_address_type,
        created: tx.now(),
        is_active: false,
        attributes: Default::default(),
        tags,
    };
    if row.scheme == "internal" {
        // Ref: `LoadBalancerAttribute`: of load balancers that face the internet the default is another one.
        row.attributes
            .insert("ipv6.deny_all_igw_traffic".to_owned(), "true".to_owned());
    }
    let view = view(tx, scope, &row);
    tx.put(scope, &arn, row);
    Ok(types::CreateLoadBalancerOutput {
        load_balancers: Some(vec![view]),
    })
}

/// Deleting what does not exist succeeds. Ref: DeleteLoadBalancer.
pub(super) fn delete(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteLoadBalancerInput,
) -> Result<types::DeleteLoadBalancerOutput, ApiError> {
    let scope = &call.scope;
    let Some(row) = tx.get::<LoadBalancer>(scope, &input.load_balancer_arn).cloned() else {
        return Ok(types::DeleteLoadBalancerOutput {});
    };
    if row
        .attributes
        .get("deletion_protection.enabled")
        .is_some_and(|value| value == "true")
    {
        return Err(error::not_permitted(format!(
            "Load balancer '{}' cannot be deleted because deletion protection is enabled",
            row.arn
        )));
    }
    let of_it: Vec<String> = tx
        .find::<Listener>(scope, "load_balancer", &row.arn)
        .map(|(arn, _)| arn.to_owned())
        .collect();
    for arn in of_it {
        listeners::remove(tx, scope, &arn);
    }
    for zone in &row.zones {
        glue::detach(tx, scope, zone);
    }
    tx.delete::<LoadBalancer>(scope, &row.arn);
    Ok(types::DeleteLoadBalancerOutput {})
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeLoadBalancersInput,
) -> Result<types::DescribeLoadBalancersOutput, ApiError> {
    let scope = &call.scope;
    let (arns, wanted) = (
        input.load_balancer_arns.unwrap_or_default(),
        input.names.unwrap_or_default(),
    );
    if !arns.is_empty() && !wanted.is_empty() {
        return Err(validation(
            "Load balancer names and load balancer ARNs cannot be specified at the same time",
        ));
    }
    let mut rows = Vec::new();
    for arn in &arns {
        rows.push(get(state, call, arn)?);
    }
    let mut missing = Vec::new();
    for name in &wanted {
        match state.find::<LoadBalancer>(scope, "name", name).next() {
            Some((_, row)) => rows.push(row),
            None => missing.push(name.as_str()),
        }
    }
    if !missing.is_empty() {
        let names = missing.join(", ");
        return Err(ApiError::new(
            "LoadBalancerNotFound",
            format!("Load balancers '[{names}]' not found"),
        ));
    }
    if arns.is_empty() && wanted.is_empty() {
        rows.extend(state.list::<LoadBalancer>(scope).map(|(_, row)| row));
    }
    let (rows, next_marker) = page(rows, |row| row.arn.clone(), input.marker.as_deref(), input.page_size)?;
    let load_balancers = rows.into_iter().map(|row| view(state, scope, row)).collect();
    Ok(types::DescribeLoadBalancersOutput {
        load_balancers: Some(load_balancers),
        next_marker,
    })
}

/// A load balancer in the API's form.
fn view(state: &State, scope: &Scope, row: &LoadBalancer) -> types::LoadBalancer {
    let failure = state
        .find::<Listener>(scope, "load_balancer", &row.arn)
        .find_map(|(arn, _)| state.get::<ListenerFailure>(scope, arn));
    let (code, reason) = match (row.is_active, failure) {
        (false, _) => ("provisioning", None),
        (true, None) => ("active", None),
        (true, Some(failure)) => ("active_impaired", Some(failure.cause.clone())),
    };
    let hosted_zone = if row.kind == "network" {
        NETWORK_HOSTED_ZONE
    } else {
        APPLICATION_HOSTED_ZONE
    };
    types::LoadBalancer {
        load_balancer_arn: Some(row.arn.clone()),
        dns_name: Some(row.dns_name.clone()),
        canonical_hosted_zone_id: Some(hosted_zone.to_owned()),
        created_time: Some(row.created.as_epoch_s()),
        load_balancer_name: Some(row.name.clone()),
        scheme: Some(row.scheme.clone()),
        vpc_id: Some(row.vpc_id.clone()),
        state: Some(types::LoadBalancerState {
            code: Some(code.to_owned()),
            reason,
        }),
        r#type: Some(row.kind.clone()),
        availability_zones: Some(zones_view(&row.zones)),
        security_groups: (!row.security_groups.is_empty()).then(|| row.security_groups.clone()),
        ip_address_type: Some(row.ip_address_type.clone()),
        enforce_security_group_inbound_rules_on_private_link_traffic: private_link_rules(row),
        ..Default::default()
    }
}

/// Of a Network Load Balancer with security groups, where it was said: AWS tells nothing of its default. Ref: the
/// acceptance test TestAccELBV2LoadBalancer_NetworkLoadBalancer_updateSecurityGroups of Terraform's AWS provider.
fn private_link_rules(row: &LoadBalancer) -> Option<String> {
    let has_rules = row.kind == "network" && !row.security_groups.is_empty();
    row.private_link_rules.clone().filter(|_| has_rules)
}

fn zones_view(zones: &[Zone]) -> Vec<types::AvailabilityZone> {
    zones
        .iter()
        .map(|zone| types::AvailabilityZone {
            zone_name: Some(zone.name.clone()),
            subnet_id: Some(zone.subnet_id.clone()),
            load_balancer_addresses: Some(Vec::new()),
            ..Default::default()
        })
        .collect()
}

fn attributes_view(row: &LoadBalancer) -> Vec<types::LoadBalancerAttribute> {
    attributes::all(balancer_owner(&row.kind), &row.attributes)
        .into_iter()
        .map(|(key, value)| types::LoadBalancerAttribute {
            key: Some(key),
            value: Some(value),
        })
        .collect()
}

pub(super) fn describe_attributes(
    state: &State,
    call: &Call,
    input: types::DescribeLoadBalancerAttributesInput,
) -> Result<types::DescribeLoadBalancerAttributesOutput, ApiError> {
    let row = get(state, call, &input.load_balancer_arn)?;
    Ok(types::DescribeLoadBalancerAttributesOutput {
        attributes: Some(attributes_view(row)),
    })
}

/// No capacity is ever reserved here, so there is none to describe. Terraform's provider asks for every balancer.
pub(super) fn describe_capacity_reservation(
    state: &State,
    call: &Call,
    input: types::DescribeCapacityReservationInput,
) -> Result<types::DescribeCapacityReservationOutput, ApiError> {
    get(state, call, &input.load_balancer_arn)?;
    Ok(types::DescribeCapacityReservationOutput {
        capacity_reservation_state: Some(Vec::new()),
        ..Default::default()
    })
}

/// Recorded by badmintoncryer/cdk-preflight, `pf-elbv2-lb-attr-count-max`.
fn check_count(attributes: &[types::LoadBalancerAttribute]) -> Result<(), ApiError> {
    if attributes.len() <= ATTRIBUTES_MAX {
        return Ok(());
    }
    let said = attributes.iter().map(|attribute| {
        let (key, value) = (attribute.key.as_deref(), attribute.value.as_deref());
        let (key, value) = (key.unwrap_or("null"), value.unwrap_or("null"));
        format!("LoadBalancerAttribute(key={key}, value={value})")
    });
    let said: Vec<String> = said.collect();
    Err(validation(format!(
        "1 validation error detected: Value '[{}]' at 'attributes' failed to satisfy constraint: Member must have length \
         less than or equal to {ATTRIBUTES_MAX}",
        said.join(", ")
    )))
}

pub(super) fn modify_attributes(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::ModifyLoadBalancerAttributesInput,
) -> Result<types::ModifyLoadBalancerAttributesOutput, ApiError> {
    let mut row = get(tx, call, &input.load_balancer_arn)?.clone();
    check_count(&input.attributes)?;
    let asked = input.attributes.into_iter();
    let asked = asked.map(|attribute| (attribute.key.unwrap_or_default(), attribute.value.unwrap_or_default()));
    attributes::change(balancer_owner(&row.kind), "", &mut row.attributes, asked.collect())?;
    let attributes = attributes_view(&row);
    tx.put(&call.scope, &input.load_balancer_arn, row);
    Ok(types::ModifyLoadBalancerAttributesOutput {
        attributes: Some(attributes),
    })
}

pub(super) fn set_ip_address_type(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::SetIpAddressTypeInput,
) -> Result<types::SetIpAddressTypeOutput, ApiError> {
    let row = get(tx, call, &input.load_balancer_arn)?;
    let ip_address_type = check_address_type(&row.kind, Some(&input.ip_address_type))?;
    Ok(types::SetIpAddressTypeOutput {
        ip_address_type: Some(ip_address_type),
    })
}

pub(super) fn set_security_groups(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::SetSecurityGroupsInput,
) -> Result<types::SetSecurityGroupsOutput, ApiError> {
    let scope = &call.scope;
    let mut row = get(tx, call, &input.load_balancer_arn)?.clone();
    let private_link = input.enforce_security_group_inbound_rules_on_private_link_traffic;
    // Recorded by badmintoncryer/cdk-preflight, `pf-elbv2-lb-enforce-sg-privatelink-*`.
    if private_link.is_some() && row.kind == "network" && input.security_groups.is_empty() {
        return Err(invalid_configuration(
            "One or more security groups must be specified when using EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic",
        ));
    }
    if row.kind == "network" && row.security_groups.is_empty() {
        return Err(invalid_configuration(
            "You cannot add security groups to a Network Load Balancer that was created without any",
        ));
    }
    if input.security_groups.is_empty() {
        return Err(validation("At least one security group must be specified"));
    }
    if private_link.is_some() && row.kind != "network" {
        return Err(invalid_configuration(
            "This security group setting for PrivateLink traffic is only available for Network Load Balancers with security \
             groups",
        ));
    }
    row.security_groups = glue::security_groups(tx, scope, &row.vpc_id, &input.security_groups)?;
    row.private_link_rules = private_link.or(row.private_link_rules);
    glue::protect(tx, scope, &row.zones, &row.security_groups);
    let output = types::SetSecurityGroupsOutput {
        security_group_ids: Some(row.security_groups.clone()),
        enforce_security_group_inbound_rules_on_private_link_traffic: private_link_rules(&row),
    };
    tx.put(scope, &input.load_balancer_arn, row);
    Ok(output)
}

pub(super) fn set_subnets(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::SetSubnetsInput,
) -> Result<types::SetSubnetsOutput, ApiError> {
    let scope = &call.scope;
    let row = get(tx, call, &input.load_balancer_arn)?.clone();
    let nat_prefix = input.enable_prefix_for_ipv6_source_nat.as_deref();
    if input.ip_address_type.as_deref() != Some("dualstack") {
        check_addresses(&row.kind, &row.scheme, input.subnet_mappings.as_deref(), nat_prefix)?;
    }
    check_address_type(&row.kind, input.ip_address_type.as_deref())?;
    let subnets = subnet_ids(input.subnets, input.subnet_mappings)?;
    check_subnet_count(&row.kind, subnets.len())?;
    let places = glue::places(tx, scope, &subnets)?;
    if places.iter().any(|place| place.vpc_id != row.vpc_id) {
        return Err(ApiError::new(
            "InvalidSubnet",
            "All subnets must belong to the load balancer's VPC",
        ));
    }
    let (stay, go): (Vec<Zone>, Vec<Zone>) = row
        .zones
        .into_iter()
        .partition(|zone| subnets.contains(&zone.subnet_id));
    for zone in &go {
        glue::detach(tx, scope, zone);
    }
    let mut zones = Vec::with_capacity(places.len());
    for place in &places {
        match stay.iter().find(|zone| zone.subnet_id == place.subnet_id) {
            Some(zone) => zones.push(zone.clone()),
            None => zones.push(glue::attach(tx, scope, place, &row.security_groups, &row.arn)?),
        }
    }
    let view = zones_view(&zones);
    tx.update::<LoadBalancer>(scope, &row.arn, |row| row.zones = zones);
    Ok(types::SetSubnetsOutput {
        availability_zones: Some(view),
        ip_address_type: Some("ipv4".to_owned()),
        ..Default::default()
    })
}
