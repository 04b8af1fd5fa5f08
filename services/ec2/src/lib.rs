//! The part of Amazon EC2 that ECS and load balancers need: the default VPC with its subnets, security groups,
//! and network interfaces.
//!
//! Not here: instances, other VPCs, gateways and routes of one's own. Lists of what there is none of are empty; the
//! operations that would make some answer that they are not implemented.
//! Invariant: no two interfaces of any account or region share an address, since they all live on one host.

#![forbid(unsafe_code)]

mod api;
mod interface;
mod model;
mod security_group;
mod tagged;
pub mod types;
mod vpc;

pub use api::operations;
pub use interface::{allocate_interface, release_interface};
pub use model::{Interface, RulePeer, SecurityGroup, SecurityGroupRule, Subnet, Vpc};
pub use security_group::{node_security_groups, security_group};
pub use tagged::tagged;
pub use vpc::{
    default_security_group, default_subnets, default_vpc, ensure_default_vpc, node_vpcs, subnet, vpc_limit_exceeded,
    vpc_ranges,
};

use honmaru_machine::State;

/// The service's name in botocore.
pub const SERVICE: &str = "ec2";

/// Adds this service's tables.
pub fn register(state: &mut State) {
    state.register::<Vpc>();
    state.register::<Subnet>();
    state.register::<SecurityGroup>();
    state.register::<Interface>();
}
