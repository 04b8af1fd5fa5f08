//! What the network shall be: the desired state from control and the tasks that are attached.

use honmaru_contract::node::{HostAddress, SecurityGroup, TaskNetwork, Vpc};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// The part of the node's desired state that is about the network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkDesired {
    /// The security groups by id.
    pub security_groups: BTreeMap<String, SecurityGroup>,
    /// The VPCs by id.
    pub vpcs: BTreeMap<String, Vpc>,
    /// Load balancer addresses on this host.
    pub host_addresses: BTreeMap<Ipv4Addr, HostAddress>,
    /// Names that the resolver answers.
    pub dns: BTreeMap<String, Vec<Ipv4Addr>>,
}

impl NetworkDesired {
    /// The ranges of all VPCs that parse, without those that lie in another one.
    pub(crate) fn ranges(&self) -> BTreeSet<Ipv4Net> {
        let all: BTreeSet<Ipv4Net> = self
            .vpcs
            .values()
            .filter_map(|vpc| vpc.cidr.parse().ok())
            .map(|net: Ipv4Net| net.trunc())
            .collect();
        all.iter()
            .filter(|net| !all.iter().any(|other| other != *net && other.contains(*net)))
            .copied()
            .collect()
    }

    /// The resolver's address of each VPC.
    pub(crate) fn resolvers(&self) -> BTreeSet<Ipv4Addr> {
        self.ranges().iter().filter_map(resolver_of).collect()
    }
}

/// The resolver's address in a VPC's range: its base plus two; nothing where that is too small. Ref: "Amazon DNS server", VPC
/// user guide.
pub(crate) fn resolver_of(range: &Ipv4Net) -> Option<Ipv4Addr> {
    (range.prefix_len() <= 28).then(|| Ipv4Addr::from(u32::from(range.network()) + 2))
}

/// A task's interface as the ruleset needs it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Port {
    /// The host side's name.
    pub interface: String,
    /// What was asked for.
    pub network: TaskNetwork,
}

/// All that the ruleset is made from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub desired: NetworkDesired,
    pub ports: BTreeMap<String, Port>,
    pub metadata_port: u16,
}
