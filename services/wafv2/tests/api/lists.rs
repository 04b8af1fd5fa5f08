//! Pages and tags.

use crate::support::*;
use serde_json::json;

#[test]
fn lists_come_in_pages_and_tags_can_be_changed() {
    let mut cloud = Cloud::new();
    for name in ["a", "b", "c"] {
        cloud.create_ip_set(name, json!([]));
    }
    let first = cloud.ok("ListIPSets", json!({"Scope": "REGIONAL", "Limit": 2}));
    assert_eq!(first["IPSets"].as_array().map(Vec::len), Some(2));
    let second = cloud.ok(
        "ListIPSets",
        json!({"Scope": "REGIONAL", "Limit": 2, "NextMarker": first["NextMarker"]}),
    );
    assert_eq!(second["IPSets"].as_array().map(Vec::len), Some(1));
    assert!(second.get("NextMarker").is_none());
    let arn = second["IPSets"][0]["ARN"].clone();
    let tags = json!([{"Key": "team", "Value": "web"}, {"Key": "env", "Value": "prod"}]);
    cloud.ok("TagResource", json!({"ResourceARN": arn, "Tags": tags}));
    cloud.ok("UntagResource", json!({"ResourceARN": arn, "TagKeys": ["env"]}));
    let listed = cloud.ok("ListTagsForResource", json!({"ResourceARN": arn}));
    assert_eq!(
        listed["TagInfoForResource"]["TagList"],
        json!([{"Key": "team", "Value": "web"}])
    );
    let reserved = json!({"ResourceARN": arn, "Tags": [{"Key": "aws:x", "Value": "1"}]});
    assert_eq!(
        cloud.error("TagResource", reserved).code,
        "WAFInvalidParameterException"
    );
    let unknown = json!({"ResourceARN": "arn:aws:wafv2:us-east-1:000000000000:regional/ipset/x/y"});
    assert_eq!(
        cloud.error("ListTagsForResource", unknown).code,
        "WAFNonexistentItemException"
    );
}
