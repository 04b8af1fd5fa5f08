//! What a request must be allowed to do: on a repository, with its own policy and tags, under the registry's policy.
//! Ref: ECR user guide, "Private repository policies", "Private registry permissions".

use super::pull_through::rule_for;
use super::registry::{CREATE_ON_PUSH, PULL_THROUGH_CACHE, RegistryAction, template_for};
use crate::model::{CreationTemplate, Registry, Repository};
use crate::names;
use honmaru_base::Scope;
use honmaru_machine::{Access, State};
use serde_json::Value;

/// The account setting that says how much the registry policy is asked about, and its older value.
pub(crate) const POLICY_SCOPE: &str = "REGISTRY_POLICY_SCOPE";
/// See [`POLICY_SCOPE`].
pub(crate) const POLICY_SCOPE_V1: &str = "V1";
/// What a registry policy of scope V1 is asked about.
pub(crate) const POLICY_ACTIONS_V1: [&str; 3] = [
    "ecr:ReplicateImage",
    "ecr:BatchImportUpstreamImage",
    "ecr:CreateRepository",
];

/// What the caller must be allowed to do for a request. Empty for a ping: a valid token is enough.
pub fn registry_access(state: &State, scope: &Scope, action: RegistryAction, repository: Option<&str>) -> Vec<Access> {
    match (action.iam_action(), repository) {
        (Some(action), Some(name)) => vec![repository_access(state, scope, name, action)],
        _ => Vec::new(),
    }
}

/// An action on a repository, with the repository's own policy and tags, and the registry's policy.
pub fn repository_access(state: &State, scope: &Scope, name: &str, action: &str) -> Access {
    let mut access = under_policy(
        state,
        scope,
        Access::new(action, vec![names::repository_arn(scope, name)]),
    );
    if let Some(row) = state.get::<Repository>(scope, name) {
        access.resource_policy = row.policy.clone();
        // Private repositories are `ecr`'s, public ones `ecr-public`'s.
        let vendor = action.split(':').next().unwrap_or_default();
        for (key, value) in &row.resource_tags {
            access = access
                .with(&format!("aws:ResourceTag/{key}"), vec![value.clone()])
                .with(&format!("{vendor}:ResourceTag/{key}"), vec![value.clone()]);
        }
    }
    access
}

/// What it takes to get a token of a registry.
pub fn token_access(state: &State, scope: &Scope) -> Access {
    any_access(state, scope, "ecr:GetAuthorizationToken")
}

/// An action that no single repository is the object of.
pub(crate) fn any_access(state: &State, scope: &Scope, action: &str) -> Access {
    under_policy(state, scope, Access::any(action))
}

/// The same with the registry's policy, as far as that is asked about the action.
pub(crate) fn under_policy(state: &State, scope: &Scope, mut access: Access) -> Access {
    let Some(row) = state.get::<Registry>(scope, Registry::KEY) else {
        return access;
    };
    let is_v1 = row
        .settings
        .get(POLICY_SCOPE)
        .is_some_and(|value| value == POLICY_SCOPE_V1);
    if !is_v1 || POLICY_ACTIONS_V1.contains(&access.action.as_str()) {
        access.holder_policy = row.policy.clone();
    }
    access
}

/// What it takes to bring an image from upstream into a mirror. Ref: ECR user guide, "IAM permissions required to sync an
/// upstream registry with an Amazon ECR private registry".
pub fn import_access(state: &State, scope: &Scope, name: &str) -> Access {
    repository_access(state, scope, name, "ecr:BatchImportUpstreamImage")
}

/// What it takes to have a repository made by a request, beyond what the request itself takes; nothing when none would
/// be made. A permission to tag comes from the caller's own policies only.
pub fn creation_access(state: &State, scope: &Scope, action: RegistryAction, name: &str) -> Vec<Access> {
    match would_make(state, scope, action, name) {
        Maker::Nobody => Vec::new(),
        Maker::Rule(template) => {
            let mut accesses = vec![import_access(state, scope, name)];
            accesses.extend(making_access(state, scope, name, template));
            accesses
        }
        Maker::Template(template) => making_access(state, scope, name, Some(template)),
    }
}

