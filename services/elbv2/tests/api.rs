//! Goal: the API answers with AWS's shapes, codes and idempotency. Method: operations by name, JSON in, JSON out.

mod support;

use serde_json::{Value, json};
use support::*;

#[test]
fn a_load_balancer_lives_and_dies() {
    let mut cloud = Cloud::new();
    let subnets = cloud.subnets.clone();
    let input = json!({"Name": "web", "Subnets": &subnets[..2], "Tags": [{"Key": "a", "Value": "1"}]});
    let made = cloud.ok("CreateLoadBalancer", input.clone())["LoadBalancers"][0].clone();
    let arn = made["LoadBalancerArn"].as_str().unwrap().to_owned();
    let (prefix, id) = arn.rsplit_once('/').unwrap();
    assert_eq!(
        prefix,
        "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/web"
    );
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    let dns = made["DNSName"].as_str().unwrap();
    assert!(
        dns.starts_with("web-") && dns.ends_with(".us-east-1.elb.localhost"),
        "{dns}"
    );
    assert_eq!(made["State"]["Code"], "provisioning");
    assert_eq!(made["Scheme"], "internet-facing");
    assert_eq!(
        made["SecurityGroups"].as_array().unwrap().len(),
        1,
        "the VPC's default group"
    );
    assert_eq!(cloud.interfaces(), 2, "one address per subnet");

    // The same again is the same load balancer; another setting is an error; nothing is allocated twice.
    let again = cloud.ok("CreateLoadBalancer", input);
    assert_eq!(again["LoadBalancers"][0]["LoadBalancerArn"], arn.as_str());
    let message = cloud.fails(
        "CreateLoadBalancer",
        json!({"Name": "web", "Subnets": &subnets[..2], "Scheme": "internal"}),
        "DuplicateLoadBalancerName",
    );
    assert_eq!(
        message,
        "A load balancer with the same name 'web' exists, but with different settings"
    );
    assert_eq!(cloud.interfaces(), 2);

    let applied = honmaru_contract::edge::Applied {
        generation: 1,
        failed: Vec::new(),
    };
    cloud.observe(|tx| honmaru_elbv2::observe_applied(tx, &applied));
    let shown = cloud.ok("DescribeLoadBalancers", json!({"Names": ["web"]}));
    assert_eq!(shown["LoadBalancers"][0]["State"]["Code"], "active");

    cloud.ok(
        "ModifyLoadBalancerAttributes",
        json!({"LoadBalancerArn": arn, "Attributes": [{"Key": "deletion_protection.enabled", "Value": "true"}]}),
    );
    cloud.fails(
        "DeleteLoadBalancer",
        json!({"LoadBalancerArn": arn}),
        "OperationNotPermitted",
    );
    cloud.ok(
        "ModifyLoadBalancerAttributes",
        json!({"LoadBalancerArn": arn, "Attributes": [{"Key": "deletion_protection.enabled", "Value": "false"}]}),
    );
    let group = cloud.group("g");
    let listener = cloud.listener(&arn, 80, &group);
    cloud.ok("CreateRule", rule_input(&listener, 1, "/x", &group));
    cloud.ok("DeleteLoadBalancer", json!({"LoadBalancerArn": arn}));
    assert_eq!(cloud.interfaces(), 0, "addresses are given back");
    cloud.fails(
        "DescribeLoadBalancers",
        json!({"LoadBalancerArns": [arn]}),
        "LoadBalancerNotFound",
    );
    cloud.fails(
        "DescribeListeners",
        json!({"ListenerArns": [listener]}),
        "ListenerNotFound",
    );
    cloud.ok("DeleteLoadBalancer", json!({"LoadBalancerArn": arn}));
}

