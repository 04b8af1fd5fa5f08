//! What load balancers take from EC2: subnets, security groups, interfaces; EC2's errors in ELB's words.

use crate::error::{invalid_configuration, validation};
use crate::model::Zone;
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{State, Tx};

/// A subnet as a load balancer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) subnet_id: String,
    pub(crate) vpc_id: String,
    pub(crate) zone: String,
}

/// Looks the subnets up: all must exist, in one VPC and each in a zone of its own.
pub(crate) fn places(state: &State, scope: &Scope, subnet_ids: &[String]) -> Result<Vec<Place>, ApiError> {
    let mut places: Vec<Place> = Vec::with_capacity(subnet_ids.len());
    for id in subnet_ids {
        let subnet = honmaru_ec2::subnet(state, scope, id)
            .map_err(|_| ApiError::new("SubnetNotFound", format!("The subnet ID '{id}' does not exist")))?;
        if places.iter().any(|place| place.subnet_id == *id) {
            return Err(validation(format!("The subnet ID '{id}' is specified more than once")));
        }
        if places.iter().any(|place| place.vpc_id != subnet.vpc_id) {
            return Err(ApiError::new(
                "InvalidSubnet",
                "All subnets must belong to the same VPC",
            ));
        }
        if places.iter().any(|place| place.zone == subnet.availability_zone) {
            return Err(invalid_configuration(
                "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
            ));
        }
        places.push(Place {
            subnet_id: id.clone(),
            vpc_id: subnet.vpc_id.clone(),
            zone: subnet.availability_zone.clone(),
        });
    }
    Ok(places)
}

/// Checks that the security groups exist in the VPC; without any, the VPC's default group is taken.
pub(crate) fn security_groups(
    state: &State,
    scope: &Scope,
    vpc_id: &str,
    wanted: &[String],
) -> Result<Vec<String>, ApiError> {
    if wanted.is_empty() {
        let default = honmaru_ec2::default_security_group(state, scope, vpc_id)
            .ok_or_else(|| ApiError::new("InvalidSecurityGroup", "The VPC has no default security group"))?;
        return Ok(vec![default.id.clone()]);
    }
    for id in wanted {
        let found = honmaru_ec2::security_group(state, scope, id);
        // Seen: kubernetes-sigs/aws-load-balancer-controller issue 2371; of groups of other VPCs recorded by
        // badmintoncryer/cdk-preflight, `pf-elbv2-lb-sg-vpc-match`.
        let message = match found {
            Ok(group) if group.vpc_id == vpc_id => continue,
            Ok(_) => "One or more security groups are invalid".to_owned(),
            Err(_) => format!("The security group '{id}' does not exist"),
        };
        return Err(ApiError::new("InvalidSecurityGroup", message));
    }
    Ok(wanted.to_vec())
}

/// Whether a VPC exists.
pub(crate) fn check_vpc(state: &State, scope: &Scope, vpc_id: &str) -> Result<(), ApiError> {
    match state.get::<honmaru_ec2::Vpc>(scope, vpc_id) {
        Some(_) => Ok(()),
        None => Err(validation(format!("The VPC ID '{vpc_id}' is not found"))),
    }
}

/// Takes an address in a subnet for a load balancer.
pub(crate) fn attach(
    tx: &mut Tx<'_>,
    scope: &Scope,
    place: &Place,
    groups: &[String],
    load_balancer_arn: &str,
) -> Result<Zone, ApiError> {
    let description = format!("ELB {}", crate::names::path(load_balancer_arn));
    let interface = honmaru_ec2::allocate_interface(tx, scope, &place.subnet_id, groups, &description).map_err(
        |error| match error.code.as_str() {
            "InsufficientFreeAddressesInSubnet" => ApiError::new(
                "InvalidSubnet",
                format!(
                    "Not enough IP space available in {}. ELB requires at least 8 free IP addresses in each subnet.",
                    place.subnet_id
                ),
            ),
            _ => error,
        },
    )?;
    Ok(Zone {
        name: place.zone.clone(),
        subnet_id: place.subnet_id.clone(),
        interface_id: interface.id,
        address: interface.private_ip,
    })
}

/// Gives the address back.
pub(crate) fn detach(tx: &mut Tx<'_>, scope: &Scope, zone: &Zone) {
    honmaru_ec2::release_interface(tx, scope, &zone.interface_id);
}

/// Puts other security groups on a load balancer's interfaces.
pub(crate) fn protect(tx: &mut Tx<'_>, scope: &Scope, zones: &[Zone], groups: &[String]) {
    for zone in zones {
        tx.update::<honmaru_ec2::Interface>(scope, &zone.interface_id, |interface| {
            interface.security_groups = groups.to_vec();
        });
    }
}
