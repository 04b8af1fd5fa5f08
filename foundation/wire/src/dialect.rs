//! How each service says that an input breaks its model: the code and the words.
//!
//! Ref: no API reference gives these texts; each row names where they were seen. Rows without such a place carry what
//! the service's own error list suggests and say "unconfirmed".

use crate::model::{Protocol, Service};
use honmaru_base::ApiError;

/// The words of a validation error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// `2 validation errors detected: Value 'x' at 'name' failed to satisfy constraint: Member must ...; ...`
    Coral,
    /// `Invalid parameter at 'name' failed to satisfy constraint: 'must ...'`, the first violation only.
    Ecr,
    /// `Name can not be blank.` for a missing member, else Coral's.
    Ecs,
    /// `The request must contain the parameter Name` and `Value (x) for parameter Name is invalid.`
    Ec2,
    /// Coral's, but a name with forbidden characters has a sentence of its own.
    Iam,
}

/// What a service says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    pub code: &'static str,
    pub words: Words,
    /// Whether values outside a modelled enum are refused here. Off where the service accepts newer values or refuses
    /// them in its own words.
    pub enums: bool,
}

const fn coral(code: &'static str) -> Dialect {
    Dialect {
        code,
        words: Words::Coral,
        enums: true,
    }
}

const TABLE: &[(&str, Dialect)] = &[
    // Seen: "Code: ValidationException ... Value null at 'rules.1.member.name'", pulumi/pulumi issue 12045.
    ("wafv2", coral("ValidationException")),
    // Seen: "InvalidParameterException: 1 validation error detected: Value '' at 'logGroupName' failed ...", in many
    // issues of the CloudWatch agent and of Terraform's provider.
    ("logs", coral("InvalidParameterException")),
    // Seen: jenkins-x/jx issue 1344, hashicorp/terraform-provider-aws issue 40309, aws/aws-dotnet-deploy issue 549.
    (
        "ecr",
        Dialect {
            code: "InvalidParameterException",
            words: Words::Ecr,
            enums: true,
        },
    ),
    (
        "ecr-public",
        Dialect {
            code: "InvalidParameterException",
            words: Words::Ecr,
            enums: true,
        },
    ), // unconfirmed
    // Seen: "ClientException: Family can not be blank." (aws-actions/amazon-ecs-deploy-task-definition issue 630).
    // RegisterTaskDefinition alone answers ClientException; see `code`.
    (
        "ecs",
        Dialect {
            code: "InvalidParameterException",
            words: Words::Ecs,
            enums: true,
        },
    ),
    // Seen: kubernetes-sigs/aws-load-balancer-controller issue 4014.
    ("elbv2", coral("ValidationError")),
    // Seen: "The specified value for userName is invalid. It must contain only alphanumeric characters and/or ...".
    (
        "iam",
        Dialect {
            code: "ValidationError",
            words: Words::Iam,
            enums: true,
        },
    ),
    ("sts", coral("ValidationError")),
    ("cloudformation", coral("ValidationError")),
    // Ref: EC2 API reference, "Error codes": MissingParameter, InvalidParameterValue. See `code`.
    (
        "ec2",
        Dialect {
            code: "InvalidParameterValue",
            words: Words::Ec2,
            enums: true,
        },
    ),
    ("apprunner", coral("InvalidRequestException")), // unconfirmed
    ("codebuild", coral("InvalidInputException")),   // unconfirmed
    ("cloudwatch", coral("ValidationError")),        // unconfirmed
    ("servicediscovery", coral("InvalidInput")),     // unconfirmed
    ("resourcegroupstaggingapi", coral("InvalidParameterException")), // unconfirmed
];

/// What a service says; `ValidationException` (or `ValidationError` in query) where the table is silent.
pub(crate) fn dialect(service: &Service) -> Dialect {
    match TABLE.iter().find(|(name, _)| *name == &*service.name) {
        Some((_, dialect)) => *dialect,
        None if service.protocols.contains(&Protocol::AwsQuery) => coral("ValidationError"),
        None => coral("ValidationException"),
    }
}

/// What a service says of a pagination token that it did not give, code and text. `{}` stands for the token.
const BAD_TOKENS: &[(&str, &str, &str)] = &[
    // Ref: API references, the errors of the list operations; the texts are ours where none is documented.
    ("ecs", "InvalidParameterException", "Invalid token."),
    (
        "ecr",
        "InvalidParameterException",
        "Invalid parameter at 'nextToken' failed to satisfy constraint: 'invalid'",
    ),
    // Ref: CloudWatch Logs API, DescribeLogGroups: InvalidParameterException.
    (
        "logs",
        "InvalidParameterException",
        "The specified nextToken is invalid.",
    ),
    ("elbv2", "ValidationError", "Invalid marker '{}'"),
    ("iam", "ValidationError", "Invalid Marker."),
    // Ref: EC2 API reference, "Error codes": InvalidParameterValue is the code for what a parameter may not be.
    ("ec2", "InvalidParameterValue", "The token is invalid"),
    // Ref: WAFv2 API, ListWebACLs: WAFInvalidParameterException; its Field has NEXT_MARKER.
    (
        "wafv2",
        "WAFInvalidParameterException",
        "Error reason: The marker is not valid, field: NEXT_MARKER, parameter: {}",
    ),
    // Ref: CloudTrail API, LookupEvents: InvalidNextTokenException.
    (
        "cloudtrail",
        "InvalidNextTokenException",
        "The next token is not valid.",
    ),
    // Ref: Resource Groups Tagging API, GetResources: InvalidParameterException.
    (
        "resourcegroupstaggingapi",
        "InvalidParameterException",
        "The pagination token is not valid.",
    ),
];

/// The error for a pagination token that the operation did not give: the service's own, else its validation error.
pub(crate) fn bad_token(service: &Service, token: &str) -> ApiError {
    let row = BAD_TOKENS.iter().find(|(name, ..)| *name == &*service.name);
    let (code, text) = row.map_or_else(
        || (dialect(service).code, "The pagination token is not valid."),
        |(_, code, text)| (*code, *text),
    );
    let shown: String = token.chars().take(BAD_TOKEN_CHARS_MAX).collect();
    let error = ApiError::new(code, text.replace("{}", &shown));
    if code == "WAFInvalidParameterException" {
        let error = error.with_field("Field", "NEXT_MARKER".into());
        return error
            .with_field("Parameter", shown.into())
            .with_field("Reason", "The marker is not valid.".into());
    }
    error
}

/// As much of a wrong token as the error repeats.
const BAD_TOKEN_CHARS_MAX: usize = 64;

/// The code for one operation: of its first violation, `missing` tells an absent member from a wrong one.
pub(crate) fn code(dialect: &Dialect, operation: &str, missing: bool) -> &'static str {
    match dialect.words {
        Words::Ecs if operation == "RegisterTaskDefinition" => "ClientException",
        Words::Ec2 if missing => "MissingParameter",
        _ => dialect.code,
    }
}

#[cfg(test)]
mod tests {
    use super::TABLE;

    #[test]
    fn every_row_is_a_service() {
        let tokens = super::BAD_TOKENS.iter().map(|(name, ..)| name);
        for name in TABLE.iter().map(|(name, _)| name).chain(tokens) {
            assert!(crate::service_names().any(|service| service == *name), "{name}");
        }
    }
}