/// The template with a role in whose name it makes a repository, and what that role must be allowed to do; nothing where no
/// repository would be made, or its template names no role. Ref: CreateRepositoryCreationTemplate, `customRoleArn`; ECR
/// user guide, "Create a custom policy for repository creation templates".
pub(super) fn creation_role<'s>(
    state: &'s State,
    scope: &Scope,
    action: RegistryAction,
    name: &str,
) -> Option<(&'s CreationTemplate, Vec<Access>)> {
    let template = would_make(state, scope, action, name).template()?;
    template.custom_role_arn.as_ref()?;
    Some((template, making_access(state, scope, name, Some(template))))
}

/// What a request would have a repository made by.
enum Maker<'s> {
    Nobody,
    /// A pull-through cache rule, as its template says, if there is one.
    Rule(Option<&'s CreationTemplate>),
    Template(&'s CreationTemplate),
}

impl<'s> Maker<'s> {
    fn template(self) -> Option<&'s CreationTemplate> {
        match self {
            Self::Nobody => None,
            Self::Rule(template) => template,
            Self::Template(template) => Some(template),
        }
    }
}

fn would_make<'s>(state: &'s State, scope: &Scope, action: RegistryAction, name: &str) -> Maker<'s> {
    if state.get::<Repository>(scope, name).is_some() {
        return Maker::Nobody;
    }
    if action == RegistryAction::ManifestRead && rule_for(state, scope, name).is_some() {
        return Maker::Rule(template_for(state, scope, name, PULL_THROUGH_CACHE));
    }
    match template_for(state, scope, name, CREATE_ON_PUSH).filter(|_| action.is_push()) {
        Some(template) => Maker::Template(template),
        None => Maker::Nobody,
    }
}

/// The permissions to make a repository, with the tags of a template.
pub(super) fn making_access(
    state: &State,
    scope: &Scope,
    name: &str,
    template: Option<&CreationTemplate>,
) -> Vec<Access> {
    let mut accesses = vec![repository_access(state, scope, name, "ecr:CreateRepository")];
    let tags = template
        .map(|template| &template.resource_tags)
        .filter(|tags| !tags.is_empty());
    if let Some(tags) = tags {
        let tagging = Access::new("ecr:TagResource", vec![names::repository_arn(scope, name)]);
        let pairs = tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        accesses.push(with_request_tags(tagging, pairs));
    }
    accesses
}

/// The access with the tags that a request sets (`tags`), or the keys of those that it takes (`tagKeys`).
pub fn with_tags_of(access: Access, input: &Value) -> Access {
    let list = |name: &str| input.get(name).and_then(Value::as_array).into_iter().flatten();
    let text = |tag: &Value, name: &str| tag.get(name).and_then(Value::as_str).map(str::to_owned);
    let set: Vec<(String, String)> = list("tags")
        .filter_map(|tag| Some((text(tag, "Key")?, text(tag, "Value").unwrap_or_default())))
        .collect();
    let access = with_request_tags(access, set.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let taken: Vec<String> = list("tagKeys").filter_map(Value::as_str).map(str::to_owned).collect();
    match taken.is_empty() {
        true => access,
        false => access.with("aws:TagKeys", taken),
    }
}

/// The same with the condition keys of tags that the request brings.
fn with_request_tags<'a>(mut access: Access, tags: impl Iterator<Item = (&'a str, &'a str)>) -> Access {
    let mut keys = Vec::new();
    for (key, value) in tags {
        access = access.with(&format!("aws:RequestTag/{key}"), vec![value.to_owned()]);
        keys.push(key.to_owned());
    }
    if keys.is_empty() {
        return access;
    }
    access.with("aws:TagKeys", keys)
}
