//! How each service says that an input breaks its model: the code and the words.
//!
//! Each row names its reference. No API reference gives the texts; where they were seen, the row says so.

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
    /// Coral's, but a name that is too long has a sentence of its own.
    Logs,
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

const fn words(code: &'static str, words: Words) -> Dialect {
    Dialect {
        code,
        words,
        enums: true,
    }
}

const fn coral(code: &'static str) -> Dialect {
    words(code, Words::Coral)
}

/// Service, what it says, and where that is from: an API reference, or where the answer was seen. Where only the code is
/// documented, the words are Coral's, which all of AWS's older services share.
const TABLE: &[(&str, Dialect, &str)] = &[
    (
        "wafv2",
        coral("ValidationException"),
        "seen: \"ValidationException ... Value null at 'rules.1.member.name'\", pulumi/pulumi issue 12045",
    ),
    (
        "logs",
        words("InvalidParameterException", Words::Logs),
        "CloudWatch Logs API, CreateLogGroup, Errors: InvalidParameterException; seen: \"1 validation error detected: \
         Value '' at 'logGroupName' failed ...\", issues of the CloudWatch agent and of Terraform's provider; of names \
         that are too long: recorded in localstack/localstack, tests/aws/services/logs/test_logs_groups.snapshot.json",
    ),
    (
        "ecr",
        words("InvalidParameterException", Words::Ecr),
        "ECR API, InvalidParameterException; seen: jenkins-x/jx issue 1344, hashicorp/terraform-provider-aws issue \
         40309, aws/aws-dotnet-deploy issue 549",
    ),
    (
        "ecr-public",
        words("InvalidParameterException", Words::Ecr),
        "ECR Public API, InvalidParameterException: \"The specified parameter is invalid\"; the words are ECR's",
    ),
    // RegisterTaskDefinition alone answers ClientException; see `code`.
    (
        "ecs",
        words("InvalidParameterException", Words::Ecs),
        "ECS API, Common Errors: InvalidParameterException; seen: \"ClientException: Family can not be blank.\", \
         aws-actions/amazon-ecs-deploy-task-definition issue 630",
    ),
    (
        "elbv2",
        coral("ValidationError"),
        "ELBv2 API, Common Errors: ValidationError; seen: kubernetes-sigs/aws-load-balancer-controller issue 4014",
    ),
    (
        "iam",
        words("ValidationError", Words::Iam),
        "IAM API, Common Errors: ValidationError; seen: \"The specified value for userName is invalid. It must contain \
         only alphanumeric characters and/or ...\"",
    ),
    (
        "sts",
        coral("ValidationError"),
        "STS API, Common Errors: ValidationError",
    ),
    (
        "cloudformation",
        coral("ValidationError"),
        "CloudFormation API, Common Errors: ValidationError",
    ),
    (
        "ec2",
        words("InvalidParameterValue", Words::Ec2),
        "EC2 API, Error codes: MissingParameter, InvalidParameterValue; see `code`",
    ),
    (
        "apprunner",
        coral("InvalidRequestException"),
        "App Runner API, InvalidRequestException: \"One or more input parameters aren't valid\"",
    ),
    (
        "codebuild",
        coral("InvalidInputException"),
        "CodeBuild API, InvalidInputException: \"The input value that was provided is not valid\"",
    ),
    (
        "cloudwatch",
        coral("ValidationError"),
        "CloudWatch API, Common Errors: ValidationError",
    ),
    (
        "servicediscovery",
        coral("InvalidInput"),
        "Cloud Map API, InvalidInput: \"a required value might be missing, a numeric value might be outside the allowed \
         range, or a string value might exceed length constraints\"",
    ),
    (
        "resourcegroupstaggingapi",
        coral("InvalidParameterException"),
        "Tagging API, InvalidParameterException: a required parameter is missing, a string is malformed, a value is out \
         of range",
    ),
    (
        "eks",
        coral("InvalidParameterException"),
        "EKS API, InvalidParameterException: \"The specified parameter is invalid\"",
    ),
    (
        "apigatewayv2",
        coral("BadRequestException"),
        "API Gateway v2 API, BadRequestException: \"The request is not valid, for example, the input is incomplete\"",
    ),
    (
        "codeconnections",
        coral("InvalidInputException"),
        "CodeConnections API, InvalidInputException: \"The input is not valid\"",
    ),
];

/// What a service says; `ValidationException` (or `ValidationError` in query) where the table is silent.
pub(crate) fn dialect(service: &Service) -> Dialect {
    match TABLE.iter().find(|(name, ..)| *name == &*service.name) {
        Some((_, dialect, _)) => *dialect,
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
    fn every_row_has_its_reference() {
        for (name, dialect, reference) in TABLE {
            assert!(
                reference.contains("API") || reference.starts_with("seen:"),
                "{name}: {reference}"
            );
            let of_model = crate::service(name).unwrap();
            let everywhere = ["ValidationError", "ValidationException"].contains(&dialect.code) || *name == "ec2";
            assert!(
                everywhere || of_model.error_shape(dialect.code).is_some(),
                "{name} has no error {}",
                dialect.code
            );
        }
    }

    #[test]
    fn every_row_is_a_service() {
        let tokens = super::BAD_TOKENS.iter().map(|(name, ..)| name);
        for name in TABLE.iter().map(|(name, ..)| name).chain(tokens) {
            assert!(crate::service_names().any(|service| service == *name), "{name}");
        }
    }
}
