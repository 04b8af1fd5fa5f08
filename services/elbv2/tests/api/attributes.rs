//! The attributes of each owner, all of them, with their defaults. Ref: `LoadBalancerAttribute`, `TargetGroupAttribute`,
//! `ListenerAttribute` of the API reference of 2026, and the guides of Application and Network Load Balancers.

use crate::support::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn listed(cloud: &mut Cloud, operation: &str, member: &str, arn: &str) -> BTreeMap<String, String> {
    let shown = cloud.ok(operation, json!({member: arn}));
    let rows = shown["Attributes"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows.iter()
        .map(|row| (text(&row["Key"]), text(&row["Value"])))
        .collect()
}

fn expected(lists: &[&[(&str, &str)]]) -> BTreeMap<String, String> {
    let pairs = lists.iter().flat_map(|list| list.iter());
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

const BALANCER: &[(&str, &str)] = &[
    ("access_logs.s3.bucket", ""),
    ("access_logs.s3.enabled", "false"),
    ("access_logs.s3.prefix", ""),
    ("deletion_protection.enabled", "false"),
    ("ipv6.deny_all_igw_traffic", "false"),
    ("zonal_shift.config.enabled", "false"),
];
const APPLICATION: &[(&str, &str)] = &[
    ("client_keep_alive.seconds", "3600"),
    ("connection_logs.s3.bucket", ""),
    ("connection_logs.s3.enabled", "false"),
    ("connection_logs.s3.prefix", ""),
    ("health_check_logs.s3.bucket", ""),
    ("health_check_logs.s3.enabled", "false"),
    ("health_check_logs.s3.prefix", ""),
    ("idle_timeout.timeout_seconds", "60"),
    ("load_balancing.cross_zone.enabled", "true"),
    ("routing.http.desync_mitigation_mode", "defensive"),
    ("routing.http.drop_invalid_header_fields.enabled", "false"),
    ("routing.http.preserve_host_header.enabled", "false"),
    ("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false"),
    ("routing.http.xff_client_port.enabled", "false"),
    ("routing.http.xff_header_processing.mode", "append"),
    ("routing.http2.enabled", "true"),
    ("waf.fail_open.enabled", "false"),
];
const NETWORK: &[(&str, &str)] = &[
    ("dns_record.client_routing_policy", "any_availability_zone"),
    ("load_balancing.cross_zone.enabled", "false"),
    ("secondary_ips.auto_assigned.per_subnet", "0"),
];

#[test]
fn of_load_balancers() {
    let mut cloud = Cloud::new();
    let subnets = cloud.subnets.clone();
    for (kind, of_kind) in [("application", APPLICATION), ("network", NETWORK)] {
        for (scheme, denies) in [("internet-facing", "false"), ("internal", "true")] {
            let input =
                json!({"Name": format!("{kind}-{scheme}"), "Type": kind, "Scheme": scheme, "Subnets": &subnets[..2]});
            let made = cloud.ok("CreateLoadBalancer", input);
            let arn = made["LoadBalancers"][0]["LoadBalancerArn"].as_str().unwrap();
            let wanted = expected(&[BALANCER, of_kind, &[("ipv6.deny_all_igw_traffic", denies)]]);
            assert_eq!(
                listed(&mut cloud, "DescribeLoadBalancerAttributes", "LoadBalancerArn", arn),
                wanted,
                "{kind} {scheme}"
            );
        }
    }
}

const GROUP: &[(&str, &str)] = &[
    ("deregistration_delay.timeout_seconds", "300"),
    ("load_balancing.cross_zone.enabled", "use_load_balancer_configuration"),
    ("stickiness.enabled", "false"),
    ("target_group_health.dns_failover.minimum_healthy_targets.count", "1"),
    (
        "target_group_health.dns_failover.minimum_healthy_targets.percentage",
        "off",
    ),
    (
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        "1",
    ),
    (
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
        "off",
    ),
];
const HTTP: &[(&str, &str)] = &[
    ("load_balancing.algorithm.anomaly_mitigation", "off"),
    ("load_balancing.algorithm.type", "round_robin"),
    ("slow_start.duration_seconds", "0"),
    ("stickiness.app_cookie.cookie_name", ""),
    ("stickiness.app_cookie.duration_seconds", "86400"),
    ("stickiness.lb_cookie.duration_seconds", "86400"),
    ("stickiness.type", "lb_cookie"),
];
const TCP: &[(&str, &str)] = &[
    ("deregistration_delay.connection_termination.enabled", "false"),
    ("proxy_protocol_v2.enabled", "false"),
    ("stickiness.type", "source_ip"),
    ("target_health_state.unhealthy.connection_termination.enabled", "true"),
    ("target_health_state.unhealthy.draining_interval_seconds", "0"),
];

#[test]
fn of_target_groups() {
    let mut cloud = Cloud::new();
    for protocol in ["HTTP", "HTTPS", "TCP", "TLS"] {
        for target_type in ["ip", "instance"] {
            let name = format!("{protocol}-{target_type}");
            let input =
                json!({"Name": name, "Protocol": protocol, "Port": 80, "VpcId": cloud.vpc, "TargetType": target_type});
            let made = cloud.ok("CreateTargetGroup", input);
            let arn = made["TargetGroups"][0]["TargetGroupArn"].as_str().unwrap();
            let preserves = [(
                "preserve_client_ip.enabled",
                if target_type == "ip" { "false" } else { "true" },
            )];
            let wanted = match protocol {
                "HTTP" | "HTTPS" => expected(&[GROUP, HTTP]),
                _ => expected(&[GROUP, TCP, &preserves]),
            };
            let operation = "DescribeTargetGroupAttributes";
            assert_eq!(listed(&mut cloud, operation, "TargetGroupArn", arn), wanted, "{name}");
            // What is so already may be asked for.
            if wanted.contains_key("preserve_client_ip.enabled") {
                let pairs = json!([{"Key": preserves[0].0, "Value": preserves[0].1}]);
                cloud.ok(
                    "ModifyTargetGroupAttributes",
                    json!({"TargetGroupArn": arn, "Attributes": pairs}),
                );
            }
        }
    }
}

#[test]
fn of_listeners() {
    let mut cloud = Cloud::new();
    let (balancer, group) = (cloud.balancer("web"), cloud.group("g"));
    let listener = cloud.listener(&balancer, 80, &group);
    let names = [
        "access_control_allow_credentials",
        "access_control_allow_headers",
        "access_control_allow_methods",
        "access_control_allow_origin",
        "access_control_expose_headers",
        "access_control_max_age",
        "content_security_policy",
        "strict_transport_security",
        "x_content_type_options",
        "x_frame_options",
    ];
    let mut wanted: BTreeMap<String, String> = names
        .iter()
        .map(|name| (format!("routing.http.response.{name}.header_value"), String::new()))
        .collect();
    wanted.insert("routing.http.response.server.enabled".into(), "true".into());
    let operation = "DescribeListenerAttributes";
    assert_eq!(listed(&mut cloud, operation, "ListenerArn", &listener), wanted);

    let input = json!({"Name": "net", "Type": "network", "Subnets": &cloud.subnets[..1]});
    let made = cloud.ok("CreateLoadBalancer", input);
    let network = made["LoadBalancers"][0]["LoadBalancerArn"].as_str().unwrap();
    let input = json!({"Name": "t", "Protocol": "TCP", "Port": 80, "VpcId": cloud.vpc, "TargetType": "ip"});
    let made = cloud.ok("CreateTargetGroup", input);
    let tcp = made["TargetGroups"][0]["TargetGroupArn"].as_str().unwrap().to_owned();
    let certificate = crate::certificates::some(&mut cloud);
    // The idle timeout of a TLS listener cannot be changed. Ref: NLB guide, "Update idle timeout".
    for (protocol, port, wanted) in [
        ("TCP", 80, expected(&[&[("tcp.idle_timeout.seconds", "350")]])),
        ("TLS", 443, BTreeMap::new()),
    ] {
        let mut input = listener_input(network, port, &tcp);
        input["Protocol"] = json!(protocol);
        if protocol == "TLS" {
            input["Certificates"] = json!([{"CertificateArn": certificate}]);
        }
        let made = cloud.ok("CreateListener", input);
        let arn = made["Listeners"][0]["ListenerArn"].as_str().unwrap().to_owned();
        assert_eq!(listed(&mut cloud, operation, "ListenerArn", &arn), wanted, "{protocol}");
        if protocol == "TLS" {
            let pairs = json!([{"Key": "tcp.idle_timeout.seconds", "Value": "350"}]);
            let input = json!({"ListenerArn": arn, "Attributes": pairs});
            let said = cloud.fails("ModifyListenerAttributes", input, "InvalidConfigurationRequest");
            assert_eq!(said, "The provided listener attribute is not supported");
        }
    }
}

/// Ref: CreateTargetGroup `HealthCheckTimeoutSeconds`; ALB and NLB guides, "Health checks".
#[test]
fn timeouts_of_health_checks() {
    let mut cloud = Cloud::new();
    for (protocol, check, timeout_s) in [
        ("HTTP", "HTTP", 5),
        ("HTTPS", "HTTPS", 5),
        ("HTTP", "HTTPS", 5),
        ("TCP", "TCP", 10),
        ("TCP", "HTTP", 6),
        ("TCP", "HTTPS", 10),
        ("TLS", "HTTP", 6),
    ] {
        let name = format!("{protocol}-{check}");
        let input = json!({"Name": name, "Protocol": protocol, "Port": 80, "VpcId": cloud.vpc, "TargetType": "ip",
                           "HealthCheckProtocol": check});
        let made = cloud.ok("CreateTargetGroup", input);
        assert_eq!(
            made["TargetGroups"][0]["HealthCheckTimeoutSeconds"], timeout_s,
            "{protocol} {check}"
        );
    }
}
