//! What calls ask permission for.

use crate::support::*;
use serde_json::{Value, json};

/// What a call asks permission for: the actions with their resources.
fn asked(cloud: &Cloud, name: &str, input: &Value) -> Vec<honmaru_machine::Access> {
    let operation = cloud.operations.iter().find(|operation| operation.name == name);
    (operation.expect("an operation").access)(&cloud.state, &cloud.call, input)
}

fn has(access: &honmaru_machine::Access, key: &str, value: &str) -> bool {
    access.context.contains(&(key.to_owned(), vec![value.to_owned()]))
}

// Ref: Service Authorization Reference, "Actions, resources, and condition keys for AWS WAF V2"; WAF developer guide,
// "Actions that require additional permissions settings".
#[test]
fn permissions_are_those_of_the_reference() {
    let mut cloud = Cloud::with_balancer();
    let visible = json!({"SampledRequestsEnabled": false, "CloudWatchMetricsEnabled": false, "MetricName": "m"});
    let tags = json!([{"Key": "team", "Value": "blue"}]);
    let input = json!({"Name": "acl", "Scope": "REGIONAL", "DefaultAction": {"Allow": {}}, "VisibilityConfig": visible, "Tags": tags});
    let create = asked(&cloud, "CreateWebACL", &input);
    assert!(has(&create[0], "aws:RequestTag/team", "blue") && has(&create[0], "aws:TagKeys", "team"));
    let acl = cloud.ok("CreateWebACL", input)["Summary"]["ARN"]
        .as_str()
        .expect("an ARN")
        .to_owned();
    let both = json!({"WebACLArn": acl, "ResourceArn": BALANCER});
    let names = |accesses: Vec<honmaru_machine::Access>| -> Vec<String> {
        let one = |access: honmaru_machine::Access| format!("{} {}", access.action, access.resources.join(" "));
        accesses.into_iter().map(one).collect()
    };
    let associate = asked(&cloud, "AssociateWebACL", &both);
    assert!(
        has(&associate[0], "aws:ResourceTag/team", "blue"),
        "the web ACL's own tags"
    );
    assert_eq!(
        names(associate),
        [
            format!("wafv2:AssociateWebACL {acl}"),
            format!("elasticloadbalancing:SetWebACL {BALANCER}")
        ]
    );
    cloud.ok("AssociateWebACL", both);
    let resource = json!({"ResourceArn": BALANCER});
    assert_eq!(
        names(asked(&cloud, "GetWebACLForResource", &resource)),
        [
            format!("wafv2:GetWebACLForResource {acl}"),
            format!("wafv2:GetWebACL {acl}")
        ]
    );
    assert_eq!(
        names(asked(&cloud, "DisassociateWebACL", &resource)),
        [
            format!("wafv2:DisassociateWebACL {BALANCER}"),
            format!("elasticloadbalancing:SetWebACL {BALANCER}")
        ]
    );
    let list = &asked(&cloud, "ListResourcesForWebACL", &json!({"WebACLArn": acl}))[0];
    assert!(has(list, "aws:ResourceTag/team", "blue"));
    let tag = &asked(
        &cloud,
        "TagResource",
        &json!({"ResourceARN": acl, "Tags": [{"Key": "a", "Value": "1"}]}),
    )[0];
    assert!(
        has(tag, "aws:RequestTag/a", "1") && has(tag, "aws:TagKeys", "a") && has(tag, "aws:ResourceTag/team", "blue")
    );
    let untag = &asked(&cloud, "UntagResource", &json!({"ResourceARN": acl, "TagKeys": ["a"]}))[0];
    assert!(has(untag, "aws:TagKeys", "a"));
}

#[test]
fn rules_ask_for_what_they_refer_to() {
    let cloud = Cloud::new();
    let set = "arn:aws:wafv2:us-east-1:000000000000:regional/ipset/s/1";
    let rules = json!([
        {"Name": "a", "Statement": {"NotStatement": {"Statement": {"IPSetReferenceStatement": {"ARN": set}}}}},
        {"Name": "b", "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}}},
    ]);
    let input = json!({"Name": "acl", "Scope": "REGIONAL", "Rules": rules});
    let asked = asked(&cloud, "CreateWebACL", &input);
    let resources: Vec<&String> = asked.iter().flat_map(|access| &access.resources).collect();
    assert!(asked.iter().all(|access| access.action == "wafv2:CreateWebACL"));
    assert_eq!(
        resources[1..],
        [set, "arn:aws:wafv2:us-east-1:000000000000:regional/managedruleset/*/*"]
    );
}
