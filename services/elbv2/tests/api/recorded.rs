//! What AWS refuses and how, as badmintoncryer/cdk-preflight recorded it in September 2026, by its rules' names.

use crate::support::*;
use serde_json::{Value, json};

/// What every request of a table shares, and what each changes in it.
fn with(base: &Value, more: &Value) -> Value {
    let mut input = base.clone();
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    input
}

struct World {
    cloud: Cloud,
    balancer: String,
    network: String,
    group: String,
    other: String,
    tcp: String,
    listener: String,
}

fn world() -> World {
    let mut cloud = Cloud::new();
    let (balancer, group, other) = (cloud.balancer("web"), cloud.group("g"), cloud.group("h"));
    let subnets = cloud.subnets.clone();
    let made = cloud.ok(
        "CreateLoadBalancer",
        json!({"Name": "net", "Type": "network", "Subnets": &subnets[..1]}),
    );
    let network = made["LoadBalancers"][0]["LoadBalancerArn"].as_str().unwrap().to_owned();
    let input = json!({"Name": "t", "Protocol": "TCP", "Port": 80, "VpcId": cloud.vpc, "TargetType": "ip"});
    let made = cloud.ok("CreateTargetGroup", input);
    let tcp = made["TargetGroups"][0]["TargetGroupArn"].as_str().unwrap().to_owned();
    let listener = cloud.listener(&balancer, 80, &group);
    World {
        cloud,
        balancer,
        network,
        group,
        other,
        tcp,
        listener,
    }
}

fn weighted(group: &str, weight: i32) -> Value {
    json!({"TargetGroupArn": group, "Weight": weight})
}

fn forward(groups: &[Value], stickiness: Value) -> Value {
    json!({"DefaultActions": [{"Type": "forward", "ForwardConfig": {
        "TargetGroups": groups, "TargetGroupStickinessConfig": stickiness,
    }}]})
}

fn redirect(more: Value) -> Value {
    let config = with(&json!({"StatusCode": "HTTP_301", "Protocol": "HTTPS"}), &more);
    json!({"DefaultActions": [{"Type": "redirect", "RedirectConfig": config}]})
}

