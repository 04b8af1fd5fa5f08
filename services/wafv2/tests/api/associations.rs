//! Which load balancer a web ACL protects, and for how long.

use crate::support::*;
use honmaru_firewall::Firewall;
use honmaru_machine::Tx;
use honmaru_wafv2::{edge_web_acls, web_acl_of};
use serde_json::{Value, json};

#[test]
fn a_web_acl_protects_a_load_balancer() {
    let mut cloud = Cloud::with_balancer();
    let set = cloud.create_ip_set("office", json!(["192.0.2.0/24"]));
    let acl = cloud.create_acl("shop", json!([rule("r", 0, ip(&set["ARN"]))]));
    let arn = acl["ARN"].as_str().expect("an ARN").to_owned();
    assert!(edge_web_acls(&cloud.state).is_empty());
    assert_eq!(
        cloud.ok("GetWebACLForResource", json!({"ResourceArn": BALANCER})),
        json!({})
    );
    cloud.ok("AssociateWebACL", json!({"WebACLArn": arn, "ResourceArn": BALANCER}));
    assert_eq!(web_acl_of(&cloud.state, &cloud.call.scope, BALANCER), Some(arn.clone()));
    assert_eq!(
        cloud.ok("GetWebACLForResource", json!({"ResourceArn": BALANCER}))["WebACL"]["Name"],
        "shop"
    );
    assert_eq!(
        cloud.ok("ListResourcesForWebACL", json!({"WebACLArn": arn})),
        json!({"ResourceArns": [BALANCER]})
    );
    let gateways = json!({"WebACLArn": arn, "ResourceType": "API_GATEWAY"});
    assert_eq!(
        cloud.ok("ListResourcesForWebACL", gateways),
        json!({"ResourceArns": []})
    );
    let served = edge_web_acls(&cloud.state);
    assert_eq!(
        served[&arn].ip_sets.values().next(),
        Some(&vec!["192.0.2.0/24".to_owned()])
    );
    assert!(Firewall::compile(&served[&arn]).is_ok());
    assert_eq!(
        cloud.error("DeleteWebACL", names(&acl)).code,
        "WAFAssociatedItemException"
    );
    assert!(!cloud.reconcile(), "nothing to do while the load balancer is there");
    cloud.ok("DisassociateWebACL", json!({"ResourceArn": BALANCER}));
    assert_eq!(web_acl_of(&cloud.state, &cloud.call.scope, BALANCER), None);
    cloud.ok("DeleteWebACL", names(&acl));
}

#[test]
fn only_load_balancers_that_exist_can_be_protected() {
    let mut cloud = Cloud::with_balancer();
    let acl = cloud.create_acl("shop", json!([]));
    let mut code = |web_acl: Value, resource: &str| {
        cloud
            .error(
                "AssociateWebACL",
                json!({"WebACLArn": web_acl, "ResourceArn": resource}),
            )
            .code
    };
    let other = BALANCER.replace("50dc", "60dc");
    assert_eq!(code(acl["ARN"].clone(), &other), "WAFNonexistentItemException");
    assert_eq!(code(acl["ARN"].clone(), "not-an-arn"), "WAFInvalidParameterException");
    let network = BALANCER.replace("/app/", "/net/");
    assert_eq!(code(acl["ARN"].clone(), &network), "WAFInvalidParameterException");
    let unknown = json!("arn:aws:wafv2:us-east-1:000000000000:regional/webacl/none/0");
    assert_eq!(code(unknown, BALANCER), "WAFNonexistentItemException");
}

#[test]
fn associations_end_with_their_load_balancer() {
    let mut cloud = Cloud::with_balancer();
    let acl = cloud.create_acl("shop", json!([]));
    cloud.ok(
        "AssociateWebACL",
        json!({"WebACLArn": acl["ARN"], "ResourceArn": BALANCER}),
    );
    let scope = cloud.call.scope.clone();
    let mut tx = Tx::new(&mut cloud.state, cloud.call.now, &mut cloud.rng);
    tx.delete::<honmaru_elbv2::LoadBalancer>(&scope, BALANCER);
    tx.commit();
    assert!(cloud.reconcile());
    assert!(!cloud.reconcile(), "the second look changes nothing");
    cloud.ok("DeleteWebACL", names(&acl));
}
