//! Names, ids and ARNs in AWS's forms.

use crate::error::validation;
use honmaru_base::{ApiError, Arn, Rng, Scope, hex_id};

/// The service's name in ARNs and IAM actions.
pub(crate) const NAMESPACE: &str = "elasticloadbalancing";

/// Ref: CreateLoadBalancer `Name`, CreateTargetGroup `Name`.
const NAME_CHARS_MAX: usize = 32;

pub(crate) fn arn(scope: &Scope, resource: String) -> String {
    Arn::new(NAMESPACE, scope.region.as_str(), scope.account.as_str(), resource).to_string()
}

/// The last part of ids: 16 hexadecimal digits.
pub(crate) fn id(rng: &mut dyn Rng) -> String {
    hex_id(rng, 16)
}

/// The part of an ARN after its kind, for example `app/web/50dc6c495c0c9188`.
pub(crate) fn path(arn: &str) -> &str {
    arn.rsplit_once(':')
        .and_then(|(_, resource)| resource.split_once('/'))
        .map_or("", |(_, path)| path)
}

/// Refuses what is no ARN of a kind of resources: `targetgroup`, a `target group`. Seen: "'...' is not a valid target group
/// ARN", jcjorel/ec2-spot-converter issue 7.
pub(crate) fn check_arn(kind: &str, what: &str, arn: &str) -> Result<(), ApiError> {
    let resource = arn.strip_prefix("arn:").and_then(|rest| rest.rsplit(':').next());
    let found = resource
        .and_then(|resource| resource.split_once('/'))
        .map(|(kind, _)| kind);
    match found == Some(kind) {
        true => Ok(()),
        false => Err(validation(format!("'{arn}' is not a valid {what} ARN"))),
    }
}

/// Checks a name; `what` is `load balancer` or `target group`, which AWS begins its sentences with in two ways. The texts
/// were recorded by badmintoncryer/cdk-preflight, `pf-elbv2-lb-name` and `pf-elbv2-tg-name`.
pub(crate) fn check(what: &str, name: &str) -> Result<(), ApiError> {
    let subject = match what {
        "target group" => "Target group name".to_owned(),
        other => format!("The {other} name"),
    };
    if name.is_empty() {
        return Err(validation(format!("{subject} cannot be empty")));
    }
    // A pattern of the API's model, which AWS checks before the length. Recorded by badmintoncryer/cdk-preflight,
    // `pf-elbv2-tg-name`.
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if what == "target group" && (!is_plain || name.starts_with('-') || name.ends_with('-')) {
        return Err(validation(format!(
            "1 validation error detected: Value '{name}' at 'targetGroupName' failed to satisfy constraint: Member must \
             satisfy regular expression pattern: (?!^-)(?!.*-$)^[A-Za-z0-9-]+$"
        )));
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(validation(format!(
            "{subject} '{name}' cannot be longer than '32' characters"
        )));
    }
    if !is_plain {
        return Err(validation(format!(
            "{subject} '{name}' can only contain characters that are alphanumeric characters and hyphens(-)"
        )));
    }
    for (is_there, how) in [(name.starts_with('-'), "begin"), (name.ends_with('-'), "end")] {
        if is_there {
            return Err(validation(format!("{subject} '{name}' cannot {how} with a hyphen(-)")));
        }
    }
    if what == "load balancer" && name.starts_with("internal-") {
        return Err(validation(format!("{subject} '{name}' cannot begin with 'internal-'")));
    }
    Ok(())
}
