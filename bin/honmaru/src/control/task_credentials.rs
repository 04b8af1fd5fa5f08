//! Credentials for the roles of tasks: the node asks on behalf of a container. ECS assumes the role for the task, which
//! the audit trail tells as it tells every other AssumeRole.

use super::Control;
use super::api::request_id;
use super::audit::{Head, Home, What};
use honmaru_base::{AccountId, ApiError, Arn, Clock, Region, Scope, Time};
use honmaru_cloudtrail::{Recorded, Who};
use honmaru_contract::node::TaskCredentials;
use honmaru_engine::{SystemClock, system_rng};
use serde_json::json;
use std::time::{Duration, Instant};

/// Who assumes the roles of tasks.
const TASKS: &str = "ecs-tasks.amazonaws.com";

/// Why there are no credentials.
enum Refused {
    /// The task has no such role, or does not run: nobody was asked for any.
    NoRole,
    /// The role cannot be assumed.
    Sts(String, ApiError),
}

/// Issues credentials, or says in `error` why there are none.
pub async fn issue(control: &Control, task_arn: String, execution_role: bool) -> TaskCredentials {
    let arn = task_arn.clone();
    let (at, began) = (SystemClock.now(), Instant::now());
    let issued = control
        .engine
        .read(move |state| {
            let role = honmaru_ecs::task_role(state, &arn, execution_role).ok_or(Refused::NoRole)?;
            // The ARN, not the id: trust policies may name it in `aws:SourceArn`.
            honmaru_sts::task_credentials(state, &role, &arn, at, &mut system_rng())
                .map_err(|error| Refused::Sts(role, error))
        })
        .await;
    let assumed = match &issued {
        Ok(Ok(issued)) => Some((issued.role_arn.as_str(), None)),
        Ok(Err(Refused::Sts(role, error))) => Some((role.as_str(), Some(error))),
        Ok(Err(Refused::NoRole)) | Err(_) => None,
    };
    if let Some((role, error)) = assumed {
        let took = began.elapsed();
        control
            .audit
            .record(record(&control.home, &task_arn, role, error, at, took));
    }
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
        Ok(Err(Refused::NoRole)) => none("The task has no such role, or does not run.".to_owned()),
        Ok(Err(Refused::Sts(_, error))) => none(error.message),
        Err(error) => none(error.to_string()),
    }
}

/// The record of an AssumeRole for a task. Ref: CloudTrail's records of it have `userIdentity.type` AWSService, the
/// service's principal for the address and the client, and the task's id as the name of the session.
fn record(home: &Home, task_arn: &str, role_arn: &str, error: Option<&ApiError>, at: Time, took: Duration) -> Recorded {
    let task: Option<Arn> = task_arn.parse().ok();
    let account: Option<AccountId> = role_arn.parse().ok().and_then(|role: Arn| role.account.parse().ok());
    let region: Option<Region> = task.and_then(|task| task.region.parse().ok());
    let scope = Scope {
        account: account.unwrap_or_else(|| home.account.clone()),
        region: region.unwrap_or_else(|| home.region.clone()),
    };
    let session = task_arn.rsplit('/').next().unwrap_or(task_arn);
    let what = What {
        service: honmaru_sts::SERVICE,
        source: format!("{}.amazonaws.com", honmaru_sts::SERVICE),
        name: "AssumeRole",
        input: json!({ "roleArn": role_arn, "roleSessionName": session }),
        resources: vec![role_arn.to_owned()],
    };
    // What STS itself answers; the caller of ECS is told what `error` says.
    let (status, error) = error.map_or((200, None), |error| {
        (403, Some(("AccessDenied", error.message.as_str())))
    });
    Head::of_service(TASKS).record(scope, Who::service(TASKS), what, &request_id(), status, error, at, took)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(error: Option<&ApiError>) -> Recorded {
        let home = Home {
            account: "000000000000".parse().expect("an account"),
            region: "us-east-1".parse().expect("a region"),
        };
        let task = "arn:aws:ecs:eu-west-1:111122223333:task/web/0123456789abcdef";
        let role = "arn:aws:iam::111122223333:role/of-web";
        record(&home, task, role, error, Time::from_ms(7_000), Duration::from_micros(9))
    }

    #[test]
    fn ecs_assumes_a_role_as_a_service() {
        let record = recorded(None);
        assert_eq!(
            (record.source.as_str(), record.name.as_str()),
            ("sts.amazonaws.com", "AssumeRole")
        );
        assert_eq!(
            (record.who.kind.as_str(), record.who.invoked_by.as_deref()),
            ("AWSService", Some(TASKS))
        );
        assert_eq!(
            (record.account.as_str(), record.region.as_str()),
            ("111122223333", "eu-west-1")
        );
        assert_eq!((record.from.as_str(), record.agent.as_str()), (TASKS, TASKS));
        let wanted =
            json!({ "roleArn": "arn:aws:iam::111122223333:role/of-web", "roleSessionName": "0123456789abcdef" });
        assert_eq!(record.input.value(), wanted);
        assert_eq!((record.status, record.code), (200, None));
    }

    #[test]
    fn a_role_that_trusts_no_tasks_is_recorded_as_refused() {
        let record = recorded(Some(&ApiError::new(
            "ClientException",
            "ECS was unable to assume the role",
        )));
        assert_eq!((record.status, record.code.as_deref()), (403, Some("AccessDenied")));
    }
}
