//! CreateService and DeleteService.
//!
//! Ref of AWS's texts: badmintoncryer/cdk-preflight, rules/ecs, recorded in September 2026.

use super::cluster::existing_name;
use super::launch_rules::{Capacity, capacity, check_definition, check_placement, check_platform_version};
use super::tags::check_tags;
use super::{find, service_rules, service_view};
use crate::error::{invalid, unsupported};
use crate::input::Input;
use crate::machine::idempotency::{self, Claim, Earlier};
use crate::machine::rollout;
use crate::model::{
    Deployment, DeploymentConfiguration, LoadBalancer, NetworkConfiguration, RolloutState, Service, ServiceEvent,
    ServiceStatus, Tag, TaskDefinition,
};
use crate::names::{is_name, service_key};
use honmaru_base::ApiError;
use honmaru_machine::{Call, Tx};
use serde_json::{Value, json};

/// Ref: ECS quotas: tasks of a service.
const DESIRED_COUNT_MAX: i64 = 5_000;
/// Ref: ECS quotas: target groups of a service.
const TARGET_GROUPS_MAX: usize = 5;

/// Members that nothing here carries out.
pub(super) const REFUSED: [&str; 5] = [
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
    "role",
];

/// CreateService.
pub fn create_service(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let whole = input.clone();
    let input = Input::new(input);
    let name = input.required("serviceName")?.to_owned();
    if !is_name(&name) {
        return Err(invalid(format!(
            r"ServiceName must match ^[a-zA-Z0-9\-_]{{1,255}}, but was {name}"
        )));
    }
    service_rules::check(&input)?;
    input.refuse(&REFUSED)?;
    check_controller(&input)?;
    if input.text("schedulingStrategy") == Some("DAEMON") {
        return Err(unsupported("Scheduling strategy DAEMON"));
    }
    let cluster = find::cluster(tx, call, &input)?.clone();
    let key = service_key(&cluster.name, &name);
    let client_token = input.owned("clientToken").filter(|token| !token.is_empty());
    let claim = Claim::of(idempotency::CREATE_SERVICE, &cluster.name, &whole)?;
    let earlier = claim
        .as_ref()
        .map_or(Earlier::Never, |claim| claim.earlier(tx, &call.scope));
    if let (Earlier::Other(_), Some(claim)) = (&earlier, &claim) {
        return Err(claim.conflict());
    }
    match tx.get::<Service>(&call.scope, &key) {
        Some(known) if known.status == ServiceStatus::Draining => {
            return Err(invalid("Unable to Start a service that is still Draining."));
        }
        Some(known) if known.status == ServiceStatus::Active => {
            if matches!(earlier, Earlier::Same(_)) && known.client_token == client_token {
                return Ok(json!({ "service": service_view::view(tx, &call.scope, known, service_view::Tags::Shown) }));
            }
            return Err(invalid("Creation of service was not idempotent."));
        }
        Some(_) | None => {}
    }

    let definition = match input.text("taskDefinition").filter(|name| !name.is_empty()) {
        Some(name) => find::active_definition(tx, &call.scope, name)?.clone(),
        None => return Err(invalid("TaskDefinition can not be blank.")),
    };
    let capacity = capacity(&input, &cluster)?;
    check_placement(&input, capacity.effective())?;
    let network: Option<NetworkConfiguration> = input.parse("networkConfiguration")?;
    check_definition(&definition, &capacity, network.as_ref())?;
    let load_balancers: Vec<LoadBalancer> = input.parse_or_default("loadBalancers")?;
    check_load_balancers(&input, &load_balancers, &definition, &capacity)?;
    let grace = grace_period(&input, &load_balancers)?;
    let desired_count =
        desired_count(&input)?.ok_or_else(|| invalid("desiredCount is required for REPLICA services."))?;
    let tags: Vec<Tag> = input.parse_or_default("tags")?;
    check_tags(&tags)?;

    let mut service = Service {
        name,
        cluster: cluster.name,
        status: ServiceStatus::Active,
        desired_count,
        health_check_grace_period_s: grace,
        deployment_configuration: deployment_configuration(&input, &DeploymentConfiguration::default())?,
        deployments: Vec::new(),
        availability_zone_rebalancing: input
            .text("availabilityZoneRebalancing")
            .unwrap_or("ENABLED")
            .to_owned(),
        enable_ecs_managed_tags: input.flag("enableECSManagedTags").unwrap_or(false),
        propagate_tags: input.text("propagateTags").unwrap_or("NONE").to_owned(),
        enable_execute_command: input.flag("enableExecuteCommand").unwrap_or(false),
        tags,
        created_by: call.principal.arn.clone(),
        created_at: tx.now(),
        client_token,
        failures: 0,
        start_after: None,
        steady: false,
        complaint: None,
        next_event: 0,
        inactive_at: None,
    };
    forget_events(tx, call, &key);
    let deployment = deployment(
        &definition,
        &capacity,
        check_platform_version(&input, capacity.effective())?,
        network,
        load_balancers,
    );
    rollout::begin(tx, &call.scope, &mut service, deployment);
    tx.put(&call.scope, &key, service.clone());
    if let Some(claim) = claim {
        claim.keep(tx, &call.scope, vec![key]);
    }
    Ok(json!({ "service": service_view::view(tx, &call.scope, &service, service_view::Tags::Shown) }))
}

