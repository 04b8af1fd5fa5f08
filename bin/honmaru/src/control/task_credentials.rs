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
            let task_id = arn.rsplit('/').next().unwrap_or(&arn);
            let credentials =
                honmaru_sts::task_credentials(state, &role, task_id, SystemClock.now(), &mut system_rng())?;
            Ok((role, credentials))
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
        Ok(Ok((role_arn, credentials))) => TaskCredentials {
            task_arn,
            execution_role,
            role_arn,
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key,
            token: credentials.session_token,
            expiration: credentials.expiration,
            error: None,
        },
        Ok(Err(error)) => none(error.message),
        Err(error) => none(error.to_string()),
    }
}
