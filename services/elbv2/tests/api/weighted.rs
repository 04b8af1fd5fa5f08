//! Actions over several target groups: of Network Load Balancers, and beside groups that keep clients on a target.

use crate::support::*;
use serde_json::{Value, json};

fn made(cloud: &mut Cloud, name: &str, protocol: &str) -> String {
    let input = json!({"Name": name, "Protocol": protocol, "Port": 80, "VpcId": cloud.vpc, "TargetType": "ip"});
    let made = cloud.ok("CreateTargetGroup", input);
    made["TargetGroups"][0]["TargetGroupArn"].as_str().unwrap().to_owned()
}

fn network(cloud: &mut Cloud) -> String {
    let input = json!({"Name": "net", "Type": "network", "Subnets": &cloud.subnets[..1]});
    let made = cloud.ok("CreateLoadBalancer", input);
    made["LoadBalancers"][0]["LoadBalancerArn"].as_str().unwrap().to_owned()
}

fn forward(groups: &[(&String, i32)], stickiness: Value) -> Value {
    let groups: Vec<Value> = groups
        .iter()
        .map(|(arn, weight)| json!({"TargetGroupArn": arn, "Weight": weight}))
        .collect();
    let mut config = json!({"TargetGroups": groups});
    if !stickiness.is_null() {
        config["TargetGroupStickinessConfig"] = stickiness;
    }
    json!([{"Type": "forward", "ForwardConfig": config}])
}

fn tcp(balancer: &str, port: u16, actions: Value) -> Value {
    json!({"LoadBalancerArn": balancer, "Protocol": "TCP", "Port": port, "DefaultActions": actions})
}

#[test]
fn of_a_network_load_balancer() {
    let mut cloud = Cloud::new();
    let balancer = network(&mut cloud);
    let (a, b) = (made(&mut cloud, "a", "TCP"), made(&mut cloud, "b", "TCP"));
    let listener = cloud.ok(
        "CreateListener",
        tcp(&balancer, 80, forward(&[(&a, 10), (&b, 20)], json!(null))),
    )["Listeners"][0]
        .clone();
    let told = json!([{"Type": "forward", "ForwardConfig": {
        "TargetGroups": [{"TargetGroupArn": a, "Weight": 10}, {"TargetGroupArn": b, "Weight": 20}],
        "TargetGroupStickinessConfig": {"Enabled": false},
    }}]);
    assert_eq!(listener["DefaultActions"], told);
    let arn = listener["ListenerArn"].clone();
    let rules = cloud.ok("DescribeRules", json!({"ListenerArn": arn}));
    assert_eq!(rules["Rules"][0]["Actions"], told);
    let users = cloud.ok("DescribeTargetGroups", json!({"LoadBalancerArn": balancer}));
    assert_eq!(users["TargetGroups"].as_array().unwrap().len(), 2);

    // What the edge is told.
    let part = honmaru_elbv2::edge_config(&cloud.state);
    let rules = &part.load_balancers[&balancer].listeners[0].rules;
    let sent = honmaru_contract::edge::Action::Forward {
        groups: vec![(a.clone(), 10), (b.clone(), 20)],
        stickiness_s: None,
    };
    assert_eq!(rules[0].actions, [sent]);

    let sticky = forward(&[(&a, 0), (&b, 1)], json!({"Enabled": true}));
    let changed = cloud.ok("ModifyListener", json!({"ListenerArn": arn, "DefaultActions": sticky}));
    let config = &changed["Listeners"][0]["DefaultActions"][0]["ForwardConfig"];
    assert_eq!(config["TargetGroupStickinessConfig"], json!({"Enabled": true}));
    let part = honmaru_elbv2::edge_config(&cloud.state);
    let action = &part.load_balancers[&balancer].listeners[0].rules[0].actions[0];
    assert!(
        matches!(
            action,
            honmaru_contract::edge::Action::Forward {
                stickiness_s: Some(_),
                ..
            }
        ),
        "{action:?}"
    );
}

#[test]
fn what_a_network_load_balancer_does_not_take() {
    let mut cloud = Cloud::new();
    let balancer = network(&mut cloud);
    let names = ["a", "b", "c", "d", "e", "f"];
    let groups: Vec<String> = names.iter().map(|name| made(&mut cloud, name, "TCP")).collect();
    let all: Vec<(&String, i32)> = groups.iter().map(|group| (group, 1)).collect();
    cloud.ok("CreateListener", tcp(&balancer, 80, forward(&all[..5], json!(null))));
    let each = "The weight for each target group must be between 0 and 999, inclusive";
    let without = json!([{"Type": "forward", "ForwardConfig": {
        "TargetGroups": [{"TargetGroupArn": groups[0]}, {"TargetGroupArn": groups[1]}],
    }}]);
    for (actions, code, text) in [
        (
            forward(&all, json!(null)),
            "TooManyUniqueTargetGroupsPerLoadBalancer",
            "You cannot specify more than 5 target groups per action",
        ),
        (
            forward(&[(&groups[0], 1_000), all[1]], json!(null)),
            "ValidationError",
            each,
        ),
        (without, "ValidationError", each),
        (
            forward(&[all[0], all[0]], json!(null)),
            "ValidationError",
            "A target group can only be specified once in a forward action",
        ),
        (
            forward(&all[..2], json!({"Enabled": true, "DurationSeconds": 60})),
            "ValidationError",
            "Target group stickiness duration cannot be configured on load balancers of type 'network'",
        ),
    ] {
        let said = cloud.fails("CreateListener", tcp(&balancer, 81, actions.clone()), code);
        assert_eq!(said, text, "{actions}");
    }

    // The same of a TLS listener, which keeps no clients and does not mix protocols.
    let certificate = crate::certificates::some(&mut cloud);
    let secure = made(&mut cloud, "s", "TLS");
    let tls = |actions: Value| {
        json!({"LoadBalancerArn": balancer, "Protocol": "TLS", "Port": 443, "DefaultActions": actions,
               "Certificates": [{"CertificateArn": certificate}]})
    };
    let said = cloud.fails(
        "CreateListener",
        tls(forward(&[all[0], (&secure, 1)], json!(null))),
        "IncompatibleProtocols",
    );
    assert_eq!(
        said,
        format!("The listener and the following target groups have incompatible protocols: {secure}")
    );
    let said = cloud.fails(
        "CreateListener",
        tls(forward(&all[..2], json!({"Enabled": true}))),
        "ValidationError",
    );
    assert_eq!(said, "Target group stickiness is not supported for TLS listeners");
    cloud.ok("CreateListener", tls(forward(&all[..2], json!(null))));
}

