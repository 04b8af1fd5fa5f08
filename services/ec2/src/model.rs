//! The rows of this service's tables.

use honmaru_machine::Resource;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A VPC; its key is the id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    /// `vpc-...`.
    pub id: String,
    /// Its address range.
    pub cidr: Ipv4Net,
    /// Whether it is the account's default VPC of the region.
    pub is_default: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Resource for Vpc {
    const KIND: &'static str = "ec2.vpc";
}

impl Vpc {
    /// The address of the VPC's resolver: the third of its range. Ref: VPC guide, "Amazon DNS server".
    pub fn dns(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.cidr.network()) + 2)
    }
}

/// A subnet; its key is the id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    /// `subnet-...`.
    pub id: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Its address range.
    pub cidr: Ipv4Net,
    /// For example `us-east-1a`.
    pub availability_zone: String,
    /// For example `use1-az1`.
    pub availability_zone_id: String,
    /// Whether it is the zone's default subnet.
    pub is_default: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Resource for Subnet {
    const KIND: &'static str = "ec2.subnet";
}

/// A security group; its key is the id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// `sg-...`.
    pub id: String,
    /// Its name, unique in the VPC.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Its rules, ingress and egress, in the order of their creation.
    pub rules: Vec<SecurityGroupRule>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Resource for SecurityGroup {
    const KIND: &'static str = "ec2.security_group";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add("name", format!("{}/{}", self.vpc_id, self.name));
    }
}

/// One rule of a security group: one protocol, one port range, one peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroupRule {
    /// `sgr-...`.
    pub id: String,
    /// Whether it is about outgoing traffic.
    pub is_egress: bool,
    /// `-1`, `tcp`, `udp`, `icmp`, or a number.
    pub protocol: String,
    /// First port or ICMP type; -1 for all.
    pub from_port: i32,
    /// Last port or ICMP code; -1 for all.
    pub to_port: i32,
    /// The other side.
    pub peer: RulePeer,
    /// Its description.
    pub description: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RulePeer {
    /// An IPv4 range.
    Ipv4(Ipv4Net),
    /// An IPv6 range: kept and shown; the network has no IPv6 yet.
    Ipv6(String),
    /// The members of a group of the same account.
    Group(String),
}

/// A network interface; its key is the id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// `eni-...`.
    pub id: String,
    /// Its address.
    pub private_ip: Ipv4Addr,
    /// Its MAC address.
    pub mac: String,
    /// Its subnet.
    pub subnet_id: String,
    /// The subnet's range.
    pub subnet_cidr: Ipv4Net,
    /// The subnet's zone.
    pub availability_zone: String,
    /// Its VPC.
    pub vpc_id: String,
    /// The groups that protect it.
    pub security_groups: Vec<String>,
    /// For example the ARN of the attachment, or `ELB app/name/id`.
    pub description: String,
    /// `interface`, as `InterfaceType` says.
    pub interface_type: String,
}

impl Resource for Interface {
    const KIND: &'static str = "ec2.interface";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add("subnet", self.subnet_id.clone());
        for group in &self.security_groups {
            add("group", group.clone());
        }
    }
}
