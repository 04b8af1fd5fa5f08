//! Network interfaces: an address in a subnet, protected by security groups.

use crate::model::{Interface, SecurityGroup};
use honmaru_base::{ApiError, Scope, prefixed_id};
use honmaru_machine::Tx;
use std::net::Ipv4Addr;

/// AWS keeps the first four addresses of a subnet and the last one. Ref: VPC guide, "Subnet CIDR reserved addresses".
const RESERVED_FIRST: u32 = 4;
const RESERVED_LAST: u32 = 1;

/// Takes a free address of the subnet for a new interface.
///
/// `InvalidSubnetID.NotFound`, `InvalidGroup.NotFound`, or `InsufficientFreeAddressesInSubnet`.
pub fn allocate_interface(
    tx: &mut Tx<'_>,
    scope: &Scope,
    subnet_id: &str,
    groups: &[String],
    description: &str,
) -> Result<Interface, ApiError> {
    let subnet = crate::subnet(tx, scope, subnet_id)?.clone();
    for group in groups {
        let found = tx
            .get::<SecurityGroup>(scope, group)
            .is_some_and(|g| g.vpc_id == subnet.vpc_id);
        if !found {
            return Err(ApiError::new(
                "InvalidGroup.NotFound",
                format!("The security group '{group}' does not exist"),
            ));
        }
    }
    let size = 1u32 << (32 - u32::from(subnet.cidr.prefix_len()));
    let usable = size.saturating_sub(RESERVED_FIRST + RESERVED_LAST);
    let network = u32::from(subnet.cidr.network());
    let taken: std::collections::BTreeSet<u32> = tx
        .find::<Interface>(scope, "subnet", subnet_id)
        .map(|(_, i)| u32::from(i.private_ip))
        .collect();
    if taken.len() as u64 >= u64::from(usable) {
        return Err(ApiError::new(
            "InsufficientFreeAddressesInSubnet",
            format!("insufficient free addresses in subnet '{subnet_id}'"),
        ));
    }
    // A random start and a walk from there: addresses are not reused at once, so that nobody's stale connection
    // reaches a stranger's task.
    let start = tx.rng().below(u64::from(usable)) as u32;
    let address = (0..usable)
        .map(|n| network + RESERVED_FIRST + (start + n) % usable)
        .find(|candidate| !taken.contains(candidate))
        .expect("fewer addresses are taken than usable");
    let octets = Ipv4Addr::from(address).octets();
    let id = prefixed_id(tx.rng(), "eni");
    let interface = Interface {
        id: id.clone(),
        private_ip: Ipv4Addr::from(address),
        // Locally administered; unique because the address is.
        mac: format!(
            "0a:ff:{:02x}:{:02x}:{:02x}:{:02x}",
            octets[0], octets[1], octets[2], octets[3]
        ),
        subnet_id: subnet.id,
        subnet_cidr: subnet.cidr,
        availability_zone: subnet.availability_zone,
        vpc_id: subnet.vpc_id,
        security_groups: groups.to_vec(),
        description: description.to_owned(),
        interface_type: "interface".to_owned(),
    };
    tx.put(scope, &id, interface.clone());
    Ok(interface)
}

/// Gives an interface's address back. Does nothing when there is none of that id.
pub fn release_interface(tx: &mut Tx<'_>, scope: &Scope, id: &str) {
    tx.delete::<Interface>(scope, id);
}
