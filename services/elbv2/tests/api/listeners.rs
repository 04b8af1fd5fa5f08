//! Listeners, rules and their conditions.

use crate::support::*;
use serde_json::{Value, json};

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
            "InvalidLoadBalancerAction",
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
            "A rule can only have '5' condition values and regex values",
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
            "Condition value for 'host-header' cannot contain more than 128 characters",
        ),
        (
            json!({"Field": "host-header"}),
            "For conditions of type 'host-header', you must specify the following fields: 'Values or RegexValues or \
             HostHeaderConfig'",
        ),
        (
            json!({"Field": "path-pattern", "PathPatternConfig": {"Values": []}}),
            "You must provide exactly one of the following: ['Values' 'RegexValues'] for config of type 'PathPatternConfig'",
        ),
        (
            json!({"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "x".repeat(41), "Values": ["y"]}}),
            "Condition value for 'http-header' cannot contain more than 40 characters",
        ),
        (
            json!({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["get"]}}),
            "Condition value 'get' contains a character that is not valid",
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
    assert_eq!(text, "Listener protocol 'TCP' must be one of 'HTTP, HTTPS'");
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
