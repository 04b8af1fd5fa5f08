//! UpdateService.

use super::cluster::{StrategyOf, check_strategy, existing_name};
use super::launch_rules::{Capacity, check_definition, check_placement, check_platform_version};
use super::service::{
    REFUSED, check_controller, check_load_balancers, deployment, deployment_configuration, desired_count, grace_period,
};
use super::{find, service_rules, service_view};
use crate::error::invalid;
use crate::input::Input;
use crate::machine::rollout;
use crate::model::{CapacityProviderStrategyItem, Cluster, LoadBalancer, NetworkConfiguration, ServiceStatus};
use honmaru_base::ApiError;
use honmaru_machine::{Call, Tx};
use serde_json::{Value, json};

/// UpdateService. What tasks are made of begins a new deployment; the rest is changed in place.
pub fn update_service(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    service_rules::check_connected(&input)?;
    input.refuse(&REFUSED)?;
    check_controller(&input)?;
    let cluster = existing_name(tx, call, &input)?;
    let mut service = find::service(
        tx,
        &call.scope,
        &cluster,
        find::service_name(&cluster, input.required("service")?)?,
    )?
    .clone();
    if service.status != ServiceStatus::Active {
        return Err(ApiError::new("ServiceNotActiveException", "Service was not ACTIVE."));
    }
    let primary = service
        .primary()
        .cloned()
        .ok_or_else(|| ApiError::new("ServerException", "The service has no deployment."))?;

    if let Some(count) = desired_count(&input)? {
        service.desired_count = count;
    }
    service.deployment_configuration = deployment_configuration(&input, &service.deployment_configuration)?;
    if let Some(execute) = input.flag("enableExecuteCommand") {
        service.enable_execute_command = execute;
    }
    if let Some(managed) = input.flag("enableECSManagedTags") {
        service.enable_ecs_managed_tags = managed;
    }
    if let Some(propagate) = input.text("propagateTags") {
        propagate.clone_into(&mut service.propagate_tags);
    }
    if let Some(rebalancing) = input.text("availabilityZoneRebalancing") {
        rebalancing.clone_into(&mut service.availability_zone_rebalancing);
    }

    let name = input.text("taskDefinition").filter(|name| !name.is_empty());
    // The definition in force may be INACTIVE by now: that stops nobody from scaling the service.
    let definition = match name {
        Some(name) => find::active_definition(tx, &call.scope, name)?.clone(),
        None => find::definition(tx, &call.scope, &primary.task_definition)
            .cloned()
            .ok_or_else(|| crate::error::client("TaskDefinition not found."))?,
    };
    let capacity = updated_capacity(tx, call, &input, &cluster, &primary)?;
    check_placement(&input, capacity.effective())?;
    let network: Option<NetworkConfiguration> = input
        .parse("networkConfiguration")?
        .or_else(|| primary.network_configuration.clone());
    check_definition(&definition, &capacity, network.as_ref())?;
    let load_balancers: Vec<LoadBalancer> = input
        .parse("loadBalancers")?
        .unwrap_or_else(|| primary.load_balancers.clone());
    check_load_balancers(&input, &load_balancers, &definition, &capacity)?;
    if input.has("healthCheckGracePeriodSeconds") {
        service.health_check_grace_period_s = grace_period(&input, &load_balancers)?;
    }
    let platform = check_platform_version(&input, capacity.effective())?.or_else(|| primary.platform_version.clone());

    let next = deployment(&definition, &capacity, platform, network, load_balancers);
    let same = next.task_definition == primary.task_definition
        && next.launch_type == primary.launch_type
        && next.capacity_provider_strategy == primary.capacity_provider_strategy
        && next.platform_version == primary.platform_version
        && next.network_configuration == primary.network_configuration
        && next.load_balancers == primary.load_balancers;
    if !same || input.flag("forceNewDeployment").unwrap_or(false) {
        rollout::begin(tx, &call.scope, &mut service, next);
    }
    tx.put(&call.scope, &service.key(), service.clone());
    Ok(json!({ "service": service_view::view(tx, &call.scope, &service, service_view::Tags::Shown) }))
}

fn updated_capacity(
    tx: &Tx<'_>,
    call: &Call,
    input: &Input,
    cluster: &str,
    primary: &crate::model::Deployment,
) -> Result<Capacity, ApiError> {
    let before = Capacity {
        launch_type: primary.launch_type.clone(),
        strategy: primary.capacity_provider_strategy.clone(),
    };
    let Some(strategy) = input.parse::<Vec<CapacityProviderStrategyItem>>("capacityProviderStrategy")? else {
        return Ok(before);
    };
    if strategy.is_empty() {
        // Ref: UpdateService: an empty strategy takes the cluster's default one out of force.
        if !input.flag("forceNewDeployment").unwrap_or(false) {
            return Err(invalid(
                "Changing the capacity provider strategy requires forceNewDeployment.",
            ));
        }
        return Ok(Capacity {
            launch_type: Some(before.effective().to_owned()),
            strategy,
        });
    }
    let providers = tx
        .get::<Cluster>(&call.scope, cluster)
        .map(|c| c.capacity_providers.clone())
        .unwrap_or_default();
    check_strategy(StrategyOf::Tasks, &strategy, &providers)?;
    Ok(Capacity {
        launch_type: None,
        strategy,
    })
}
