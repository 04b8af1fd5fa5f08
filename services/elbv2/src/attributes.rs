//! Attributes as data: keys, ranges, defaults. Ref: ELBv2 `LoadBalancerAttribute`, `TargetGroupAttribute`,
//! `ListenerAttribute`.
//!
//! The words of refusals are AWS's, as badmintoncryer/cdk-preflight recorded them in September 2026 (`pf-elbv2-lb-attr-*`,
//! `pf-elbv2-lb-idle-timeout-range`, `pf-elbv2-tg-attr-*`, `pf-elbv2-tg-*-range`, `pf-elbv2-listener-attr-*`).

mod words;

use crate::error::{invalid_configuration, unsupported, validation};
use honmaru_base::ApiError;
use std::collections::{BTreeMap, BTreeSet};

/// What values a key takes.
#[derive(Debug, Clone, Copy)]
enum Values {
    Switch,
    /// Whole numbers from .. to.
    Range(u64, u64),
    /// 0, or whole numbers from .. to.
    ZeroOr(u64, u64),
    /// `off`, or whole numbers from .. to.
    OffOr(u64, u64),
    OneOf(&'static [&'static str]),
    Text(usize),
}

/// One attribute. The default depends on nothing but the kind of its owner.
#[derive(Debug, Clone, Copy)]
struct Attribute {
    key: &'static str,
    values: Values,
    default: &'static str,
}

const fn row(key: &'static str, values: Values, default: &'static str) -> Attribute {
    Attribute { key, values, default }
}

const APPLICATION: &[Attribute] = &[
    row("access_logs.s3.bucket", Values::Text(255), ""),
    row("access_logs.s3.enabled", Values::Switch, "false"),
    row("access_logs.s3.prefix", Values::Text(1_024), ""),
    row("client_keep_alive.seconds", Values::Range(60, 604_800), "3600"),
    row("connection_logs.s3.bucket", Values::Text(255), ""),
    row("connection_logs.s3.enabled", Values::Switch, "false"),
    row("connection_logs.s3.prefix", Values::Text(1_024), ""),
    row("deletion_protection.enabled", Values::Switch, "false"),
    row("health_check_logs.s3.bucket", Values::Text(255), ""),
    row("health_check_logs.s3.enabled", Values::Switch, "false"),
    row("health_check_logs.s3.prefix", Values::Text(1_024), ""),
    row("idle_timeout.timeout_seconds", Values::Range(1, 4_000), "60"),
    row("ipv6.deny_all_igw_traffic", Values::Switch, "false"),
    row("load_balancing.cross_zone.enabled", Values::OneOf(&["true"]), "true"),
    row(
        "routing.http.desync_mitigation_mode",
        Values::OneOf(&["monitor", "defensive", "strictest"]),
        "defensive",
    ),
    row(
        "routing.http.drop_invalid_header_fields.enabled",
        Values::Switch,
        "false",
    ),
    row("routing.http.preserve_host_header.enabled", Values::Switch, "false"),
    row(
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
        Values::Switch,
        "false",
    ),
    row("routing.http.xff_client_port.enabled", Values::Switch, "false"),
    row(
        "routing.http.xff_header_processing.mode",
        Values::OneOf(&["append", "preserve", "remove"]),
        "append",
    ),
    row("routing.http2.enabled", Values::Switch, "true"),
    row("waf.fail_open.enabled", Values::Switch, "false"),
    row("zonal_shift.config.enabled", Values::Switch, "false"),
];

const NETWORK: &[Attribute] = &[
    row("access_logs.s3.bucket", Values::Text(255), ""),
    row("access_logs.s3.enabled", Values::Switch, "false"),
    row("access_logs.s3.prefix", Values::Text(1_024), ""),
    row("deletion_protection.enabled", Values::Switch, "false"),
    row(
        "dns_record.client_routing_policy",
        Values::OneOf(&[
            "availability_zone_affinity",
            "partial_availability_zone_affinity",
            "any_availability_zone",
        ]),
        "any_availability_zone",
    ),
    row("ipv6.deny_all_igw_traffic", Values::Switch, "false"),
    row("load_balancing.cross_zone.enabled", Values::Switch, "false"),
    row("secondary_ips.auto_assigned.per_subnet", Values::Range(0, 7), "0"),
    row("zonal_shift.config.enabled", Values::Switch, "false"),
];

