//! The tagged resources of every service, and changes of their tags.

use honmaru_base::{ApiError, Arn, Scope};
use honmaru_identity::ProtocolFamily;
use honmaru_machine::{Call, Handler, Operation, State, Tx};
use honmaru_tagging::Change;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

/// Resources without a region (IAM's, public repositories) are shown in this one. Ref: Resource Groups Tagging API,
/// GetResources.
const GLOBAL_SHOWN_IN: &str = "us-east-1";

/// All services together.
pub(crate) struct EveryService;

impl honmaru_tagging::Source for EveryService {
    fn tagged(state: &State, scope: &Scope) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut all: BTreeMap<_, _> = honmaru_ec2::tagged(state, scope)
            .chain(honmaru_ecr::tagged(state, scope))
            .chain(honmaru_ecs::tagged(state, scope))
            .chain(honmaru_elbv2::tagged(state, scope))
            .chain(honmaru_logs::tagged(state, scope))
            .chain(honmaru_wafv2::tagged(state, scope))
            .collect();
        if scope.region.as_str() == GLOBAL_SHOWN_IN {
            all.extend(honmaru_iam::tagged(state, &scope.account));
            all.extend(honmaru_ecr::tagged(state, &scope.global()));
        }
        all
    }

    fn change(tx: &mut Tx<'_>, call: &Call, arn: &Arn, change: &Change) -> Result<(), ApiError> {
        let is_global = arn.region.is_empty() && call.scope.region.as_str() == GLOBAL_SHOWN_IN;
        if arn.account != call.scope.account.as_str() || !(is_global || arn.region == call.scope.region.as_str()) {
            return Err(unsupported(arn));
        }
        let (service, name, input) = own(arn, change).ok_or_else(|| unsupported(arn))?;
        // `own` names operations of these only.
        let operation = operations().get(&(service, name)).ok_or_else(|| unsupported(arn))?;
        let accesses = (operation.access)(tx, call, &input);
        honmaru_iam::authorize(tx, call, &accesses, ProtocolFamily::Json)?;
        match &operation.handler {
            Handler::Write(handler) => handler(tx, call, input).map(drop),
            Handler::Read(_) | Handler::WriteJson(_) | Handler::Async(_) => Err(unsupported(arn)),
        }
    }
}

/// Ref: Resource Groups Tagging API, FailureInfo: the resource's type is not supported, or it is in another region.
fn unsupported(arn: &Arn) -> ApiError {
    let message = format!("{arn} is not a resource of this account and region whose tags can be changed here.");
    ApiError::new("InvalidParameterException", message)
}

/// The operations that change tags, by service and name.
fn operations() -> &'static HashMap<(&'static str, &'static str), Operation> {
    static OPERATIONS: OnceLock<HashMap<(&'static str, &'static str), Operation>> = OnceLock::new();
    OPERATIONS.get_or_init(|| {
        let all = [
            (honmaru_ec2::SERVICE, honmaru_ec2::operations()),
            (honmaru_ecr::SERVICE, honmaru_ecr::tagging()),
            (honmaru_ecr_public::SERVICE, honmaru_ecr_public::tagging()),
            (honmaru_ecs::SERVICE, honmaru_ecs::operations()),
            (honmaru_elbv2::SERVICE, honmaru_elbv2::operations()),
            (honmaru_iam::SERVICE, honmaru_iam::operations()),
            (honmaru_logs::SERVICE, honmaru_logs::tagging()),
            (honmaru_wafv2::SERVICE, honmaru_wafv2::operations()),
        ];
        let all = all.into_iter().flat_map(|(service, operations)| {
            operations
                .into_iter()
                .map(move |operation| ((service, operation.name), operation))
        });
        all.collect()
    })
}

