//! IAM's operations: names, what each needs, and its handler.

mod absent;
mod access;
mod account;
mod advisor;
mod certificates;
mod common;
mod details;
mod groups;
mod holders;
mod keys;
mod logins;
mod mfa;
mod oidc;
mod password_policy;
mod policies;
mod profiles;
mod roles;
mod saml;
mod signing;
mod simulate;
mod ssh_keys;
mod users;

use access::{Target, access};
use common::Done;
use honmaru_base::ApiError;
use honmaru_machine::{Call, Handler, Operation, Tx};
use honmaru_wire::tree::Tree;
use serde_json::Value;

pub use logins::password_operations;

macro_rules! read {
    ($name:literal, $target:ident, $handler:path) => {
        Operation {
            name: $name,
            access: |state, call, input| access(state, call, input, concat!("iam:", $name), Target::$target),
            handler: Handler::Read(|state, call, input| {
                $handler(state, call, Tree::from_tree(input)).map(Tree::into_tree)
            }),
        }
    };
}

macro_rules! write {
    ($name:literal, $target:ident, $handler:path) => {
        Operation {
            name: $name,
            access: |state, call, input| access(state, call, input, concat!("iam:", $name), Target::$target),
            handler: Handler::Write(|tx, call, input| $handler(tx, call, Tree::from_tree(input)).map(Tree::into_tree)),
        }
    };
}

/// DeleteServerCertificate, for whoever knows who uses one.
pub fn delete_server_certificate(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    certificates::delete(tx, call, Tree::from_tree(input)).map(Tree::into_tree)
}

/// UpdateServerCertificate, for the same.
pub fn update_server_certificate(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    certificates::update(tx, call, Tree::from_tree(input)).map(Tree::into_tree)
}

