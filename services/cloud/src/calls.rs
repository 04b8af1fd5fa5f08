//! Who calls, and how, in this crate's tests.

use honmaru_base::{Scope, Time};
use honmaru_machine::{Call, Principal, PrincipalKind};

/// When everything happens.
pub(crate) const NOW: Time = Time::from_ms(1_800_000_000_000);
/// Whose it is.
pub(crate) const ACCOUNT: &str = "111111111111";

pub(crate) fn scope() -> Scope {
    Scope::new(ACCOUNT, "us-east-1").unwrap()
}

pub(crate) fn root() -> Principal {
    Principal {
        account: scope().account,
        arn: format!("arn:aws:iam::{ACCOUNT}:root"),
        user_id: ACCOUNT.to_owned(),
        kind: PrincipalKind::Root,
        access_key_id: String::new(),
        tags: Vec::new(),
        session_policies: Vec::new(),
        session: None,
    }
}

pub(crate) fn call(principal: Principal) -> Call {
    Call {
        scope: scope(),
        principal,
        request_id: String::new(),
        now: NOW,
        source_ip: None,
        user_agent: String::new(),
        referer: String::new(),
        host: String::new(),
        secure: false,
    }
}
