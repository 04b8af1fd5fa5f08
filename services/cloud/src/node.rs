//! What the nodes shall run and know: the parts of all services in one.

use honmaru_contract::node::{HostAddress, NodeDesired, Peer, Protocol, SecurityGroup, SecurityRule, UsageWanted};
use honmaru_ecs::Node;
use honmaru_elbv2::LoadBalancer;
use honmaru_machine::State;
use std::collections::BTreeMap;

/// The id, which no group of EC2's has, of what stands for no groups at all.
const UNGUARDED: &str = "unguarded";

/// A network load balancer without security groups lets everything through. Ref: NLB guide, "Security
/// groups": one that was made without any cannot have them later.
fn unguarded() -> SecurityGroup {
    let everything = || {
        vec![SecurityRule {
            protocol: Protocol::All,
            ports: None,
            peer: Peer::Cidr("0.0.0.0/0".to_owned()),
        }]
    };
    SecurityGroup {
        vpc_id: String::new(),
        ingress: everything(),
        egress: everything(),
    }
}

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
        let mut security_groups = balancer.security_groups.clone();
        if security_groups.is_empty() && balancer.kind == "network" {
            security_groups.push(UNGUARDED.to_owned());
            desired
                .security_groups
                .entry(UNGUARDED.to_owned())
                .or_insert_with(unguarded);
        }
        for zone in &balancer.zones {
            let host = HostAddress {
                owner: arn.to_owned(),
                security_groups: security_groups.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{NOW, call, root, scope};
    use honmaru_base::SeededRng;
    use honmaru_machine::Tx;
    use serde_json::json;

    #[test]
    fn a_network_load_balancer_without_groups_is_open_and_one_with_groups_is_theirs() {
        let mut state = State::new();
        crate::register_all(&mut state);
        let mut rng = SeededRng::from_u64(1);
        let mut tx = Tx::new(&mut state, NOW, &mut rng);
        honmaru_ec2::ensure_default_vpc(&mut tx, &scope(), "172.31.0.0/16".parse().unwrap()).unwrap();
        tx.commit();
        let subnets = honmaru_ec2::default_subnets(&state, &scope());
        let subnets: Vec<String> = subnets.iter().map(|subnet| subnet.id.clone()).collect();
        let group = honmaru_ec2::node_security_groups(&state).into_keys().next().unwrap();
        for (name, kind, groups) in [
            ("open", "network", json!([])),
            ("held", "network", json!([group])),
            ("app", "application", json!([])),
        ] {
            let input = json!({"Name": name, "Type": kind, "Subnets": subnets, "SecurityGroups": groups});
            let all = honmaru_elbv2::operations();
            let create = all.into_iter().find(|one| one.name == "CreateLoadBalancer").unwrap();
            let mut tx = Tx::new(&mut state, NOW, &mut rng);
            create.handler.write(&mut tx, &call(root()), input).unwrap().unwrap();
            tx.commit();
        }
        let desired = node_desired(&state);
        let groups_of = |name: &str| -> Vec<Vec<String>> {
            let part = format!("/{name}/");
            let hosts = desired
                .host_addresses
                .values()
                .filter(|host| host.owner.contains(&part));
            hosts.map(|host| host.security_groups.clone()).collect()
        };
        assert_eq!(groups_of("open"), vec![vec![UNGUARDED.to_owned()]; subnets.len()]);
        assert_eq!(groups_of("held"), vec![vec![group.clone()]; subnets.len()]);
        assert_eq!(
            groups_of("app"),
            vec![vec![group]; subnets.len()],
            "the default one of the VPC"
        );
        assert_eq!(desired.security_groups[UNGUARDED], unguarded());
    }
}
