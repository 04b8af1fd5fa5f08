//! What each operation needs. Ref: Service Authorization Reference, "Elastic Load Balancing V2".

use super::tags;
use crate::names;
use honmaru_machine::{Access, Call, State};
use serde_json::Value;

/// Describe operations have no resource-level permissions.
pub(super) fn describe(action: &str) -> Vec<Access> {
    vec![Access::any(action)]
}

/// The resources that a change names, or the pattern of the one that it makes.
pub(super) fn change(action: &str, state: &State, call: &Call, input: &Value) -> Vec<Access> {
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
    let made = created(action, call, input);
    let access = of_settings(Access::new(action, resources), action, input);
    let mut all = of_resources(state, call, of_request(access, input));
    let sets_tags = input
        .get("Tags")
        .and_then(Value::as_array)
        .is_some_and(|tags| !tags.is_empty());
    if let Some(made) = made.filter(|_| sets_tags) {
        let name = action.rsplit(':').next().unwrap_or(action).to_owned();
        let tagging = Access::new("elasticloadbalancing:AddTags", vec![made]);
        all.push(of_request(
            tagging.with("elasticloadbalancing:CreateAction", vec![name]),
            input,
        ));
    }
    all
}

/// The keys of what a call asks for. Ref: Service Authorization Reference, "Condition keys for Elastic Load Balancing V2".
fn of_settings(mut access: Access, action: &str, input: &Value) -> Access {
    let text = |member: &str| input.get(member).and_then(Value::as_str).map(str::to_owned);
    let list = |member: &str| input.get(member).and_then(Value::as_array).into_iter().flatten();
    let name = action.rsplit(':').next().unwrap_or(action);
    if name == "CreateLoadBalancer" {
        // Ref: CreateLoadBalancer, Scheme: the default is an internet-facing load balancer.
        let scheme = text("Scheme").unwrap_or_else(|| "internet-facing".to_owned());
        access = access.with("elasticloadbalancing:Scheme", vec![scheme]);
    }
    let mut some = |key: &str, values: Vec<String>| {
        if !values.is_empty() {
            access.context.push((key.to_owned(), values));
        }
    };
    if ["CreateLoadBalancer", "SetSubnets"].contains(&name) {
        let mapped = list("SubnetMappings").filter_map(|mapping| mapping.get("SubnetId")?.as_str());
        let subnets = list("Subnets").filter_map(Value::as_str).chain(mapped);
        some("elasticloadbalancing:Subnet", subnets.map(str::to_owned).collect());
    }
    if ["CreateLoadBalancer", "SetSecurityGroups"].contains(&name) {
        let groups = list("SecurityGroups").filter_map(Value::as_str);
        some(
            "elasticloadbalancing:SecurityGroup",
            groups.map(str::to_owned).collect(),
        );
    }
    if ["CreateListener", "ModifyListener"].contains(&name) {
        some(
            "elasticloadbalancing:ListenerProtocol",
            text("Protocol").into_iter().collect(),
        );
        some(
            "elasticloadbalancing:SecurityPolicy",
            text("SslPolicy").into_iter().collect(),
        );
    }
    access
}

/// The pattern of what a creation makes. Ref: ELB user guide, "Grant permission to tag resources during creation": it
/// needs AddTags too.
fn created(action: &str, call: &Call, input: &Value) -> Option<String> {
    let text = |member: &str| input.get(member).and_then(Value::as_str);
    let below = |noun: &str, of: &str| {
        // The name and the ids that a balancer's, or a listener's, ARN ends with.
        let rest = text(of)
            .and_then(|arn| arn.split_once('/'))
            .map_or("*", |(_, rest)| rest);
        names::arn(&call.scope, format!("{noun}/{rest}/*"))
    };
    match action {
        "elasticloadbalancing:CreateLoadBalancer" => {
            let kind = if text("Type") == Some("network") { "net" } else { "app" };
            let name = text("Name").unwrap_or_default();
            Some(names::arn(&call.scope, format!("loadbalancer/{kind}/{name}/*")))
        }
        "elasticloadbalancing:CreateTargetGroup" => {
            let name = text("Name").unwrap_or_default();
            Some(names::arn(&call.scope, format!("targetgroup/{name}/*")))
        }
        "elasticloadbalancing:CreateListener" => Some(below("listener", "LoadBalancerArn")),
        "elasticloadbalancing:CreateRule" => Some(below("listener-rule", "ListenerArn")),
        _ => None,
    }
}

/// Each access with the tags of its resource; one for each resource where one of them has tags.
fn of_resources(state: &State, call: &Call, access: Access) -> Vec<Access> {
    let tags: Vec<_> = access
        .resources
        .iter()
        .map(|arn| tags::read(state, &call.scope, arn).unwrap_or_default())
        .collect();
    if tags.iter().all(|tags| tags.is_empty()) {
        return vec![access];
    }
    let one = |(arn, tags): (&String, std::collections::BTreeMap<String, String>)| {
        let mut one = access.clone();
        one.resources = vec![arn.clone()];
        for (key, value) in tags {
            one = one.with(&format!("aws:ResourceTag/{key}"), vec![value.clone()]);
            one = one.with(&format!("elasticloadbalancing:ResourceTag/{key}"), vec![value]);
        }
        one
    };
    access.resources.iter().zip(tags).map(one).collect()
}

/// The access with the tags that the call sets or removes.
fn of_request(access: Access, input: &Value) -> Access {
    let (mut access, mut keys) = (access, Vec::new());
    for tag in input.get("Tags").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| tag.get(name).and_then(Value::as_str);
        if let Some(key) = text("Key") {
            let value = text("Value").unwrap_or_default().to_owned();
            access = access.with(&format!("aws:RequestTag/{key}"), vec![value]);
            keys.push(key.to_owned());
        }
    }
    let removed = input.get("TagKeys").and_then(Value::as_array).into_iter().flatten();
    keys.extend(removed.filter_map(Value::as_str).map(str::to_owned));
    if keys.is_empty() {
        access
    } else {
        access.with("aws:TagKeys", keys)
    }
}
