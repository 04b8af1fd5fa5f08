//! Credentials for tasks: what the container credentials endpoint serves. Ref: ECS Developer Guide, "Task IAM role".

use crate::session::{issuer, seal};
use honmaru_base::{AccountId, ApiError, Rng, Time};
use honmaru_iam::{Assuming, Role, role_by_arn, trusts_service};
use honmaru_identity::{Credentials, KeyKind, Session, access_key_id, secret_access_key};
use honmaru_machine::{Principal, PrincipalKind, SessionContext, State};

/// How long a task's credentials last, in seconds; six hours, as on ECS. The endpoint asks again well before.
const TASK_SESSION_S: i64 = 6 * 3_600;
const TASK_SERVICE: &str = "ecs-tasks.amazonaws.com";

/// Credentials of a task's role.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskCredentials {
    /// Key, secret and token.
    pub credentials: Credentials,
    /// The role's ARN.
    pub role_arn: String,
    /// When they end.
    pub expires_at: Time,
}

/// Credentials of `role_arn` for a task, given by its id or its ARN (the ARN also fills `aws:SourceArn`).
/// `ClientException` when there is no such role or its trust policy does not allow `ecs-tasks.amazonaws.com`.
pub fn task_credentials(
    state: &State,
    role_arn: &str,
    task: &str,
    now: Time,
    rng: &mut dyn Rng,
) -> Result<TaskCredentials, ApiError> {
    let (account, role) = trusting_role(state, role_arn, task, now)?;
    let session = role_session(role, &account, session_name(task), now, now.plus_s(TASK_SESSION_S), rng);
    let token = seal(state, &session, rng)?;
    Ok(TaskCredentials {
        credentials: Credentials {
            access_key_id: session.access_key_id,
            secret_access_key: session.secret_access_key,
            session_token: Some(token),
        },
        role_arn: role.entity.arn.clone(),
        expires_at: session.expires_at,
    })
}

/// The session of `role_arn` that does for a task what the platform does in its name: pulling images of other accounts.
/// Errors as [`task_credentials`].
pub fn task_principal(state: &State, role_arn: &str, task: &str, now: Time) -> Result<Principal, ApiError> {
    let (account, role) = trusting_role(state, role_arn, task, now)?;
    let (entity, session) = (&role.entity, session_name(task));
    Ok(Principal {
        arn: session_arn(&account, &entity.name, session),
        user_id: format!("{}:{session}", entity.id),
        kind: PrincipalKind::AssumedRole {
            role: entity.name.clone(),
            session: session.to_owned(),
        },
        access_key_id: String::new(),
        tags: entity.tags.clone(),
        session_policies: Vec::new(),
        session: Some(SessionContext {
            issued_at: now,
            source_identity: None,
            transitive_tag_keys: Vec::new(),
            federated_provider: None,
            tags: Vec::new(),
            policy_arns: Vec::new(),
            mfa_at: None,
            issuer: Some(issuer(entity)),
        }),
        account,
    })
}

/// The session of a task is named after its id.
fn session_name(task: &str) -> &str {
    task.rsplit('/').next().unwrap_or(task)
}

fn session_arn(account: &AccountId, role: &str, session: &str) -> String {
    format!("arn:aws:sts::{account}:assumed-role/{role}/{session}")
}

fn trusting_role<'s>(
    state: &'s State,
    role_arn: &str,
    task: &str,
    now: Time,
) -> Result<(AccountId, &'s Role), ApiError> {
    role_by_arn(state, role_arn)
        .filter(|(account, role)| trusts_tasks(state, role, account, task, now))
        .ok_or_else(|| {
            let text = format!(
                "ECS was unable to assume the role '{role_arn}' that was provided for this task. Please verify that the \
                 role being passed has the proper trust relationship and permissions and that your IAM user has \
                 permissions to pass this role."
            );
            ApiError::new("ClientException", text)
        })
}

fn trusts_tasks(state: &State, role: &Role, account: &AccountId, task: &str, now: Time) -> bool {
    let by_tasks = Assuming {
        service: TASK_SERVICE,
        account,
        source_arn: task.starts_with("arn:").then_some(task),
        region: task.split(':').nth(3).unwrap_or("us-east-1"),
        now,
    };
    trusts_service(state, role, &by_tasks)
}

/// A session of a role, without tags and policies.
pub(crate) fn role_session(
    role: &Role,
    account: &AccountId,
    name: &str,
    issued_at: Time,
    expires_at: Time,
    rng: &mut dyn Rng,
) -> Session {
    Session {
        access_key_id: access_key_id(KeyKind::Temporary, account, rng),
        secret_access_key: secret_access_key(rng),
        account: account.clone(),
        arn: session_arn(account, &role.entity.name, name),
        user_id: format!("{}:{name}", role.entity.id),
        role_arn: Some(role.entity.arn.clone()),
        session_name: Some(name.to_owned()),
        user_name: None,
        tags: Vec::new(),
        transitive_tag_keys: Vec::new(),
        policies: Vec::new(),
        policy_arns: Vec::new(),
        source_identity: None,
        federated_provider: None,
        federated_user: None,
        mfa_at: None,
        issued_at,
        expires_at,
    }
}
