//! Credentials for the roles of tasks: the node asks on behalf of a container.

use super::Control;
use honmaru_base::{ApiError, Clock, Time};
use honmaru_contract::node::TaskCredentials;
use honmaru_engine::{SystemClock, system_rng};

/// Issues credentials, or says in `error` why there are none.
pub async fn issue(control: &Control, task_arn: String, execution_role: bool) -> TaskCredentials {
    let arn = task_arn.clone();
    let issued = control
        .engine
        .read(move |state| -> Result<_, ApiError> {
            let role = honmaru_ecs::task_role(state, &arn, execution_role)
                .ok_or_else(|| ApiError::new("AccessDenied", "The task has no such role, or does not run."))?;
            // The ARN, not the id: trust policies may name it in `aws:SourceArn`.
            honmaru_sts::task_credentials(state, &role, &arn, SystemClock.now(), &mut system_rng())
        })
        .await;
    let none = |error: String| TaskCredentials {
        task_arn: task_arn.clone(),
        execution_role,
        role_arn: String::new(),
        access_key_id: String::new(),
        secret_access_key: String::new(),
        token: String::new(),
        expiration: Time::from_ms(0),
        error: Some(error),
    };
    match issued {
        Ok(Ok(issued)) => TaskCredentials {
            task_arn,
            execution_role,
            role_arn: issued.role_arn,
            access_key_id: issued.credentials.access_key_id,
            secret_access_key: issued.credentials.secret_access_key,
            token: issued.credentials.session_token.unwrap_or_default(),
            expiration: issued.expires_at,
            error: None,
        },
        Ok(Err(error)) => none(error.message),
        Err(error) => none(error.to_string()),
    }
}
