//! Control and edge: load balancers that shall serve, targets and their health, web ACLs, samples.

use honmaru_base::Time;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Control to edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToEdge {
    /// The whole configuration. Listeners that are not in it are closed, their connections drained.
    Config(Box<EdgeConfig>),
    /// Asks for the samples of a web ACL's rule.
    Samples(SamplesWanted),
}

/// Edge to control. The content has a place of its own: a list cannot hold the tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "body", rename_all = "snake_case")]
pub enum FromEdge {
    /// The first message.
    Hello(crate::Hello),
    /// The configuration of that generation serves, or in part not.
    Applied(Applied),
    /// The health of all targets; sent after `Hello`.
    Health(Vec<TargetHealth>),
    /// Targets whose health changed.
    HealthChanged(Vec<TargetHealth>),
    /// The answer to [`ToEdge::Samples`].
    Samples(Samples),
}

/// What became of a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// Its generation.
    pub generation: u64,
    /// Listeners that could not be opened: listener ARN, cause.
    pub failed: Vec<(String, String)>,
}

/// Everything that the edge shall serve.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EdgeConfig {
    /// Grows with every change.
    pub generation: u64,
    /// The load balancers by ARN.
    pub load_balancers: BTreeMap<String, LoadBalancer>,
    /// The target groups by ARN.
    pub target_groups: BTreeMap<String, TargetGroup>,
    /// The web ACLs by ARN.
    pub web_acls: BTreeMap<String, WebAcl>,
    /// Names of the shared entry beyond the load balancers' own: lower-case host name (`hello.localhost`, or
    /// `*.example.com`, where `*` stands for one label) to the load balancer's ARN.
    pub host_names: BTreeMap<String, String>,
}

/// A load balancer. Ref: ELBv2 `LoadBalancer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// Its name.
    pub name: String,
    /// Its DNS name, lower case.
    pub dns_name: String,
    /// Its own addresses on the host (a /32 each); listeners bind there and connections to targets come from there.
    pub addresses: Vec<Ipv4Addr>,
    /// Its attributes by key, as in ModifyLoadBalancerAttributes, with every default filled in.
    pub attributes: BTreeMap<String, String>,
    /// Its listeners.
    pub listeners: Vec<Listener>,
    /// The ARN of its web ACL.
    pub web_acl: Option<String>,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Its ARN.
    pub arn: String,
    /// `HTTP`, `HTTPS`, `TCP`, ...
    pub protocol: String,
    /// Its port.
    pub port: u16,
    /// Rules in the order of their priority, the default rule last.
    pub rules: Vec<Rule>,
    /// Certificates of an HTTPS or TLS listener, the default one first.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// The versions of TLS that clients may speak, of `TLSv1.2` and `TLSv1.3`; none said: both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tls_versions: Vec<String>,
    /// What a TLS listener offers by ALPN, the preferred first: `h2`, `http/1.1`. HTTPS listeners offer what they speak.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alpn_protocols: Vec<String>,
}

/// A certificate with its key.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its ARN.
    pub arn: String,
    /// The chain.
    pub chain_pem: String,
    /// The private key.
    pub key_pem: String,
    /// The DNS names that it is chosen for, lower case; `*` stands for one label.
    #[serde(default)]
    pub names: Vec<String>,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}

/// A listener's rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its ARN.
    pub arn: String,
    /// All must hold; none: always.
    pub conditions: Vec<Condition>,
    /// What to do; the last one answers or forwards.
    pub actions: Vec<Action>,
}

/// A rule's condition: one of its values must match. Ref: ELBv2 `RuleCondition`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Host header patterns.
    HostHeader(Vec<String>),
    /// Path patterns.
    PathPattern(Vec<String>),
    /// A header's patterns.
    HttpHeader {
        /// The header's name.
        name: String,
        /// Patterns.
        values: Vec<String>,
    },
    /// Methods.
    HttpRequestMethod(Vec<String>),
    /// Query string patterns: key (or nothing) and value.
    QueryString(Vec<(Option<String>, String)>),
    /// Address ranges of the peer.
    SourceIp(Vec<String>),
}

