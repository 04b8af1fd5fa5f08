//! The operations: what each needs, and the function that answers it.

mod access;
mod actions;
pub(crate) mod alpn;
mod certificates;
mod conditions;
mod foreign;
mod group_kinds;
mod group_limit;
mod group_stickiness;
mod limits;
mod listeners;
mod load_balancers;
mod page;
mod rules;
pub(crate) mod ssl;
mod tags;
mod target_groups;
mod targets;

use honmaru_machine::{Call, Handler, Operation, State, Tx};
use honmaru_wire::tree::Tree;
use serde_json::Value;

macro_rules! read {
    ($name:literal, $handler:path) => {
        Operation {
            name: $name,
            access: |_, _, _| access::describe(concat!("elasticloadbalancing:", $name)),
            handler: Handler::Read(|state: &State, call: &Call, input: Value| {
                Ok($handler(state, call, Tree::from_tree(input))?.into_tree())
            }),
        }
    };
}

macro_rules! write {
    ($name:literal, $handler:path) => {
        Operation {
            name: $name,
            access: |state, call, input| access::change(concat!("elasticloadbalancing:", $name), state, call, input),
            handler: Handler::Write(|tx: &mut Tx<'_>, call: &Call, input: Value| {
                Ok($handler(tx, call, Tree::from_tree(input))?.into_tree())
            }),
        }
    };
}

/// Every operation that this service implements.
pub fn operations() -> Vec<Operation> {
    vec![
        write!("AddListenerCertificates", certificates::add),
        write!("AddTags", tags::add),
        write!("CreateListener", listeners::create),
        write!("CreateLoadBalancer", load_balancers::create),
        write!("CreateRule", rules::create),
        write!("CreateTargetGroup", target_groups::create),
        write!("DeleteListener", listeners::delete),
        write!("DeleteLoadBalancer", load_balancers::delete),
        write!("DeleteRule", rules::delete),
        write!("DeleteTargetGroup", target_groups::delete),
        write!("DeregisterTargets", targets::deregister),
        read!("DescribeAccountLimits", limits::describe),
        read!(
            "DescribeCapacityReservation",
            load_balancers::describe_capacity_reservation
        ),
        read!("DescribeListenerAttributes", listeners::describe_attributes),
        read!("DescribeListenerCertificates", certificates::describe),
        read!("DescribeListeners", listeners::describe),
        read!("DescribeLoadBalancerAttributes", load_balancers::describe_attributes),
        read!("DescribeLoadBalancers", load_balancers::describe),
        read!("DescribeRules", rules::describe),
        read!("DescribeSSLPolicies", ssl::describe),
        read!("DescribeTags", tags::describe),
        read!("DescribeTargetGroupAttributes", target_groups::describe_attributes),
        read!("DescribeTargetGroups", target_groups::describe),
        read!("DescribeTargetHealth", targets::describe_health),
        write!("ModifyListener", listeners::modify),
        write!("ModifyListenerAttributes", listeners::modify_attributes),
        write!("ModifyLoadBalancerAttributes", load_balancers::modify_attributes),
        write!("ModifyRule", rules::modify),
        write!("ModifyTargetGroup", target_groups::modify),
        write!("ModifyTargetGroupAttributes", target_groups::modify_attributes),
        write!("RegisterTargets", targets::register),
        write!("RemoveListenerCertificates", certificates::remove),
        write!("RemoveTags", tags::remove),
        write!("SetIpAddressType", load_balancers::set_ip_address_type),
        write!("SetRulePriorities", rules::set_priorities),
        write!("SetSecurityGroups", load_balancers::set_security_groups),
        write!("SetSubnets", load_balancers::set_subnets),
    ]
}
