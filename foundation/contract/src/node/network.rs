//! Networks, and the firewall of each task in them.

use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A VPC as the node needs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    /// The address range, for example `172.31.0.0/16`.
    pub cidr: String,
}

/// An address on the host's loopback interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostAddress {
    /// What it belongs to, for example a load balancer's ARN.
    pub owner: String,
    /// The groups whose rules may name it as a source and whose ingress rules protect it.
    pub security_groups: Vec<String>,
}

/// A security group with all its rules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Its VPC.
    pub vpc_id: String,
    /// What may come in.
    pub ingress: Vec<SecurityRule>,
    /// What may go out.
    pub egress: Vec<SecurityRule>,
}

/// One rule: protocol, ports, and one peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecurityRule {
    /// What it lets through.
    pub protocol: Protocol,
    /// First and last port for TCP and UDP, ICMP type and code for ICMP (-1: any); nothing: all.
    pub ports: Option<(i32, i32)>,
    /// The other side.
    pub peer: Peer,
}

/// An IP protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Every protocol (`-1`).
    All,
    /// TCP, 6.
    Tcp,
    /// UDP, 17.
    Udp,
    /// ICMP, 1.
    Icmp,
    /// Another protocol by its IANA number.
    Number(u8),
}

/// The other side of a security group's rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// An address range.
    Cidr(String),
    /// The members of a group.
    Group(String),
}

/// A task's interface in awsvpc mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskNetwork {
    /// Its address.
    pub address: Ipv4Addr,
    /// The subnet's range.
    pub subnet_cidr: String,
    /// The VPC.
    pub vpc_id: String,
    /// The VPC's resolver.
    pub dns: Ipv4Addr,
    /// The interface's MAC address.
    pub mac: String,
    /// The groups that protect it.
    pub security_groups: Vec<String>,
    /// Whether the task may reach addresses outside the VPC (masquerade). AWS: a public address or a NAT gateway.
    pub egress: bool,
    /// Ports published on the host: `127.0.0.1:host_port` to the task's port.
    #[serde(default)]
    pub published: Vec<PublishedPort>,
}

/// A port of the task that the host publishes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishedPort {
    /// On the host.
    pub host_port: u16,
    /// In the task.
    pub container_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// A TCP socket that listens in a task's network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Listener {
    /// Whether it listens on a loopback address: for the task itself only.
    pub loopback: bool,
    /// Its port.
    pub port: u16,
}
