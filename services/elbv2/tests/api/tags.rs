//! Tags, pages, policies, and the keys of conditions in IAM's policies.

use crate::support::*;
use serde_json::{Value, json};

#[test]
fn tags_and_pages_and_policies() {
    let mut cloud = Cloud::new();
    let (balancer, group) = (cloud.balancer("web"), cloud.group("g"));
    cloud.ok(
        "AddTags",
        json!({"ResourceArns": [balancer, group], "Tags": [{"Key": "env", "Value": "prod"}]}),
    );
    cloud.ok("RemoveTags", json!({"ResourceArns": [group], "TagKeys": ["env"]}));
    let shown = cloud.ok("DescribeTags", json!({"ResourceArns": [balancer, group]}));
    assert_eq!(
        shown["TagDescriptions"][0]["Tags"],
        json!([{"Key": "env", "Value": "prod"}])
    );
    assert_eq!(shown["TagDescriptions"][1]["Tags"], json!([]));
    for name in ["b", "c", "d"] {
        cloud.balancer(name);
    }
    let first = cloud.ok("DescribeLoadBalancers", json!({"PageSize": 3}));
    assert_eq!(first["LoadBalancers"].as_array().unwrap().len(), 3);
    let rest = cloud.ok(
        "DescribeLoadBalancers",
        json!({"PageSize": 3, "Marker": first["NextMarker"]}),
    );
    assert_eq!(rest["LoadBalancers"].as_array().unwrap().len(), 1);
    assert!(rest.get("NextMarker").is_none());
    cloud.fails("DescribeSSLPolicies", json!({"Names": ["nope"]}), "SSLPolicyNotFound");
    let limits = cloud.ok("DescribeAccountLimits", json!({}));
    assert!(
        limits["Limits"]
            .as_array()
            .unwrap()
            .iter()
            .any(|limit| limit["Name"] == "target-groups")
    );
}

// Ref: Service Authorization Reference, "Condition keys for Elastic Load Balancing V2".
#[test]
fn condition_keys_are_those_of_the_reference() {
    let cloud = Cloud::new();
    let has = |name: &str, input: Value, key: &str, values: &[&str]| {
        let operation = honmaru_elbv2::operations()
            .into_iter()
            .find(|o| o.name == name)
            .unwrap();
        let asked = (operation.access)(&cloud.state, &cloud.caller(), &input);
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let key = format!("elasticloadbalancing:{key}");
        assert!(
            asked[0].context.contains(&(key, values)),
            "{name} {input}: {:?}",
            asked[0]
        );
    };
    let input =
        json!({"Name": "a", "Subnets": ["s1"], "SubnetMappings": [{"SubnetId": "s2"}], "SecurityGroups": ["g1", "g2"]});
    has("CreateLoadBalancer", input.clone(), "Scheme", &["internet-facing"]);
    has("CreateLoadBalancer", input.clone(), "Subnet", &["s1", "s2"]);
    has("CreateLoadBalancer", input, "SecurityGroup", &["g1", "g2"]);
    has(
        "CreateLoadBalancer",
        json!({"Name": "a", "Scheme": "internal"}),
        "Scheme",
        &["internal"],
    );
    has(
        "SetSubnets",
        json!({"LoadBalancerArn": "x", "Subnets": ["s1"]}),
        "Subnet",
        &["s1"],
    );
    let groups = json!({"LoadBalancerArn": "x", "SecurityGroups": ["g1"]});
    has("SetSecurityGroups", groups, "SecurityGroup", &["g1"]);
    let listener =
        json!({"LoadBalancerArn": "x", "Protocol": "HTTPS", "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06"});
    has("CreateListener", listener.clone(), "ListenerProtocol", &["HTTPS"]);
    has(
        "ModifyListener",
        listener,
        "SecurityPolicy",
        &["ELBSecurityPolicy-TLS13-1-2-2021-06"],
    );
}