/// Every operation that is implemented, but for those that set passwords ([`password_operations`]).
pub fn operations() -> Vec<Operation> {
    vec![
        write!("CreateUser", User, users::create),
        read!("GetUser", User, users::get),
        write!("UpdateUser", User, users::update),
        read!("ListUsers", Any, users::list),
        write!("DeleteUser", User, users::delete),
        write!("CreateAccessKey", User, keys::create),
        read!("ListAccessKeys", User, keys::list),
        write!("UpdateAccessKey", User, keys::update),
        write!("DeleteAccessKey", User, keys::delete),
        read!("GetAccessKeyLastUsed", KeyOwner, keys::last_used),
        write!("PutUserPermissionsBoundary", User, users::put_boundary),
        write!("DeleteUserPermissionsBoundary", User, users::delete_boundary),
        write!("AttachUserPolicy", User, holders::user::attach),
        write!("DetachUserPolicy", User, holders::user::detach),
        read!("ListAttachedUserPolicies", User, holders::user::list_attached),
        write!("PutUserPolicy", User, holders::user::put_inline),
        read!("GetUserPolicy", User, holders::user::get_inline),
        read!("ListUserPolicies", User, holders::user::list_inline),
        write!("DeleteUserPolicy", User, holders::user::delete_inline),
        write!("TagUser", User, users::tag),
        write!("UntagUser", User, users::untag),
        read!("ListUserTags", User, users::list_tags),
        write!("CreateGroup", Group, groups::create),
        read!("GetGroup", Group, groups::get),
        write!("UpdateGroup", Group, groups::update),
        read!("ListGroups", Any, groups::list),
        write!("DeleteGroup", Group, groups::delete),
        write!("AddUserToGroup", Group, groups::add_user),
        write!("RemoveUserFromGroup", Group, groups::remove_user),
        read!("ListGroupsForUser", User, groups::list_for_user),
        write!("AttachGroupPolicy", Group, holders::group::attach),
        write!("DetachGroupPolicy", Group, holders::group::detach),
        read!("ListAttachedGroupPolicies", Group, holders::group::list_attached),
        write!("PutGroupPolicy", Group, holders::group::put_inline),
        read!("GetGroupPolicy", Group, holders::group::get_inline),
        read!("ListGroupPolicies", Group, holders::group::list_inline),
        write!("DeleteGroupPolicy", Group, holders::group::delete_inline),
        write!("CreateRole", Role, roles::create),
        read!("GetRole", Role, roles::get),
        write!("UpdateRole", Role, roles::update),
        write!("UpdateRoleDescription", Role, roles::update_description),
        write!("UpdateAssumeRolePolicy", Role, roles::update_trust),
        read!("ListRoles", Any, roles::list),
        write!("DeleteRole", Role, roles::delete),
        write!("PutRolePermissionsBoundary", Role, roles::put_boundary),
        write!("DeleteRolePermissionsBoundary", Role, roles::delete_boundary),
        write!("AttachRolePolicy", Role, holders::role::attach),
        write!("DetachRolePolicy", Role, holders::role::detach),
        read!("ListAttachedRolePolicies", Role, holders::role::list_attached),
        write!("PutRolePolicy", Role, holders::role::put_inline),
        read!("GetRolePolicy", Role, holders::role::get_inline),
        read!("ListRolePolicies", Role, holders::role::list_inline),
        write!("DeleteRolePolicy", Role, holders::role::delete_inline),
        write!("TagRole", Role, roles::tag),
        write!("UntagRole", Role, roles::untag),
        read!("ListRoleTags", Role, roles::list_tags),
        write!(
            "CreateServiceLinkedRole",
            ServiceLinkedRole,
            roles::create_service_linked
        ),
        write!("DeleteServiceLinkedRole", Role, roles::delete_service_linked),
        read!(
            "GetServiceLinkedRoleDeletionStatus",
            DeletedRole,
            roles::deletion_status
        ),
        write!("CreatePolicy", Policy, policies::create),
        read!("GetPolicy", Policy, policies::get),
        read!("ListPolicies", Any, policies::list),
        write!("DeletePolicy", Policy, policies::delete),
        write!("CreatePolicyVersion", Policy, policies::create_version),
        read!("GetPolicyVersion", Policy, policies::get_version),
        read!("ListPolicyVersions", Policy, policies::list_versions),
        write!("DeletePolicyVersion", Policy, policies::delete_version),
        write!("SetDefaultPolicyVersion", Policy, policies::set_default),
        read!("ListEntitiesForPolicy", Policy, policies::list_entities),
        write!("TagPolicy", Policy, policies::tag),
        write!("UntagPolicy", Policy, policies::untag),
        read!("ListPolicyTags", Policy, policies::list_tags),
        write!("CreateInstanceProfile", InstanceProfile, profiles::create),
        read!("GetInstanceProfile", InstanceProfile, profiles::get),
        read!("ListInstanceProfiles", Any, profiles::list),
        write!("DeleteInstanceProfile", InstanceProfile, profiles::delete),
        write!("AddRoleToInstanceProfile", InstanceProfile, profiles::add_role),
        write!("RemoveRoleFromInstanceProfile", InstanceProfile, profiles::remove_role),
        read!("ListInstanceProfilesForRole", Role, profiles::list_for_role),
        write!("CreateOpenIDConnectProvider", NewOidc, oidc::create),
        read!("GetOpenIDConnectProvider", Oidc, oidc::get),
        read!("ListOpenIDConnectProviders", Any, oidc::list),
        write!("DeleteOpenIDConnectProvider", Oidc, oidc::delete),
        write!("UpdateOpenIDConnectProviderThumbprint", Oidc, oidc::update_thumbprint),
        write!("AddClientIDToOpenIDConnectProvider", Oidc, oidc::add_client_id),
        write!("RemoveClientIDFromOpenIDConnectProvider", Oidc, oidc::remove_client_id),
        read!("SimulatePrincipalPolicy", PolicySource, simulate::principal),
        read!("SimulateCustomPolicy", Any, simulate::custom),
        read!(
            "GetContextKeysForPrincipalPolicy",
            PolicySource,
            simulate::keys_of_principal
        ),
        read!("GetContextKeysForCustomPolicy", Any, simulate::keys_of_custom),
        write!("GenerateServiceLastAccessedDetails", Entity, advisor::generate),
        read!("GetServiceLastAccessedDetails", Any, advisor::get),
        read!(
            "GetServiceLastAccessedDetailsWithEntities",
            Any,
            advisor::get_with_entities
        ),
        read!("ListPoliciesGrantingServiceAccess", Entity, advisor::list_granting),
        read!("GetAccountSummary", Any, account::summary),
        read!("ListAccountAliases", Any, account::list_aliases),
        write!("CreateAccountAlias", Any, account::create_alias),
        write!("DeleteAccountAlias", Any, account::delete_alias),
        write!("TagInstanceProfile", InstanceProfile, profiles::tag),
        write!("UntagInstanceProfile", InstanceProfile, profiles::untag),
        read!("ListInstanceProfileTags", InstanceProfile, profiles::list_tags),
        write!("TagOpenIDConnectProvider", Oidc, oidc::tag),
        write!("UntagOpenIDConnectProvider", Oidc, oidc::untag),
        read!("ListOpenIDConnectProviderTags", Oidc, oidc::list_tags),
        read!("GetAccountAuthorizationDetails", Any, details::all),
        read!("GenerateCredentialReport", Any, details::generate_report),
        read!("GetCredentialReport", Any, details::report),
        write!("CreateVirtualMFADevice", Mfa, mfa::create),
        write!("DeleteVirtualMFADevice", Mfa, mfa::delete),
        write!("EnableMFADevice", User, mfa::enable),
        write!("DeactivateMFADevice", User, mfa::deactivate),
        write!("ResyncMFADevice", User, mfa::resync),
        read!("GetMFADevice", User, mfa::get),
        read!("ListMFADevices", User, mfa::list),
        read!("ListVirtualMFADevices", Any, mfa::list_virtual),
        write!("TagMFADevice", Mfa, mfa::tag),
        write!("UntagMFADevice", Mfa, mfa::untag),
        read!("ListMFADeviceTags", Mfa, mfa::list_tags),
        write!(
            "CreateServiceSpecificCredential",
            User,
            absent::create_service_credential
        ),
        write!(
            "UpdateServiceSpecificCredential",
            User,
            absent::update_service_credential
        ),
        write!("ResetServiceSpecificCredential", User, absent::reset_service_credential),
        write!(
            "DeleteServiceSpecificCredential",
            User,
            absent::delete_service_credential
        ),
        write!("UploadSSHPublicKey", User, ssh_keys::upload),
        read!("GetSSHPublicKey", User, ssh_keys::get),
        read!("ListSSHPublicKeys", User, ssh_keys::list),
        write!("UpdateSSHPublicKey", User, ssh_keys::update),
        write!("DeleteSSHPublicKey", User, ssh_keys::delete),
        write!("UploadSigningCertificate", User, signing::upload),
        read!("ListSigningCertificates", User, signing::list),
        write!("UpdateSigningCertificate", User, signing::update),
        write!("DeleteSigningCertificate", User, signing::delete),
        read!("ListServiceSpecificCredentials", User, absent::service_credentials),
        read!("GetLoginProfile", User, logins::get),
        write!("DeleteLoginProfile", User, logins::delete),
        write!("UploadServerCertificate", ServerCertificate, certificates::upload),
        read!("GetServerCertificate", ServerCertificate, certificates::get),
        read!("ListServerCertificates", Any, certificates::list),
        write!("UpdateServerCertificate", ServerCertificate, certificates::update),
        write!("DeleteServerCertificate", ServerCertificate, certificates::delete),
        write!("TagServerCertificate", ServerCertificate, certificates::tag),
        write!("UntagServerCertificate", ServerCertificate, certificates::untag),
        read!("ListServerCertificateTags", ServerCertificate, certificates::list_tags),
        write!("CreateSAMLProvider", Saml, saml::create),
        read!("GetSAMLProvider", Saml, saml::get),
        read!("ListSAMLProviders", Any, saml::list),
        write!("UpdateSAMLProvider", Saml, saml::update),
        write!("DeleteSAMLProvider", Saml, saml::delete),
        write!("TagSAMLProvider", Saml, saml::tag),
        write!("UntagSAMLProvider", Saml, saml::untag),
        read!("ListSAMLProviderTags", Saml, saml::list_tags),
        write!("UpdateAccountPasswordPolicy", Any, password_policy::update),
        read!("GetAccountPasswordPolicy", Any, password_policy::get),
        write!("DeleteAccountPasswordPolicy", Any, password_policy::delete),
    ]
}