#[test]
fn load_balancers_that_cannot_be() {
    let mut cloud = Cloud::new();
    let subnets = cloud.subnets.clone();
    let name = |name: &str| json!({"Name": name, "Subnets": &subnets[..2]});
    for bad in ["-web", "web-", "internal-web", "we_b", &"x".repeat(33)] {
        cloud.fails("CreateLoadBalancer", name(bad), "ValidationError");
    }
    let message = cloud.fails(
        "CreateLoadBalancer",
        json!({"Name": "a", "Subnets": &subnets[..1]}),
        "ValidationError",
    );
    assert_eq!(
        message,
        "At least two subnets in two different Availability Zones must be specified"
    );
    cloud.fails(
        "CreateLoadBalancer",
        json!({"Name": "a", "Subnets": ["subnet-1", "subnet-2"]}),
        "SubnetNotFound",
    );
    cloud.fails(
        "CreateLoadBalancer",
        json!({"Name": "a", "Subnets": &subnets[..2], "SecurityGroups": ["sg-1"]}),
        "InvalidSecurityGroup",
    );
    let twice = json!({"Name": "a", "Subnets": &subnets[..2], "Tags": [{"Key": "k"}, {"Key": "k"}]});
    cloud.fails("CreateLoadBalancer", twice, "DuplicateTagKeys");
    assert_eq!(cloud.interfaces(), 0, "nothing is half done");
}

#[test]
fn subnets_and_security_groups_change() {
    let mut cloud = Cloud::new();
    let arn = cloud.balancer("web");
    let subnets = cloud.subnets.clone();
    let before = cloud.ok("DescribeLoadBalancers", json!({}));
    let third = subnets.get(2).cloned().unwrap();
    let set = cloud.ok(
        "SetSubnets",
        json!({"LoadBalancerArn": arn, "Subnets": [subnets[0], third]}),
    );
    let shown: Vec<&str> = set["AvailabilityZones"]
        .as_array()
        .unwrap()
        .iter()
        .map(|z| z["SubnetId"].as_str().unwrap())
        .collect();
    assert_eq!(shown, [subnets[0].as_str(), third.as_str()]);
    assert_eq!(cloud.interfaces(), 2);
    let group = before["LoadBalancers"][0]["SecurityGroups"][0].clone();
    cloud.ok(
        "SetSecurityGroups",
        json!({"LoadBalancerArn": arn, "SecurityGroups": [group]}),
    );
    cloud.fails(
        "SetSecurityGroups",
        json!({"LoadBalancerArn": arn, "SecurityGroups": ["sg-x"]}),
        "InvalidSecurityGroup",
    );
}

// Ref: AWS General Reference, "Elastic Load Balancing endpoints and quotas": the zone of a Network Load Balancer's name is
// another than that of an Application Load Balancer's.
#[test]
fn the_hosted_zone_is_that_of_the_kind() {
    let mut cloud = Cloud::new();
    let subnets = cloud.subnets.clone();
    for (name, kind, zone) in [
        ("a", "application", "Z35SXDOTRQ7X7K"),
        ("n", "network", "Z26RNL4JYFTOTI"),
    ] {
        let input = json!({"Name": name, "Type": kind, "Subnets": &subnets[..2]});
        let made = cloud.ok("CreateLoadBalancer", input);
        assert_eq!(made["LoadBalancers"][0]["CanonicalHostedZoneId"], zone, "{kind}");
    }
}

// Ref: ELBv2 `SetSecurityGroups`, EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic: on unless it is turned off.
#[test]
fn a_network_balancer_says_whether_its_groups_hold_for_private_link() {
    let mut cloud = Cloud::new();
    let group = honmaru_ec2::default_security_group(&cloud.state, &cloud.scope, &cloud.vpc);
    let group = group.unwrap().id.clone();
    let subnets = cloud.subnets.clone();
    let shown = |cloud: &mut Cloud, arn: &Value| {
        let found = cloud.ok("DescribeLoadBalancers", json!({"LoadBalancerArns": [arn]}));
        found["LoadBalancers"][0]["EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"].clone()
    };
    let mut make = |name: &str, kind: &str, groups: Value| {
        let input = json!({"Name": name, "Type": kind, "Subnets": &subnets[..2], "SecurityGroups": groups});
        cloud.ok("CreateLoadBalancer", input)["LoadBalancers"][0]["LoadBalancerArn"].clone()
    };
    let (guarded, bare) = (make("a", "network", json!([group])), make("b", "network", json!([])));
    let application = make("c", "application", json!([group]));
    assert_eq!(shown(&mut cloud, &guarded), "on");
    assert_eq!(shown(&mut cloud, &bare), Value::Null);
    assert_eq!(shown(&mut cloud, &application), Value::Null);
    let set = |arn: &Value, private_link: Option<&str>| {
        let mut input = json!({"LoadBalancerArn": arn, "SecurityGroups": [group]});
        if let Some(value) = private_link {
            input["EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"] = json!(value);
        }
        input
    };
    cloud.ok("SetSecurityGroups", set(&guarded, Some("off")));
    assert_eq!(shown(&mut cloud, &guarded), "off");
    let again = cloud.ok("SetSecurityGroups", set(&guarded, None));
    assert_eq!(again["EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"], "off");
    cloud.fails(
        "SetSecurityGroups",
        set(&application, Some("on")),
        "InvalidConfigurationRequest",
    );
}

