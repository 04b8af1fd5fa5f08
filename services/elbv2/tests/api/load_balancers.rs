//! Load balancers and their attributes.

use crate::support::*;
use serde_json::{Value, json};

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

// Ref: the acceptance tests of Terraform's AWS provider for a Network Load Balancer's security groups.
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
    assert_eq!(shown(&mut cloud, &guarded), Value::Null, "nothing was said");
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
    let algorithm = |name| ("load_balancing.algorithm.type", name);
    for (changes, text) in [
        (
            [
                ("slow_start.duration_seconds", "30"),
                algorithm("least_outstanding_requests"),
            ],
            "You cannot enable both slow start and least outstanding requests algorithm on a target group",
        ),
        (
            [("slow_start.duration_seconds", "30"), algorithm("weighted_random")],
            "You cannot enable both slow start and weighted random algorithm on a target group",
        ),
        (
            [("stickiness.enabled", "true"), algorithm("weighted_random")],
            "You cannot have both stickiness and weighted random algorithm enabled on the same target group.",
        ),
    ] {
        let refused = cloud.fails(
            "ModifyTargetGroupAttributes",
            set(&changes),
            "InvalidConfigurationRequest",
        );
        assert_eq!(refused, text);
    }
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