#[test]
fn actions() {
    const ACTION: &str = "InvalidLoadBalancerAction";
    const VALIDATION: &str = "ValidationError";
    let mut world = world();
    let (g, h) = (world.group.clone(), world.other.clone());
    let many: Vec<Value> = (0..6).map(|_| weighted(&g, 1)).collect();
    let loops = "The redirect configuration is not valid because it creates a loop.";
    let path = "The Path parameter must be a valid path, should start with a '/', and may contain up to one of each of these \
                placeholders: '#{path}', '#{host}', '#{port}'.";
    let port = "The Port parameter must be either an integer between 1 and 65535 or '#{port}'.";
    let one = "The weight for the target group must be between 1 and 999, inclusive";
    let each = "The weight for each target group must be between 0 and 999, inclusive";
    let fixed = json!({"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}});
    let second = with(
        &fixed,
        &json!({"Type": "redirect", "Order": 1, "RedirectConfig": {
            "StatusCode": "HTTP_301", "Protocol": "HTTPS",
        }}),
    );
    let table = [
        (redirect(json!({"Protocol": "#{protocol}"})), ACTION, loops.to_owned()),
        (redirect(json!({"Path": "abc"})), ACTION, path.to_owned()),
        (redirect(json!({"Path": "/#{path}/#{path}"})), ACTION, path.to_owned()),
        (redirect(json!({"Path": "/#{query}"})), ACTION, path.to_owned()),
        (redirect(json!({"Port": "65536"})), ACTION, port.to_owned()),
        (
            json!({"DefaultActions": [with(&fixed, &json!({"FixedResponseConfig": {
                "StatusCode": "200", "ContentType": "application/xml",
            }}))]}),
            ACTION,
            "The ContentType must be one of:'text/html', 'application/json', 'application/javascript', 'text/css', \
             'text/plain'."
                .to_owned(),
        ),
        (
            json!({"DefaultActions": [{"Type": "fixed-response", "RedirectConfig": {"StatusCode": "HTTP_301"}}]}),
            ACTION,
            "For actions of type 'fixed-response', you must specify the following fields: 'FixedResponseConfig'"
                .to_owned(),
        ),
        (
            json!({"DefaultActions": [fixed, second]}),
            VALIDATION,
            "When you specify multiple actions, you must specify an order for each action".to_owned(),
        ),
        (
            json!({"DefaultActions": [second, with(&fixed, &json!({"Order": 2}))]}),
            ACTION,
            "Action types 'redirect,fixed-response' cannot be specified together".to_owned(),
        ),
        (
            json!({"DefaultActions": []}),
            VALIDATION,
            "An action must be specified".to_owned(),
        ),
        // A lone group without weight: AWS's own range says so.
        (forward(&[weighted(&g, 0)], json!({})), VALIDATION, one.to_owned()),
        (forward(&[weighted(&g, 1000)], json!({})), VALIDATION, one.to_owned()),
        (
            forward(&[weighted(&g, 1000), weighted(&h, 1)], json!({})),
            VALIDATION,
            each.to_owned(),
        ),
        (
            forward(&[json!({"TargetGroupArn": g}), json!({"TargetGroupArn": h})], json!({})),
            VALIDATION,
            each.to_owned(),
        ),
        (
            forward(&many, json!({})),
            "TooManyUniqueTargetGroupsPerLoadBalancer",
            "You cannot specify more than 5 target groups per action".to_owned(),
        ),
        (
            json!({"DefaultActions": [{"Type": "forward", "TargetGroupArn": h, "ForwardConfig": {
                "TargetGroups": [weighted(&g, 1)],
            }}]}),
            VALIDATION,
            "You can specify both a target group list and a top-level target group ARN only if the ARNs match"
                .to_owned(),
        ),
        (
            forward(&[weighted(&g, 1)], json!({"Enabled": true, "DurationSeconds": 604_801})),
            VALIDATION,
            "Target group stickiness duration must be between 1 and 604800 seconds".to_owned(),
        ),
        (
            forward(&[weighted(&g, 1)], json!({"Enabled": true})),
            VALIDATION,
            "You must provide a duration when enabling target group stickiness".to_owned(),
        ),
        (
            forward(&[weighted(&g, 1), weighted(&world.tcp, 1)], json!({})),
            "IncompatibleProtocols",
            format!(
                "The listener and the following target groups have incompatible protocols: {}",
                world.tcp
            ),
        ),
    ];
    let base = listener_input(&world.balancer, 81, &g);
    for (more, code, text) in table {
        assert_eq!(
            world.cloud.fails("CreateListener", with(&base, &more), code),
            text,
            "{more}"
        );
    }
    let network = with(
        &listener_input(&world.network, 81, &world.tcp),
        &json!({"Protocol": "TCP"}),
    );
    let sticky = forward(
        &[weighted(&world.tcp, 1)],
        json!({"Enabled": true, "DurationSeconds": 3600}),
    );
    let table = [
        (
            json!({"DefaultActions": [fixed]}),
            ACTION,
            "The action type 'fixed-response' is not valid with network load balancer",
        ),
        (
            sticky,
            VALIDATION,
            "Target group stickiness duration cannot be configured on load balancers of type 'network'",
        ),
    ];
    for (more, code, text) in table {
        assert_eq!(
            world.cloud.fails("CreateListener", with(&network, &more), code),
            text,
            "{more}"
        );
    }
    world.cloud.ok(
        "CreateListener",
        with(&base, &forward(&[weighted(&g, 0), weighted(&h, 1)], json!({}))),
    );
}

#[test]
fn listeners() {
    let mut world = world();
    let base = listener_input(&world.balancer, 81, &world.group);
    let network = with(
        &listener_input(&world.network, 81, &world.tcp),
        &json!({"Protocol": "TCP"}),
    );
    let table = [
        (
            with(&network, &json!({"Protocol": "HTTP"})),
            "Listener protocol 'HTTP' must be one of 'TCP, QUIC, TCP_QUIC, UDP, TCP_UDP, TLS'",
        ),
        (
            with(&base, &json!({"SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06"})),
            "An SSL policy cannot be specifed for HTTP listeners",
        ),
        (
            with(&base, &json!({"MutualAuthentication": {"Mode": "passthrough"}})),
            "Mutual Authentication cannot be set for non secure listeners",
        ),
        (
            with(
                &base,
                &json!({"Protocol": "HTTPS", "MutualAuthentication": {"Mode": "optional"}}),
            ),
            "Mutual Authentication mode required not found",
        ),
        (
            with(
                &base,
                &json!({"Protocol": "HTTPS", "MutualAuthentication": {"Mode": "verify"}}),
            ),
            "Mutual Authentication mode verify requires a trust store arn",
        ),
        (
            with(
                &base,
                &json!({"Protocol": "HTTPS", "MutualAuthentication": {
                    "Mode": "passthrough", "IgnoreClientCertificateExpiry": true,
                }}),
            ),
            "Mutual Authentication mode passthrough does not support ignoring client certificate expiry",
        ),
        (
            with(
                &base,
                &json!({"Protocol": "HTTPS", "MutualAuthentication": {"Mode": "off", "AdvertiseTrustStoreCaNames": "on"}}),
            ),
            "Mutual Authentication mode off does not support advertise trust store ca names",
        ),
        (with(&base, &json!({"Port": null})), "A listener port must be specified"),
        (
            with(&base, &json!({"AlpnPolicy": ["HTTP1Only"]})),
            "You cannot set ALPN policy on load balancers of type 'application'",
        ),
        (
            with(&network, &json!({"AlpnPolicy": ["HTTP1Only", "HTTP2Only"]})),
            "Up to '1' ALPN policy can be specified, but '2' were specified",
        ),
    ];
    for (input, text) in table {
        assert_eq!(
            world.cloud.fails("CreateListener", input.clone(), "ValidationError"),
            text,
            "{input}"
        );
    }
    // The same, as seen in public code of clients.
    let mut grpc =
        json!({"Name": "grpc", "Protocol": "HTTP", "Port": 80, "VpcId": world.cloud.vpc, "TargetType": "ip"});
    grpc["ProtocolVersion"] = json!("GRPC");
    let made = world.cloud.ok("CreateTargetGroup", grpc);
    let arn = made["TargetGroups"][0]["TargetGroupArn"].as_str().unwrap();
    let input = listener_input(&world.balancer, 81, arn);
    assert_eq!(
        world.cloud.fails("CreateListener", input, "InvalidLoadBalancerAction"),
        "Listener protocol 'HTTP' is not supported with a target group with the protocol-version 'GRPC'"
    );
    let input = with(
        &base,
        &json!({"Protocol": "HTTPS", "DefaultActions": [
            {"Type": "forward", "TargetGroupArn": world.group, "Order": 1},
            {"Type": "authenticate-oidc", "Order": 2, "AuthenticateOidcConfig": {
                "Issuer": "https://i", "AuthorizationEndpoint": "https://i/a", "TokenEndpoint": "https://i/t",
                "UserInfoEndpoint": "https://i/u", "ClientId": "c"}},
        ]}),
    );
    let certificate = crate::certificates::some(&mut world.cloud);
    let input = with(&input, &json!({"Certificates": [{"CertificateArn": certificate}]}));
    assert_eq!(
        world.cloud.fails("CreateListener", input, "InvalidLoadBalancerAction"),
        "An action of type 'forward' must have a higher order than all other actions"
    );
    let certificate = "arn:aws:iam::000000000000:server-certificate/x";
    let input = json!({"ListenerArn": world.listener, "Certificates": [{"CertificateArn": certificate}]});
    let text = world.cloud.fails("AddListenerCertificates", input, "ValidationError");
    assert_eq!(text, "A certificate cannot be specified for HTTP listeners");
}

#[test]
fn conditions() {
    let mut world = world();
    let base = rule_input(&world.listener, 1, "/", &world.group);
    let long = |count: usize| "X".repeat(count);
    for (condition, text) in [
        (
            json!({"Field": "header", "Values": ["a"]}),
            "Condition field 'header' must be one of \
             'http-header,http-request-method,host-header,query-string,path-pattern,source-ip'",
        ),
        (
            json!({"Field": "path-pattern", "HostHeaderConfig": {"Values": ["example.com"]}}),
            "For conditions of type 'path-pattern', you must specify the following fields: 'Values or RegexValues or \
             PathPatternConfig'",
        ),
        (
            json!({"Field": "host-header", "HostHeaderConfig": {"Values": []}}),
            "You must provide exactly one of the following: ['Values' 'RegexValues'] for config of type 'HostHeaderConfig'",
        ),
        (
            json!({"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a"], "RegexValues": ["^/a"]}}),
            "You must provide exactly one of the following: ['Values' 'RegexValues'] for config of type 'PathPatternConfig'",
        ),
        (
            json!({"Field": "query-string", "RegexValues": ["a"], "QueryStringConfig": {"Values": [{"Value": "b"}]}}),
            "'RegexValues' is not supported for a condition of type 'query-string'",
        ),
        (
            json!({"Field": "host-header", "Values": ["example"]}),
            "Condition value 'example' contains a character that is not valid",
        ),
        (
            json!({"Field": "host-header", "Values": ["foo-bar"]}),
            "Condition value 'foo-bar' contains a character that is not valid",
        ),
        (
            json!({"Field": "host-header", "HostHeaderConfig": {"Values": ["*"]}}),
            "Condition value '*' contains a character that is not valid",
        ),
        (
            json!({"Field": "host-header", "Values": [long(129)]}),
            "Condition value for 'host-header' cannot contain more than 128 characters",
        ),
        (
            json!({"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "Host", "Values": ["a"]}}),
            "You cannot specify 'host' as an HTTP header name",
        ),
        (
            json!({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": [long(41)]}}),
            "Condition value for 'http-request-method' cannot contain more than 40 characters",
        ),
        (
            json!({"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.1"]}}),
            "The specified value '10.0.0.1' is not a valid CIDR block",
        ),
    ] {
        let input = with(&base, &json!({"Conditions": [condition]}));
        assert_eq!(
            world.cloud.fails("CreateRule", input, "ValidationError"),
            text,
            "{condition}"
        );
    }
    // Seen to be allowed: kubernetes-sigs/aws-load-balancer-controller issue 987.
    let condition = json!({"Field": "host-header", "Values": ["api-*.*"]});
    world
        .cloud
        .ok("CreateRule", with(&base, &json!({"Conditions": [condition]})));
}

#[test]
fn target_groups() {
    let mut world = world();
    let base = json!({"Name": "x", "Protocol": "HTTP", "Port": 80, "VpcId": world.cloud.vpc, "TargetType": "instance"});
    for (more, text) in [
        (
            json!({"HealthCheckTimeoutSeconds": 5, "HealthCheckIntervalSeconds": 5}),
            "Health check timeout '5' must be smaller than the interval '5'",
        ),
        (
            json!({"HealthCheckIntervalSeconds": 5}),
            "Health check interval must be greater than the timeout.",
        ),
        (
            json!({"HealthCheckIntervalSeconds": 600}),
            "1 validation error detected: Value '600' at 'healthCheckIntervalSeconds' failed to satisfy constraint: Member \
             must have value less than or equal to 300",
        ),
        (
            json!({"HealthCheckIntervalSeconds": 4}),
            "1 validation error detected: Value '4' at 'healthCheckIntervalSeconds' failed to satisfy constraint: Member \
             must have value greater than or equal to 5",
        ),
        (
            json!({"Protocol": "TCP", "HealthCheckTimeoutSeconds": 1}),
            "1 validation error detected: Value '1' at 'healthCheckTimeoutSeconds' failed to satisfy constraint: Member \
             must have value greater than or equal to 2",
        ),
        (
            json!({"UnhealthyThresholdCount": 11}),
            "1 validation error detected: Value '11' at 'unhealthyThresholdCount' failed to satisfy constraint: Member \
             must have value less than or equal to 10",
        ),
        (
            json!({"Matcher": {"HttpCode": "599"}}),
            "Health check matcher HTTP code '599' must be within '200-499' inclusive",
        ),
        (
            json!({"TargetType": "lambda"}),
            "Protocol cannot be specified for target groups with target type 'lambda'",
        ),
        (
            json!({"TargetType": "lambda", "Protocol": null}),
            "Port cannot be specified for target groups with target type 'lambda'",
        ),
        (
            json!({"TargetType": "lambda", "Protocol": null, "Port": null}),
            "VPC ID cannot be specified for target groups with target type 'lambda'",
        ),
        (json!({"Protocol": null}), "A protocol must be specified"),
        (json!({"VpcId": null}), "A VPC ID must be specified"),
        (
            json!({"Protocol": "GENEVE"}),
            "Port must be 6081 for GENEVE target groups.",
        ),
        (
            json!({"HealthCheckEnabled": false}),
            "Health check enabled must be true for target groups with target type 'instance'",
        ),
        (
            json!({"HealthCheckPort": "65536"}),
            "Health check port '65536' must be within '1-65535' or 'traffic-port'",
        ),
        (
            json!({"HealthCheckProtocol": "TCP"}),
            "Health check protocol 'TCP' must be one of 'HTTP, HTTPS'",
        ),
        (
            json!({"Protocol": "TCP", "HealthCheckProtocol": "UDP"}),
            "Health check protocol 'UDP' must be one of 'HTTP, HTTPS, TCP'",
        ),
        (
            json!({"Protocol": "TCP", "HealthCheckPath": "/x"}),
            "Health check paths are not supported for TCP health checks",
        ),
        (
            json!({"ProtocolVersion": "GRPC", "Matcher": {"GrpcCode": "120"}}),
            "Health check matcher GRPC code '120' must be within '0-99' inclusive",
        ),
        (
            json!({"Matcher": {"GrpcCode": "12"}}),
            "Health check matcher HTTP code cannot be empty",
        ),
        (
            json!({"Protocol": "TCP", "ProtocolVersion": "HTTP2"}),
            "You cannot specify the protocol version for a target group with the 'TCP' protocol",
        ),
        (
            json!({"ProtocolVersion": "HTTP/2"}),
            "Target group protocol version 'HTTP/2' must be one of '[HTTP2, HTTP1, GRPC]'",
        ),
        (
            json!({"Name": "-a-"}),
            "1 validation error detected: Value '-a-' at 'targetGroupName' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: (?!^-)(?!.*-$)^[A-Za-z0-9-]+$",
        ),
    ] {
        let text_now = world
            .cloud
            .fails("CreateTargetGroup", with(&base, &more), "ValidationError");
        assert_eq!(text_now, text, "{more}");
    }
    for (more, text) in [
        (
            json!({"TargetType": "alb"}),
            "Target type 'alb' is not supported for target groups with HTTP protocol",
        ),
        (
            json!({"Protocol": "TCP", "TargetControlPort": 8080}),
            "Target control port is not supported",
        ),
        (
            json!({"Protocol": "TCP_QUIC", "IpAddressType": "ipv6"}),
            "Protocol 'TCP_QUIC' is not supported with an IPv6 target group",
        ),
        (
            json!({"TargetType": "lambda", "Protocol": null, "Port": null, "VpcId": null, "IpAddressType": "ipv6"}),
            "Target type 'lambda' is not supported with an IPv6 target group",
        ),
    ] {
        let text_now = world
            .cloud
            .fails("CreateTargetGroup", with(&base, &more), "InvalidConfigurationRequest");
        assert_eq!(text_now, text, "{more}");
    }
    let input = json!({"TargetGroupArn": world.group, "Targets": [{"Id": "8.8.8.8"}]});
    assert_eq!(
        world.cloud.fails("RegisterTargets", input, "ValidationError"),
        "The IP address '8.8.8.8' is not allowed, as it must be an address from a VPC subnet, RFC1918, or RFC6598"
    );
}

#[test]
fn load_balancers() {
    let mut world = world();
    let subnets = world.cloud.subnets.clone();
    let base = json!({"Name": "x", "Subnets": &subnets[..2]});
    let mappings: Vec<Value> = subnets[..2]
        .iter()
        .map(|subnet| json!({"SubnetId": subnet, "AllocationId": "eipalloc-1"}))
        .collect();
    for (input, code, text) in [
        (
            json!({"Name": "x", "SubnetMappings": mappings}),
            "InvalidConfigurationRequest",
            "Elastic IPs are not supported for load balancers with type 'application'",
        ),
        (
            with(&base, &json!({"EnablePrefixForIpv6SourceNat": "on"})),
            "InvalidConfigurationRequest",
            "'EnablePrefixForIpv6SourceNat' can only be specified for LoadBalancer type 'network'.",
        ),
        (
            with(&base, &json!({"Name": "a-"})),
            "ValidationError",
            "The load balancer name 'a-' cannot end with a hyphen(-)",
        ),
        (
            json!({"Name": "x", "Subnets": &subnets[..1]}),
            "ValidationError",
            "At least two subnets in two different Availability Zones must be specified",
        ),
        (
            with(&base, &json!({"Type": "network", "EnablePrefixForIpv6SourceNat": "on"})),
            "InvalidConfigurationRequest",
            "'EnablePrefixForIpv6SourceNat' can only be specified when using IpAddressType 'dualstack'.",
        ),
        (
            json!({"Name": "x", "Type": "network", "SubnetMappings": [
                {"SubnetId": subnets[0], "SourceNatIpv6Prefix": "auto_assigned"},
            ]}),
            "InvalidConfigurationRequest",
            "'EnablePrefixForIpv6SourceNat' must be set to 'on', before 'SourceNatIpv6Prefix' can be specified.",
        ),
        (
            json!({"Name": "x", "Type": "network", "SubnetMappings": [
                {"SubnetId": subnets[0], "PrivateIPv4Address": "172.31.0.9"},
            ]}),
            "InvalidConfigurationRequest",
            "You can only specify private IPv4 addresses for Network Load Balancers with scheme 'internal'.",
        ),
        (
            with(
                &base,
                &json!({"Type": "network", "IpAddressType": "dualstack-without-public-ipv4"}),
            ),
            "InvalidConfigurationRequest",
            "The specified IP address type is not supported on load balancers with type 'network'.",
        ),
        (
            with(&base, &json!({"Type": "gateway", "Scheme": "internal"})),
            "InvalidConfigurationRequest",
            "Scheme is not supported for Gateway Load Balancers.",
        ),
        (
            with(&base, &json!({"Type": "gateway", "SecurityGroups": ["sg-1"]})),
            "InvalidConfigurationRequest",
            "Security Groups are not supported for Gateway Load Balancers.",
        ),
    ] {
        assert_eq!(
            world.cloud.fails("CreateLoadBalancer", input.clone(), code),
            text,
            "{input}"
        );
    }
    for (balancer, groups, text) in [
        (
            world.balancer.clone(),
            json!(["sg-1"]),
            "This security group setting for PrivateLink traffic is only available for Network Load Balancers with security \
             groups",
        ),
        (
            world.network.clone(),
            json!([]),
            "One or more security groups must be specified when using EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic",
        ),
    ] {
        let input = json!({"LoadBalancerArn": balancer, "SecurityGroups": groups,
                           "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic": "off"});
        let text_now = world
            .cloud
            .fails("SetSecurityGroups", input, "InvalidConfigurationRequest");
        assert_eq!(text_now, text);
    }
}

/// Whose attributes, the pairs, the code and the text.
type Refused<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a str, String);

#[test]
fn attributes() {
    const WRONG: &str = "ValidationError";
    const TOGETHER: &str = "InvalidConfigurationRequest";
    let mut world = world();
    let listener = world.listener.clone();
    let input = with(
        &listener_input(&world.network, 81, &world.tcp),
        &json!({"Protocol": "TCP"}),
    );
    let made = world.cloud.ok("CreateListener", input);
    let tcp_listener = made["Listeners"][0]["ListenerArn"].as_str().unwrap().to_owned();
    let owners = [
        ("lb", world.balancer.clone()),
        ("net", world.network.clone()),
        ("http", world.group.clone()),
        ("tcp", world.tcp.clone()),
        ("listener", listener),
        ("tcp-listener", tcp_listener),
    ];
    let mode = "routing.http.desync_mitigation_mode";
    let least = |what: &str, unit: &str| format!("target_group_health.{what}.minimum_healthy_targets.{unit}");
    let failover = least("dns_failover", "count");
    let percentage = least("dns_failover", "percentage");
    let draining = "target_health_state.unhealthy.draining_interval_seconds";
    let table: Vec<Refused<'_>> = vec![
        ("lb", vec![("deletion_protection.enabled", "yes")], WRONG, "The value of 'deletion_protection.enabled' must be 'true' or 'false', but was 'yes'".into()),
        ("lb", vec![("load_balancing.cross_zone.enabled", "false")], WRONG, "The value for 'load_balancing.cross_zone.enabled' must always be 'true' for an Application Load Balancer".into()),
        ("lb", vec![("client_keep_alive.seconds", "59")], WRONG, "The value of 'client_keep_alive.seconds' must be an integer between 60 and 604800".into()),
        ("lb", vec![("idle_timeout.timeout_seconds", "4001")], WRONG, "The value of 'idle_timeout.timeout_seconds' cannot be greater than 4000 characters".into()),
        ("lb", vec![("idle_timeout.timeout_seconds", "0")], WRONG, "The value of 'idle_timeout.timeout_seconds' cannot be less than 1 characters".into()),
        ("lb", vec![(mode, "strict")], WRONG, "'strict' must be one of [defensive, monitor, strictest]".into()),
        ("lb", vec![("routing.http.xff_header_processing.mode", "drop")], WRONG, "'routing.http.xff_header_processing.mode' must be set as 'preserve', 'append', or 'remove'".into()),
        ("lb", vec![(mode, "monitor"), (mode, "defensive")], WRONG, format!("Attribute key '{mode}' has been specified more than once")),
        ("lb", vec![("access_logs.s3.enabled", "true")], TOGETHER, "The key 'access_logs.s3.bucket' must set in order to enable access logs".into()),
        ("lb", vec![("access_logs.s3.prefix", "p")], TOGETHER, "The key 'access_logs.s3.bucket' must set in order to set 'access_logs.s3.prefix'".into()),
        ("lb", vec![("connection_logs.s3.enabled", "true")], TOGETHER, "The key 'connection_logs.s3.bucket' must set in order to enable connection logs".into()),
        ("lb", vec![("access_logs.s3.bucket", "")], WRONG, "The value of 'access_logs.s3.bucket' cannot be empty".into()),
        ("net", vec![("idle_timeout.timeout_seconds", "60")], WRONG, "Load balancer attribute key 'idle_timeout.timeout_seconds' is not recognized".into()),
        ("net", vec![("dns_record.client_routing_policy", "zone_affinity")], WRONG, "'zone_affinity' is not a valid value for 'dns_record.client_routing_policy'".into()),
        ("net", vec![("secondary_ips.auto_assigned.per_subnet", "8")], WRONG, "Valid range for the number of secondary IP addresses is from '0-7'".into()),
        ("http", vec![("load_balancing.algorithm.type", "x")], WRONG, "'Load balancer algorithm' must be one of [round_robin, weighted_random, least_outstanding_requests]".into()),
        ("http", vec![("load_balancing.algorithm.anomaly_mitigation", "true")], WRONG, "'load_balancing.algorithm.anomaly_mitigation' must be one of [off, on]".into()),
        ("http", vec![("load_balancing.algorithm.anomaly_mitigation", "on")], TOGETHER, "You cannot enable both anomaly mitigation and round robin algorithm on a target group".into()),
        ("http", vec![("stickiness.enabled", "1")], WRONG, "The value of 'stickiness.enabled' must be 'true' or 'false', but was '1'".into()),
        ("http", vec![("stickiness.app_cookie.duration_seconds", "700000")], WRONG, "'stickiness.app_cookie.duration_seconds' value '700000' must be between '1-604800' inclusive".into()),
        ("http", vec![("load_balancing.cross_zone.enabled", "x")], WRONG, "'load_balancing.cross_zone.enabled' must be one of use_load_balancer_configuration,true,false".into()),
        ("http", vec![("deregistration_delay.timeout_seconds", "-1")], WRONG, "'deregistration_delay.timeout_seconds' value '-1' must be between '0-3600' inclusive".into()),
        ("http", vec![("slow_start.duration_seconds", "901")], WRONG, "'slow_start.duration_seconds' value '901' must be between '30-900' inclusive".into()),
        ("http", vec![(failover.as_str(), "0")], WRONG, format!("The value of '{failover}' must be 'off' or a positive integer")),
        ("http", vec![(percentage.as_str(), "101")], WRONG, format!("'{percentage}' must be 'off' or an integer from 1 to 100 inclusive")),
        ("http", vec![(mode, "x")], WRONG, format!("Target group attribute key '{mode}' is not recognized")),
        ("http", vec![("preserve_client_ip.enabled", "true")], TOGETHER, "A target group with HTTP protocol does not support the attribute preserve_client_ip.enabled".into()),
        ("http", vec![("lambda.multi_value_headers.enabled", "true")], TOGETHER, "A target group with HTTP protocol does not support the attribute lambda.headers.multiple_values.enabled".into()),
        ("http", vec![("load_balancing.algorithm.type", "round_robin"), ("load_balancing.algorithm.type", "round_robin")], WRONG, "Target group attribute keys must be unique: '[load_balancing.algorithm.type]'".into()),
        ("tcp", vec![("slow_start.duration_seconds", "30")], TOGETHER, "A target group with TCP protocol does not support the attribute slow_start.duration_seconds".into()),
        ("tcp", vec![("send_tcp_reset.on_unhealthy.enabled", "true")], WRONG, "Target group attribute key 'send_tcp_reset.on_unhealthy.enabled' is not recognized".into()),
        ("tcp", vec![(draining, "400000")], WRONG, format!("'{draining}' value '400000' must be between '0-360000' inclusive")),
        ("tcp", vec![(draining, "60")], TOGETHER, format!("You cannot have both 'target_health_state.unhealthy.connection_termination.enabled' and '{draining}' enabled on a target group")),
        ("listener", vec![("tcp.idle_timeout_seconds", "60")], WRONG, "Listener attribute key 'tcp.idle_timeout_seconds' is not recognized".into()),
        ("listener", vec![("tcp.idle_timeout.seconds", "350")], TOGETHER, "The provided listener attribute is not supported".into()),
        ("listener", vec![("routing.http.response.server.enabled", "on")], WRONG, "The value of 'routing.http.response.server.enabled' must be 'true' or 'false', but was 'on'".into()),
        ("listener", vec![("routing.http.request.x_amzn_tls_version.header_name", "a b")], WRONG, "The value of 'routing.http.request.x_amzn_tls_version.header_name' contains invalid characters".into()),
        ("listener", vec![("routing.http.response.x_content_type_options.header_value", "sniff")], WRONG, "The value of 'routing.http.response.x_content_type_options.header_value' must be from the following: [nosniff], but was 'sniff'".into()),
        ("listener", vec![("routing.http.response.x_frame_options.header_value", "ALLOW")], WRONG, "The value of 'routing.http.response.x_frame_options.header_value' must be from the following: [DENY, SAMEORIGIN], but was 'ALLOW'".into()),
        ("tcp-listener", vec![("tcp.idle_timeout.seconds", "30")], WRONG, "'tcp.idle_timeout.seconds' value '30' must be between '60-6000' inclusive".into()),
    ];
    for (owner, pairs, code, text) in table {
        let arn = &owners.iter().find(|(name, _)| *name == owner).unwrap().1;
        let (operation, member) = match owner {
            "lb" | "net" => ("ModifyLoadBalancerAttributes", "LoadBalancerArn"),
            "http" | "tcp" => ("ModifyTargetGroupAttributes", "TargetGroupArn"),
            _ => ("ModifyListenerAttributes", "ListenerArn"),
        };
        let pairs: Vec<Value> = pairs
            .iter()
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect();
        let input = json!({member: arn, "Attributes": pairs});
        assert_eq!(world.cloud.fails(operation, input.clone(), code), text, "{input}");
    }
    let pairs: Vec<Value> = (0..21)
        .map(|number| json!({"Key": format!("k{number}"), "Value": "v"}))
        .collect();
    let input = json!({"LoadBalancerArn": world.balancer, "Attributes": pairs});
    let said = world.cloud.fails("ModifyLoadBalancerAttributes", input, WRONG);
    let (begin, end) = (
        "1 validation error detected: Value '[LoadBalancerAttribute(key=k0, value=v), LoadBalancerAttribute(key=k1,",
        "' at 'attributes' failed to satisfy constraint: Member must have length less than or equal to 20",
    );
    assert!(said.starts_with(begin) && said.ends_with(end), "{said}");
    let routing = least("unhealthy_state_routing", "percentage");
    let pairs = json!([{"Key": percentage, "Value": "20"}, {"Key": routing, "Value": "50"}]);
    let input = json!({"TargetGroupArn": world.group, "Attributes": pairs});
    assert_eq!(
        world.cloud.fails("ModifyTargetGroupAttributes", input, TOGETHER),
        "DNS failover threshold must be greater than or equal to unhealthy state routing threshold"
    );
}
