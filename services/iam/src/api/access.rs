//! What each operation needs: its action, on which resource, with which condition keys.
//! Ref: Service Authorization Reference, "Actions, resources, and condition keys for AWS IAM".

use crate::machine::{customer_policy, scope_of};
use crate::managed::{SERVICE_LINKED_PATH, service_linked};
use crate::model::{AccessKey, Entity, Group, Holder, OidcProvider, Role, User, iam_arn, key_of};
use crate::password::policy_of;
use honmaru_machine::{Access, Call, PrincipalKind, State};
use serde_json::{Value, json};

/// The resource that an operation works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Any,
    User,
    /// The user that calls.
    Caller,
    Group,
    Role,
    Policy,
    InstanceProfile,
    ServerCertificate,
    Oidc,
    /// `SerialNumber`, or what `VirtualMFADeviceName` becomes.
    Mfa,
    NewOidc,
    /// `SAMLProviderArn`, or what `Name` becomes.
    Saml,
    ServiceLinkedRole,
    /// The service-linked role that `DeletionTaskId` is about.
    DeletedRole,
    /// The user of `AccessKeyId`.
    KeyOwner,
    /// `PolicySourceArn`.
    PolicySource,
    /// `Arn`: a user, a group, a role or a policy.
    Entity,
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
        Target::User | Target::Caller => {
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
        Target::ServerCertificate => {
            let name = text(input, "ServerCertificateName").unwrap_or("*");
            let row = state.get::<crate::certificate::ServerCertificate>(&scope_of(account), &key_of(name));
            match row {
                Some(row) => (row.arn.clone(), None, row.tags.clone()),
                None => (named("server-certificate", name), None, Vec::new()),
            }
        }
        Target::Oidc => {
            let arn = text(input, "OpenIDConnectProviderArn").unwrap_or("*");
            let key = arn.split_once(":oidc-provider/").map_or(arn, |(_, url)| url);
            let row = state.get::<OidcProvider>(&scope_of(account), key);
            let tags = row.map(|row| row.tags.clone()).unwrap_or_default();
            (arn.to_owned(), None, tags)
        }
        Target::Mfa => match text(input, "SerialNumber") {
            Some(serial) => {
                let row = state.get::<crate::mfa::MfaDevice>(&scope_of(account), serial);
                let tags = row.map(|row| row.tags.clone()).unwrap_or_default();
                (serial.to_owned(), None, tags)
            }
            None => (
                named("mfa", text(input, "VirtualMFADeviceName").unwrap_or("*")),
                None,
                Vec::new(),
            ),
        },
        Target::Saml => match text(input, "SAMLProviderArn") {
            Some(arn) => {
                let key = arn.split_once(":saml-provider/").map_or(arn, |(_, name)| name);
                let row = state.get::<crate::saml::SamlProvider>(&scope_of(account), &key_of(key));
                let tags = row.map(|row| row.tags.clone()).unwrap_or_default();
                (arn.to_owned(), None, tags)
            }
            None => {
                let name = text(input, "Name").unwrap_or("*");
                (iam_arn(account, "saml-provider", "/", name), None, Vec::new())
            }
        },
        Target::NewOidc => {
            let url = text(input, "Url").unwrap_or("*");
            let host = url.strip_prefix("https://").unwrap_or(url);
            (iam_arn(account, "oidc-provider", "/", host), None, Vec::new())
        }
        Target::ServiceLinkedRole => {
            let service = text(input, "AWSServiceName").unwrap_or("*");
            let name = service_linked(service).map_or("*", |linked| linked.role);
            (
                iam_arn(account, "role", &format!("{SERVICE_LINKED_PATH}{service}/"), name),
                None,
                Vec::new(),
            )
        }
        Target::DeletedRole => {
            // `task/aws-service-role/SERVICE/ROLE/UUID`
            let task = text(input, "DeletionTaskId").unwrap_or_default();
            let role = task.strip_prefix("task/").and_then(|rest| rest.rsplit_once('/'));
            (
                iam_arn(account, "role", "/", role.map_or("*", |(role, _)| role)),
                None,
                Vec::new(),
            )
        }
        Target::PolicySource => (
            text(input, "PolicySourceArn").unwrap_or("*").to_owned(),
            None,
            Vec::new(),
        ),
        Target::Entity => (text(input, "Arn").unwrap_or("*").to_owned(), None, Vec::new()),
    };
    let name = action.strip_prefix("iam:").unwrap_or(action);
    let renamed = renamed(call, input, name, &arn);
    let mut access = Access::new(action, vec![arn]);
    access.resources.extend(renamed);
    if WITH_POLICY.contains(&name)
        && let Some(policy) = text(input, "PolicyArn")
    {
        access = access.with("iam:PolicyARN", vec![policy.to_owned()]);
    }
    if let Some(service) = text(input, "AWSServiceName") {
        access = access.with("iam:AWSServiceName", vec![service.to_owned()]);
    }
    if WITH_BOUNDARY.contains(&name) {
        let boundary = text(input, "PermissionsBoundary").map(str::to_owned);
        if let Some(boundary) = boundary.or_else(|| entity.and_then(|entity| entity.boundary.clone())) {
            access = access.with("iam:PermissionsBoundary", vec![boundary]);
        }
    }
    access.resource_policy = granted_to_every_user(state, call, name, action);
    let is_principal = matches!(target, Target::User | Target::Caller | Target::Role | Target::KeyOwner);
    for (key, value) in tags {
        access = access.with(&format!("aws:ResourceTag/{key}"), vec![value.clone()]);
        if is_principal {
            access = access.with(&format!("iam:ResourceTag/{key}"), vec![value]);
        }
    }
    let mut keys: Vec<String> = Vec::new();
    for tag in input.get("Tags").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(key), Some(value)) = (text(tag, "Key"), text(tag, "Value")) {
            access = access.with(&format!("aws:RequestTag/{key}"), vec![value.to_owned()]);
            keys.push(key.to_owned());
        }
    }
    let sets_tags = !keys.is_empty();
    let untagged = input.get("TagKeys").and_then(Value::as_array).into_iter().flatten();
    keys.extend(untagged.filter_map(Value::as_str).map(str::to_owned));
    if !keys.is_empty() {
        access = access.with("aws:TagKeys", keys);
    }
    let mut all = vec![access];
    // Whoever makes something with tags needs the permission to tag it, too. Ref: IAM User Guide, "Tags for IAM resources".
    let made = name.strip_prefix("Create").or_else(|| name.strip_prefix("Upload"));
    if let Some(noun) = made.filter(|_| sets_tags) {
        let mut tagging = all[0].clone();
        tagging.action = format!("iam:Tag{}", noun.strip_prefix("Virtual").unwrap_or(noun));
        all.push(tagging);
    }
    // Ref: IAM API Reference, AddRoleToInstanceProfile: "The caller of this operation must be granted the PassRole
    // permission on the IAM role by a permissions policy."
    if name == "AddRoleToInstanceProfile" {
        let (role, _, tags) = holder::<Role>(state, call, text(input, "RoleName").unwrap_or("*"), "/");
        let mut pass = Access::new("iam:PassRole", vec![role]);
        pass = pass.with("iam:PassedToService", vec!["ec2.amazonaws.com".to_owned()]);
        for (key, value) in tags {
            pass = pass.with(&format!("aws:ResourceTag/{key}"), vec![value.clone()]);
            pass = pass.with(&format!("iam:ResourceTag/{key}"), vec![value]);
        }
        all.push(pass);
    }
    all
}

