//! What each operation needs. Ref: Service Authorization Reference, "Amazon Elastic Container Registry".

use super::common::scope_of;
use crate::machine::{
    Reference, RegistryAction, any_access, creation_access, import_access, repository_access, resolve_image,
    under_policy, upstream_of, with_tags_of,
};
use crate::names::{parse_repository_arn, repository_arn};
use honmaru_machine::{Access, Call, State};
use serde_json::Value;

fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

/// An operation on the repository that the input names.
pub(super) fn repository(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    // A malformed registry id is refused by the handler; until then the call is judged in its own account.
    let scope = scope_of(call, text(input, "registryId")).unwrap_or_else(|_| call.scope.clone());
    let name = text(input, "repositoryName").unwrap_or_default();
    vec![with_tags_of(repository_access(state, &scope, name, action), input)]
}

/// CreateRepository: the permission to tag too, where it sets tags. Ref: AWS's notice of December 2022, "Allow access will
/// be needed for the ecr:TagResource and ecr:CreateRepository actions to create a repository with tags".
pub(super) fn creation(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let mut accesses = repository(state, call, input, action);
    let has_tags = |tags: &Value| tags.as_array().is_some_and(|tags| !tags.is_empty());
    if input.get("tags").is_some_and(has_tags) {
        accesses.extend(repository(state, call, input, "ecr:TagResource"));
    }
    accesses
}

/// BatchGetImage: beside the permission to read, those that a mirror needs to fetch what it lacks, and to come to be.
pub(super) fn pull(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let mut accesses = repository(state, call, input, action);
    let scope = scope_of(call, text(input, "registryId")).unwrap_or_else(|_| call.scope.clone());
    let name = text(input, "repositoryName").unwrap_or_default();
    let making = creation_access(state, &scope, RegistryAction::ManifestRead, name);
    if !making.is_empty() {
        accesses.extend(making);
        return accesses;
    }
    let lacks = |id: &Value| {
        let reference = text(id, "imageDigest").or(text(id, "imageTag")).map(Reference::parse);
        reference.is_some_and(|reference| resolve_image(state, &scope, name, &reference).is_none())
    };
    let ids = input.get("imageIds").and_then(Value::as_array);
    if upstream_of(state, &scope, name).is_some() && ids.is_some_and(|ids| ids.iter().any(lacks)) {
        accesses.push(import_access(state, &scope, name));
    }
    accesses
}

/// ListImageReferrers, which is an act of reading images. Ref: ListImageReferrers: "The IAM principal invoking this
/// operation must have the `ecr:BatchGetImage` permission."
pub(super) fn referrers(state: &State, call: &Call, input: &Value, _action: &str) -> Vec<Access> {
    repository(state, call, input, "ecr:BatchGetImage")
}

/// An operation on some repositories, or on all when none is named.
pub(super) fn repositories(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let scope = scope_of(call, text(input, "registryId")).unwrap_or_else(|_| call.scope.clone());
    let named: Vec<&str> = input
        .get("repositoryNames")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if named.is_empty() {
        let all = Access::new(action, vec![repository_arn(&scope, "*")]);
        return vec![under_policy(state, &scope, all)];
    }
    named
        .into_iter()
        .map(|name| repository_access(state, &scope, name, action))
        .collect()
}

/// An operation on the registry: the caller's own, or the one that the input names, whose account must agree then.
pub(super) fn registry(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let scope = scope_of(call, text(input, "registryId")).unwrap_or_else(|_| call.scope.clone());
    if scope.account == call.principal.account {
        return vec![any_access(state, &scope, action)];
    }
    // No resource says whose such an operation is: all that is in the registry does.
    let all = Access::new(action, vec![repository_arn(&scope, "*")]);
    vec![under_policy(state, &scope, all)]
}

/// An operation on a setting of the registry, with the setting's name.
pub(super) fn setting(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let access = any_access(state, &call.scope, action);
    vec![match text(input, "name") {
        Some(name) => access.with("ecr:AccountSetting", vec![name.to_owned()]),
        None => access,
    }]
}

/// What a creation template is made or changed with: what its repositories will have, whoever makes it must be allowed to
/// give, and the role that makes them to pass on. Ref: ECR user guide, "IAM permissions for creating repository creation
/// templates".
pub(super) fn template(state: &State, call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let mut accesses = registry(state, call, input, action);
    let filled = |name: &str| text(input, name).filter(|text| !text.is_empty());
    let prefix = text(input, "prefix").unwrap_or_default().trim_end_matches('/');
    let names = if prefix == "ROOT" {
        "*".to_owned()
    } else {
        format!("{prefix}/*")
    };
    let mut on_repositories = vec!["ecr:CreateRepository"];
    if filled("lifecyclePolicy").is_some() {
        on_repositories.push("ecr:PutLifecyclePolicy");
    }
    if filled("repositoryPolicy").is_some() {
        on_repositories.push("ecr:SetRepositoryPolicy");
    }
    let arn = repository_arn(&call.scope, &names);
    let under = |action| under_policy(state, &call.scope, Access::new(action, vec![arn.clone()]));
    accesses.extend(on_repositories.into_iter().map(under));
    if let Some(role) = filled("customRoleArn") {
        let pass = Access::new("iam:PassRole", vec![role.to_owned()]);
        accesses.push(pass.with("iam:PassedToService", vec!["ecr.amazonaws.com".to_owned()]));
    }
    accesses
}

/// An operation on the resource whose ARN the input names.
pub(super) fn resource(state: &State, _call: &Call, input: &Value, action: &str) -> Vec<Access> {
    let arn = text(input, "resourceArn").unwrap_or_default();
    match parse_repository_arn(arn) {
        Some((scope, name)) => vec![with_tags_of(repository_access(state, &scope, &name, action), input)],
        None => vec![Access::new(action, vec![arn.to_owned()])],
    }
}
