//! Web ACLs: their life, their names, and rules that cannot be.

use crate::support::*;
use serde_json::{Value, json};

#[test]
fn a_web_acl_is_made_shown_changed_and_deleted() {
    let mut cloud = Cloud::new();
    let made = cloud.create_acl("shop", json!([rule("r", 0, regex("^/a"))]));
    let id = made["Id"].as_str().expect("an id").to_owned();
    assert_eq!(
        made["ARN"],
        format!("arn:aws:wafv2:us-east-1:000000000000:regional/webacl/shop/{id}")
    );
    let got = cloud.ok("GetWebACL", names(&made));
    assert_eq!(got["WebACL"]["Capacity"], 3);
    assert_eq!(got["WebACL"]["LabelNamespace"], "awswaf:000000000000:webacl:shop:");
    assert_eq!(got["WebACL"]["Rules"][0]["Name"], "r");
    assert_eq!(got["LockToken"], made["LockToken"]);
    assert_eq!(cloud.ok("GetWebACL", json!({"ARN": made["ARN"]})), got);
    let mut update = acl("shop", json!([]));
    update["Id"] = made["Id"].clone();
    update["LockToken"] = made["LockToken"].clone();
    let token = cloud.ok("UpdateWebACL", update.clone())["NextLockToken"].clone();
    assert_ne!(token, made["LockToken"]);
    assert_eq!(cloud.error("UpdateWebACL", update).code, "WAFOptimisticLockException");
    assert_eq!(
        cloud.error("DeleteWebACL", names(&made)).code,
        "WAFOptimisticLockException"
    );
    let mut current = names(&made);
    current["LockToken"] = token;
    cloud.ok("DeleteWebACL", current.clone());
    assert_eq!(cloud.error("DeleteWebACL", current).code, "WAFNonexistentItemException");
    assert_eq!(
        cloud.ok("ListWebACLs", json!({"Scope": "REGIONAL"})),
        json!({"WebACLs": []})
    );
}

#[test]
fn names_are_unique_in_their_scope_and_cloudfront_lives_in_us_east_1() {
    let mut cloud = Cloud::new();
    cloud.create_acl("shop", json!([]));
    let error = cloud.error("CreateWebACL", acl("shop", json!([])));
    assert_eq!(error.code, "WAFDuplicateItemException");
    let mut global = acl("shop", json!([]));
    global["Scope"] = "CLOUDFRONT".into();
    let arn = cloud.ok("CreateWebACL", global.clone())["Summary"]["ARN"].clone();
    assert!(
        arn.as_str()
            .is_some_and(|arn| arn.starts_with("arn:aws:wafv2:us-east-1:000000000000:global/webacl/shop/"))
    );
    assert_eq!(
        cloud.ok("ListWebACLs", json!({"Scope": "CLOUDFRONT"}))["WebACLs"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(
        cloud.ok("ListWebACLs", json!({"Scope": "REGIONAL"}))["WebACLs"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let error = Cloud::in_region("eu-central-1").error("CreateWebACL", global);
    assert_eq!(error.code, "WAFInvalidParameterException");
    assert_eq!(
        error.message,
        "Error reason: The scope is not valid., field: SCOPE_VALUE, parameter: CLOUDFRONT"
    );
    assert_eq!(error.fields["Field"], "SCOPE_VALUE");
}

#[test]
fn rules_that_do_not_compile_are_refused() {
    let mut cloud = Cloud::new();
    let mut refused = |rules: Value| {
        let error = cloud.error("CreateWebACL", acl("shop", rules));
        (
            error.code,
            error
                .fields
                .get("Field")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let invalid = |field: &str| ("WAFInvalidParameterException".to_owned(), field.to_owned());
    assert_eq!(
        refused(json!([rule("r", 0, regex("a("))])),
        invalid("REGEX_PATTERN_REFERENCE_STATEMENT")
    );
    assert_eq!(refused(json!([rule("r", 0, json!({}))])), invalid("STATEMENT"));
    assert_eq!(
        refused(json!([rule("a", 0, regex("a")), rule("b", 0, regex("b"))])),
        invalid("RULE")
    );
    let missing = json!("arn:aws:wafv2:us-east-1:000000000000:regional/ipset/x/y");
    assert_eq!(
        refused(json!([rule("r", 0, ip(&missing))])).0,
        "WAFNonexistentItemException"
    );
    let geo = json!({"GeoMatchStatement": {"CountryCodes": ["DE"]}});
    assert_eq!(refused(json!([rule("r", 0, geo)])).0, "WAFInvalidOperationException");
    let bots = json!([{"Name": "m", "Priority": 0, "OverrideAction": {"None": {}}, "VisibilityConfig": visibility("m"),
        "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesBotControlRuleSet"}}}]);
    assert_eq!(refused(bots).0, "WAFNonexistentItemException");
    let mut protected = acl("shop", json!([]));
    protected["DataProtectionConfig"] = json!({"DataProtections": []});
    assert_eq!(
        cloud.error("CreateWebACL", protected).code,
        "WAFInvalidOperationException"
    );
}
