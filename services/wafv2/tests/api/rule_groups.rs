//! Rule groups, own and managed ones, and the capacity of rules.

use crate::support::*;
use serde_json::{Value, json};

#[test]
fn rule_groups_keep_their_capacity() {
    let mut cloud = Cloud::new();
    let rules = json!([rule("r", 0, regex("^/a"))]);
    let error = cloud.error("CreateRuleGroup", group("mine", 2, rules.clone()));
    assert_eq!(error.code, "WAFInvalidParameterException");
    assert!(
        error.message.starts_with(
            "Error reason: You exceeded the capacity limit for a rule group or web ACL., field: RULE_GROUP"
        ),
        "{}",
        error.message
    );
    assert_eq!(
        cloud.error("CreateRuleGroup", group("mine", 5_001, json!([]))).code,
        "WAFLimitsExceededException"
    );
    let made = cloud.ok("CreateRuleGroup", group("mine", 30, rules))["Summary"].clone();
    let reference = json!([{"Name": "ref", "Priority": 0, "OverrideAction": {"None": {}}, "VisibilityConfig": visibility("ref"),
        "Statement": {"RuleGroupReferenceStatement": {"ARN": made["ARN"],
            "RuleActionOverrides": [{"Name": "r", "ActionToUse": {"Count": {}}}]}}}]);
    let acl = cloud.create_acl("shop", reference);
    assert_eq!(
        cloud.ok("GetWebACL", names(&acl))["WebACL"]["Capacity"],
        30,
        "the declared capacity counts"
    );
    assert_eq!(
        cloud.error("DeleteRuleGroup", names(&made)).code,
        "WAFAssociatedItemException"
    );
    let mut update = group("mine", 0, json!([rule("renamed", 0, regex("^/a"))]));
    update["Id"] = made["Id"].clone();
    update["LockToken"] = made["LockToken"].clone();
    assert_eq!(
        cloud.error("UpdateRuleGroup", update.clone()).code,
        "WAFInvalidParameterException",
        "an override names `r`"
    );
    update["Rules"] = json!([rule("r", 0, regex("^/b"))]);
    cloud.ok("UpdateRuleGroup", update);
    let shown = cloud.ok("GetRuleGroup", names(&made))["RuleGroup"].clone();
    assert_eq!(
        (&shown["Capacity"], &shown["LabelNamespace"]),
        (&json!(30), &json!("awswaf:000000000000:rulegroup:mine:"))
    );
}

#[test]
fn capacity_follows_the_table() {
    let mut cloud = Cloud::new();
    let mut weigh = |statement: Value| {
        let input = json!({"Scope": "REGIONAL", "Rules": [rule("r", 0, statement)]});
        cloud.ok("CheckCapacity", input)["Capacity"].as_u64().unwrap_or(0)
    };
    let with = |statement: &str, field: Value, transformation: &str, more: Value| {
        let mut body = json!({"FieldToMatch": field, "TextTransformations": [{"Priority": 0, "Type": transformation}]});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        let mut all = json!({});
        all[statement] = body;
        all
    };
    let path = || json!({"UriPath": {}});
    let byte = |position: &str| json!({"PositionalConstraint": position, "SearchString": "YQ=="});
    let json_body = json!({"JsonBody": {"MatchPattern": {"All": {}}, "MatchScope": "ALL"}});
    assert_eq!(weigh(with("ByteMatchStatement", path(), "NONE", byte("EXACTLY"))), 2);
    assert_eq!(
        weigh(with("ByteMatchStatement", path(), "LOWERCASE", byte("CONTAINS"))),
        20
    );
    assert_eq!(
        weigh(with(
            "ByteMatchStatement",
            json!({"AllQueryArguments": {}}),
            "NONE",
            byte("CONTAINS")
        )),
        20
    );
    assert_eq!(weigh(with("SqliMatchStatement", json_body, "NONE", json!({}))), 40);
    assert_eq!(
        weigh(with(
            "SqliMatchStatement",
            path(),
            "NONE",
            json!({"SensitivityLevel": "HIGH"})
        )),
        30
    );
    assert_eq!(weigh(with("XssMatchStatement", path(), "NONE", json!({}))), 40);
    assert_eq!(
        weigh(with(
            "SizeConstraintStatement",
            path(),
            "NONE",
            json!({"ComparisonOperator": "GT", "Size": 1})
        )),
        1
    );
    assert_eq!(weigh(regex("a")), 3);
    assert_eq!(
        weigh(json!({"AndStatement": {"Statements": [regex("a"), {"NotStatement": {"Statement": regex("b")}}]}})),
        6
    );
    let scoped = json!({"Limit": 100, "AggregateKeyType": "IP", "ScopeDownStatement": regex("a")});
    assert_eq!(weigh(json!({"RateBasedStatement": scoped})), 5);
}

#[test]
fn managed_groups_are_those_that_the_firewall_has() {
    let mut cloud = Cloud::new();
    let listed = cloud.ok("ListAvailableManagedRuleGroups", json!({"Scope": "REGIONAL"}));
    let listed = listed["ManagedRuleGroups"].as_array().expect("groups").clone();
    assert_eq!(listed.len(), 9);
    let page = cloud.ok(
        "ListAvailableManagedRuleGroups",
        json!({"Scope": "REGIONAL", "Limit": 5}),
    );
    let rest = json!({"Scope": "REGIONAL", "Limit": 5, "NextMarker": page["NextMarker"]});
    let rest = cloud.ok("ListAvailableManagedRuleGroups", rest);
    assert_eq!(rest["ManagedRuleGroups"].as_array().map(Vec::len), Some(4));
    assert!(rest.get("NextMarker").is_none());
    for group in listed {
        let name = json!({"Scope": "REGIONAL", "VendorName": "AWS", "Name": group["Name"]});
        let described = cloud.ok("DescribeManagedRuleGroup", name.clone());
        assert!(described["Capacity"].as_u64().is_some_and(|capacity| capacity > 0));
        assert_eq!(
            described["Rules"].as_array().map(Vec::len),
            described["AvailableLabels"].as_array().map(Vec::len)
        );
        let versions = cloud.ok("ListAvailableManagedRuleGroupVersions", name);
        assert_eq!(versions["CurrentDefaultVersion"], described["VersionName"]);
    }
    let bots = json!({"Scope": "REGIONAL", "VendorName": "AWS", "Name": "AWSManagedRulesBotControlRuleSet"});
    assert_eq!(
        cloud.error("DescribeManagedRuleGroup", bots).code,
        "WAFNonexistentItemException"
    );
}
