//! How each service says that an input breaks its model: the code and the words.
//!
//! Ref: no API reference gives these texts; each row names where they were seen. Rows without such a place carry what
//! the service's own error list suggests and say "unconfirmed".

use crate::model::{Protocol, Service};

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
        for (name, _) in TABLE {
            assert!(crate::service_names().any(|service| service == *name), "{name}");
        }
    }
}