const GROUP: &[Attribute] = &[
    row("deregistration_delay.timeout_seconds", Values::Range(0, 3_600), "300"),
    row(
        "load_balancing.cross_zone.enabled",
        Values::OneOf(&["true", "false", "use_load_balancer_configuration"]),
        "use_load_balancer_configuration",
    ),
    row("stickiness.enabled", Values::Switch, "false"),
    row(
        "target_group_health.dns_failover.minimum_healthy_targets.count",
        Values::OffOr(1, 1_000),
        "1",
    ),
    row(
        "target_group_health.dns_failover.minimum_healthy_targets.percentage",
        Values::OffOr(1, 100),
        "off",
    ),
    row(
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        Values::Range(1, 1_000),
        "1",
    ),
    row(
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
        Values::OffOr(1, 100),
        "off",
    ),
];

const HTTP_GROUP: &[Attribute] = &[
    row(
        "load_balancing.algorithm.anomaly_mitigation",
        Values::OneOf(&["on", "off"]),
        "off",
    ),
    row(
        "load_balancing.algorithm.type",
        Values::OneOf(&["round_robin", "least_outstanding_requests", "weighted_random"]),
        "round_robin",
    ),
    row("slow_start.duration_seconds", Values::ZeroOr(30, 900), "0"),
    row("stickiness.app_cookie.cookie_name", Values::Text(256), ""),
    row(
        "stickiness.app_cookie.duration_seconds",
        Values::Range(1, 604_800),
        "86400",
    ),
    row(
        "stickiness.lb_cookie.duration_seconds",
        Values::Range(1, 604_800),
        "86400",
    ),
    row(
        "stickiness.type",
        Values::OneOf(&["lb_cookie", "app_cookie"]),
        "lb_cookie",
    ),
];

const TCP_GROUP: &[Attribute] = &[
    row(
        "deregistration_delay.connection_termination.enabled",
        Values::Switch,
        "false",
    ),
    row("preserve_client_ip.enabled", Values::Switch, "false"),
    row("proxy_protocol_v2.enabled", Values::Switch, "false"),
    row("stickiness.type", Values::OneOf(&["source_ip"]), "source_ip"),
    row(
        "target_health_state.unhealthy.connection_termination.enabled",
        Values::Switch,
        "true",
    ),
    row(
        "target_health_state.unhealthy.draining_interval_seconds",
        Values::Range(0, 360_000),
        "0",
    ),
];

const HTTP_LISTENER: &[Attribute] = &[
    row(
        "routing.http.response.access_control_allow_credentials.header_value",
        Values::Text(1_024),
        "",
    ),
    row(
        "routing.http.response.access_control_allow_headers.header_value",
        Values::Text(1_024),
        "",
    ),
    row(
        "routing.http.response.access_control_allow_methods.header_value",
        Values::Text(1_024),
        "",
    ),
    row(
        "routing.http.response.access_control_allow_origin.header_value",
        Values::Text(1_024),
        "",
    ),
    row(
        "routing.http.response.access_control_expose_headers.header_value",
        Values::Text(1_024),
        "",
    ),
    row(
        "routing.http.response.access_control_max_age.header_value",
        Values::Text(1_024),
        "",
    ),
    row(
        "routing.http.response.content_security_policy.header_value",
        Values::Text(1_024),
        "",
    ),
    row("routing.http.response.server.enabled", Values::Switch, "true"),
    row(
        "routing.http.response.strict_transport_security.header_value",
        Values::Text(1_024),
        "",
    ),
    row(
        "routing.http.response.x_content_type_options.header_value",
        Values::OneOf(&["", "nosniff"]),
        "",
    ),
    row(
        "routing.http.response.x_frame_options.header_value",
        Values::OneOf(&["", "DENY", "SAMEORIGIN"]),
        "",
    ),
];

