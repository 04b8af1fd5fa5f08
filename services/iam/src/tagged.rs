//! The tagged resources of this service, for whoever looks at the tags of all services.

use crate::certificate::ServerCertificate;
use crate::machine::scope_of;
use crate::mfa::MfaDevice;
use crate::model::{InstanceProfile, ManagedPolicy, OidcProvider, Role, User};
use crate::saml::SamlProvider;
use honmaru_base::AccountId;
use honmaru_machine::State;
use std::collections::BTreeMap;

/// ARN and tags of every user, role, policy, instance profile, OIDC and SAML provider, MFA device and server certificate of an
/// account that has tags.
pub fn tagged(state: &State, account: &AccountId) -> Vec<(String, BTreeMap<String, String>)> {
    let scope = scope_of(account);
    let users = state
        .list::<User>(&scope)
        .map(|(_, row)| (&row.entity.arn, &row.entity.tags));
    let roles = state
        .list::<Role>(&scope)
        .map(|(_, row)| (&row.entity.arn, &row.entity.tags));
    let policies = state
        .list::<ManagedPolicy>(&scope)
        .map(|(_, row)| (&row.arn, &row.tags));
    let profiles = state
        .list::<InstanceProfile>(&scope)
        .map(|(_, row)| (&row.arn, &row.tags));
    let providers = state.list::<OidcProvider>(&scope).map(|(_, row)| (&row.arn, &row.tags));
    let devices = state.list::<MfaDevice>(&scope).map(|(_, row)| (&row.arn, &row.tags));
    let certificates = state
        .list::<ServerCertificate>(&scope)
        .map(|(_, row)| (&row.arn, &row.tags));
    let saml = state.list::<SamlProvider>(&scope).map(|(_, row)| (&row.arn, &row.tags));
    let all = users.chain(roles).chain(policies).chain(profiles).chain(providers);
    let all = all.chain(devices).chain(certificates).chain(saml);
    let tagged = all.filter(|(_, tags)| !tags.is_empty());
    tagged
        .map(|(arn, tags)| (arn.clone(), tags.iter().cloned().collect()))
        .collect()
}