/// A rule's action. Ref: ELBv2 `Action`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// To target groups by weight.
    Forward {
        /// Target group ARN and weight, 0 to 999.
        groups: Vec<(String, u32)>,
        /// Seconds of group stickiness; nothing: off.
        stickiness_s: Option<u32>,
    },
    /// A redirect; the placeholders are still in it.
    Redirect {
        /// `HTTP_301` or `HTTP_302` as a number.
        status: u16,
        /// `#{protocol}` or a protocol.
        protocol: String,
        /// `#{host}` or a host.
        host: String,
        /// `#{port}` or a port.
        port: String,
        /// `/#{path}` or a path.
        path: String,
        /// `#{query}` or a query.
        query: String,
    },
    /// A fixed response.
    FixedResponse {
        /// The status.
        status: u16,
        /// The content type.
        content_type: Option<String>,
        /// The body.
        body: Option<String>,
    },
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Its name.
    pub name: String,
    /// `HTTP`, `HTTPS`, `TCP`, ...
    pub protocol: String,
    /// `HTTP1`, `HTTP2`, `GRPC`.
    pub protocol_version: String,
    /// Its attributes by key, with every default filled in.
    pub attributes: BTreeMap<String, String>,
    /// How targets are checked.
    pub health_check: HealthCheck,
    /// Its targets.
    pub targets: Vec<Target>,
}

/// A target group's health check. Ref: ELBv2 CreateTargetGroup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Whether targets are checked.
    pub enabled: bool,
    /// `HTTP`, `HTTPS`, `TCP`.
    pub protocol: String,
    /// A port, or nothing for the target's own.
    pub port: Option<u16>,
    /// The path of an HTTP check.
    pub path: String,
    /// Seconds between checks.
    pub interval_s: u32,
    /// Seconds until a check failed.
    pub timeout_s: u32,
    /// Successes in a row until healthy.
    pub healthy_threshold: u32,
    /// Failures in a row until unhealthy.
    pub unhealthy_threshold: u32,
    /// `200`, `200,202`, `200-299`; gRPC codes for GRPC.
    pub matcher: String,
}

/// A target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
    /// Since when it is draining (deregistered), or nothing while it is registered.
    pub draining_since: Option<Time>,
}

/// The health of one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetHealth {
    /// The target group's ARN.
    pub target_group: String,
    /// The target's address.
    pub address: Ipv4Addr,
    /// The target's port.
    pub port: u16,
    /// `initial`, `healthy`, `unhealthy`, `draining`, `unused`, `unavailable`.
    pub state: String,
    /// For example `Target.Timeout`.
    pub reason: Option<String>,
    /// The description, for example `Health checks failed with these codes: [500]`.
    pub description: Option<String>,
}

/// A web ACL with all that its rules refer to. The rules keep the JSON form of the WAFv2 API; the firewall compiles it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebAcl {
    /// Its name.
    pub name: String,
    /// The owning account, for label prefixes.
    pub account: String,
    /// `DefaultAction` of the API.
    pub default_action: Value,
    /// `Rules` of the API.
    pub rules: Value,
    /// `CustomResponseBodies` of the API.
    pub custom_response_bodies: Value,
    /// `VisibilityConfig` of the API.
    pub visibility_config: Value,
    /// IP sets by ARN: their address ranges.
    pub ip_sets: BTreeMap<String, Vec<String>>,
    /// Regex pattern sets by ARN: their patterns.
    pub regex_pattern_sets: BTreeMap<String, Vec<String>>,
    /// Rule groups by ARN: the `RuleGroup` of the API.
    pub rule_groups: BTreeMap<String, Value>,
}

/// Which samples are wanted. Ref: WAFv2 GetSampledRequests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SamplesWanted {
    /// Repeated in the answer.
    pub request: u64,
    /// The web ACL.
    pub web_acl: String,
    /// The rule's metric name.
    pub rule_metric_name: String,
    /// The window's begin.
    pub from: Time,
    /// The window's end.
    pub to: Time,
    /// 1 to 500.
    pub items_max: u32,
}

/// The samples of one rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// The number of the question.
    pub request: u64,
    /// `SampledRequests` of the API.
    pub sampled: Vec<Value>,
    /// How many requests matched in the window.
    pub population: u64,
}