/// What AWS renames headers with, of listeners that speak TLS: known, and not served here.
const REQUEST_HEADER_NAMES: [&str; 8] = [
    "routing.http.request.x_amzn_mtls_clientcert.header_name",
    "routing.http.request.x_amzn_mtls_clientcert_issuer.header_name",
    "routing.http.request.x_amzn_mtls_clientcert_leaf.header_name",
    "routing.http.request.x_amzn_mtls_clientcert_serial_number.header_name",
    "routing.http.request.x_amzn_mtls_clientcert_subject.header_name",
    "routing.http.request.x_amzn_mtls_clientcert_validity.header_name",
    "routing.http.request.x_amzn_tls_cipher_suite.header_name",
    "routing.http.request.x_amzn_tls_version.header_name",
];

const TCP_LISTENER: &[Attribute] = &[row("tcp.idle_timeout.seconds", Values::Range(60, 6_000), "350")];

/// Whose attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    ApplicationLoadBalancer,
    NetworkLoadBalancer,
    HttpGroup,
    TcpGroup,
    HttpListener,
    TcpListener,
    /// Its idle timeout cannot be changed. Ref: NLB guide, "Update idle timeout".
    TlsListener,
}

impl Owner {
    fn rows(self) -> impl Iterator<Item = &'static Attribute> {
        let (first, second): (&[Attribute], &[Attribute]) = match self {
            Owner::ApplicationLoadBalancer => (APPLICATION, &[]),
            Owner::NetworkLoadBalancer => (NETWORK, &[]),
            Owner::HttpGroup => (GROUP, HTTP_GROUP),
            Owner::TcpGroup => (GROUP, TCP_GROUP),
            Owner::HttpListener => (HTTP_LISTENER, &[]),
            Owner::TcpListener => (TCP_LISTENER, &[]),
            Owner::TlsListener => (&[], &[]),
        };
        first.iter().chain(second)
    }

    fn what(self) -> &'static str {
        match self {
            Owner::ApplicationLoadBalancer | Owner::NetworkLoadBalancer => "Load balancer",
            Owner::HttpGroup | Owner::TcpGroup => "Target group",
            Owner::HttpListener | Owner::TcpListener | Owner::TlsListener => "Listener",
        }
    }
}

/// All attributes with defaults filled in.
pub(crate) fn all(owner: Owner, set: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    owner
        .rows()
        .map(|row| {
            (
                row.key.to_owned(),
                set.get(row.key).map_or(row.default, String::as_str).to_owned(),
            )
        })
        .collect()
}

/// Whether an attribute's feature is one that the edge has not got, and may not be switched on.
fn is_unserved(owner: Owner, key: &str, value: &str) -> bool {
    match key {
        "access_logs.s3.enabled"
        | "connection_logs.s3.enabled"
        | "health_check_logs.s3.enabled"
        | "zonal_shift.config.enabled"
        | "proxy_protocol_v2.enabled"
        | "preserve_client_ip.enabled" => value == "true",
        "load_balancing.algorithm.anomaly_mitigation" => value == "on",
        "routing.http.desync_mitigation_mode" => value == "strictest",
        "stickiness.enabled" => owner == Owner::TcpGroup && value == "true",
        "routing.http.response.server.enabled" => value == "false",
        "tcp.idle_timeout.seconds" => value != "350",
        "secondary_ips.auto_assigned.per_subnet" => value != "0",
        _ => key.starts_with("routing.http.response.") && !value.is_empty(),
    }
}

