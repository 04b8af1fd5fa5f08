//! Who calls: from a signature to a principal.

use super::Control;
use honmaru_base::{AccountId, Time};
use honmaru_identity::{AuthError, Presented, Session};
use honmaru_machine::{Principal, PrincipalKind, State};

/// The access key id of an account's root user in `--dev` mode has the account's twelve digits.
fn dev_account(control: &Control, access_key_id: &str) -> AccountId {
    access_key_id
        .parse()
        .unwrap_or_else(|_| control.options.account.clone())
}

/// The root user of an account, as `--dev` sees whoever has no keys of this cloud's.
pub fn root_of(account: AccountId, access_key_id: &str) -> Principal {
    Principal {
        arn: format!("arn:aws:iam::{account}:root"),
        user_id: account.to_string(),
        account,
        kind: PrincipalKind::Root,
        access_key_id: access_key_id.to_owned(),
        tags: Vec::new(),
        session_policies: Vec::new(),
        session: None,
    }
}

/// The principal of a call that needs no signature and has none.
pub fn anonymous(control: &Control) -> Principal {
    Principal {
        account: control.options.account.clone(),
        arn: "*".to_owned(),
        user_id: "anonymous".to_owned(),
        kind: PrincipalKind::Anonymous,
        access_key_id: String::new(),
        tags: Vec::new(),
        session_policies: Vec::new(),
        session: None,
    }
}

/// Verifies a signature and finds the principal behind it.
pub fn authenticate(
    control: &Control,
    state: &State,
    presented: &Presented,
    now: Time,
) -> Result<Principal, AuthError> {
    if control.options.dev {
        return Ok(in_dev(control, state, presented));
    }
    honmaru_sts::authenticate(state, presented, now, &control.keys)
}

/// In `--dev` mode a known key is its owner, and anybody else is root of the account that the key names.
fn in_dev(control: &Control, state: &State, presented: &Presented) -> Principal {
    if let Some(session) = presented
        .session_token
        .as_deref()
        .and_then(|token| control.sealer.open(token).ok())
        && let Ok(principal) = of_session(state, session)
    {
        return principal;
    }
    match honmaru_iam::access_key(state, &presented.access_key_id) {
        Some(owner) => honmaru_iam::user_principal(&owner.account, owner.user, &presented.access_key_id),
        None => root_of(dev_account(control, &presented.access_key_id), &presented.access_key_id),
    }
}

fn of_session(state: &State, session: Session) -> Result<Principal, AuthError> {
    honmaru_sts::session_principal(state, &session).ok_or_else(AuthError::unknown_key)
}
