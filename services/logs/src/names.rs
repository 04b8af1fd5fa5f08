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

/// The keeper of events did not do what it was asked to.
pub(crate) fn unavailable() -> ApiError {
    ApiError::new(
        "ServiceUnavailableException",
        "The service cannot complete the request.",
    )
}

/// What every answer has for the next batch. Since 2023 any token is taken and none is needed. Ref: PutLogEvents,
/// `sequenceToken`.
pub(crate) const SEQUENCE_TOKEN: &str = "49039859637138456724118012345678901234567890";

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
pub(crate) fn group_of(scope: &Scope, name: Option<String>, identifier: Option<String>) -> Result<String, ApiError> {
    match (name, identifier) {
        (Some(name), None) => Ok(name),
        (None, Some(identifier)) => match identifier.parse::<Arn>() {
            Ok(arn) => {
                let name = name_in(&arn).ok_or_else(|| invalid(format!("Invalid log group ARN: {identifier}")))?;
                is_of(scope, &arn).then_some(name).ok_or_else(no_group)
            }
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

fn name_in(arn: &Arn) -> Option<String> {
    let name = arn.resource.strip_prefix("log-group:")?;
    Some(name.strip_suffix(":*").unwrap_or(name).to_owned())
}

/// Whether an ARN is of this account and region: a group of the same name elsewhere is another one.
fn is_of(scope: &Scope, arn: &Arn) -> bool {
    let place = (arn.service.as_str(), arn.region.as_str(), arn.account.as_str());
    place == ("logs", scope.region.as_str(), scope.account.as_str())
}

/// The group of a `resourceArn`.
pub(crate) fn group_of_arn(scope: &Scope, arn: &str) -> Result<String, ApiError> {
    let malformed = || invalid(format!("Invalid resource ARN: {arn}"));
    let parsed: Arn = arn.parse().map_err(|_| malformed())?;
    let name = name_in(&parsed).ok_or_else(malformed)?;
    is_of(scope, &parsed).then_some(name).ok_or_else(no_group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_named_in_one_way_only() {
        let scope = Scope::new("000000000000", "us-east-1").expect("a scope");
        let both = group_of(&scope, Some("g".to_owned()), Some("g".to_owned())).expect_err("two ways");
        assert_eq!(both.code, "ValidationException");
        assert_eq!(
            both.message,
            "LogGroup name and LogGroup ARN are mutually exclusive parameters."
        );
        assert!(group_of(&scope, None, None).is_err());
    }

    #[test]
    fn a_group_elsewhere_is_not_the_one_of_the_same_name_here() {
        let scope = Scope::new("000000000000", "us-east-1").expect("a scope");
        for (place, code) in [
            ("logs:us-east-1:000000000000", None),
            ("logs:eu-west-1:000000000000", Some("ResourceNotFoundException")),
            ("logs:us-east-1:111111111111", Some("ResourceNotFoundException")),
            ("ecs:us-east-1:000000000000", Some("ResourceNotFoundException")),
        ] {
            for end in ["", ":*"] {
                let arn = format!("arn:aws:{place}:log-group:g{end}");
                for found in [group_of_arn(&scope, &arn), group_of(&scope, None, Some(arn.clone()))] {
                    match code {
                        None => assert_eq!(found, Ok("g".to_owned()), "{arn}"),
                        Some(code) => assert_eq!(found.expect_err("another group").code, code, "{arn}"),
                    }
                }
            }
        }
    }
}