/// A service of the same name may have left events behind.
fn forget_events(tx: &mut Tx<'_>, call: &Call, key: &str) {
    let prefix = format!("{key}/");
    let old: Vec<String> = tx
        .prefixed::<ServiceEvent>(&call.scope, &prefix)
        .map(|(key, _)| key.to_owned())
        .collect();
    for key in old {
        tx.delete::<ServiceEvent>(&call.scope, &key);
    }
}

/// DeleteService.
pub fn delete_service(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let cluster = existing_name(tx, call, &input)?;
    let mut service = find::service(
        tx,
        &call.scope,
        &cluster,
        find::service_name(&cluster, input.required("service")?)?,
    )?
    .clone();
    match service.status {
        ServiceStatus::Inactive => return Err(crate::error::service_not_found()),
        ServiceStatus::Draining => {}
        ServiceStatus::Active => {
            if service.desired_count > 0 && !input.flag("force").unwrap_or(false) {
                return Err(invalid("The service cannot be stopped while it is scaled above 0."));
            }
            service.status = ServiceStatus::Draining;
            service.desired_count = 0;
            tx.put(&call.scope, &service.key(), service.clone());
        }
    }
    Ok(json!({ "service": service_view::view(tx, &call.scope, &service, service_view::Tags::Shown) }))
}

/// A deployment whose ids and times are yet to be set.
pub(super) fn deployment(
    definition: &TaskDefinition,
    capacity: &Capacity,
    platform_version: Option<String>,
    network_configuration: Option<NetworkConfiguration>,
    load_balancers: Vec<LoadBalancer>,
) -> Deployment {
    let platform = (capacity.effective() == "FARGATE").then(|| platform_version.unwrap_or_else(|| "LATEST".to_owned()));
    Deployment {
        id: String::new(),
        service_deployment: String::new(),
        revision: String::new(),
        task_definition: definition.short(),
        launch_type: capacity.launch_type.clone(),
        capacity_provider_strategy: capacity.strategy.clone(),
        platform_version: platform,
        network_configuration,
        load_balancers,
        failed_tasks: 0,
        rollout_state: RolloutState::InProgress,
        rollout_state_reason: String::new(),
        was_completed: false,
        created_at: definition.registered_at,
        updated_at: definition.registered_at,
    }
}

/// Only ECS itself deploys.
pub(super) fn check_controller(input: &Input) -> Result<(), ApiError> {
    let kind = input
        .value("deploymentController")
        .and_then(|c| c.get("type"))
        .and_then(Value::as_str);
    match kind {
        None | Some("ECS") => Ok(()),
        Some(kind) => Err(unsupported(&format!("Deployment controller {kind}"))),
    }
}

/// Reads `desiredCount`.
pub(super) fn desired_count(input: &Input) -> Result<Option<u32>, ApiError> {
    match input.int("desiredCount") {
        None => Ok(None),
        Some(count) if (0..=DESIRED_COUNT_MAX).contains(&count) => Ok(Some(count as u32)),
        Some(_) => Err(invalid("desiredCount must be between 0 and 5000.")),
    }
}

