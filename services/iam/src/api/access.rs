//! What each operation needs: its action, on which resource, with which condition keys.
//! Ref: Service Authorization Reference, "Actions, resources, and condition keys for AWS IAM".

use crate::machine::{customer_policy, scope_of};
use crate::model::{AccessKey, Entity, Group, Holder, OidcProvider, Role, User, iam_arn, key_of};
use honmaru_machine::{Access, Call, PrincipalKind, State};
use serde_json::Value;

/// The resource that an operation works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Any,
    User,
    Group,
    Role,
    Policy,
    InstanceProfile,
    Oidc,
    NewOidc,
    ServiceLinkedRole,
    /// The user of `AccessKeyId`.
    KeyOwner,
    /// `PolicySourceArn`.
    PolicySource,
}

fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str)
}

pub(super) fn access(state: &State, call: &Call, input: &Value, action: &str, target: Target) -> Vec<Access> {
    let account = &call.scope.account;
    let path = text(input, "Path").unwrap_or("/");
    let named = |kind: &str, name: &str| iam_arn(account, kind, path, name);
    let (arn, entity, tags) = match target {
        Target::Any => ("*".to_owned(), None, Vec::new()),
        Target::User => {
            let own = match &call.principal.kind {
                PrincipalKind::User { name } => name.as_str(),
                PrincipalKind::Root
                | PrincipalKind::AssumedRole { .. }
                | PrincipalKind::FederatedUser { .. }
                | PrincipalKind::Anonymous => "*",
            };
            holder::<User>(state, call, text(input, "UserName").unwrap_or(own), path)
        }
        Target::KeyOwner => {
            let key = text(input, "AccessKeyId").and_then(|id| state.get::<AccessKey>(&scope_of(account), id));
            holder::<User>(state, call, key.map_or("*", |key| key.user.as_str()), "/")
        }
        Target::Group => holder::<Group>(state, call, text(input, "GroupName").unwrap_or("*"), path),
        Target::Role => holder::<Role>(state, call, text(input, "RoleName").unwrap_or("*"), path),
        Target::Policy => match text(input, "PolicyArn") {
            Some(arn) => {
                let tags = customer_policy(state, arn)
                    .map(|policy| policy.tags.clone())
                    .unwrap_or_default();
                (arn.to_owned(), None, tags)
            }
            None => (
                named("policy", text(input, "PolicyName").unwrap_or("*")),
                None,
                Vec::new(),
            ),
        },
        Target::InstanceProfile => {
            let name = text(input, "InstanceProfileName").unwrap_or("*");
            let row = state.get::<crate::model::InstanceProfile>(&scope_of(account), &key_of(name));
            match row {
                Some(row) => (row.arn.clone(), None, row.tags.clone()),
                None => (named("instance-profile", name), None, Vec::new()),
            }
        }
        Target::Oidc => {
            let arn = text(input, "OpenIDConnectProviderArn").unwrap_or("*");
            let key = arn.split_once(":oidc-provider/").map_or(arn, |(_, url)| url);
            let row = state.get::<OidcProvider>(&scope_of(account), key);
            let tags = row.map(|row| row.tags.clone()).unwrap_or_default();
            (arn.to_owned(), None, tags)
        }
        Target::NewOidc => {
            let url = text(input, "Url").unwrap_or("*");
            let host = url.strip_prefix("https://").unwrap_or(url);
            (iam_arn(account, "oidc-provider", "/", host), None, Vec::new())
        }
        Target::ServiceLinkedRole => {
            let service = text(input, "AWSServiceName").unwrap_or("*");
            (
                iam_arn(account, "role", &format!("/aws-service-role/{service}/"), "*"),
                None,
                Vec::new(),
            )
        }
        Target::PolicySource => (
            text(input, "PolicySourceArn").unwrap_or("*").to_owned(),
            None,
            Vec::new(),
        ),
    };
    let mut access = Access::new(action, vec![arn]);
    for (member, key) in [("PolicyArn", "iam:PolicyARN"), ("AWSServiceName", "iam:AWSServiceName")] {
        if let Some(value) = text(input, member) {
            access = access.with(key, vec![value.to_owned()]);
        }
    }
    let boundary = text(input, "PermissionsBoundary").map(str::to_owned);
    if let Some(boundary) = boundary.or_else(|| entity.and_then(|entity| entity.boundary.clone())) {
        access = access.with("iam:PermissionsBoundary", vec![boundary]);
    }
    for (key, value) in tags {
        access = access.with(&format!("aws:ResourceTag/{key}"), vec![value.clone()]);
        access = access.with(&format!("iam:ResourceTag/{key}"), vec![value]);
    }
    let mut keys: Vec<String> = Vec::new();
    for tag in input.get("Tags").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(key), Some(value)) = (text(tag, "Key"), text(tag, "Value")) {
            access = access.with(&format!("aws:RequestTag/{key}"), vec![value.to_owned()]);
            keys.push(key.to_owned());
        }
    }
    let untagged = input.get("TagKeys").and_then(Value::as_array).into_iter().flatten();
    keys.extend(untagged.filter_map(Value::as_str).map(str::to_owned));
    if !keys.is_empty() {
        access = access.with("aws:TagKeys", keys);
    }
    vec![access]
}

type Found<'a> = (String, Option<&'a Entity>, Vec<(String, String)>);

fn holder<'a, H: Holder>(state: &'a State, call: &Call, name: &str, path: &str) -> Found<'a> {
    let account = &call.scope.account;
    match state.get::<H>(&scope_of(account), &key_of(name)) {
        Some(row) => (row.entity().arn.clone(), Some(row.entity()), row.entity().tags.clone()),
        None => (iam_arn(account, H::NOUN, path, name), None, Vec::new()),
    }
}
