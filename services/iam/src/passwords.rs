//! How a password is set: a look at the state, the work that takes its time, and the change, each on its own.
//!
//! Invariant: what was worked out is written only for the user that was looked at, and what rests on the old password only
//! while that one holds.

use crate::errors::{already_exists, no_such_entity, not_found};
use crate::machine::scope_of;
use crate::model::{User, key_of};
use crate::password::{LoginProfile, Password, PasswordHash, check, policy_of, violation};
use crate::types;
use honmaru_base::{ApiError, Rng};
use honmaru_machine::{BoxFuture, Call, State, Tx};
use honmaru_wire::tree::Tree;
use serde_json::{Map, Value};

/// Whoever carries out changes of passwords: their work away from the state's one writer, and only so many at once that
/// they use up neither the processors nor the memory.
pub trait Passwords: Send + Sync {
    /// Looks ([`PasswordChange::look`]), works ([`Work::run`]) and writes ([`PasswordChange::write`]).
    fn change(&self, change: PasswordChange) -> BoxFuture<Result<Value, ApiError>>;
}

/// A call that sets a password, or what belongs to it.
#[derive(Debug)]
pub struct PasswordChange {
    call: Call,
    user: String,
    asked: Asked,
}

#[derive(Debug)]
pub(crate) enum Asked {
    /// CreateLoginProfile.
    Create { password: Password, reset_required: bool },
    /// UpdateLoginProfile.
    Update {
        password: Option<Password>,
        reset_required: Option<bool>,
    },
    /// ChangePassword, by the user.
    Change { old: Password, new: Password },
}

/// Where a change begins.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    user_id: String,
    /// The old password, where the change rests on it.
    hash: Option<PasswordHash>,
}

/// What takes its time: hashes of passwords. Each needs 19 MiB while it is made.
#[derive(Debug)]
pub struct Work {
    seen: Seen,
    old: Option<Password>,
    new: Password,
    /// The passwords that may not be chosen again.
    used: Vec<PasswordHash>,
}

/// What came of the work.
#[derive(Debug)]
pub struct Worked {
    seen: Seen,
    hash: PasswordHash,
}

impl Work {
    /// Checks the old password, and that the new one is none of those before it; then makes what is kept of it.
    pub fn run(self, rng: &mut dyn Rng) -> Result<Worked, ApiError> {
        if let (Some(old), Some(hash)) = (&self.old, &self.seen.hash)
            && !hash.is_of(old)
        {
            // What AWS says is in no record.
            return Err(ApiError::new("AccessDenied", "The old password is not correct.").with_status(403));
        }
        if self.used.iter().any(|hash| hash.is_of(&self.new)) {
            return Err(violation("Password does not conform to the account password policy."));
        }
        Ok(Worked {
            hash: PasswordHash::of(&self.new, rng),
            seen: self.seen,
        })
    }
}

impl PasswordChange {
    pub(crate) fn new(call: Call, user: String, asked: Asked) -> Self {
        Self { call, user, asked }
    }

    /// The work that is to be done before [`Self::write`]; nothing for a change without a password.
    pub fn look(&self, state: &State) -> Result<Option<Work>, ApiError> {
        let (user, profile) = self.checked(state)?;
        let seen = self.seen(user, profile);
        let work = |new: &Password, old: Option<&Password>, used: &[PasswordHash]| Work {
            seen,
            old: old.cloned(),
            new: new.clone(),
            used: used.to_vec(),
        };
        Ok(match &self.asked {
            Asked::Create { password, .. } => Some(work(password, None, &[])),
            Asked::Update { password, .. } => password.as_ref().map(|password| work(password, None, &[])),
            Asked::Change { old, new } => {
                let policy = policy_of(state, &scope_of(&self.call.scope.account));
                let remembered = policy.map_or(0, |policy| policy.remembered());
                let used = profile.map_or(&[][..], |profile| profile.latest(remembered));
                Some(work(new, Some(old), used))
            }
        })
    }