/// The resource's own service, its operation for this change, and that operation's input.
fn own(arn: &Arn, change: &Change) -> Option<(&'static str, &'static str, Value)> {
    let text = arn.to_string();
    let (noun, name) = arn.resource.split_once(['/', ':'])?;
    let is_tag = matches!(change, Change::Tag(_));
    let one = |tag: &'static str, untag: &'static str| if is_tag { tag } else { untag };
    let usual = one("TagResource", "UntagResource");
    Some(match arn.service.as_str() {
        "ecs" => {
            let tags = ("tags", pairs(change, "key", "value"), "tagKeys");
            (
                honmaru_ecs::SERVICE,
                usual,
                input("resourceArn", text.into(), change, tags),
            )
        }
        "ecr" => {
            let tags = ("tags", pairs(change, "Key", "Value"), "tagKeys");
            (
                honmaru_ecr::SERVICE,
                usual,
                input("resourceArn", text.into(), change, tags),
            )
        }
        "ecr-public" => {
            let tags = ("tags", pairs(change, "Key", "Value"), "tagKeys");
            (
                honmaru_ecr_public::SERVICE,
                usual,
                input("resourceArn", text.into(), change, tags),
            )
        }
        "logs" => {
            let tags = ("tags", map(change), "tagKeys");
            (
                honmaru_logs::SERVICE,
                usual,
                input("resourceArn", text.into(), change, tags),
            )
        }
        "wafv2" => {
            let tags = ("Tags", pairs(change, "Key", "Value"), "TagKeys");
            (
                honmaru_wafv2::SERVICE,
                usual,
                input("ResourceARN", text.into(), change, tags),
            )
        }
        "elasticloadbalancing" => {
            let tags = ("Tags", pairs(change, "Key", "Value"), "TagKeys");
            let operation = one("AddTags", "RemoveTags");
            (
                honmaru_elbv2::SERVICE,
                operation,
                input("ResourceArns", json!([text]), change, tags),
            )
        }
        "ec2" => {
            let tags = match change {
                Change::Tag(_) => pairs(change, "Key", "Value"),
                Change::Untag(keys) => keys.iter().map(|key| json!({ "Key": key })).collect(),
            };
            let operation = one("CreateTags", "DeleteTags");
            (
                honmaru_ec2::SERVICE,
                operation,
                json!({ "Resources": [name], "Tags": tags }),
            )
        }
        "iam" => {
            let last = name.rsplit('/').next().unwrap_or(name);
            let (operation, member, named) = match noun {
                "user" => (one("TagUser", "UntagUser"), "UserName", last),
                "role" => (one("TagRole", "UntagRole"), "RoleName", last),
                "policy" => (one("TagPolicy", "UntagPolicy"), "PolicyArn", text.as_str()),
                "instance-profile" => (
                    one("TagInstanceProfile", "UntagInstanceProfile"),
                    "InstanceProfileName",
                    last,
                ),
                "server-certificate" => (
                    one("TagServerCertificate", "UntagServerCertificate"),
                    "ServerCertificateName",
                    last,
                ),
                "mfa" => (one("TagMFADevice", "UntagMFADevice"), "SerialNumber", text.as_str()),
                "oidc-provider" => (
                    one("TagOpenIDConnectProvider", "UntagOpenIDConnectProvider"),
                    "OpenIDConnectProviderArn",
                    text.as_str(),
                ),
                "saml-provider" => (
                    one("TagSAMLProvider", "UntagSAMLProvider"),
                    "SAMLProviderArn",
                    text.as_str(),
                ),
                _ => return None,
            };
            let tags = ("Tags", pairs(change, "Key", "Value"), "TagKeys");
            (
                honmaru_iam::SERVICE,
                operation,
                input(member, named.into(), change, tags),
            )
        }
        _ => return None,
    })
}

/// An input: the resource under its member's name, and what is set or removed under that of `tags`.
fn input(member: &str, resource: Value, change: &Change, tags: (&str, Value, &str)) -> Value {
    let (set, pairs, removed) = tags;
    match change {
        Change::Tag(_) => json!({ member: resource, set: pairs }),
        Change::Untag(keys) => json!({ member: resource, removed: keys }),
    }
}

fn pairs(change: &Change, key: &str, value: &str) -> Value {
    match change {
        Change::Tag(tags) => tags.iter().map(|(k, v)| json!({ key: k, value: v })).collect(),
        Change::Untag(_) => Value::Null,
    }
}

fn map(change: &Change) -> Value {
    match change {
        Change::Tag(tags) => json!(tags),
        Change::Untag(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests;
