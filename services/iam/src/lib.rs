//! AWS IAM: users, groups, roles, policies, access keys, and the decision about every call.
//!
//! Not here: signatures and the policy language (`foundation/identity`), sessions (`services/sts`).
//! Invariant: everything lives under [`honmaru_base::Scope::global`] of its account, whatever region a call names.

#![forbid(unsafe_code)]

mod accesses;
mod api;
mod authorize;
mod certificate;
mod errors;
mod issuer;
mod machine;
mod managed;
mod mfa;
mod model;
mod password;
mod passwords;
mod qr;
mod refusal;
mod saml;
mod sealing;
mod signing;
mod ssh_key;
mod tagged;
mod trust;
pub mod types;

pub use accesses::{Accessed, Accessor, LastUse, note_access};
pub use api::{delete_server_certificate, operations, password_operations, update_server_certificate};
pub use authorize::{CallerParts, authorize, authorize_service, caller_parts};
pub use certificate::{ServerCertificate, server_certificate, server_certificate_of_name};
pub use issuer::{LoopbackIssuers, allow_loopback_issuers, are_loopback_issuers_allowed, issuer_key};
pub use machine::{
    ADMINISTRATOR, KeyOwner, NOTHING, PolicySources, access_key, document_of, ensure_administrator, identity_policies,
    note_access_key_use, note_role_use, oidc_provider, role_by_arn, role_of_name, user_of_name, user_principal,
};
pub use managed::{AwsManaged, aws_managed};
pub use mfa::{Assigned, MfaDevice, MfaRefusal, prove_mfa};
pub use model::{AccessKey, Entity, Group, InstanceProfile, ManagedPolicy, OidcProvider, Role, User};
pub use passwords::{PasswordChange, Passwords, Work, Worked};
pub use refusal::open_refusal;
pub use sealing::{SealingKey, ensure_key, sealer};
pub use tagged::tagged;
pub use trust::{Assuming, TrustedIds, trust_of, trusts_service};

use honmaru_machine::State;

/// botocore's name of the service.
pub const SERVICE: &str = "iam";

/// Adds IAM's tables.
pub fn register(state: &mut State) {
    state.register::<model::User>();
    state.register::<model::Group>();
    state.register::<model::Role>();
    state.register::<model::AccessKey>();
    state.register::<model::AccessKeyUse>();
    state.register::<model::RoleUse>();
    state.register::<model::ManagedPolicy>();
    state.register::<model::InstanceProfile>();
    state.register::<model::OidcProvider>();
    state.register::<ServerCertificate>();
    state.register::<MfaDevice>();
    state.register::<password::PasswordPolicy>();
    state.register::<password::LoginProfile>();
    state.register::<ssh_key::SshPublicKey>();
    state.register::<signing::SigningCertificate>();
    state.register::<saml::SamlProvider>();
    state.register::<accesses::ServiceAccess>();
    state.register::<accesses::AccessJob>();
    state.register::<model::AccountAlias>();
    state.register::<model::RoleDeletion>();
    state.register::<issuer::LoopbackIssuers>();
    state.register::<SealingKey>();
    state.register::<TrustedIds>();
}

#[cfg(test)]
mod tests;
