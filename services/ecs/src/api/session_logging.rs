//! Where ExecuteCommand's sessions are recorded: `executeCommandConfiguration` of a cluster.

use crate::error::invalid;
use crate::input::refuse;
use crate::machine::awslogs_group;
use crate::model::{Cluster, ContainerDefinition, SessionLog};
use honmaru_base::{ApiError, Scope};
use serde_json::Value;

/// What `executeCommandConfiguration` may ask for: nothing that would have to be encrypted or to go to a bucket.
pub(super) fn check(execute: &Value) -> Result<(), ApiError> {
    refuse(execute, &["kmsKeyId"])?;
    let log = execute.get("logConfiguration").unwrap_or(&Value::Null);
    refuse(
        log,
        &[
            "cloudWatchEncryptionEnabled",
            "s3BucketName",
            "s3EncryptionEnabled",
            "s3KeyPrefix",
        ],
    )?;
    match (logging(execute), group(execute)) {
        ("OVERRIDE", None) => Err(invalid(
            // Ref: badmintoncryer/cdk-preflight, pf-ecs-cluster-execute-command-override-without-log-config.
            "A CloudWatch log group name or S3 bucket name must be specified when overriding the default log \
             configuration.",
        )),
        ("DEFAULT" | "NONE", None) | ("OVERRIDE", Some(_)) => Ok(()),
        // The text: terraform-aws-modules/terraform-aws-ecs, issue 84.
        ("DEFAULT" | "NONE", Some(_)) => Err(invalid(
            "You must set logging to 'OVERRIDE' when you supply a log configuration.",
        )),
        _ => Err(invalid(
            "Invalid executeCommandConfiguration: logging is NONE, DEFAULT or OVERRIDE.",
        )),
    }
}

/// The log group of a session that begins now in a container.
///
/// Ref: ECS `ExecuteCommandConfiguration.logging`: `DEFAULT` is the container's own `awslogs` configuration; without
/// one, nothing is logged.
pub(super) fn log(scope: &Scope, cluster: &Cluster, container: Option<&ContainerDefinition>) -> Option<SessionLog> {
    let none = Value::Null;
    let execute = cluster
        .configuration
        .as_ref()
        .and_then(|whole| whole.get("executeCommandConfiguration"))
        .unwrap_or(&none);
    let (region, group) = match logging(execute) {
        "DEFAULT" => awslogs_group(scope, container?)?,
        "OVERRIDE" => (scope.region.to_string(), group(execute)?.to_owned()),
        _ => return None,
    };
    Some(SessionLog { region, group })
}

fn logging(execute: &Value) -> &str {
    let given = execute.get("logging").and_then(Value::as_str);
    given.filter(|logging| !logging.is_empty()).unwrap_or("DEFAULT")
}

fn group(execute: &Value) -> Option<&str> {
    let name = execute.get("logConfiguration")?.get("cloudWatchLogGroupName")?;
    name.as_str().filter(|name| !name.is_empty())
}
