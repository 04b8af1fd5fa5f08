//! Sessions: from a role or a user to a sealed token, and from a token back to a principal.

use honmaru_base::{ApiError, Rng, Time};
use honmaru_iam::{Entity, role_by_arn, sealer};
use honmaru_identity::{AuthError, KeyCache, Presented, Session, verify};
use honmaru_machine::{Principal, PrincipalKind, SessionContext, SessionIssuer, State};

/// Verifies a signature and finds the principal behind it. Errors: an unknown or inactive key, a token that is not
/// ours, that belongs to another key or has expired, a signature that does not match or is not of now.
pub fn authenticate(state: &State, presented: &Presented, now: Time, keys: &KeyCache) -> Result<Principal, AuthError> {
    let Some(token) = &presented.session_token else {
        let owner = honmaru_iam::access_key(state, &presented.access_key_id)
            .filter(|owner| owner.key.is_active())
            .ok_or_else(AuthError::unknown_key)?;
        verify(presented, &owner.key.secret, now, keys)?;
        return Ok(honmaru_iam::user_principal(
            &owner.account,
            owner.user,
            &presented.access_key_id,
        ));
    };
    let session = sealer(state)
        .and_then(|sealer| sealer.open(token).ok())
        .ok_or_else(AuthError::unknown_key)?;
    if session.access_key_id != presented.access_key_id {
        return Err(AuthError::unknown_key());
    }
    verify(presented, &session.secret_access_key, now, keys)?;
    if session.expires_at <= now {
        return Err(AuthError::expired_token());
    }
    session_principal(state, &session).ok_or_else(AuthError::unknown_key)
}

/// The principal of a session; nothing when its role or user is gone, even if another has its name by now.
pub fn session_principal(state: &State, session: &Session) -> Option<Principal> {
    let mut session_policies = session.policies.clone();
    if let Some(federated) = &session.federated_user {
        let user = match (&session.user_name, &federated.user_id) {
            (Some(name), Some(id)) => {
                let user = honmaru_iam::user_of_name(state, &session.account, name);
                Some(user.filter(|user| user.entity.id == *id)?)
            }
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return None,
        };
        // Ref: STS API Reference, GetFederationToken: without a session policy there are no permissions.
        if session_policies.is_empty() && session.policy_arns.is_empty() {
            session_policies.push(honmaru_iam::NOTHING.to_owned());
        }
        let kind = PrincipalKind::FederatedUser {
            name: federated.name.clone(),
            user: user.map(|user| user.entity.name.clone()),
        };
        let tags = with_session_tags(
            &session.tags,
            user.map(|user| user.entity.tags.as_slice()).unwrap_or_default(),
        );
        let issuer = user.map(|user| issuer(&user.entity));
        return Some(principal(session, kind, tags, session_policies, issuer));
    }
    let (kind, tags, issuer) = match (&session.role_arn, &session.session_name, &session.user_name) {
        (Some(role_arn), Some(name), _) => {
            let (_, role) = role_by_arn(state, role_arn)?;
            if session.user_id.split(':').next() != Some(role.entity.id.as_str()) {
                return None;
            }
            (
                PrincipalKind::AssumedRole {
                    role: role.entity.name.clone(),
                    session: name.clone(),
                },
                with_session_tags(&session.tags, &role.entity.tags),
                Some(issuer(&role.entity)),
            )
        }
        (None, _, Some(name)) => {
            let user = honmaru_iam::user_of_name(state, &session.account, name)?;
            if user.entity.id != session.user_id {
                return None;
            }
            (
                PrincipalKind::User {
                    name: user.entity.name.clone(),
                },
                user.entity.tags.clone(),
                None,
            )
        }
        // Only --dev lets root in, and gives it sessions.
        (None, None, None) if session.arn == root_arn(session) => (PrincipalKind::Root, Vec::new(), None),
        (None, _, None) | (Some(_), None, _) => return None,
    };
    Some(principal(session, kind, tags, session_policies, issuer))
}

/// The tags of a principal: the session's, and those of its role or user that they do not cover. Ref: IAM User Guide, "Pass
/// session tags in AWS STS".
pub fn with_session_tags(session: &[(String, String)], own: &[(String, String)]) -> Vec<(String, String)> {
    let covered = |key: &str| session.iter().any(|(tag, _)| tag.eq_ignore_ascii_case(key));
    let own = own.iter().filter(|(key, _)| !covered(key)).cloned();
    session.iter().cloned().chain(own).collect()
}

/// Whose permissions a session has.
pub(crate) fn issuer(entity: &Entity) -> SessionIssuer {
    SessionIssuer {
        arn: entity.arn.clone(),
        id: entity.id.clone(),
        name: entity.name.clone(),
    }
}

fn root_arn(session: &Session) -> String {
    format!("arn:aws:iam::{}:root", session.account)
}

fn principal(
    session: &Session,
    kind: PrincipalKind,
    tags: Vec<(String, String)>,
    session_policies: Vec<String>,
    issuer: Option<SessionIssuer>,
) -> Principal {
    Principal {
        account: session.account.clone(),
        arn: session.arn.clone(),
        user_id: session.user_id.clone(),
        kind,
        access_key_id: session.access_key_id.clone(),
        tags,
        session_policies,
        session: Some(SessionContext {
            issued_at: session.issued_at,
            source_identity: session.source_identity.clone(),
            transitive_tag_keys: session.transitive_tag_keys.clone(),
            federated_provider: session.federated_provider.clone(),
            tags: session.tags.clone(),
            policy_arns: session.policy_arns.clone(),
            mfa_at: session.mfa_at,
            issuer,
        }),
    }
}

/// Seals a session. An error means that it is too large for a token, or that no sealing key was drawn.
pub(crate) fn seal(state: &State, session: &Session, rng: &mut dyn Rng) -> Result<String, ApiError> {
    let sealer =
        sealer(state).ok_or_else(|| ApiError::new("ServiceUnavailable", "STS is not ready yet").with_status(503))?;
    sealer.seal(session, rng).ok_or_else(|| {
        ApiError::new(
            "PackedPolicyTooLargeException",
            "Packed policy consumes more than 100% of allotted space.",
        )
    })
}
