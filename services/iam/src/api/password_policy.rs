//! The account's password policy.

use super::Done;
use super::account::Nothing;
use super::common::{Answer, scope};
use crate::errors::no_such_entity;
use crate::password::{MINIMUM_LENGTH_DEFAULT, POLICY, PasswordPolicy, policy_of};
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{Call, State, Tx};

fn none(call: &Call) -> ApiError {
    no_such_entity(format!(
        "The Password Policy with domain name {} cannot be found.",
        call.scope.account
    ))
}

/// Sets the whole policy: what is not given has its default again. Ref: UpdateAccountPasswordPolicy.
pub(super) fn update(tx: &mut Tx<'_>, call: &Call, input: types::UpdateAccountPasswordPolicyRequest) -> Answer<Done> {
    let policy = PasswordPolicy {
        minimum_length: input.minimum_password_length.unwrap_or(MINIMUM_LENGTH_DEFAULT),
        require_symbols: input.require_symbols.unwrap_or_default(),
        require_numbers: input.require_numbers.unwrap_or_default(),
        require_uppercase: input.require_uppercase_characters.unwrap_or_default(),
        require_lowercase: input.require_lowercase_characters.unwrap_or_default(),
        users_may_change: input.allow_users_to_change_password.unwrap_or_default(),
        max_age_days: input.max_password_age,
        remembered: input.password_reuse_prevention,
        hard_expiry: input.hard_expiry,
    };
    tx.put(&scope(call), POLICY, policy);
    Ok(Done)
}

pub(super) fn get(state: &State, call: &Call, _: Nothing) -> Answer<types::GetAccountPasswordPolicyResponse> {
    let policy = policy_of(state, &scope(call)).ok_or_else(|| none(call))?;
    Ok(types::GetAccountPasswordPolicyResponse {
        password_policy: types::PasswordPolicy {
            minimum_password_length: Some(policy.minimum_length),
            require_symbols: Some(policy.require_symbols),
            require_numbers: Some(policy.require_numbers),
            require_uppercase_characters: Some(policy.require_uppercase),
            require_lowercase_characters: Some(policy.require_lowercase),
            allow_users_to_change_password: Some(policy.users_may_change),
            expire_passwords: Some(policy.max_age_days.is_some()),
            max_password_age: policy.max_age_days,
            password_reuse_prevention: policy.remembered,
            hard_expiry: policy.hard_expiry,
        },
    })
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, _: Nothing) -> Answer<Done> {
    match tx.delete::<PasswordPolicy>(&scope(call), POLICY) {
        Some(_) => Ok(Done),
        None => Err(none(call)),
    }
}
