//! What a caller must be allowed to do. Ref: Service Authorization Reference, "AWS WAF V2".

use crate::model::{Kind, arn};
use crate::rules;
use crate::{IpSet, RegexPatternSet, RuleGroup, WebAcl};
use honmaru_machine::{Access, Call, State};
use serde_json::Value;

fn text<'v>(input: &'v Value, member: &str) -> &'v str {
    input.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn tagged<K: Kind>(access: Access, state: &State, call: &Call, arn: &str) -> Access {
    let tags = rules::by_arn::<K>(state, &call.scope, arn).map(|row| &row.entity().tags);
    tags.into_iter().flatten().fold(access, |access, (key, value)| {
        access.with(&format!("aws:ResourceTag/{key}"), vec![value.clone()])
    })
}

/// An action without resources.
pub(super) fn any(_: &State, _: &Call, _: &Value, action: &str) -> Vec<Access> {
    vec![Access::any(action)]
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
    vec![tagged::<K>(Access::new(action, vec![arn.clone()]), state, call, &arn)]
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
pub(super) fn create<K: Kind>(_: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let arn = arn::<K>(&call.scope, text(input, "Scope"), text(input, "Name"), "*");
    let tags: Vec<(&str, &str)> = input
        .get("Tags")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|tag| (text(tag, "Key"), text(tag, "Value")))
        .collect();
    let mut access = Access::new(action, vec![arn]);
    for (key, value) in &tags {
        access = access.with(&format!("aws:RequestTag/{key}"), vec![(*value).to_owned()]);
    }
    if !tags.is_empty() {
        access = access.with("aws:TagKeys", tags.iter().map(|(key, _)| (*key).to_owned()).collect());
    }
    vec![access]
}

/// The web ACL and the resource that it shall protect.
pub(super) fn associate(_: &State, _: &Call, input: &Value, action: &str) -> Vec<Access> {
    vec![
        Access::new(action, vec![text(input, "WebACLArn").to_owned()]),
        Access::new(
            "elasticloadbalancing:SetWebACL",
            vec![text(input, "ResourceArn").to_owned()],
        ),
    ]
}

pub(super) fn by_resource(_: &State, _: &Call, input: &Value, action: &str) -> Vec<Access> {
    vec![Access::new(action, vec![text(input, "ResourceArn").to_owned()])]
}

pub(super) fn by_web_acl_arn(_: &State, _: &Call, input: &Value, action: &str) -> Vec<Access> {
    vec![Access::new(action, vec![text(input, "WebACLArn").to_owned()])]
}

pub(super) fn by_arn(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let arn = text(input, "ResourceARN");
    let mut access = Access::new(action, vec![arn.to_owned()]);
    access = tagged::<WebAcl>(access, state, call, arn);
    access = tagged::<RuleGroup>(access, state, call, arn);
    access = tagged::<IpSet>(access, state, call, arn);
    access = tagged::<RegexPatternSet>(access, state, call, arn);
    vec![access]
}
