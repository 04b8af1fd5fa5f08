//! What RunTask, CreateService and UpdateService have in common: where and in which network tasks shall run.

use super::cluster::{StrategyOf, check_strategy};
use super::service_rules;
use crate::error::{client, invalid, unsupported};
use crate::input::Input;
use crate::model::{
    AwsVpcConfiguration, CapacityProviderStrategyItem, Cluster, NetworkConfiguration, Tag, TaskDefinition,
};
use honmaru_base::ApiError;
use serde_json::Value;

/// Where tasks shall run: a launch type, or a strategy over capacity providers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Capacity {
    /// `FARGATE` or `EC2`.
    pub launch_type: Option<String>,
    /// Empty when there is a launch type.
    pub strategy: Vec<CapacityProviderStrategyItem>,
}

/// Reads `launchType` and `capacityProviderStrategy`; the cluster's default strategy, else EC2.
pub(super) fn capacity(input: &Input, cluster: &Cluster) -> Result<Capacity, ApiError> {
    let strategy: Vec<CapacityProviderStrategyItem> = input.parse_or_default("capacityProviderStrategy")?;
    match input.text("launchType").filter(|text| !text.is_empty()) {
        Some(_) if !strategy.is_empty() => Err(invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        )),
        Some(kind @ ("FARGATE" | "EC2")) => Ok(Capacity {
            launch_type: Some(kind.to_owned()),
            strategy: Vec::new(),
        }),
        Some(kind) => Err(unsupported(&format!("Launch type {kind}"))),
        None if !strategy.is_empty() => {
            check_strategy(StrategyOf::Tasks, &strategy, &cluster.capacity_providers)?;
            Ok(Capacity {
                launch_type: None,
                strategy,
            })
        }
        None if !cluster.default_capacity_provider_strategy.is_empty() => Ok(Capacity {
            launch_type: None,
            strategy: cluster.default_capacity_provider_strategy.clone(),
        }),
        None => Ok(Capacity {
            launch_type: Some("EC2".to_owned()),
            strategy: Vec::new(),
        }),
    }
}

impl Capacity {
    /// The launch type that tasks will show: every provider of today is Fargate's.
    pub(super) fn effective(&self) -> &str {
        self.launch_type.as_deref().unwrap_or("FARGATE")
    }
}

/// Which provider the next task uses, when `used` tasks use each already: bases first, then by weight.
pub(crate) fn choose_provider(strategy: &[CapacityProviderStrategyItem], used: impl Fn(&str) -> u32) -> Option<String> {
    if let Some(item) = strategy.iter().find(|item| used(&item.capacity_provider) < item.base) {
        return Some(item.capacity_provider.clone());
    }
    strategy
        .iter()
        .filter(|item| item.weight > 0)
        // Compares used/weight without division: the provider that is furthest behind its share is next.
        .min_by(|a, b| {
            let share = |item: &CapacityProviderStrategyItem, other: &CapacityProviderStrategyItem| {
                u64::from(used(&item.capacity_provider).saturating_sub(item.base)) * u64::from(other.weight)
            };
            share(a, b).cmp(&share(b, a))
        })
        .map(|item| item.capacity_provider.clone())
}

/// Checks that the definition can run there, and its network.
pub(super) fn check_definition(
    definition: &TaskDefinition,
    capacity: &Capacity,
    network: Option<&NetworkConfiguration>,
) -> Result<(), ApiError> {
    let launch_type = capacity.effective();
    if !definition.compatibilities.iter().any(|c| c == launch_type) {
        return Err(invalid(format!(
            "Task definition does not support launch_type {launch_type}."
        )));
    }
    if let Some(volume) = definition.volumes.iter().find(|volume| volume.is_of_host()) {
        // The machine is everybody's: whoever may run a task would have all that is on it.
        return Err(client(format!(
            "Volume '{}' with host.sourcePath can not be run by Honmaru. Volumes live and die with their task.",
            volume.name
        )));
    }
    let mode = definition.network_mode.as_deref().unwrap_or("bridge");
    let vpc = network.and_then(|n| n.awsvpc_configuration.as_ref());
    match (mode, vpc) {
        ("awsvpc", None) => Err(invalid(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        )),
        ("awsvpc", Some(vpc)) => check_network(vpc, launch_type),
        (_, Some(_)) => Err(invalid(
            "Network Configuration is not valid for the given networkMode of this task definition.",
        )),
        ("none", None) => Ok(()),
        (mode, None) => Err(client(format!(
            "Network mode '{mode}' can not be run by Honmaru. Supported network modes: awsvpc, none."
        ))),
    }
}