#[test]
fn attributes_have_defaults_and_ranges() {
    let mut cloud = Cloud::new();
    let (arn, group) = (cloud.balancer("web"), cloud.group("g"));
    let all = cloud.ok("DescribeLoadBalancerAttributes", json!({"LoadBalancerArn": arn}));
    let value = |all: &Value, key: &str| {
        let rows = all["Attributes"].as_array().unwrap();
        rows.iter()
            .find(|row| row["Key"] == key)
            .map(|row| row["Value"].as_str().unwrap().to_owned())
    };
    assert_eq!(value(&all, "idle_timeout.timeout_seconds").as_deref(), Some("60"));
    assert_eq!(value(&all, "routing.http2.enabled").as_deref(), Some("true"));
    let set = |key: &str, value: &str| json!({"LoadBalancerArn": arn, "Attributes": [{"Key": key, "Value": value}]});
    let changed = cloud.ok(
        "ModifyLoadBalancerAttributes",
        set("idle_timeout.timeout_seconds", "4000"),
    );
    assert_eq!(value(&changed, "idle_timeout.timeout_seconds").as_deref(), Some("4000"));
    cloud.fails(
        "ModifyLoadBalancerAttributes",
        set("idle_timeout.timeout_seconds", "4001"),
        "ValidationError",
    );
    cloud.fails(
        "ModifyLoadBalancerAttributes",
        set("no.such.key", "1"),
        "ValidationError",
    );
    cloud.fails(
        "ModifyLoadBalancerAttributes",
        set("access_logs.s3.enabled", "true"),
        "InvalidConfigurationRequest",
    );

    let set = |pairs: &[(&str, &str)]| {
        let rows: Vec<Value> = pairs
            .iter()
            .map(|(key, value)| json!({"Key": key, "Value": value}))
            .collect();
        json!({"TargetGroupArn": group, "Attributes": rows})
    };
    cloud.ok(
        "ModifyTargetGroupAttributes",
        set(&[("deregistration_delay.timeout_seconds", "5")]),
    );
    let app = [("stickiness.enabled", "true"), ("stickiness.type", "app_cookie")];
    cloud.fails("ModifyTargetGroupAttributes", set(&app), "InvalidConfigurationRequest");
    let source = cloud.fails(
        "ModifyTargetGroupAttributes",
        set(&[("stickiness.type", "source_ip")]),
        "InvalidConfigurationRequest",
    );
    assert_eq!(
        source,
        "Stickiness type 'source_ip' is not supported for target groups with the HTTP protocol"
    );
    let other = cloud.fails(
        "ModifyTargetGroupAttributes",
        set(&[("stickiness.type", "source_ip_dest_ip")]),
        "ValidationError",
    );
    assert_eq!(
        other,
        "'Stickiness type' must be one of [app_cookie, lb_cookie, source_ip]"
    );
    let reserved = [app[0], app[1], ("stickiness.app_cookie.cookie_name", "AWSALBX")];
    cloud.fails("ModifyTargetGroupAttributes", set(&reserved), "ValidationError");
    let slow = [
        ("slow_start.duration_seconds", "30"),
        ("load_balancing.algorithm.type", "least_outstanding_requests"),
    ];
    cloud.fails("ModifyTargetGroupAttributes", set(&slow), "InvalidConfigurationRequest");
    let shown = cloud.ok("DescribeTargetGroupAttributes", json!({"TargetGroupArn": group}));
    assert_eq!(
        value(&shown, "deregistration_delay.timeout_seconds").as_deref(),
        Some("5")
    );
    assert_eq!(
        value(&shown, "stickiness.enabled").as_deref(),
        Some("false"),
        "a failed change leaves nothing"
    );
}

