//! This service's errors, in AWS's words.

use honmaru_base::ApiError;

pub(crate) fn validation(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationError", message)
}

/// Of a number that is not in its range in the API's model, which AWS checks before all else. Seen: "Value '600' at
/// 'healthCheckIntervalSeconds' failed to satisfy constraint ...", aws-cloudformation/cfn-lint pull request 807.
pub(crate) fn check_range(member: &str, value: i32, low: i32, high: i32) -> Result<(), ApiError> {
    let (which, bound) = match value {
        value if value < low => ("greater", low),
        value if value > high => ("less", high),
        _ => return Ok(()),
    };
    Err(validation(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: Member must have value \
         {which} than or equal to {bound}"
    )))
}

pub(crate) fn invalid_configuration(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidConfigurationRequest", message)
}

/// Of an action's own settings. Seen of redirects: hashicorp/terraform issue 32620 and
/// kubernetes-sigs/aws-load-balancer-controller issue 1752; of a fixed response: getmoto/moto's suite; of a protocol
/// version: chart and infrastructure code of three public repositories, which name it with the text.
pub(crate) fn invalid_action(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidLoadBalancerAction", message)
}

pub(crate) fn load_balancer_not_found(arn: &str) -> ApiError {
    ApiError::new("LoadBalancerNotFound", format!("Load balancer '{arn}' not found"))
}

pub(crate) fn target_group_not_found() -> ApiError {
    ApiError::new("TargetGroupNotFound", "One or more target groups not found")
}

/// Of an action, or of tags. Seen: "Target groups 'arn:...' not found", aws/copilot-cli issue 3833 and
/// awslabs/kubeflow-manifests issue 116.
pub(crate) fn named_group_not_found(arn: &str) -> ApiError {
    ApiError::new("TargetGroupNotFound", format!("Target groups '{arn}' not found"))
}

pub(crate) fn listener_not_found() -> ApiError {
    ApiError::new("ListenerNotFound", "One or more listeners not found")
}

pub(crate) fn rule_not_found() -> ApiError {
    ApiError::new("RuleNotFound", "One or more rules not found")
}

pub(crate) fn resource_in_use(message: impl Into<String>) -> ApiError {
    ApiError::new("ResourceInUse", message)
}

pub(crate) fn not_permitted(message: impl Into<String>) -> ApiError {
    ApiError::new("OperationNotPermitted", message)
}

pub(crate) fn certificate_not_found(arn: &str) -> ApiError {
    ApiError::new("CertificateNotFound", format!("Certificate '{arn}' not found"))
}

/// What Honmaru does not do. AWS has no such error; this is the nearest that clients know.
pub(crate) fn unsupported(message: impl Into<String>) -> ApiError {
    ApiError::new("InvalidConfigurationRequest", format!("{} by Honmaru", message.into()))
}
