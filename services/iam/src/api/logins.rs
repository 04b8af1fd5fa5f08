//! Login profiles: the passwords of users. What sets one is carried out by [`Passwords`].

use super::access::{Target, access};
use super::account::Nothing;
use super::common::{Answer, holder, scope, user_name};
use crate::errors::validation;
use crate::model::{User, key_of};
use crate::password::{LoginProfile, Password};
use crate::passwords::{Asked, PasswordChange, Passwords, no_login_profile, shape};
use crate::types;
use honmaru_base::ApiError;
use honmaru_machine::{AsyncHandler, BoxFuture, Call, Handler, Operation, PrincipalKind, State, Tx};
use honmaru_wire::tree::Tree;
use serde_json::Value;
use std::sync::Arc;

macro_rules! sets {
    ($passwords:ident, $name:literal, $target:ident, $asked:path) => {
        Operation {
            name: $name,
            access: |state, call, input| access(state, call, input, concat!("iam:", $name), Target::$target),
            handler: Handler::Async(sets($passwords, |call, input| $asked(call, Tree::from_tree(input)))),
        }
    };
}

fn sets(
    passwords: &Arc<dyn Passwords>,
    asked: impl Fn(&Call, Value) -> Answer<(String, Asked)> + Send + Sync + 'static,
) -> AsyncHandler {
    let passwords = passwords.clone();
    Arc::new(move |call, input| -> BoxFuture<Result<Value, ApiError>> {
        match asked(&call, input) {
            Ok((user, asked)) => passwords.change(PasswordChange::new(call, user, asked)),
            Err(error) => Box::pin(async move { Err(error) }),
        }
    })
}

/// The operations that set a password.
pub fn password_operations(passwords: &Arc<dyn Passwords>) -> Vec<Operation> {
    vec![
        sets!(passwords, "CreateLoginProfile", User, create),
        sets!(passwords, "UpdateLoginProfile", User, update),
        sets!(passwords, "ChangePassword", Caller, change),
    ]
}

fn create(call: &Call, input: types::CreateLoginProfileRequest) -> Answer<(String, Asked)> {
    let user = user_name(call, input.user_name)?;
    // Ref: CreateLoginProfile: left out in sessions of AssumeRoot only, which are not here.
    let password = input.password.ok_or_else(|| validation("Must specify password."))?;
    let asked = Asked::Create {
        password: Password::new(password),
        reset_required: input.password_reset_required.unwrap_or_default(),
    };
    Ok((user, asked))
}

fn update(_: &Call, input: types::UpdateLoginProfileRequest) -> Answer<(String, Asked)> {
    let asked = Asked::Update {
        password: input.password.map(Password::new),
        reset_required: input.password_reset_required,
    };
    Ok((input.user_name, asked))
}

fn change(call: &Call, input: types::ChangePasswordRequest) -> Answer<(String, Asked)> {
    let PrincipalKind::User { name } = &call.principal.kind else {
        // Ref: AWS CLI, change-password: "can be called by IAM users only".
        return Err(ApiError::new(
            "InvalidUserTypeException",
            "Only IAM Users can change their own password.",
        ));
    };
    let asked = Asked::Change {
        old: Password::new(input.old_password),
        new: Password::new(input.new_password),
    };
    Ok((name.clone(), asked))
}

fn profile<'a>(state: &'a State, call: &Call, name: Option<String>) -> Answer<(&'a User, &'a LoginProfile)> {
    let name = user_name(call, name)?;
    let user = holder::<User>(state, call, &name)?;
    let row = state.get::<LoginProfile>(&scope(call), &key_of(&name));
    Ok((user, row.ok_or_else(|| no_login_profile(&user.entity.name))?))
}

pub(super) fn get(
    state: &State,
    call: &Call,
    input: types::GetLoginProfileRequest,
) -> Answer<types::GetLoginProfileResponse> {
    let (user, row) = profile(state, call, input.user_name)?;
    Ok(types::GetLoginProfileResponse {
        login_profile: shape(&user.entity.name, row),
    })
}

pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: types::DeleteLoginProfileRequest) -> Answer<Nothing> {
    let (user, _) = profile(tx, call, input.user_name)?;
    let key = key_of(&user.entity.name);
    tx.delete::<LoginProfile>(&scope(call), &key);
    Ok(Nothing)
}
