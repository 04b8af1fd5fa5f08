//! What a caller must be allowed to do. Ref: Service Authorization Reference, "AWS WAF V2".

use crate::model::{Association, Kind, arn};
use crate::rules;
use crate::{IpSet, RegexPatternSet, RuleGroup, WebAcl};
use honmaru_base::Arn;
use honmaru_machine::{Access, Call, State};
use serde_json::Value;
use std::collections::BTreeSet;

fn text<'v>(input: &'v Value, member: &str) -> &'v str {
    input.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// The access with the tags that the call sets, or the keys of those that it removes.
fn of_request(access: Access, input: &Value) -> Access {
    let (mut access, mut keys) = (access, Vec::new());
    for tag in input.get("Tags").and_then(Value::as_array).into_iter().flatten() {
        let key = text(tag, "Key");
        access = access.with(&format!("aws:RequestTag/{key}"), vec![text(tag, "Value").to_owned()]);
        keys.push(key.to_owned());
    }
    let removed = input.get("TagKeys").and_then(Value::as_array).into_iter().flatten();
    keys.extend(removed.filter_map(Value::as_str).map(str::to_owned));
    match keys.is_empty() {
        true => access,
        false => access.with("aws:TagKeys", keys),
    }
}

/// An action on whatever the ARN names, with its tags.
fn on_arn(state: &State, call: &Call, arn: &str, action: &str) -> Access {
    let mut access = Access::new(action, vec![arn.to_owned()]);
    access = tagged::<WebAcl>(access, state, call, arn);
    access = tagged::<RuleGroup>(access, state, call, arn);
    access = tagged::<IpSet>(access, state, call, arn);
    tagged::<RegexPatternSet>(access, state, call, arn)
}

/// What the rules of a web ACL or a rule group refer to. Ref: the reference lists IP sets, pattern sets, rule groups and
/// managed rule sets beside what is created or changed; AWS asks for each of them.
fn of_references(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let mut arns = BTreeSet::new();
    let mut waiting: Vec<&Value> = input.get("Rules").into_iter().collect();
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(items) => waiting.extend(items),
            Value::Object(members) => {
                for (name, value) in members {
                    match name.as_str() {
                        "IPSetReferenceStatement"
                        | "RegexPatternSetReferenceStatement"
                        | "RuleGroupReferenceStatement" => {
                            arns.insert(text(value, "ARN").to_owned());
                        }
                        // A rule group cannot hold one.
                        "ManagedRuleGroupStatement" if action.ends_with("WebACL") => {
                            arns.insert(managed_arn(call, input));
                        }
                        _ => {}
                    }
                    waiting.push(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    arns.iter().map(|arn| on_arn(state, call, arn, action)).collect()
}

/// AWS's managed rule groups, each of them.
fn managed_arn(call: &Call, input: &Value) -> String {
    let scope = if text(input, "Scope") == "CLOUDFRONT" {
        "global"
    } else {
        "regional"
    };
    Arn::new(
        "wafv2",
        call.scope.region.as_str(),
        call.scope.account.as_str(),
        format!("{scope}/managedruleset/*/*"),
    )
    .to_string()
}

/// The permission at the load balancer that a web ACL comes to or leaves. Ref: WAF developer guide, "Actions that require
/// additional permissions settings".
fn on_balancer(state: &State, call: &Call, input: &Value) -> Access {
    let arn = text(input, "ResourceArn");
    let mut access = Access::new("elasticloadbalancing:SetWebACL", vec![arn.to_owned()]);
    let tags = state
        .get::<honmaru_elbv2::LoadBalancer>(&call.scope, arn)
        .map(|row| &row.tags);
    for (key, value) in tags.into_iter().flatten() {
        access = access.with(&format!("aws:ResourceTag/{key}"), vec![value.clone()]);
        access = access.with(&format!("elasticloadbalancing:ResourceTag/{key}"), vec![value.clone()]);
    }
    access
}

fn tagged<K: Kind>(access: Access, state: &State, call: &Call, arn: &str) -> Access {
    let tags = rules::by_arn::<K>(state, &call.scope, arn).map(|row| &row.entity().tags);
    tags.into_iter().flatten().fold(access, |access, (key, value)| {
        access.with(&format!("aws:ResourceTag/{key}"), vec![value.clone()])
    })
}

/// An action on every resource of a kind. The reference names none for it; but AWS's own policies (AWSWAFReadOnlyAccess) allow
/// it on ARNs with wildcards, and on nothing else.
pub(super) fn every<K: Kind>(_: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let all = arn::<K>(&call.scope, text(input, "Scope"), "*", "*");
    vec![Access::new(action, vec![all])]
}

/// The same of AWS's managed rule groups.
pub(super) fn managed(_: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    vec![Access::new(action, vec![managed_arn(call, input)])]
}

/// A resource that is named by name, scope and id, or by ARN.
fn of<K: Kind>(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let arn = match text(input, "ARN") {
        "" => arn::<K>(
            &call.scope,
            text(input, "Scope"),
            text(input, "Name"),
            text(input, "Id"),
        ),
        arn => arn.to_owned(),
    };
    let mut all = vec![tagged::<K>(Access::new(action, vec![arn.clone()]), state, call, &arn)];
    all.extend(of_references(state, call, input, action));
    all
}

pub(super) fn web_acl(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    of::<WebAcl>(state, call, input, action)
}

pub(super) fn rule_group(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    of::<RuleGroup>(state, call, input, action)
}

pub(super) fn ip_set(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    of::<IpSet>(state, call, input, action)
}

pub(super) fn pattern_set(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    of::<RegexPatternSet>(state, call, input, action)
}

/// A resource that is about to be: its id is not known yet.
pub(super) fn create<K: Kind>(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let arn = arn::<K>(&call.scope, text(input, "Scope"), text(input, "Name"), "*");
    let mut all = vec![of_request(Access::new(action, vec![arn]), input)];
    all.extend(of_references(state, call, input, action));
    all
}

/// The web ACL and the resource that it shall protect.
pub(super) fn associate(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let acl = on_arn(state, call, text(input, "WebACLArn"), action);
    vec![acl, on_balancer(state, call, input)]
}

/// The resource that loses its web ACL.
pub(super) fn disassociate(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let resource = Access::new(action, vec![text(input, "ResourceArn").to_owned()]);
    vec![resource, on_balancer(state, call, input)]
}

/// The web ACL that a resource has; without one, every web ACL: the reference names both, the resource and the web ACL, but
/// AWS's own policies (AWSWAFFullAccess) allow the action on web ACLs only. Ref: GetWebACLForResource: "This call uses
/// GetWebACL, to verify that your account has permission to access the retrieved web ACL."
pub(super) fn of_resource(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    match state.get::<Association>(&call.scope, text(input, "ResourceArn")) {
        Some(association) => [action, "wafv2:GetWebACL"]
            .map(|action| on_arn(state, call, &association.web_acl_arn, action))
            .into(),
        None => every::<WebAcl>(state, call, input, action),
    }
}

pub(super) fn by_web_acl_arn(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    vec![on_arn(state, call, text(input, "WebACLArn"), action)]
}

pub(super) fn by_arn(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    vec![of_request(
        on_arn(state, call, text(input, "ResourceARN"), action),
        input,
    )]
}
