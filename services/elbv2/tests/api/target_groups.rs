//! Target groups.

use crate::support::*;
use serde_json::{Value, json};

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
        (
            json!({"TargetType": "alb", "Protocol": "TCP"}),
            "InvalidConfigurationRequest",
        ),
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
