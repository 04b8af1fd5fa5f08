//! GetFederationToken: a session for somebody whom the caller vouches for, with no more than the caller's own
//! permissions. Ref: STS API Reference, GetFederationToken; IAM User Guide, "Requesting credentials through a custom
//! identity broker", "Permissions for GetFederationToken".

use super::assume_role::{packed, request_tags, session_policies, set_tags};
use super::identity::{credentials, long_term, new_session};
use crate::types;
use honmaru_base::ApiError;
use honmaru_identity::{FederatedUser, KeyKind};
use honmaru_machine::{Access, Call, State, Tx};
use serde_json::Value;

fn arn(call: &Call, name: &str) -> String {
    format!("arn:aws:sts::{}:federated-user/{name}", call.principal.account)
}

/// `sts:GetFederationToken` on the federated user, and `sts:TagSession` where there are tags.
pub(super) fn access(_state: &State, call: &Call, input: &Value) -> Vec<Access> {
    if KeyKind::of(&call.principal.access_key_id) == Some(KeyKind::Temporary) {
        // Nothing can allow it; the operation says so.
        return Vec::new();
    }
    let name = input.get("Name").and_then(Value::as_str).unwrap_or("*");
    let (context, has_tags) = request_tags(input);
    let tag = has_tags.then_some("sts:TagSession");
    let actions = std::iter::once("sts:GetFederationToken").chain(tag);
    let access = |action: &str| Access {
        context: context.clone(),
        ..Access::new(action, vec![arn(call, name)])
    };
    actions.map(access).collect()
}

pub(super) fn token(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::GetFederationTokenRequest,
) -> Result<types::GetFederationTokenResponse, ApiError> {
    let caller = long_term(tx, call, "GetFederationToken", input.duration_seconds)?;
    let mut session = new_session(tx, call, caller.lifetime_s);
    session.arn = arn(call, &input.name);
    session.user_id = format!("{}:{}", call.principal.account, input.name);
    let (user_name, user_id) = caller.user.unzip();
    session.user_name = user_name;
    session.federated_user = Some(FederatedUser {
        name: input.name,
        user_id,
    });
    let tags = input.tags.unwrap_or_default().into_iter();
    set_tags(tags.map(|tag| (tag.key, tag.value)), Vec::new(), &[], &mut session)?;
    session_policies(tx, &mut session, input.policy, input.policy_arns.unwrap_or_default())?;
    // Told without policies and tags, too, unlike by AssumeRole.
    let packed_policy_size = packed(&session)?.or(Some(0));
    let federated_user = Some(types::FederatedUser {
        federated_user_id: session.user_id.clone(),
        arn: session.arn.clone(),
    });
    Ok(types::GetFederationTokenResponse {
        credentials: Some(credentials(tx, session)?),
        federated_user,
        packed_policy_size,
        ..Default::default()
    })
}
