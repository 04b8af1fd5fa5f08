//! Settings of actions and conditions that belong to another type: what was said of them would never be done.
//!
//! Ref: `Action` and `RuleCondition`: "Specify only when Type is ...". That AWS refuses a target group of a redirect is
//! seen in awsdocs/aws-cloudformation-user-guide issue 208; in which words is not known, and these are ours.

use crate::error::validation;
use crate::types;
use honmaru_base::ApiError;

pub(super) fn check_action(action: &types::Action) -> Result<(), ApiError> {
    let given = [
        ("forward", "TargetGroupArn", action.target_group_arn.is_some()),
        ("forward", "ForwardConfig", action.forward_config.is_some()),
        ("redirect", "RedirectConfig", action.redirect_config.is_some()),
        (
            "fixed-response",
            "FixedResponseConfig",
            action.fixed_response_config.is_some(),
        ),
        (
            "authenticate-oidc",
            "AuthenticateOidcConfig",
            action.authenticate_oidc_config.is_some(),
        ),
        (
            "authenticate-cognito",
            "AuthenticateCognitoConfig",
            action.authenticate_cognito_config.is_some(),
        ),
        (
            "jwt-validation",
            "JwtValidationConfig",
            action.jwt_validation_config.is_some(),
        ),
    ];
    check("actions", &action.r#type, &given)
}

pub(super) fn check_condition(field: &str, condition: &types::RuleCondition) -> Result<(), ApiError> {
    let has_plain = condition.values.as_ref().is_some_and(|values| !values.is_empty());
    if has_plain && !matches!(field, "host-header" | "path-pattern") {
        return Err(validation(format!(
            "'Values' can only be specified for conditions of type 'host-header' or 'path-pattern', but this one is of type \
             '{field}'"
        )));
    }
    let source = condition.source_ip_config.as_ref();
    if source.is_some_and(|source| source.ip_address_type.is_some()) {
        // Ref: `SourceIpConditionConfig`. Rules of Network Load Balancers are of dual-stack ones only.
        return Err(validation(
            "An 'IpAddressType' can only be specified for rules of Network Load Balancers",
        ));
    }
    let given = [
        (
            "host-header",
            "HostHeaderConfig",
            condition.host_header_config.is_some(),
        ),
        (
            "path-pattern",
            "PathPatternConfig",
            condition.path_pattern_config.is_some(),
        ),
        (
            "http-header",
            "HttpHeaderConfig",
            condition.http_header_config.is_some(),
        ),
        (
            "http-request-method",
            "HttpRequestMethodConfig",
            condition.http_request_method_config.is_some(),
        ),
        (
            "query-string",
            "QueryStringConfig",
            condition.query_string_config.is_some(),
        ),
        ("source-ip", "SourceIpConfig", source.is_some()),
    ];
    check("conditions", field, &given)
}

/// Rows are a type, the member that belongs to it, and whether that is given.
fn check(what: &str, of: &str, given: &[(&str, &str, bool)]) -> Result<(), ApiError> {
    let foreign = given.iter().find(|(kind, _, is_given)| *is_given && *kind != of);
    match foreign {
        Some((kind, member, _)) => Err(validation(format!(
            "'{member}' can only be specified for {what} of type '{kind}', but this one is of type '{of}'"
        ))),
        None => Ok(()),
    }
}
