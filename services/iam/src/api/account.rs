//! The account: its summary and its alias.

use super::Done;
use super::common::{
    Answer, GROUPS_MAX, INSTANCE_PROFILES_MAX, POLICIES_MAX, ROLES_MAX, SERVER_CERTIFICATES_MAX, USERS_MAX, page, scope,
};
use crate::certificate::ServerCertificate;
use crate::errors::{already_exists, no_such_entity};
use crate::mfa::MfaDevice;
use crate::model::{AccountAlias, Group, Holder, InstanceProfile, ManagedPolicy, OidcProvider, Role, User};
use crate::saml::SamlProvider;
use crate::types;
use honmaru_machine::{Call, State, Tx};
use honmaru_wire::tree::Tree;
use serde_json::Value;

/// The input of an operation that has none.
#[derive(Debug, Default)]
pub(super) struct Nothing;

impl Tree for Nothing {
    fn from_tree(_: Value) -> Self {
        Self
    }
    fn into_tree(self) -> Value {
        Value::Object(serde_json::Map::new())
    }
}

pub(super) fn summary(state: &State, call: &Call, _: Nothing) -> Answer<types::GetAccountSummaryResponse> {
    let scope = scope(call);
    let versions = state
        .list::<ManagedPolicy>(&scope)
        .map(|(_, policy)| policy.versions.len())
        .sum::<usize>();
    let devices = state.list::<MfaDevice>(&scope);
    let in_use = devices.filter(|(_, device)| device.assigned.is_some()).count();
    // Ref: "IAM and AWS STS quotas", and IAM API Reference, GetAccountSummary.
    let entries = [
        ("Users", state.list::<User>(&scope).count()),
        ("UsersQuota", USERS_MAX),
        ("Groups", state.list::<Group>(&scope).count()),
        ("GroupsQuota", GROUPS_MAX),
        ("Roles", state.list::<Role>(&scope).count()),
        ("RolesQuota", ROLES_MAX),
        ("Policies", state.list::<ManagedPolicy>(&scope).count()),
        ("PoliciesQuota", POLICIES_MAX),
        ("PolicyVersionsInUse", versions),
        ("PolicyVersionsInUseQuota", 10_000),
        ("VersionsPerPolicyQuota", 5),
        ("PolicySizeQuota", 6_144),
        ("InstanceProfiles", state.list::<InstanceProfile>(&scope).count()),
        ("InstanceProfilesQuota", INSTANCE_PROFILES_MAX),
        (
            "Providers",
            state.list::<OidcProvider>(&scope).count() + state.list::<SamlProvider>(&scope).count(),
        ),
        ("AccessKeysPerUserQuota", 2),
        ("GroupsPerUserQuota", 10),
        ("AttachedPoliciesPerUserQuota", User::ATTACHED_MAX),
        ("AttachedPoliciesPerGroupQuota", Group::ATTACHED_MAX),
        ("AttachedPoliciesPerRoleQuota", Role::ATTACHED_MAX),
        ("UserPolicySizeQuota", 2_048),
        ("GroupPolicySizeQuota", 5_120),
        ("RolePolicySizeQuota", 10_240),
        ("AssumeRolePolicySizeQuota", 2_048),
        ("ServerCertificates", state.list::<ServerCertificate>(&scope).count()),
        ("ServerCertificatesQuota", SERVER_CERTIFICATES_MAX),
        ("SigningCertificatesPerUserQuota", 2),
        // Tokens are valid in every region.
        ("GlobalEndpointTokenVersion", 2),
        ("MFADevices", state.list::<MfaDevice>(&scope).count()),
        ("MFADevicesInUse", in_use),
        ("AccountMFAEnabled", 0),
        ("AccountAccessKeysPresent", 0),
        ("AccountPasswordPresent", 0),
        ("AccountSigningCertificatesPresent", 0),
    ];
    let map = entries
        .into_iter()
        .map(|(name, n)| (name.to_owned(), i32::try_from(n).unwrap_or(i32::MAX)));
    Ok(types::GetAccountSummaryResponse {
        summary_map: Some(map.collect()),
    })
}

pub(super) fn list_aliases(
    state: &State,
    call: &Call,
    input: types::ListAccountAliasesRequest,
) -> Answer<types::ListAccountAliasesResponse> {
    let scope = scope(call);
    let rows = state
        .list::<AccountAlias>(&scope)
        .map(|(key, row)| (key.to_owned(), row.alias.clone()));
    let page = page(rows, input.marker.as_deref(), input.max_items)?;
    Ok(types::ListAccountAliasesResponse {
        account_aliases: page.items,
        is_truncated: page.is_truncated,
        marker: page.marker,
    })
}

pub(super) fn create_alias(tx: &mut Tx<'_>, call: &Call, input: types::CreateAccountAliasRequest) -> Answer<Done> {
    let alias = input.account_alias;
    if tx
        .all::<AccountAlias>()
        .any(|(owner, key, _)| key == alias && owner.account != call.scope.account)
    {
        return Err(already_exists(format!("The account alias {alias} already exists.")));
    }
    let scope = scope(call);
    // An account has one alias: a new one replaces the old.
    let old: Vec<String> = tx.list::<AccountAlias>(&scope).map(|(key, _)| key.to_owned()).collect();
    for key in old {
        tx.delete::<AccountAlias>(&scope, &key);
    }
    tx.put(&scope, &alias.clone(), AccountAlias { alias });
    Ok(Done)
}

pub(super) fn delete_alias(tx: &mut Tx<'_>, call: &Call, input: types::DeleteAccountAliasRequest) -> Answer<Done> {
    match tx.delete::<AccountAlias>(&scope(call), &input.account_alias) {
        Some(_) => Ok(Done),
        None => Err(no_such_entity(format!(
            "The account alias {} cannot be found.",
            input.account_alias
        ))),
    }
}
