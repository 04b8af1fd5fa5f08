//! The rows of this service's tables. Load balancers, listeners, rules and target groups are keyed by ARN, targets by
//! [`target_key`].

use honmaru_base::Time;
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Where a load balancer has an address: one subnet and the interface in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// The availability zone.
    pub name: String,
    /// The subnet.
    pub subnet_id: String,
    /// The interface in the subnet.
    pub interface_id: String,
    /// The interface's address.
    pub address: Ipv4Addr,
}

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// `application` or `network`.
    pub kind: String,
    /// `internet-facing` or `internal`.
    pub scheme: String,
    /// Its DNS name, lower case.
    pub dns_name: String,
    /// Its VPC.
    pub vpc_id: String,
    /// Its subnets.
    pub zones: Vec<Zone>,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// Whether the inbound rules of its security groups hold for traffic of PrivateLink: `on` or `off`, where it was said.
    /// There is no PrivateLink here; the value is kept.
    #[serde(default)]
    pub private_link_rules: Option<String>,
    /// `ipv4`.
    pub ip_address_type: String,
    /// When it was made.
    pub created: Time,
    /// Whether the edge serves it: `active`, else `provisioning`.
    pub is_active: bool,
    /// Attributes that differ from their defaults.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Resource for LoadBalancer {
    const KIND: &'static str = "elbv2.load_balancer";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add("name", self.name.clone());
    }
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Its ARN.
    pub arn: String,
    /// Its load balancer.
    pub load_balancer_arn: String,
    /// `HTTP`, `HTTPS`, `TCP`, `TLS`.
    pub protocol: String,
    /// Its port.
    pub port: u16,
    /// The security policy of a TLS listener.
    pub ssl_policy: Option<String>,
    /// ARNs of certificates, the default one first.
    pub certificates: Vec<String>,
    /// The ALPN policy of a TLS listener.
    pub alpn_policy: Option<String>,
    /// The default rule's actions, in the API's form with every default filled in.
    pub default_actions: Vec<Value>,
    /// The default rule's ARN.
    pub default_rule_arn: String,
    /// Attributes that differ from their defaults.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Resource for Listener {
    const KIND: &'static str = "elbv2.listener";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add("load_balancer", self.load_balancer_arn.clone());
        for arn in &self.certificates {
            add("certificate", arn.clone());
        }
    }
}

/// A rule that is not the default one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its ARN.
    pub arn: String,
    /// Its listener.
    pub listener_arn: String,
    /// 1 to 50,000, unique within the listener.
    pub priority: u32,
    /// Conditions in the API's form.
    pub conditions: Vec<Value>,
    /// Actions in the API's form with every default filled in.
    pub actions: Vec<Value>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Resource for Rule {
    const KIND: &'static str = "elbv2.rule";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add("listener", self.listener_arn.clone());
    }
}

/// How targets are checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSettings {
    /// Whether they are.
    pub is_enabled: bool,
    /// `HTTP`, `HTTPS`, `TCP`.
    pub protocol: String,
    /// `traffic-port` or a port.
    pub port: String,
    /// The path of HTTP checks.
    pub path: Option<String>,
    /// Seconds between checks.
    pub interval_s: u32,
    /// Seconds until a check failed.
    pub timeout_s: u32,
    /// Successes in a row until healthy.
    pub healthy_threshold: u32,
    /// Failures in a row until unhealthy.
    pub unhealthy_threshold: u32,
    /// HTTP or gRPC codes of success.
    pub matcher: Option<String>,
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// `ip` or `instance`.
    pub target_type: String,
    /// `HTTP`, `HTTPS`, `TCP`, `TLS`.
    pub protocol: String,
    /// `HTTP1`, `HTTP2`, `GRPC`; none for TCP and TLS.
    pub protocol_version: Option<String>,
    /// The port of targets that name none.
    pub port: u16,
    /// Its VPC.
    pub vpc_id: String,
    /// How targets are checked.
    pub health: HealthSettings,
    /// Attributes that differ from their defaults.
    pub attributes: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl TargetGroup {
    /// Whether clients are kept on a target. Ref: attribute `stickiness.enabled`.
    pub(crate) fn is_sticky(&self) -> bool {
        let value = self.attributes.get("stickiness.enabled");
        value.is_some_and(|value| value == "true")
    }
}

impl Resource for TargetGroup {
    const KIND: &'static str = "elbv2.target_group";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add("name", self.name.clone());
    }
}

/// A target of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The group's ARN.
    pub group_arn: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// The zone that RegisterTargets named.
    pub availability_zone: Option<String>,
    /// Since when it is draining; nothing while it is registered.
    pub draining_since: Option<Time>,
}

impl Resource for Target {
    const KIND: &'static str = "elbv2.target";

    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add("group", self.group_arn.clone());
    }
}

/// The key of a target's row, and of what was observed of it.
pub(crate) fn target_key(group_arn: &str, address: Ipv4Addr, port: u16) -> String {
    format!("{group_arn}|{address}|{port}")
}

/// What the edge saw of a target; not durable, the edge tells it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Observed {
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    pub(crate) description: Option<String>,
    /// Since when it is in this state.
    pub(crate) since: Time,
}

impl Resource for Observed {
    const KIND: &'static str = "elbv2.target_health";
    const DURABLE: bool = false;
}

/// Why the edge cannot serve a listener, by its ARN; not durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListenerFailure {
    pub(crate) cause: String,
}

impl Resource for ListenerFailure {
    const KIND: &'static str = "elbv2.listener_failure";
    const DURABLE: bool = false;
}