/// Reads `healthCheckGracePeriodSeconds`.
pub(super) fn grace_period(input: &Input, load_balancers: &[LoadBalancer]) -> Result<Option<u32>, ApiError> {
    match input.int("healthCheckGracePeriodSeconds") {
        None => Ok((!load_balancers.is_empty()).then_some(0)),
        Some(_) if load_balancers.is_empty() => Err(invalid(
            "Health check grace period is only valid for services configured to use load balancers",
        )),
        Some(s) if (0..=i64::from(i32::MAX)).contains(&s) => Ok(Some(s as u32)),
        Some(_) => Err(invalid(
            "healthCheckGracePeriodSeconds must be between 0 and 2147483647.",
        )),
    }
}

/// The containers and ports that load balancers name must be in the task definition.
pub(super) fn check_load_balancers(
    input: &Input,
    load_balancers: &[LoadBalancer],
    definition: &TaskDefinition,
    capacity: &Capacity,
) -> Result<(), ApiError> {
    if load_balancers.len() > TARGET_GROUPS_MAX {
        return Err(invalid("load balancers can have at most 5 items."));
    }
    for raw in input
        .value("loadBalancers")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        Input::new(raw.clone()).refuse(&["advancedConfiguration"])?;
    }
    for balancer in load_balancers {
        if balancer.load_balancer_name.is_some() && balancer.target_group_arn.is_some() {
            return Err(invalid(
                "loadBalancerName and targetGroupArn cannot both be specified. You must specify either a \
                 loadBalancerName or a targetGroupArn in all loadBalancer entries",
            ));
        }
        if balancer.load_balancer_name.is_some() && capacity.effective() == "FARGATE" {
            return Err(invalid("Classic Load Balancers are not supported with Fargate."));
        }
        if balancer.target_group_arn.is_none() {
            return Err(unsupported("A classic load balancer"));
        }
        let Some(container) = definition.containers.iter().find(|c| c.name == balancer.container_name) else {
            return Err(invalid(format!(
                "The container {} does not exist in the task definition.",
                balancer.container_name
            )));
        };
        let port = i64::from(balancer.container_port);
        if !container.port_mappings.iter().any(|m| m.container_port == Some(port)) {
            return Err(invalid(format!(
                "The container {} did not have a container port {port} defined.",
                balancer.container_name
            )));
        }
    }
    Ok(())
}

/// Reads `deploymentConfiguration` over what was in force before.
pub(super) fn deployment_configuration(
    input: &Input,
    before: &DeploymentConfiguration,
) -> Result<DeploymentConfiguration, ApiError> {
    let mut config = before.clone();
    let Some(raw) = input.value("deploymentConfiguration") else {
        return Ok(config);
    };
    let raw = Input::new(raw.clone());
    raw.refuse(&["lifecycleHooks", "linearConfiguration", "canaryConfiguration"])?;
    if let Some(strategy) = raw.text("strategy").filter(|strategy| *strategy != "ROLLING") {
        return Err(unsupported(&format!("Deployment strategy {strategy}")));
    }
    if raw.int("bakeTimeInMinutes").is_some_and(|minutes| minutes != 0) {
        return Err(unsupported("A bake time"));
    }
    if let Some(early) = raw.value("earlySuccessCriteria")
        && early.get("enable") == Some(&Value::Bool(true))
    {
        return Err(unsupported("'earlySuccessCriteria'"));
    }
    if let Some(alarms) = raw.value("alarms")
        && alarms.get("enable") == Some(&Value::Bool(true))
    {
        return Err(unsupported("Deployment alarms (CloudWatch)"));
    }
    let percent = |name: &str, default: u32| match raw.int(name) {
        None => Ok(default),
        Some(value) if (0..=10_000).contains(&value) => Ok(value as u32),
        Some(_) => Err(invalid(format!("{name} must not be negative."))),
    };
    config.maximum_percent = percent("maximumPercent", config.maximum_percent)?;
    config.minimum_healthy_percent = percent("minimumHealthyPercent", config.minimum_healthy_percent)?;
    if config.maximum_percent < 100 {
        return Err(invalid("maximumPercent must be at least 100"));
    }
    if config.minimum_healthy_percent > 100 {
        return Err(invalid("minimumHealthyPercent must be at most 100"));
    }
    if config.maximum_percent == 100 && config.minimum_healthy_percent == 100 {
        return Err(invalid(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.",
        ));
    }
    if let Some(breaker) = raw.parse("deploymentCircuitBreaker")? {
        config.deployment_circuit_breaker = breaker;
    }
    Ok(config)
}