#[test]
fn target_groups() {
    let mut cloud = Cloud::new();
    let vpc = cloud.vpc.clone();
    let input = json!({"Name": "g", "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "ip"});
    let made = cloud.ok("CreateTargetGroup", input.clone())["TargetGroups"][0].clone();
    let golden = json!({
        "TargetGroupArn": made["TargetGroupArn"], "TargetGroupName": "g", "Protocol": "HTTP", "Port": 80,
        "VpcId": vpc, "HealthCheckProtocol": "HTTP", "HealthCheckPort": "traffic-port", "HealthCheckEnabled": true,
        "HealthCheckIntervalSeconds": 30, "HealthCheckTimeoutSeconds": 5, "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2, "HealthCheckPath": "/", "Matcher": {"HttpCode": "200"},
        "LoadBalancerArns": [], "TargetType": "ip", "ProtocolVersion": "HTTP1", "IpAddressType": "ipv4",
    });
    assert_eq!(made, golden);
    assert_eq!(
        cloud.ok("CreateTargetGroup", input)["TargetGroups"][0]["TargetGroupArn"],
        made["TargetGroupArn"]
    );
    let other = json!({"Name": "g", "Protocol": "HTTP", "Port": 81, "VpcId": vpc, "TargetType": "ip"});
    cloud.fails("CreateTargetGroup", other, "DuplicateTargetGroupName");
    let with = |more: Value| {
        let mut input = json!({"Name": "h", "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "ip"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    for (bad, code) in [
        (json!({"VpcId": "vpc-1"}), "ValidationError"),
        (json!({"Port": 0}), "ValidationError"),
        (json!({"HealthCheckIntervalSeconds": 4}), "ValidationError"),
        (json!({"HealthCheckTimeoutSeconds": 30}), "ValidationError"),
        (json!({"HealthyThresholdCount": 1}), "ValidationError"),
        (json!({"HealthCheckPath": "x"}), "ValidationError"),
        (json!({"HealthCheckPort": "x"}), "ValidationError"),
        (json!({"Matcher": {"HttpCode": "600"}}), "ValidationError"),
        (json!({"HealthCheckProtocol": "TCP"}), "ValidationError"),
        (json!({"TargetType": "lambda"}), "InvalidConfigurationRequest"),
        (json!({"Protocol": "UDP"}), "InvalidConfigurationRequest"),
    ] {
        cloud.fails("CreateTargetGroup", with(bad), code);
    }
    let changed = cloud.ok(
        "ModifyTargetGroup",
        json!({"TargetGroupArn": made["TargetGroupArn"], "HealthCheckPath": "/health", "HealthCheckIntervalSeconds": 10,
               "Matcher": {"HttpCode": "200-299"}}),
    );
    assert_eq!(changed["TargetGroups"][0]["HealthCheckPath"], "/health");
    // Terraform's provider sends this for a health check that becomes one over HTTP without a matcher; AWS refuses it so.
    let empty = json!({"TargetGroupArn": made["TargetGroupArn"], "Matcher": {"HttpCode": ""}});
    let refused = cloud.fails("ModifyTargetGroup", empty, "ValidationError");
    assert_eq!(refused, "Health check matcher HTTP code cannot be empty");
    cloud.fails(
        "DescribeTargetGroups",
        json!({"Names": ["nope"]}),
        "TargetGroupNotFound",
    );
}

#[test]
fn listeners() {
    let mut cloud = Cloud::new();
    let (balancer, group) = (cloud.balancer("web"), cloud.group("g"));
    let listener = cloud.listener(&balancer, 80, &group);
    assert!(
        listener.starts_with(&balancer.replace(":loadbalancer/", ":listener/")),
        "{listener}"
    );
    let shown = cloud.ok("DescribeListeners", json!({"LoadBalancerArn": balancer}));
    let action = &shown["Listeners"][0]["DefaultActions"][0];
    assert_eq!(
        *action,
        json!({"Type": "forward", "TargetGroupArn": group, "ForwardConfig": {
            "TargetGroups": [{"TargetGroupArn": group, "Weight": 1}],
            "TargetGroupStickinessConfig": {"Enabled": false},
        }})
    );
    assert_eq!(
        cloud.listener(&balancer, 80, &group),
        listener,
        "the same listener again"
    );
    let fixed = json!([{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]);
    let mut other = listener_input(&balancer, 80, &group);
    other["DefaultActions"] = fixed.clone();
    cloud.fails("CreateListener", other, "DuplicateListener");
    let with = |more: Value| {
        let mut input = listener_input(&balancer, 81, &group);
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let missing = group.replace("/g/", "/h/");
    for (bad, code) in [
        (
            json!({"LoadBalancerArn": balancer.replace("/web/", "/x/")}),
            "LoadBalancerNotFound",
        ),
        (json!({"Port": 70_000}), "ValidationError"),
        (json!({"Protocol": "TCP"}), "ValidationError"),
        (json!({"Protocol": "HTTPS"}), "ValidationError"),
        (
            json!({"Protocol": "HTTPS", "Certificates": [{"CertificateArn": "arn:aws:acm:us-east-1:1:certificate/x"}]}),
            "CertificateNotFound",
        ),
        (
            json!({"DefaultActions": [{"Type": "forward", "TargetGroupArn": missing}]}),
            "TargetGroupNotFound",
        ),
        (
            json!({"DefaultActions": [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}]}),
            "InvalidConfigurationRequest",
        ),
        (
            json!({"DefaultActions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "301"}}]}),
            "ValidationError",
        ),
        (
            json!({"DefaultActions": [{"Type": "authenticate-oidc"}]}),
            "InvalidConfigurationRequest",
        ),
    ] {
        cloud.fails("CreateListener", with(bad), code);
    }
    cloud.fails("DeleteTargetGroup", json!({"TargetGroupArn": group}), "ResourceInUse");
    let second = cloud.balancer("other");
    cloud.fails(
        "CreateListener",
        listener_input(&second, 80, &group),
        "TargetGroupAssociationLimit",
    );
    cloud.ok(
        "ModifyListener",
        json!({"ListenerArn": listener, "Port": 8080, "DefaultActions": fixed}),
    );
    let groups = cloud.ok("DescribeTargetGroups", json!({"TargetGroupArns": [group]}));
    assert_eq!(groups["TargetGroups"][0]["LoadBalancerArns"], json!([]));
    cloud.ok("DeleteTargetGroup", json!({"TargetGroupArn": group}));
    cloud.ok("DeleteListener", json!({"ListenerArn": listener}));
    cloud.fails("DeleteListener", json!({"ListenerArn": listener}), "ListenerNotFound");
}

#[test]
fn rules_have_an_order() {
    let mut cloud = Cloud::new();
    let (balancer, group) = (cloud.balancer("web"), cloud.group("g"));
    let listener = cloud.listener(&balancer, 80, &group);
    let mut arns = Vec::new();
    for priority in [30, 10, 20] {
        let made = cloud.ok(
            "CreateRule",
            rule_input(&listener, priority, &format!("/{priority}"), &group),
        );
        arns.push(made["Rules"][0]["RuleArn"].as_str().unwrap().to_owned());
    }
    let order = |cloud: &mut Cloud| -> Vec<String> {
        let shown = cloud.ok("DescribeRules", json!({"ListenerArn": listener}));
        shown["Rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["Priority"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(order(&mut cloud), ["10", "20", "30", "default"]);
    let message = cloud.fails("CreateRule", rule_input(&listener, 10, "/x", &group), "PriorityInUse");
    assert_eq!(message, "Priority '10' is currently in use");
    cloud.fails("CreateRule", rule_input(&listener, 0, "/x", &group), "ValidationError");
    cloud.fails(
        "CreateRule",
        rule_input(&listener, 5, "/x y", &group),
        "ValidationError",
    );
    cloud.fails(
        "CreateRule",
        rule_input(&listener.replace("/web/", "/no/"), 5, "/x", &group),
        "ListenerNotFound",
    );
    // Two rules change places; a third one's priority cannot be taken.
    let pairs = |pairs: &[(&str, i32)]| {
        let rows: Vec<Value> = pairs
            .iter()
            .map(|(arn, p)| json!({"RuleArn": arn, "Priority": p}))
            .collect();
        json!({"RulePriorities": rows})
    };
    cloud.ok("SetRulePriorities", pairs(&[(&arns[0], 10), (&arns[1], 30)]));
    cloud.fails("SetRulePriorities", pairs(&[(&arns[0], 20)]), "PriorityInUse");
    assert_eq!(order(&mut cloud), ["10", "20", "30", "default"]);
    let shown = cloud.ok("DescribeRules", json!({"RuleArns": [arns[0]]}));
    assert_eq!(shown["Rules"][0]["Priority"], "10");
    assert_eq!(
        shown["Rules"][0]["Conditions"][0]["PathPatternConfig"]["Values"],
        json!(["/30"])
    );
    let all = cloud.ok("DescribeRules", json!({"ListenerArn": listener}));
    let default = all["Rules"][3]["RuleArn"].as_str().unwrap().to_owned();
    cloud.fails("DeleteRule", json!({"RuleArn": default}), "OperationNotPermitted");
    cloud.ok("DeleteRule", json!({"RuleArn": arns[2]}));
    cloud.fails("DeleteRule", json!({"RuleArn": arns[2]}), "RuleNotFound");
    let conditions = json!([
        {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.com"]}},
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["1"]}},
        {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "k", "Value": "v*"}]}},
        {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}},
        {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET"]}},
    ]);
    cloud.ok("ModifyRule", json!({"RuleArn": arns[0], "Conditions": conditions}));
    let twice = json!([{"Field": "path-pattern", "Values": ["/a"]}, {"Field": "path-pattern", "Values": ["/b"]}]);
    cloud.fails(
        "ModifyRule",
        json!({"RuleArn": arns[0], "Conditions": twice}),
        "ValidationError",
    );
    let too_many = cloud.fails(
        "DescribeRules",
        json!({"RuleArns": vec![&arns[0]; 21]}),
        "ValidationError",
    );
    assert_eq!(too_many, "You cannot describe more than '20' listener rules at a time");
}

#[test]
fn conditions_that_cannot_be() {
    let mut cloud = Cloud::new();
    let (balancer, group) = (cloud.balancer("web"), cloud.group("g"));
    let listener = cloud.listener(&balancer, 80, &group);
    let mut refused = |condition: Value| {
        let mut input = rule_input(&listener, 1, "/", &group);
        input["Conditions"] = json!([condition]);
        cloud.fails("CreateRule", input, "ValidationError")
    };
    let long = "x".repeat(129);
    let many = ["/a", "/b", "/c", "/d", "/e", "/f"];
    for (condition, text) in [
        (
            json!({"Field": "path-pattern", "PathPatternConfig": {"Values": many}}),
            "A rule can only have '5' condition values",
        ),
        (
            json!({"Field": "path-pattern", "Values": ["/a", "/b"]}),
            "The 'path-pattern' field contains too many values; the limit is '1'",
        ),
        (
            json!({"Field": "host-header", "Values": ["a"], "HostHeaderConfig": {"Values": ["a"]}}),
            "You cannot provide both Values and 'HostHeaderConfig' for a condition of type 'host-header'",
        ),
        (
            json!({"Field": "host-header", "Values": [long]}),
            "The 'host-header' value is too long; the limit is '128'",
        ),
        (json!({"Field": "host-header"}), "A condition value must be specified"),
        (
            json!({"Field": "path-pattern", "PathPatternConfig": {"Values": []}}),
            "A condition value must be specified",
        ),
        (
            json!({"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "x".repeat(41), "Values": ["y"]}}),
            "The 'HttpHeaderName' value is too long; the limit is '40'",
        ),
        (
            json!({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["get"]}}),
            "The 'http-request-method' value is invalid; the allowed characters are A-Z, hyphen and underscore",
        ),
        (
            json!({"Field": "http-request-method"}),
            "A 'HttpRequestMethodConfig' must be specified with 'http-request-method'",
        ),
        (
            json!({"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": long, "Value": "v"}]}}),
            "The 'Key' value is too long; the limit is '128'",
        ),
        (
            json!({"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "k"}]}}),
            "A 'Value' must be specified in 'QueryStringKeyValuePair'",
        ),
        (
            json!({"Field": "source-ip", "SourceIpConfig": {"Values": []}}),
            "A 'source-ip' value must be specified",
        ),
        (
            json!({"Field": "source-ip"}),
            "A 'SourceIpConfig' must be specified with 'source-ip'",
        ),
    ] {
        assert_eq!(refused(condition.clone()), text, "{condition}");
    }
    let missing = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/none/0123456789abcdef";
    let text = cloud.fails(
        "CreateRule",
        rule_input(&listener, 1, "/", missing),
        "TargetGroupNotFound",
    );
    assert_eq!(text, format!("Target groups '{missing}' not found"));
    let text = cloud.fails("CreateRule", rule_input(&listener, 1, "/", "none"), "ValidationError");
    assert_eq!(text, "'none' is not a valid target group ARN");
    let text = cloud.fails("DescribeRules", json!({"ListenerArn": group}), "ValidationError");
    assert_eq!(text, format!("'{group}' is not a valid listener ARN"));
    let mut tcp = listener_input(&balancer, 81, &group);
    tcp["Protocol"] = json!("TCP");
    let text = cloud.fails("CreateListener", tcp, "ValidationError");
    assert_eq!(text, "Listener protocol 'TCP' must be one of 'HTTPS, HTTP'");
    let text = cloud.fails(
        "CreateTargetGroup",
        json!({"Name": "x".repeat(33), "Protocol": "HTTP", "Port": 80, "TargetType": "ip"}),
        "ValidationError",
    );
    assert_eq!(
        text,
        format!(
            "Target group name '{}' cannot be longer than '32' characters",
            "x".repeat(33)
        )
    );
}

#[test]
fn tags_and_pages_and_policies() {
    let mut cloud = Cloud::new();
    let (balancer, group) = (cloud.balancer("web"), cloud.group("g"));
    cloud.ok(
        "AddTags",
        json!({"ResourceArns": [balancer, group], "Tags": [{"Key": "env", "Value": "prod"}]}),
    );
    cloud.ok("RemoveTags", json!({"ResourceArns": [group], "TagKeys": ["env"]}));
    let shown = cloud.ok("DescribeTags", json!({"ResourceArns": [balancer, group]}));
    assert_eq!(
        shown["TagDescriptions"][0]["Tags"],
        json!([{"Key": "env", "Value": "prod"}])
    );
    assert_eq!(shown["TagDescriptions"][1]["Tags"], json!([]));
    for name in ["b", "c", "d"] {
        cloud.balancer(name);
    }
    let first = cloud.ok("DescribeLoadBalancers", json!({"PageSize": 3}));
    assert_eq!(first["LoadBalancers"].as_array().unwrap().len(), 3);
    let rest = cloud.ok(
        "DescribeLoadBalancers",
        json!({"PageSize": 3, "Marker": first["NextMarker"]}),
    );
    assert_eq!(rest["LoadBalancers"].as_array().unwrap().len(), 1);
    assert!(rest.get("NextMarker").is_none());
    cloud.fails("DescribeSSLPolicies", json!({"Names": ["nope"]}), "SSLPolicyNotFound");
    let limits = cloud.ok("DescribeAccountLimits", json!({}));
    assert!(
        limits["Limits"]
            .as_array()
            .unwrap()
            .iter()
            .any(|limit| limit["Name"] == "target-groups")
    );
}

// Ref: Service Authorization Reference, "Condition keys for Elastic Load Balancing V2".
#[test]
fn condition_keys_are_those_of_the_reference() {
    let cloud = Cloud::new();
    let has = |name: &str, input: Value, key: &str, values: &[&str]| {
        let operation = honmaru_elbv2::operations()
            .into_iter()
            .find(|o| o.name == name)
            .unwrap();
        let asked = (operation.access)(&cloud.state, &cloud.caller(), &input);
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let key = format!("elasticloadbalancing:{key}");
        assert!(
            asked[0].context.contains(&(key, values)),
            "{name} {input}: {:?}",
            asked[0]
        );
    };
    let input =
        json!({"Name": "a", "Subnets": ["s1"], "SubnetMappings": [{"SubnetId": "s2"}], "SecurityGroups": ["g1", "g2"]});
    has("CreateLoadBalancer", input.clone(), "Scheme", &["internet-facing"]);
    has("CreateLoadBalancer", input.clone(), "Subnet", &["s1", "s2"]);
    has("CreateLoadBalancer", input, "SecurityGroup", &["g1", "g2"]);
    has(
        "CreateLoadBalancer",
        json!({"Name": "a", "Scheme": "internal"}),
        "Scheme",
        &["internal"],
    );
    has(
        "SetSubnets",
        json!({"LoadBalancerArn": "x", "Subnets": ["s1"]}),
        "Subnet",
        &["s1"],
    );
    let groups = json!({"LoadBalancerArn": "x", "SecurityGroups": ["g1"]});
    has("SetSecurityGroups", groups, "SecurityGroup", &["g1"]);
    let listener =
        json!({"LoadBalancerArn": "x", "Protocol": "HTTPS", "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06"});
    has("CreateListener", listener.clone(), "ListenerProtocol", &["HTTPS"]);
    has(
        "ModifyListener",
        listener,
        "SecurityPolicy",
        &["ELBSecurityPolicy-TLS13-1-2-2021-06"],
    );
}

#[test]
fn instances_are_nowhere_registered() {
    let mut cloud = Cloud::new();
    let input = json!({"Name": "i", "Protocol": "HTTP", "Port": 80, "VpcId": cloud.vpc, "TargetType": "instance"});
    let group = cloud.ok("CreateTargetGroup", input)["TargetGroups"][0]["TargetGroupArn"].clone();
    let asked = json!({"TargetGroupArn": group, "Targets": [{"Id": "i-12345678901234567"}]});
    let told = cloud.ok("DescribeTargetHealth", asked);
    assert_eq!(
        told["TargetHealthDescriptions"],
        json!([{
            "Target": {"Id": "i-12345678901234567", "Port": 80},
            "HealthCheckPort": "80",
            "TargetHealth": {
                "State": "unused",
                "Reason": "Target.NotRegistered",
                "Description": "Target is not registered to the target group",
            },
        }])
    );
}

#[test]
fn stickiness_that_a_protocol_has_not_got() {
    let mut cloud = Cloud::new();
    for (protocol, kind, text) in [
        (
            "TCP",
            "lb_cookie",
            "Stickiness type 'lb_cookie' is not supported for target groups with the TCP protocol",
        ),
        (
            "TLS",
            "source_ip",
            "You cannot enable stickiness on target groups with the TLS protocol",
        ),
    ] {
        let input = json!({"Name": protocol, "Protocol": protocol, "Port": 80, "VpcId": cloud.vpc, "TargetType": "ip"});
        let group = cloud.ok("CreateTargetGroup", input)["TargetGroups"][0]["TargetGroupArn"].clone();
        let attributes = json!([
            {"Key": "stickiness.enabled", "Value": "true"}, {"Key": "stickiness.type", "Value": kind},
        ]);
        let input = json!({"TargetGroupArn": group, "Attributes": attributes});
        let told = cloud.fails("ModifyTargetGroupAttributes", input, "InvalidConfigurationRequest");
        assert_eq!(told, text);
    }
}
