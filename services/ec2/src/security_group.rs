//! Security groups as others see them.

use crate::model::{RulePeer, SecurityGroup, SecurityGroupRule};
use honmaru_base::{ApiError, Scope};
use honmaru_contract::node;
use honmaru_machine::State;
use std::collections::BTreeMap;

/// A group by id, or `InvalidGroup.NotFound`.
pub fn security_group<'a>(state: &'a State, scope: &Scope, id: &str) -> Result<&'a SecurityGroup, ApiError> {
    state.get::<SecurityGroup>(scope, id).ok_or_else(|| not_found(id))
}

pub(crate) fn not_found(id: &str) -> ApiError {
    ApiError::new(
        "InvalidGroup.NotFound",
        format!("The security group '{id}' does not exist"),
    )
}

/// Every group of every account and region, as the node needs it.
pub fn node_security_groups(state: &State) -> BTreeMap<String, node::SecurityGroup> {
    state
        .all::<SecurityGroup>()
        .map(|(_, id, group)| {
            let rules = |egress: bool| -> Vec<node::SecurityRule> {
                group
                    .rules
                    .iter()
                    .filter(|rule| rule.is_egress == egress)
                    .filter_map(node_rule)
                    .collect()
            };
            let group = node::SecurityGroup {
                vpc_id: group.vpc_id.clone(),
                ingress: rules(false),
                egress: rules(true),
            };
            (id.to_owned(), group)
        })
        .collect()
}

/// A rule as the node needs it; nothing for IPv6, which the network does not carry.
fn node_rule(rule: &SecurityGroupRule) -> Option<node::SecurityRule> {
    let peer = match &rule.peer {
        RulePeer::Ipv4(range) => node::Peer::Cidr(range.to_string()),
        RulePeer::Group(id) => node::Peer::Group(id.clone()),
        RulePeer::Ipv6(_) => return None,
    };
    let protocol = match rule.protocol.as_str() {
        "-1" => node::Protocol::All,
        "tcp" => node::Protocol::Tcp,
        "udp" => node::Protocol::Udp,
        "icmp" => node::Protocol::Icmp,
        number => node::Protocol::Number(number.parse().ok()?),
    };
    let ports = match protocol {
        node::Protocol::Tcp | node::Protocol::Udp if rule.from_port >= 0 => Some((rule.from_port, rule.to_port)),
        node::Protocol::Icmp => Some((rule.from_port, rule.to_port)),
        _ => None,
    };
    Some(node::SecurityRule { protocol, ports, peer })
}
