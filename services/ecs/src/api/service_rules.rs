//! What AWS refuses of members of a service that nothing here carries out, in its words; what it would take of them is
//! refused after this, by name.
//!
//! Ref: badmintoncryer/cdk-preflight, rules/ecs, recorded from AWS in September 2026: `pf-ecs-service-codedeploy-lb`,
//! `pf-ecs-service-daemon-desired-count`, `pf-ecs-svc-*`.

use super::fargate_rules::items;
use crate::error::invalid;
use crate::input::{Input, asks};
use honmaru_base::ApiError;
use serde_json::Value;

/// Ref: ECS `PlacementStrategy`: strategies of a service or of tasks.
const STRATEGIES_MAX: usize = 5;
/// Ref: ECS `ServiceConnectClientAlias.dnsName`.
const DNS_NAME_CHARS_MAX: usize = 127;

/// Checks the input of CreateService.
pub(super) fn check(input: &Input) -> Result<(), ApiError> {
    check_role(input)?;
    check_controller(input)?;
    if input.text("schedulingStrategy") == Some("DAEMON") {
        check_daemon(input)?;
    }
    check_connected(input)
}

/// Checks what UpdateService has in common with CreateService: registries, Service Connect and volumes.
pub(super) fn check_connected(input: &Input) -> Result<(), ApiError> {
    check_registries(input)?;
    if let Some(connect) = input.value("serviceConnectConfiguration") {
        check_connect(connect)?;
    }
    match input.value("volumeConfigurations").is_some_and(asks) {
        // No task definition here has a volume that is configured at launch: its registration is refused by name.
        true => Err(invalid(
            "Volume configuration provided but no matching configuredAtLaunch volume found in task definition.",
        )),
        false => Ok(()),
    }
}

fn has_balancers(input: &Input) -> bool {
    input.value("loadBalancers").is_some_and(asks)
}

fn check_role(input: &Input) -> Result<(), ApiError> {
    if input.text("role").is_none_or(str::is_empty) {
        return Ok(());
    }
    if !has_balancers(input) {
        return Err(invalid(
            "IAM roles are only valid for services configured to use load balancers.",
        ));
    }
    // Ref: CreateService, role: not permitted where tasks use awsvpc, which needs the service-linked role.
    match input.has("networkConfiguration") {
        true => Err(invalid(
            "You cannot specify an IAM role for services that require a service linked role.",
        )),
        false => Ok(()),
    }
}

fn check_controller(input: &Input) -> Result<(), ApiError> {
    let controller = input.value("deploymentController");
    let kind = controller.and_then(|it| it.get("type")).and_then(Value::as_str);
    match kind {
        Some("CODE_DEPLOY") if !has_balancers(input) => Err(invalid(
            "When specifying the CODE_DEPLOY deployment controller type, the service requires an Application Load Balancer \
             or Network Load Balancer.",
        )),
        Some("EXTERNAL") if input.text("taskDefinition").is_some_and(|name| !name.is_empty()) => {
            Err(invalid("TaskDefinition must be blank."))
        }
        Some("EXTERNAL") if has_balancers(input) => Err(invalid("LoadBalancers must be empty or null.")),
        _ => Ok(()),
    }
}

fn check_daemon(input: &Input) -> Result<(), ApiError> {
    if input.has("desiredCount") {
        return Err(invalid(
            "The daemon scheduling strategy does not support a desired count for services. Remove the desired count value \
             and try again",
        ));
    }
    let configuration = input.value("deploymentConfiguration");
    let most = configuration
        .and_then(|it| it.get("maximumPercent"))
        .and_then(Value::as_i64);
    if most.is_some_and(|percent| percent > 100) {
        return Err(invalid(
            "The daemon scheduling strategy does not support values above 100 for maximumPercent on a deployment \
             configuration. Change the maximumPercent value to 100, and try again",
        ));
    }
    if input.value("placementStrategy").is_some_and(asks) {
        return Err(invalid(
            "The daemon scheduling strategy does not support placement strategies. Remove the placement strategy and try \
             again",
        ));
    }
    match input.text("availabilityZoneRebalancing") {
        Some("ENABLED") => Err(invalid(
            "The service couldn't be created because Availability Zone Rebalancing does not support DAEMON as scheduling \
             strategy. Update scheduling strategy and try again.",
        )),
        _ => Ok(()),
    }
}

/// Checks placement as far as it does not need nodes: of services and of tasks.
pub(super) fn check_placement(input: &Input) -> Result<(), ApiError> {
    let of = |structure: &Value, name: &str| structure.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    if items(input.value("placementStrategy")).count() > STRATEGIES_MAX {
        return Err(invalid(format!("Maximum number of strategies is {STRATEGIES_MAX}.")));
    }
    for strategy in items(input.value("placementStrategy")) {
        let field = of(strategy, "field");
        match of(strategy, "type").as_str() {
            "random" if !field.is_empty() => return Err(invalid("random field should not be specified.")),
            "binpack" if !matches!(field.to_ascii_lowercase().as_str(), "cpu" | "memory") => {
                return Err(invalid(format!("binpack field '{field}' is invalid.")));
            }
            _ => {}
        }
    }
    let has_expression = |it: &Value| of(it, "type") == "distinctInstance" && !of(it, "expression").is_empty();
    match items(input.value("placementConstraints")).any(has_expression) {
        true => Err(invalid("distinctInstance expression should not be specified.")),
        false => Ok(()),
    }
}

fn check_registries(input: &Input) -> Result<(), ApiError> {
    let registries: Vec<&Value> = items(input.value("serviceRegistries")).collect();
    if registries.len() > 1 {
        return Err(invalid("service registries can have at most 1 items."));
    }
    let wrong = registries
        .first()
        .filter(|it| it.get("containerPort").is_some_and(asks));
    match wrong.filter(|_| input.has("networkConfiguration")) {
        Some(registry) => Err(invalid(format!(
            "The values specified for serviceRegistries do not require a value for 'containerPort'. Remove the value and \
             retry. Registry: {}",
            registry.get("registryArn").and_then(Value::as_str).unwrap_or("")
        ))),
        None => Ok(()),
    }
}

/// Clusters here have no namespace of their own.
fn check_connect(connect: &Value) -> Result<(), ApiError> {
    if connect.get("enabled") != Some(&Value::Bool(true)) {
        return Ok(());
    }
    if !connect.get("namespace").is_some_and(asks) {
        return Err(invalid("Namespace is missing"));
    }
    for service in items(connect.get("services")) {
        let aliases: Vec<&Value> = items(service.get("clientAliases")).collect();
        match aliases[..] {
            [] => return Err(invalid("clientAliases must have 1 element.")),
            [alias]
                if alias
                    .get("dnsName")
                    .and_then(Value::as_str)
                    .is_some_and(|name| !is_name(name)) =>
            {
                return Err(invalid(
                    "The DNS name that you provided is invalid. The name must be a valid DNS name but doesn\u{2019}t need to \
                     be fully-qualified. Up to 127 characters are allowed. The characters can include lowercase letters, \
                     numbers, underscores (_), hyphens (-), and periods (.). A hyphen can\u{2019}t be the first character.",
                ));
            }
            [_] => {}
            _ => {
                return Err(invalid(format!(
                    "{} clientAliases exceeds the max limit of 1",
                    aliases.len()
                )));
            }
        }
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c);
    name.chars().all(is_allowed) && !name.starts_with('-') && (1..=DNS_NAME_CHARS_MAX).contains(&name.len())
}