/// What the account's password policy lets every user do without a policy of the user's own. Ref: PasswordPolicy,
/// `AllowUsersToChangePassword`: "the permissions are applied at the account-level for all users by IAM".
fn granted_to_every_user(state: &State, call: &Call, operation: &str, action: &str) -> Option<String> {
    let PrincipalKind::User { .. } = &call.principal.kind else {
        return None;
    };
    let policy = policy_of(state, &scope_of(&call.scope.account))?;
    let is_meant = matches!(operation, "ChangePassword" | "GetAccountPasswordPolicy");
    (policy.users_may_change && is_meant).then(|| {
        json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": call.principal.arn}, "Action": action, "Resource": "*"}
        ]})
        .to_string()
    })
}

/// What a user, a group or a server certificate becomes. Ref: IAM API Reference, UpdateUser: "the requester must have
/// appropriate permissions on both the source object and the target object".
fn renamed(call: &Call, input: &Value, operation: &str, arn: &str) -> Option<String> {
    let (kind, new_name) = match operation {
        "UpdateUser" => ("user", text(input, "NewUserName")),
        "UpdateGroup" => ("group", text(input, "NewGroupName")),
        "UpdateServerCertificate" => ("server-certificate", text(input, "NewServerCertificateName")),
        _ => return None,
    };
    // `/division/ada` of the ARN that it has.
    let (_, own) = arn.split_once(&format!(":{kind}"))?;
    let (path, name) = own.rsplit_once('/')?;
    let path = text(input, "NewPath").map_or_else(|| format!("{path}/"), str::to_owned);
    let new = iam_arn(&call.scope.account, kind, &path, new_name.unwrap_or(name));
    (new != arn).then_some(new)
}

/// The operations that know `iam:PolicyARN`.
const WITH_POLICY: [&str; 6] = [
    "AttachGroupPolicy",
    "AttachRolePolicy",
    "AttachUserPolicy",
    "DetachGroupPolicy",
    "DetachRolePolicy",
    "DetachUserPolicy",
];

/// The operations that know `iam:PermissionsBoundary`.
const WITH_BOUNDARY: [&str; 19] = [
    "AttachRolePolicy",
    "AttachUserPolicy",
    "CreateRole",
    "CreateUser",
    "DeleteRole",
    "DeleteRolePermissionsBoundary",
    "DeleteRolePolicy",
    "DeleteUserPermissionsBoundary",
    "DeleteUserPolicy",
    "DetachRolePolicy",
    "DetachUserPolicy",
    "GetRole",
    "PutRolePermissionsBoundary",
    "PutRolePolicy",
    "PutUserPermissionsBoundary",
    "PutUserPolicy",
    "UpdateAssumeRolePolicy",
    "UpdateRole",
    "UpdateRoleDescription",
];

type Found<'a> = (String, Option<&'a Entity>, Vec<(String, String)>);

fn holder<'a, H: Holder>(state: &'a State, call: &Call, name: &str, path: &str) -> Found<'a> {
    let account = &call.scope.account;
    match state.get::<H>(&scope_of(account), &key_of(name)) {
        Some(row) => (row.entity().arn.clone(), Some(row.entity()), row.entity().tags.clone()),
        None => (iam_arn(account, H::NOUN, path, name), None, Vec::new()),
    }
}