    /// Writes what came of the work, unless somebody else was faster.
    pub fn write(self, tx: &mut Tx<'_>, worked: Option<Worked>) -> Result<Value, ApiError> {
        let (user, profile) = self.checked(tx)?;
        let current = self.seen(user, profile);
        if worked.as_ref().is_some_and(|worked| worked.seen != current) {
            return Err(self.is_being_changed());
        }
        let (name, profile) = (user.entity.name.clone(), profile.cloned());
        let (scope, key, now) = (scope_of(&self.call.scope.account), key_of(&self.user), tx.now());
        let hash = worked.map(|worked| worked.hash);
        let mut output = Value::Object(Map::new());
        let row = match (self.asked, profile, hash) {
            (Asked::Create { reset_required, .. }, None, Some(hash)) => {
                let row = LoginProfile::new(hash, reset_required, now);
                let login_profile = shape(&name, &row);
                output = types::CreateLoginProfileResponse { login_profile }.into_tree();
                row
            }
            (Asked::Update { reset_required, .. }, Some(mut row), hash) => {
                if let Some(hash) = hash {
                    row.set(hash, now);
                }
                row.reset_required = reset_required.unwrap_or(row.reset_required);
                row
            }
            (Asked::Change { .. }, Some(mut row), Some(hash)) => {
                row.set(hash, now);
                row.reset_required = false;
                row
            }
            // `checked` knows which changes want a profile, and `look` gave work wherever there is a password.
            (Asked::Create { .. } | Asked::Update { .. } | Asked::Change { .. }, _, _) => {
                let text = "The password was not worked on.";
                return Err(ApiError::new("ServiceFailureException", text).with_status(500));
            }
        };
        tx.put(&scope, &key, row);
        Ok(output)
    }

    /// What must still be so when the change is written. Of two administrators the later one wins.
    fn seen(&self, user: &User, profile: Option<&LoginProfile>) -> Seen {
        let hash = match &self.asked {
            Asked::Create { .. } | Asked::Update { .. } => None,
            Asked::Change { .. } => profile.and_then(LoginProfile::current).cloned(),
        };
        Seen {
            user_id: user.entity.id.clone(),
            hash,
        }
    }

    /// What is known without work: whether there is such a user with or without a password, and what the account asks of
    /// the new one.
    fn checked<'a>(&self, state: &'a State) -> Result<(&'a User, Option<&'a LoginProfile>), ApiError> {
        let (scope, key) = (scope_of(&self.call.scope.account), key_of(&self.user));
        let user: &User = state.get(&scope, &key).ok_or_else(|| not_found("user", &self.user))?;
        let profile: Option<&LoginProfile> = state.get(&scope, &key);
        let new = match &self.asked {
            Asked::Create { .. } if profile.is_some() => {
                return Err(already_exists(format!(
                    "Login Profile for user {} already exists.",
                    user.entity.name
                )));
            }
            Asked::Update { .. } | Asked::Change { .. } if profile.is_none() => {
                return Err(no_login_profile(&user.entity.name));
            }
            Asked::Create { password, .. } => Some(password),
            Asked::Update { password, .. } => password.as_ref(),
            Asked::Change { new, .. } => Some(new),
        };
        if let Some(new) = new {
            check(policy_of(state, &scope), new)?;
        }
        Ok((user, profile))
    }

    /// Seen: Terraform's AWS provider, which tries again after it.
    fn is_being_changed(&self) -> ApiError {
        let text = format!(
            "Login Profile for User {} cannot be modified while login profile is being created.",
            self.user
        );
        ApiError::new("EntityTemporarilyUnmodifiableException", text)
    }
}

pub(crate) fn no_login_profile(user: &str) -> ApiError {
    no_such_entity(format!("Login Profile for User {user} cannot be found."))
}

pub(crate) fn shape(user: &str, row: &LoginProfile) -> types::LoginProfile {
    types::LoginProfile {
        user_name: user.to_owned(),
        create_date: row.created_at.as_epoch_s().floor(),
        password_reset_required: Some(row.reset_required),
    }
}
