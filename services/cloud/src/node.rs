//! What the nodes shall run and know: the parts of all services in one.

use honmaru_contract::node::{HostAddress, NodeDesired, UsageWanted};
use honmaru_ecs::Node;
use honmaru_elbv2::LoadBalancer;
use honmaru_machine::State;
use std::collections::BTreeMap;

/// The desired state of the machine's node; the caller sets its generation. With several nodes each gets the tasks
/// that were placed on it: [`honmaru_ecs::node_tasks`]. How often use is reported is the caller's, too.
pub fn node_desired(state: &State) -> NodeDesired {
    let mut desired = NodeDesired {
        security_groups: honmaru_ec2::node_security_groups(state),
        vpcs: honmaru_ec2::node_vpcs(state),
        usage: UsageWanted {
            clusters: honmaru_ecs::insights_clusters(state),
            interval_ms: 0,
        },
        ..NodeDesired::default()
    };
    for (name, _) in state.list::<Node>(&honmaru_ecs::node_scope()) {
        desired.tasks.extend(honmaru_ecs::node_tasks(state, name));
    }
    let mut dns: BTreeMap<String, Vec<std::net::Ipv4Addr>> = BTreeMap::new();
    for (_, arn, balancer) in state.all::<LoadBalancer>() {
        for zone in &balancer.zones {
            let host = HostAddress {
                owner: arn.to_owned(),
                security_groups: balancer.security_groups.clone(),
            };
            desired.host_addresses.insert(zone.address, host);
            dns.entry(balancer.dns_name.to_ascii_lowercase())
                .or_default()
                .push(zone.address);
        }
    }
    desired.dns = dns;
    desired
}
