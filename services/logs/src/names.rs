//! Names of groups and streams, the errors of this service, and ARNs.

use honmaru_base::{ApiError, Arn, Scope};

pub(crate) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidParameterException", message)
}

pub(crate) fn no_group() -> ApiError {
    ApiError::new("ResourceNotFoundException", "The specified log group does not exist.")
}

pub(crate) fn no_stream() -> ApiError {
    ApiError::new("ResourceNotFoundException", "The specified log stream does not exist.")
}

/// The ARN of a group, without the `:*` that some answers add.
pub(crate) fn group_arn(scope: &Scope, group: &str) -> String {
    Arn::new(
        "logs",
        scope.region.as_str(),
        scope.account.as_str(),
        format!("log-group:{group}"),
    )
    .to_string()
}

/// A group's name from `logGroupName` or `logGroupIdentifier`, which may be an ARN. Exactly one must be given.
pub(crate) fn group_of(name: Option<String>, identifier: Option<String>) -> Result<String, ApiError> {
    match (name, identifier) {
        (Some(name), None) => Ok(name),
        (None, Some(identifier)) => match identifier.parse::<Arn>() {
            Ok(arn) => of_arn(&arn.resource).ok_or_else(|| invalid(format!("Invalid log group ARN: {identifier}"))),
            Err(_) => Ok(identifier),
        },
        (None, None) => Err(invalid("Either logGroupName or logGroupIdentifier must be specified")),
        (Some(_), Some(_)) => Err(invalid(
            "Only one of logGroupName and logGroupIdentifier may be specified",
        )),
    }
}

fn of_arn(resource: &str) -> Option<String> {
    let name = resource.strip_prefix("log-group:")?;
    Some(name.strip_suffix(":*").unwrap_or(name).to_owned())
}

/// The group of a `resourceArn`.
pub(crate) fn group_of_arn(arn: &str) -> Result<String, ApiError> {
    let parsed: Option<String> = arn.parse::<Arn>().ok().and_then(|arn| of_arn(&arn.resource));
    parsed.ok_or_else(|| invalid(format!("Invalid resource ARN: {arn}")))
}