/// Makes changes, all or none: what each says, then what they hold together, then what is not served.
pub(crate) fn change(
    owner: Owner,
    protocol: &str,
    set: &mut BTreeMap<String, String>,
    asked: Vec<(String, String)>,
) -> Result<(), ApiError> {
    let mut seen = BTreeSet::new();
    if let Some((twice, _)) = asked.iter().find(|(key, _)| !seen.insert(key)) {
        return Err(validation(words::twice(owner, twice)));
    }
    let mut wanted = set.clone();
    for (key, value) in &asked {
        check(owner, protocol, key, value)?;
        wanted.insert(key.clone(), value.clone());
    }
    let all = all(owner, &wanted);
    match owner {
        Owner::HttpGroup | Owner::TcpGroup => check_group(&all)?,
        Owner::ApplicationLoadBalancer | Owner::NetworkLoadBalancer => check_logs(&all)?,
        Owner::HttpListener | Owner::TcpListener | Owner::TlsListener => {}
    }
    let is_new = |key: &str, value: &str| set.get(key).is_none_or(|now| now != value);
    let mut news = asked.iter().filter(|(key, value)| is_new(key, value));
    if let Some((key, value)) = news.find(|(key, value)| is_unserved(owner, key, value)) {
        return Err(unsupported(format!(
            "{} attribute '{key}' with value '{value}' is not supported",
            owner.what()
        )));
    }
    *set = wanted;
    Ok(())
}

/// Checks one change.
fn check(owner: Owner, protocol: &str, key: &str, value: &str) -> Result<(), ApiError> {
    let Some(row) = owner.rows().find(|row| row.key == key) else {
        return Err(words::not_of(owner, protocol, key, value));
    };
    let number = value.parse::<u64>().ok();
    let within = |low: u64, high: u64| number.is_some_and(|number| (low..=high).contains(&number));
    let fits = match row.values {
        Values::Switch => matches!(value, "true" | "false"),
        Values::Range(low, high) => within(low, high),
        Values::ZeroOr(low, high) => value == "0" || within(low, high),
        Values::OffOr(low, high) => value == "off" || within(low, high),
        Values::OneOf(values) => values.contains(&value),
        Values::Text(max) => value.chars().count() <= max,
    };
    // Seen: "The value of 'access_logs.s3.bucket' cannot be empty", iann0036/former2 issue 55.
    if key == "access_logs.s3.bucket" && value.is_empty() {
        return Err(validation(format!("The value of '{key}' cannot be empty")));
    }
    match fits {
        true => Ok(()),
        false => Err(validation(words::unfit(owner, row, value))),
    }
}

/// Logs have a place to go.
fn check_logs(attributes: &BTreeMap<String, String>) -> Result<(), ApiError> {
    for (kind, name) in [
        ("access_logs", "access logs"),
        ("connection_logs", "connection logs"),
        ("health_check_logs", "health check logs"),
    ] {
        let value = |member: &str| {
            attributes
                .get(&format!("{kind}.s3.{member}"))
                .map_or("", String::as_str)
        };
        if value("enabled") == "true" && value("bucket").is_empty() {
            return Err(invalid_configuration(format!(
                "The key '{kind}.s3.bucket' must set in order to enable {name}"
            )));
        }
        // That AWS refuses it is recorded by badmintoncryer/cdk-preflight, `pf-elbv2-lb-attr-count-max`; its words are not.
        if !value("prefix").is_empty() && value("bucket").is_empty() {
            return Err(invalid_configuration(format!(
                "The key '{kind}.s3.bucket' must set in order to set '{kind}.s3.prefix'"
            )));
        }
    }
    Ok(())
}

