//! What each operation needs. Ref: Service Authorization Reference, "Amazon Elastic Container Registry Public".

use crate::api::registry_of;
use crate::place::scope_of;
use honmaru_base::{AccountId, Arn, Scope};
use honmaru_ecr::{RegistryAction, repository_access, with_tags_of};
use honmaru_machine::{Access, Call, State};
use serde_json::Value;

pub(crate) fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

/// An operation on the repository that the input names.
pub(crate) fn repository(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    // A registry that is none is refused by the handler; until then the call is judged in its own account.
    let scope = registry_of(call, text(input, "registryId")).unwrap_or_else(|_| scope_of(call.scope.account.clone()));
    let name = text(input, "repositoryName").unwrap_or_default();
    vec![with_tags_of(repository_access(state, &scope, name, action), input)]
}

/// An operation on some repositories, or on all when none is named.
pub(crate) fn repositories(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let scope = registry_of(call, text(input, "registryId")).unwrap_or_else(|_| scope_of(call.scope.account.clone()));
    let named = input.get("repositoryNames").and_then(Value::as_array);
    let named: Vec<&str> = named.into_iter().flatten().filter_map(Value::as_str).collect();
    if named.is_empty() {
        return vec![repository_access(state, &scope, "*", action)];
    }
    let access = |name: &str| repository_access(state, &scope, name, action);
    named.into_iter().map(access).collect()
}

/// An operation on the caller's registry.
pub(crate) fn registry(_state: &State, call: &Call, _input: &Value, action: &str) -> Vec<Access> {
    vec![Access::new(action, vec![registry_arn(&call.scope.account)])]
}

/// An account's registry, which has its account's number.
pub(crate) fn registry_arn(account: &AccountId) -> String {
    Arn::new("ecr-public", "", account.as_str(), format!("registry/{account}")).to_string()
}

/// GetAuthorizationToken needs a permission of STS too. Ref: ECR Public user guide, "Registry authentication".
pub(crate) fn token(_state: &State, _call: &Call, _input: &Value, action: &str) -> Vec<Access> {
    let bearer = Access::any("sts:GetServiceBearerToken");
    let bearer = bearer.with("sts:AWSServiceName", vec!["ecr-public.amazonaws.com".to_owned()]);
    vec![Access::any(action), bearer]
}

/// An operation on the resource whose ARN the input names.
pub(crate) fn resource(state: &State, _call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let arn = text(input, "resourceArn").unwrap_or_default();
    match parse_arn(arn) {
        Some((scope, name)) => vec![with_tags_of(repository_access(state, &scope, &name, action), input)],
        None => vec![Access::new(action, vec![arn.to_owned()])],
    }
}

/// The scope and name in a public repository's ARN: `arn:aws:ecr-public::<account>:repository/<name>`.
pub(crate) fn parse_arn(arn: &str) -> Option<(Scope, String)> {
    let arn: Arn = arn.parse().ok()?;
    let is_public = arn.service == "ecr-public" && arn.region.is_empty();
    let name = arn.resource.strip_prefix("repository/").filter(|_| is_public)?;
    Some((scope_of(arn.account.parse().ok()?), name.to_owned()))
}

/// What a request of the distribution protocol needs. Nothing to read: everybody may.
pub fn registry_access(state: &State, scope: &Scope, action: RegistryAction, name: &str) -> Vec<Access> {
    let action = match action {
        RegistryAction::Ping
        | RegistryAction::BlobRead
        | RegistryAction::BlobCheck
        | RegistryAction::ManifestRead
        | RegistryAction::TagList
        | RegistryAction::ReferrerList => return Vec::new(),
        RegistryAction::UploadBegin => "ecr-public:InitiateLayerUpload",
        RegistryAction::UploadPart => "ecr-public:UploadLayerPart",
        RegistryAction::UploadComplete => "ecr-public:CompleteLayerUpload",
        RegistryAction::ManifestWrite => "ecr-public:PutImage",
        RegistryAction::BlobDelete | RegistryAction::ManifestDelete => "ecr-public:BatchDeleteImage",
    };
    vec![repository_access(state, scope, name, action)]
}
