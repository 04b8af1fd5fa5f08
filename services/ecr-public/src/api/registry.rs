//! The registry of an account, and tokens.

use crate::access::registry_arn;
use crate::alias::alias_of;
use crate::place::registry_uri;
use crate::types::{self, AuthorizationData, Registry, RegistryAlias};
use honmaru_base::ApiError;
use honmaru_ecr::{TOKEN_LIFE_S, authorization_token as seal};
use honmaru_machine::{Call, State, Tx};

/// An account has one public registry, with one alias.
pub(super) fn describe(
    _state: &State,
    call: &Call,
    _input: types::DescribeRegistriesRequest,
) -> Result<types::DescribeRegistriesResponse, ApiError> {
    let account = &call.scope.account;
    let alias = RegistryAlias {
        name: alias_of(account),
        status: "ACTIVE".to_owned(),
        primary_registry_alias: true,
        default_registry_alias: true,
    };
    let registry = Registry {
        registry_id: account.to_string(),
        registry_arn: registry_arn(account),
        registry_uri: registry_uri(account, &call.host),
        verified: false,
        aliases: vec![alias],
    };
    Ok(types::DescribeRegistriesResponse {
        registries: vec![registry],
        next_token: None,
    })
}

pub(super) fn authorization_token(
    tx: &mut Tx<'_>,
    call: &Call,
    _input: types::GetAuthorizationTokenRequest,
) -> Result<types::GetAuthorizationTokenResponse, ApiError> {
    let expires_at = tx.now().plus_s(TOKEN_LIFE_S);
    let data = AuthorizationData {
        authorization_token: Some(seal(tx, &call.principal)),
        expires_at: Some(expires_at.as_epoch_s()),
    };
    Ok(types::GetAuthorizationTokenResponse {
        authorization_data: Some(data),
    })
}
