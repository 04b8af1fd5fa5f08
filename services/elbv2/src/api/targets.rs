//! Targets and their health.

use super::target_groups::port_number;
use crate::error::validation;
use crate::machine::{deregister_target, register_in_zone, target_group, target_health};
use crate::model::{Target, TargetGroup};
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State, Tx};
use std::net::Ipv4Addr;

fn invalid_target(message: String) -> ApiError {
    ApiError::new("InvalidTarget", message)
}

/// A target's address and port. Targets are addresses: there are no instances here.
fn resolve(group: &TargetGroup, target: &types::TargetDescription) -> Result<(Ipv4Addr, u16), ApiError> {
    if group.target_type == "instance" {
        return Err(invalid_target(format!(
            "The following targets do not exist: '{}'",
            target.id
        )));
    }
    let address: Ipv4Addr = target
        .id
        .parse()
        .map_err(|_| validation(format!("The IP address '{}' is not a valid IPv4 address", target.id)))?;
    if !is_allowed(address) {
        // Recorded by badmintoncryer/cdk-preflight, `pf-elbv2-tg-target-ip-not-public`.
        return Err(validation(format!(
            "The IP address '{address}' is not allowed, as it must be an address from a VPC subnet, RFC1918, or RFC6598"
        )));
    }
    let port = target.port.map_or(Ok(group.port), port_number)?;
    Ok((address, port))
}

/// Ref: ALB guide, "Target type": never publicly routable addresses.
fn is_allowed(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private() || (a == 100 && (64..128).contains(&b))
}

pub(super) fn register(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::RegisterTargetsInput,
) -> Result<types::RegisterTargetsOutput, ApiError> {
    let group = target_group(tx, &call.scope, &input.target_group_arn)?.clone();
    if input.targets.is_empty() {
        return Err(validation("At least one target must be specified"));
    }
    for target in &input.targets {
        let (address, port) = resolve(&group, target)?;
        register_in_zone(
            tx,
            &call.scope,
            &group.arn,
            address,
            port,
            target.availability_zone.clone(),
        )?;
    }
    Ok(types::RegisterTargetsOutput {})
}

pub(super) fn deregister(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeregisterTargetsInput,
) -> Result<types::DeregisterTargetsOutput, ApiError> {
    let group = target_group(tx, &call.scope, &input.target_group_arn)?.clone();
    for target in &input.targets {
        let address: Ipv4Addr = target
            .id
            .parse()
            .map_err(|_| invalid_target(format!("The following targets are not registered: '{}'", target.id)))?;
        let ports = match target.port {
            Some(port) => vec![port_number(port)?],
            None => of_address(tx, call, &group.arn, address),
        };
        for port in ports {
            deregister_target(tx, &call.scope, &group.arn, address, port)?;
        }
    }
    Ok(types::DeregisterTargetsOutput {})
}

/// The ports under which an address is registered. Ref: DeregisterTargets: without a port all of them.
fn of_address(state: &State, call: &Call, group_arn: &str, address: Ipv4Addr) -> Vec<u16> {
    let targets = state.find::<Target>(&call.scope, "group", group_arn);
    targets
        .filter(|(_, target)| target.address == address)
        .map(|(_, target)| target.port)
        .collect()
}

pub(super) fn describe_health(
    state: &State,
    call: &Call,
    input: types::DescribeTargetHealthInput,
) -> Result<types::DescribeTargetHealthOutput, ApiError> {
    let scope = &call.scope;
    let group = target_group(state, scope, &input.target_group_arn)?;
    let mut descriptions = Vec::new();
    match input.targets.filter(|targets| !targets.is_empty()) {
        Some(targets) => {
            for target in targets {
                let port = target.port.map_or(Ok(group.port), port_number)?;
                // No instance is ever registered. Seen of AWS by getmoto/moto, `test_describe_unknown_targets`.
                if group.target_type == "instance" {
                    descriptions.push(description(
                        group,
                        target.id,
                        port,
                        target.availability_zone,
                        unregistered(),
                    ));
                    continue;
                }
                let address: Ipv4Addr = target.id.parse().map_err(|_| {
                    invalid_target(format!("The following targets are not registered: '{}'", target.id))
                })?;
                descriptions.push(describe_one(
                    state,
                    call,
                    group,
                    address,
                    port,
                    target.availability_zone,
                ));
            }
        }
        None => {
            for (_, target) in state.find::<Target>(scope, "group", &group.arn) {
                let zone = target.availability_zone.clone();
                descriptions.push(describe_one(state, call, group, target.address, target.port, zone));
            }
        }
    }
    Ok(types::DescribeTargetHealthOutput {
        target_health_descriptions: Some(descriptions),
    })
}

fn describe_one(
    state: &State,
    call: &Call,
    group: &TargetGroup,
    address: Ipv4Addr,
    port: u16,
    availability_zone: Option<String>,
) -> types::TargetHealthDescription {
    let health = match target_health(state, &call.scope, &group.arn, address, port) {
        Some(health) => types::TargetHealth {
            state: Some(health.state),
            reason: health.reason,
            description: health.description,
        },
        None => unregistered(),
    };
    description(group, address.to_string(), port, availability_zone, health)
}

fn unregistered() -> types::TargetHealth {
    types::TargetHealth {
        state: Some("unused".to_owned()),
        reason: Some("Target.NotRegistered".to_owned()),
        description: Some("Target is not registered to the target group".to_owned()),
    }
}

fn description(
    group: &TargetGroup,
    id: String,
    port: u16,
    availability_zone: Option<String>,
    health: types::TargetHealth,
) -> types::TargetHealthDescription {
    let check_port = match group.health.port.as_str() {
        "traffic-port" => port.to_string(),
        other => other.to_owned(),
    };
    types::TargetHealthDescription {
        target: Some(types::TargetDescription {
            id,
            port: Some(i32::from(port)),
            availability_zone,
            quic_server_id: None,
        }),
        health_check_port: Some(check_port),
        target_health: Some(health),
        ..Default::default()
    }
}