fn check_network(vpc: &AwsVpcConfiguration, launch_type: &str) -> Result<(), ApiError> {
    if vpc.subnets.is_empty() {
        return Err(invalid("subnets can not be empty."));
    }
    if vpc.subnets.len() > 16 {
        return Err(invalid("subnets can have at most 16 items."));
    }
    if vpc.security_groups.len() > 5 {
        return Err(invalid("securityGroups can have at most 5 items."));
    }
    if vpc.assign_public_ip.as_deref() == Some("ENABLED") && launch_type == "EC2" {
        return Err(invalid("Assign public IP is not supported for this launch type."));
    }
    Ok(())
}

/// Checks `platformVersion`, which only Fargate has: `PlatformUnknownException`.
pub(super) fn check_platform_version(input: &Input, launch_type: &str) -> Result<Option<String>, ApiError> {
    match input.text("platformVersion").filter(|text| !text.is_empty()) {
        None => Ok(None),
        // Ref: badmintoncryer/cdk-preflight, pf-ecs-service-platform-version-ec2.
        Some(_) if launch_type == "EC2" => Err(invalid(
            "The platform version must be null when specifying an EC2 launch type.",
        )),
        Some(version @ ("LATEST" | "1.4.0")) => Ok(Some(version.to_owned())),
        Some(_) => Err(ApiError::new(
            "PlatformUnknownException",
            "The specified platform does not exist.",
        )),
    }
}

/// Refuses placement that more than one node would need. `distinctInstance` and `memberOf` are refused; strategies
/// order the choice of nodes and are honoured trivially on one.
pub(super) fn check_placement(input: &Input, launch_type: &str) -> Result<(), ApiError> {
    let asks = |name: &str| {
        input
            .value(name)
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty())
    };
    if launch_type == "FARGATE" && asks("placementConstraints") {
        return Err(invalid(
            "Placement constraints are not supported with FARGATE launch type.",
        ));
    }
    if launch_type == "FARGATE" && asks("placementStrategy") {
        return Err(invalid(
            "Placement strategies are not supported with FARGATE launch type.",
        ));
    }
    service_rules::check_placement(input)?;
    input.refuse(&["placementConstraints", "placementStrategy"])
}

/// A task's tags: the caller's, those to propagate, and ECS's own, the first of a key winning.
pub(crate) fn task_tags(own: &[Tag], propagated: &[Tag], managed: &[(&str, &str)]) -> Vec<Tag> {
    let managed = managed.iter().map(|(key, value)| Tag {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    });
    let mut tags: Vec<Tag> = Vec::new();
    for tag in own.iter().chain(propagated).cloned().chain(managed) {
        if !tags.iter().any(|known| known.key == tag.key) {
            tags.push(tag);
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn item(name: &str, base: u32, weight: u32) -> CapacityProviderStrategyItem {
        CapacityProviderStrategyItem {
            capacity_provider: name.to_owned(),
            weight,
            base,
        }
    }

    fn split(strategy: &[CapacityProviderStrategyItem], count: u32) -> BTreeMap<String, u32> {
        let mut used: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..count {
            let next = choose_provider(strategy, |name| used.get(name).copied().unwrap_or(0)).expect("a weight is set");
            *used.entry(next).or_default() += 1;
        }
        used
    }

    #[test]
    fn bases_are_satisfied_before_weights() {
        let used = split(&[item("FARGATE", 2, 1), item("FARGATE_SPOT", 0, 3)], 10);
        assert_eq!(used["FARGATE"], 4);
        assert_eq!(used["FARGATE_SPOT"], 6);
    }

    #[test]
    fn a_weight_of_zero_never_places() {
        let used = split(&[item("FARGATE", 1, 0), item("FARGATE_SPOT", 0, 1)], 5);
        assert_eq!((used["FARGATE"], used["FARGATE_SPOT"]), (1, 4));
        assert_eq!(choose_provider(&[item("FARGATE", 0, 0)], |_| 0), None);
    }
}
