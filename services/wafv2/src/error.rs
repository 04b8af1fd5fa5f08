//! This service's errors, in AWS's words to the letter.

use honmaru_base::ApiError;
use honmaru_firewall::{CompileError, CompileErrorKind};
use serde_json::Value;

/// `Error reason: ..., field: ..., parameter: ...`. A reason that is a code in place of a sentence has no full stop.
pub(crate) fn invalid(field: &str, parameter: &str, reason: &str) -> ApiError {
    let stop = if reason.contains(' ') { "." } else { "" };
    let reason = format!("{}{stop}", reason.trim_end_matches('.'));
    ApiError::new(
        "WAFInvalidParameterException",
        format!("Error reason: {reason}, field: {field}, parameter: {parameter}"),
    )
    .with_field("Field", field.into())
    .with_field("Parameter", parameter.into())
    .with_field("Reason", Value::from(reason))
}

/// What no resource's ARN can be. Recorded by badmintoncryer/cdk-preflight, `pf-wafv2-association-*-arn` and
/// `pf-wafv2-reference-arn`.
pub(crate) fn invalid_arn(arn: &str) -> ApiError {
    let reason = "The ARN isn't valid. A valid ARN begins with arn: and includes other information separated by colons or \
                  slashes";
    invalid("RESOURCE_ARN", arn, reason)
}

pub(crate) fn nonexistent() -> ApiError {
    ApiError::new("WAFNonexistentItemException", NONEXISTENT)
}

const NONEXISTENT: &str = "AWS WAF couldn’t perform the operation because your resource doesn’t exist.";

pub(crate) fn duplicate() -> ApiError {
    ApiError::new(
        "WAFDuplicateItemException",
        "AWS WAF couldn’t perform the operation because some resource in your request is a duplicate of an existing one.",
    )
}

pub(crate) fn stale_lock() -> ApiError {
    ApiError::new(
        "WAFOptimisticLockException",
        "AWS WAF couldn’t save your changes because someone changed the resource after you started to edit it. Reapply \
         your changes.",
    )
}

pub(crate) fn associated() -> ApiError {
    ApiError::new(
        "WAFAssociatedItemException",
        "AWS WAF couldn’t perform the operation because your resource is being used by another resource or it’s \
         associated with another resource.",
    )
}

pub(crate) fn limit_exceeded() -> ApiError {
    ApiError::new(
        "WAFLimitsExceededException",
        "AWS WAF couldn’t perform the operation because you exceeded your resource limit.",
    )
}

/// The same of a limit that AWS names. Recorded by badmintoncryer/cdk-preflight, for example `pf-wafv2-byte-match`.
pub(crate) fn limit_of(name: &str) -> ApiError {
    ApiError::new(
        "WAFLimitsExceededException",
        format!("AWS WAF couldn’t perform the operation because you exceeded your resource limit {name}"),
    )
}

/// A valid request for what this installation does not do.
pub(crate) fn unsupported(message: impl Into<String>) -> ApiError {
    ApiError::new("WAFInvalidOperationException", message)
}

/// What the firewall says of rules.
pub(crate) fn of_rules(error: CompileError) -> ApiError {
    match error.kind {
        CompileErrorKind::Invalid => invalid(error.field, &error.parameter, &error.reason),
        CompileErrorKind::Unsupported => unsupported(format!("{}.", error.reason.trim_end_matches('.'))),
        CompileErrorKind::Missing if error.field == "MANAGED_RULE_SET_STATEMENT" => ApiError::new(
            "WAFNonexistentItemException",
            format!(
                "{NONEXISTENT} {}: {}",
                error.reason.trim_end_matches('.'),
                error.parameter
            ),
        ),
        CompileErrorKind::Missing => nonexistent(),
        CompileErrorKind::Limit if error.parameter.is_empty() => limit_exceeded(),
        CompileErrorKind::Limit => limit_of(&error.parameter),
    }
}
