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
        // Recorded of DescribeLogStreams in localstack/localstack, tests/aws/services/logs/test_logs_streams.snapshot.json.
        (Some(_), Some(_)) => Err(ApiError::new(
            "ValidationException",
            "LogGroup name and LogGroup ARN are mutually exclusive parameters.",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_named_in_one_way_only() {
        let both = group_of(Some("g".to_owned()), Some("g".to_owned())).expect_err("two ways");
        assert_eq!(both.code, "ValidationException");
        assert_eq!(
            both.message,
            "LogGroup name and LogGroup ARN are mutually exclusive parameters."
        );
        assert!(group_of(None, None).is_err());
    }
}
