//! IP sets and sets of patterns, and what refers to them.

use crate::support::*;
use serde_json::json;

#[test]
fn ip_sets_take_ranges_of_their_version() {
    let mut cloud = Cloud::new();
    let set = cloud.create_ip_set("office", json!(["192.0.2.0/24", "198.51.100.7/32"]));
    let got = cloud.ok("GetIPSet", names(&set));
    assert_eq!(got["IPSet"]["Addresses"], json!(["192.0.2.0/24", "198.51.100.7/32"]));
    for (version, address) in [
        ("IPV4", "192.0.2.0/33"),
        ("IPV4", "192.0.2.1"),
        ("IPV4", "0.0.0.0/0"),
        ("IPV4", "2001:db8::/32"),
        ("IPV6", "192.0.2.0/24"),
        ("IPV4", "nonsense"),
    ] {
        let input = json!({"Name": "x", "Scope": "REGIONAL", "IPAddressVersion": version, "Addresses": [address]});
        let error = cloud.error("CreateIPSet", input);
        let message = format!(
            "Error reason: The parameter contains formatting that is not valid., field: IP_ADDRESS, parameter: {address}"
        );
        assert_eq!(
            (error.code.as_str(), error.message),
            ("WAFInvalidParameterException", message)
        );
    }
    let mut update = names(&set);
    update["Addresses"] = json!(["203.0.113.0/24"]);
    cloud.ok("UpdateIPSet", update.clone());
    assert_eq!(cloud.error("UpdateIPSet", update).code, "WAFOptimisticLockException");
    assert_eq!(
        cloud.ok("GetIPSet", names(&set))["IPSet"]["Addresses"],
        json!(["203.0.113.0/24"])
    );
}

#[test]
fn what_is_referred_to_cannot_be_deleted() {
    let mut cloud = Cloud::new();
    let set = cloud.create_ip_set("office", json!(["192.0.2.0/24"]));
    let acl = cloud.create_acl(
        "shop",
        json!([rule("r", 0, json!({"NotStatement": {"Statement": ip(&set["ARN"])}}))]),
    );
    assert_eq!(
        cloud.error("DeleteIPSet", names(&set)).code,
        "WAFAssociatedItemException"
    );
    cloud.ok("DeleteWebACL", names(&acl));
    cloud.ok("DeleteIPSet", names(&set));
}

#[test]
fn pattern_sets_hold_patterns_that_compile() {
    let mut cloud = Cloud::new();
    let input = |pattern: &str| json!({"Name": "paths", "Scope": "REGIONAL", "RegularExpressionList": [{"RegexString": "^/a"}, {"RegexString": pattern}]});
    let error = cloud.error("CreateRegexPatternSet", input("(?=look)"));
    assert_eq!(error.code, "WAFInvalidParameterException");
    assert!(error.message.contains("look-around"), "{}", error.message);
    let set = cloud.ok("CreateRegexPatternSet", input("b$"))["Summary"].clone();
    let got = cloud.ok("GetRegexPatternSet", names(&set));
    assert_eq!(
        got["RegexPatternSet"]["RegularExpressionList"][1],
        json!({"RegexString": "b$"})
    );
    let mut eleven = input("x");
    eleven["RegularExpressionList"] = (0..11).map(|at| json!({"RegexString": format!("a{at}")})).collect();
    assert_eq!(
        cloud.error("CreateRegexPatternSet", eleven).code,
        "WAFLimitsExceededException"
    );
}
