//! What each operation needs. Ref: Service Authorization Reference, "Elastic Load Balancing V2".

use crate::names;
use honmaru_machine::{Access, Call};
use serde_json::Value;

/// Describe operations have no resource-level permissions.
pub(super) fn describe(action: &str) -> Vec<Access> {
    vec![Access::any(action)]
}

/// The resources that a change names, or the pattern of the one that it makes.
pub(super) fn change(action: &str, call: &Call, input: &Value) -> Vec<Access> {
    let text = |member: &str| input.get(member).and_then(Value::as_str).map(str::to_owned);
    let mut resources: Vec<String> = Vec::new();
    match action {
        "elasticloadbalancing:CreateLoadBalancer" => {
            let kind = if text("Type").as_deref() == Some("network") {
                "net"
            } else {
                "app"
            };
            let name = text("Name").unwrap_or_default();
            resources.push(names::arn(&call.scope, format!("loadbalancer/{kind}/{name}/*")));
        }
        "elasticloadbalancing:CreateTargetGroup" => {
            let name = text("Name").unwrap_or_default();
            resources.push(names::arn(&call.scope, format!("targetgroup/{name}/*")));
        }
        _ => {
            for member in ["LoadBalancerArn", "TargetGroupArn", "ListenerArn", "RuleArn"] {
                resources.extend(text(member));
            }
            let tagged = input
                .get("ResourceArns")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            resources.extend(tagged.filter_map(Value::as_str).map(str::to_owned));
            let rules = input
                .get("RulePriorities")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            resources.extend(
                rules
                    .filter_map(|pair| pair.get("RuleArn")?.as_str())
                    .map(str::to_owned),
            );
        }
    }
    if resources.is_empty() {
        resources.push("*".to_owned());
    }
    vec![Access::new(action, resources)]
}