/// Checks one change of a target group's stickiness, which AWS refuses in words of its own; whether it is switched on
/// does not matter for its type. Seen: "Stickiness type 'lb_cookie' is not supported for target groups with the TCP
/// protocol", ansible/ansible issue 67993; the other texts are of getmoto/moto's suite.
pub(crate) fn check_stickiness(protocol: &str, key: &str, value: &str) -> Result<(), ApiError> {
    let is_http = matches!(protocol, "HTTP" | "HTTPS");
    match (key, value) {
        ("stickiness.enabled", "true") if protocol == "TLS" => Err(invalid_configuration(
            "You cannot enable stickiness on target groups with the TLS protocol",
        )),
        ("stickiness.type", "lb_cookie" | "app_cookie") if is_http => Ok(()),
        ("stickiness.type", "source_ip") if !is_http => Ok(()),
        ("stickiness.type", "lb_cookie" | "app_cookie" | "source_ip") => Err(invalid_configuration(format!(
            "Stickiness type '{value}' is not supported for target groups with the {protocol} protocol"
        ))),
        ("stickiness.type", _) => Err(validation(
            "'Stickiness type' must be one of [app_cookie, lb_cookie, source_ip]",
        )),
        _ => Ok(()),
    }
}

/// Checks what attributes of a target group must hold together.
fn check_group(attributes: &BTreeMap<String, String>) -> Result<(), ApiError> {
    let value = |key: &str| attributes.get(key).map_or("", String::as_str);
    if value("stickiness.enabled") == "true" && value("stickiness.type") == "app_cookie" {
        let name = value("stickiness.app_cookie.cookie_name");
        if name.is_empty() {
            return Err(invalid_configuration(
                "You must set an application cookie name to enable stickiness of type 'app_cookie'",
            ));
        }
        if name.starts_with("AWSALB") {
            return Err(validation(format!(
                "The cookie name '{name}' is reserved for use by the load balancer"
            )));
        }
    }
    if value("stickiness.enabled") == "true" && value("load_balancing.cross_zone.enabled") == "false" {
        return Err(invalid_configuration(
            "Stickiness cannot be enabled when cross-zone load balancing is off",
        ));
    }
    for unit in ["count", "percentage"] {
        let least = |what: &str| {
            let key = format!("target_group_health.{what}.minimum_healthy_targets.{unit}");
            value(&key).parse::<u64>().ok()
        };
        if let (Some(failover), Some(routing)) = (least("dns_failover"), least("unhealthy_state_routing"))
            && failover < routing
        {
            return Err(invalid_configuration(
                "DNS failover threshold must be greater than or equal to unhealthy state routing threshold",
            ));
        }
    }
    let (termination, interval) = (
        "target_health_state.unhealthy.connection_termination.enabled",
        "target_health_state.unhealthy.draining_interval_seconds",
    );
    if value(termination) == "true" && !matches!(value(interval), "" | "0") {
        return Err(invalid_configuration(format!(
            "You cannot have both '{termination}' and '{interval}' enabled on a target group"
        )));
    }
    check_algorithm(&value)
}

/// What goes with no other algorithm than round robin. Ref: kubernetes-sigs/aws-load-balancer-controller issue 3686, and
/// the acceptance tests of Terraform's AWS provider.
fn check_algorithm<'a>(value: &impl Fn(&str) -> &'a str) -> Result<(), ApiError> {
    let algorithm = match value("load_balancing.algorithm.type") {
        "least_outstanding_requests" => "least outstanding requests",
        "weighted_random" => "weighted random",
        _ => "round robin",
    };
    if value("load_balancing.algorithm.anomaly_mitigation") == "on" && algorithm != "weighted random" {
        return Err(invalid_configuration(format!(
            "You cannot enable both anomaly mitigation and {algorithm} algorithm on a target group"
        )));
    }
    if algorithm == "round robin" {
        return Ok(());
    }
    if value("slow_start.duration_seconds") != "0" {
        return Err(invalid_configuration(format!(
            "You cannot enable both slow start and {algorithm} algorithm on a target group"
        )));
    }
    if algorithm == "weighted random" && value("stickiness.enabled") == "true" {
        return Err(invalid_configuration(
            "You cannot have both stickiness and weighted random algorithm enabled on the same target group.",
        ));
    }
    Ok(())
}