/// Seen: kubernetes-sigs/aws-load-balancer-controller issue 2734.
#[test]
fn beside_groups_that_keep_clients() {
    let mut cloud = Cloud::new();
    let balancer = cloud.balancer("web");
    let (a, b) = (cloud.group("a"), cloud.group("b"));
    let stick = |value: &str| json!([{"Key": "stickiness.enabled", "Value": value}]);
    let http = |port: u16, actions: Value| json!({"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": port, "DefaultActions": actions});
    let both = [(&a, 1), (&b, 0)];
    let listener = cloud.ok("CreateListener", http(80, forward(&both, json!(null))))["Listeners"][0].clone();
    let arn = listener["ListenerArn"].as_str().unwrap();
    let rules = cloud.ok("DescribeRules", json!({"ListenerArn": arn}));
    let rule = rules["Rules"][0]["RuleArn"].as_str().unwrap();
    let input = json!({"TargetGroupArn": b, "Attributes": stick("true")});
    assert_eq!(
        cloud.fails(
            "ModifyTargetGroupAttributes",
            input.clone(),
            "InvalidConfigurationRequest"
        ),
        format!(
            "This target group appears behind a rule with group stickiness disabled ({rule}). You must enable group \
             stickiness before enabling target stickiness"
        )
    );
    let sticky = json!({"Enabled": true, "DurationSeconds": 60});
    cloud.ok(
        "ModifyListener",
        json!({"ListenerArn": arn, "DefaultActions": forward(&both, sticky.clone())}),
    );
    cloud.ok("ModifyTargetGroupAttributes", input);
    let text =
        "You must enable group stickiness on a rule if you enabled target stickiness on one of its target groups";
    for actions in [forward(&both, json!(null)), forward(&both, json!({"Enabled": false}))] {
        let input = json!({"ListenerArn": arn, "DefaultActions": actions});
        assert_eq!(
            cloud.fails("ModifyListener", input, "InvalidConfigurationRequest"),
            text
        );
        let mut input = rule_input(arn, 1, "/x", &a);
        input["Actions"] = actions;
        assert_eq!(cloud.fails("CreateRule", input, "InvalidConfigurationRequest"), text);
    }
    // One group alone needs none.
    cloud.ok("CreateListener", http(81, forward(&[(&b, 1)], json!(null))));
}

/// Ref: ALB guide, "Quotas": 100 target groups, each counted once.
#[test]
fn a_load_balancer_leads_to_a_hundred_groups() {
    let mut cloud = Cloud::new();
    let balancer = cloud.balancer("web");
    let groups: Vec<String> = (0..101).map(|number| cloud.group(&format!("g{number}"))).collect();
    let listener = cloud.listener(&balancer, 80, &groups[0]);
    for (number, five) in groups[..100].chunks(5).enumerate() {
        let all: Vec<(&String, i32)> = five.iter().map(|group| (group, 1)).collect();
        let mut input = rule_input(&listener, number as i32 + 1, "/x", &groups[0]);
        input["Actions"] = forward(&all, json!(null));
        cloud.ok("CreateRule", input);
    }
    let code = "TooManyUniqueTargetGroupsPerLoadBalancer";
    let text = "You have reached the maximum number of unique target groups that you can associate with a load balancer of \
                type 'application': [100]";
    let input = rule_input(&listener, 50, "/y", &groups[100]);
    assert_eq!(cloud.fails("CreateRule", input, code), text);
    assert_eq!(
        cloud.fails("CreateListener", listener_input(&balancer, 81, &groups[100]), code),
        text
    );
    // One that is there already, and one instead of another.
    cloud.ok("CreateListener", listener_input(&balancer, 81, &groups[1]));
    let rules = cloud.ok("DescribeRules", json!({"ListenerArn": listener}));
    let last = rules["Rules"][19]["RuleArn"].clone();
    let actions = forward(&[(&groups[100], 1), (&groups[99], 1)], json!(null));
    cloud.ok("ModifyRule", json!({"RuleArn": last, "Actions": actions}));
}
