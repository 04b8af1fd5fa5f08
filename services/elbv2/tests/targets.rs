//! Goal: targets register, are seen, drain and go; the edge's configuration follows.
//! Method: operations and machine functions under virtual time; the configuration against a golden file.

mod support;

use honmaru_contract::edge::{Applied, EdgeConfig, TargetHealth};
use serde_json::json;
use support::*;

fn seen(group: &str, address: &str, state: &str, reason: Option<&str>) -> TargetHealth {
    TargetHealth {
        target_group: group.to_owned(),
        address: address.parse().unwrap(),
        port: 80,
        state: state.to_owned(),
        reason: reason.map(str::to_owned),
        description: None,
    }
}

fn health(cloud: &mut Cloud, group: &str) -> Vec<(String, String)> {
    let shown = cloud.ok("DescribeTargetHealth", json!({"TargetGroupArn": group}));
    let rows = shown["TargetHealthDescriptions"].as_array().unwrap().clone();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("").to_owned();
    rows.iter()
        .map(|row| {
            (
                text(&row["TargetHealth"]["State"]),
                text(&row["TargetHealth"]["Reason"]),
            )
        })
        .collect()
}

#[test]
fn a_target_lives_drains_and_goes() {
    let mut cloud = Cloud::new();
    let (balancer, group) = (cloud.balancer("web"), cloud.group("g"));
    let register = json!({"TargetGroupArn": group, "Targets": [{"Id": "172.31.0.10"}]});
    cloud.ok("RegisterTargets", register.clone());
    assert_eq!(
        health(&mut cloud, &group),
        [("unused".into(), "Target.NotInUse".into())]
    );
    let listener = cloud.listener(&balancer, 80, &group);
    assert_eq!(
        health(&mut cloud, &group),
        [("initial".into(), "Elb.RegistrationInProgress".into())]
    );
    let row = seen(&group, "172.31.0.10", "healthy", None);
    cloud.observe(|tx| honmaru_elbv2::observe_health(tx, &[row]));
    assert_eq!(health(&mut cloud, &group), [("healthy".into(), String::new())]);
    let stranger = seen(&group, "172.31.0.99", "healthy", None);
    cloud.observe(|tx| honmaru_elbv2::observe_health(tx, &[stranger]));
    assert_eq!(
        health(&mut cloud, &group).len(),
        1,
        "a target that is not registered is passed over"
    );

    cloud.ok(
        "DeregisterTargets",
        json!({"TargetGroupArn": group, "Targets": [{"Id": "172.31.0.10"}]}),
    );
    assert_eq!(
        health(&mut cloud, &group),
        [("draining".into(), "Target.DeregistrationInProgress".into())]
    );
    assert_eq!(
        cloud.reconcile(),
        Some(cloud.now.plus_s(300)),
        "it looks again when the delay is over"
    );
    cloud.now = cloud.now.plus_s(299);
    cloud.reconcile();
    assert_eq!(health(&mut cloud, &group).len(), 1);
    // Taken back before the end, it is a new target.
    cloud.ok("RegisterTargets", register);
    assert_eq!(
        health(&mut cloud, &group),
        [("initial".into(), "Elb.RegistrationInProgress".into())]
    );
    cloud.ok(
        "DeregisterTargets",
        json!({"TargetGroupArn": group, "Targets": [{"Id": "172.31.0.10", "Port": 80}]}),
    );
    cloud.now = cloud.now.plus_s(300);
    assert_eq!(cloud.reconcile(), None);
    assert_eq!(health(&mut cloud, &group), []);
    let asked = cloud.ok(
        "DescribeTargetHealth",
        json!({"TargetGroupArn": group, "Targets": [{"Id": "172.31.0.10"}]}),
    );
    assert_eq!(
        asked["TargetHealthDescriptions"][0]["TargetHealth"]["Reason"],
        "Target.NotRegistered"
    );

    for (id, code) in [
        ("8.8.8.8", "ValidationError"),
        ("i-0123", "ValidationError"),
        ("127.0.0.1", "ValidationError"),
    ] {
        cloud.fails(
            "RegisterTargets",
            json!({"TargetGroupArn": group, "Targets": [{"Id": id}]}),
            code,
        );
    }
    cloud.fails(
        "RegisterTargets",
        json!({"TargetGroupArn": group.replace("/g/", "/x/"), "Targets": [{"Id": "10.0.0.1"}]}),
        "TargetGroupNotFound",
    );
    let failed = Applied {
        generation: 1,
        failed: vec![(listener.clone(), "address in use".into())],
    };
    cloud.observe(|tx| honmaru_elbv2::observe_applied(tx, &failed));
    let shown = cloud.ok("DescribeLoadBalancers", json!({}));
    assert_eq!(
        shown["LoadBalancers"][0]["State"],
        json!({"Code": "active_impaired", "Reason": "address in use"})
    );
    let cured = Applied {
        generation: 2,
        failed: Vec::new(),
    };
    cloud.observe(|tx| honmaru_elbv2::observe_applied(tx, &cured));
    let shown = cloud.ok("DescribeLoadBalancers", json!({}));
    assert_eq!(shown["LoadBalancers"][0]["State"], json!({"Code": "active"}));
}

#[test]
fn what_the_edge_does_not_name_is_forgotten() {
    let mut cloud = Cloud::new();
    let (balancer, group) = (cloud.balancer("web"), cloud.group("g"));
    cloud.listener(&balancer, 80, &group);
    cloud.ok(
        "RegisterTargets",
        json!({"TargetGroupArn": group, "Targets": [{"Id": "10.0.0.1"}, {"Id": "10.0.0.2"}]}),
    );
    let both = [
        seen(&group, "10.0.0.1", "healthy", None),
        seen(&group, "10.0.0.2", "healthy", None),
    ];
    cloud.observe(|tx| honmaru_elbv2::observe_all_health(tx, &both));
    cloud.observe(|tx| honmaru_elbv2::observe_all_health(tx, &both[..1]));
    let states: Vec<String> = health(&mut cloud, &group).into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, ["healthy", "initial"]);
}

#[test]
fn the_edges_configuration() {
    let mut cloud = Cloud::new();
    let (balancer, group) = (cloud.balancer("web"), cloud.group("g"));
    let listener = cloud.listener(&balancer, 80, &group);
    cloud.ok("CreateRule", rule_input(&listener, 20, "/b/*", &group));
    let redirect = json!({
        "ListenerArn": listener, "Priority": 10,
        "Conditions": [{"Field": "host-header", "Values": ["old.example.com"]}],
        "Actions": [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Host": "new.example.com"}}],
    });
    cloud.ok("CreateRule", redirect);
    cloud.ok(
        "RegisterTargets",
        json!({"TargetGroupArn": group, "Targets": [{"Id": "172.31.0.10", "Port": 8080}]}),
    );
    let part = honmaru_elbv2::edge_config(&cloud.state);
    let config = EdgeConfig {
        generation: 1,
        load_balancers: part.load_balancers,
        target_groups: part.target_groups,
        ..EdgeConfig::default()
    };
    let text = serde_json::to_string_pretty(&config).unwrap() + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/edge_config.json");
    if std::env::var_os("HONMARU_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert!(
        text == golden,
        "the configuration changed; if that is right, run again with HONMARU_BLESS=1\n{text}"
    );
    let back: EdgeConfig = serde_json::from_str(&text).unwrap();
    assert_eq!(back, config);
}
