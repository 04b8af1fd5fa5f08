//! Clusters and their capacity providers.

use super::settings::{check_insights, effective_setting};
use super::tags::{check_tags, tags_answer};
use super::{find, session_logging};
use crate::error::{cluster_not_found, invalid};
use crate::input::{Input, refuse};
use crate::insights::SETTING as INSIGHTS;
use crate::model::{
    CapacityProviderStrategyItem, Cluster, LastStatus, Node, Service, ServiceStatus, Tag, Task, node_scope,
};
use crate::names::{DEFAULT_CLUSTER, arn, cluster_arn, is_name, short_name};
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Call, State, Tx};
use serde_json::{Map, Value, json};

/// The providers that every account has.
pub(super) const FARGATE_PROVIDERS: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];

/// CreateCluster.
pub(super) fn create(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let name = input
        .text("clusterName")
        .filter(|name| !name.is_empty())
        .unwrap_or(DEFAULT_CLUSTER)
        .to_owned();
    if !is_name(&name) {
        return Err(invalid(r"ClusterName must match ^[a-zA-Z0-9\-_]{1,255}$"));
    }
    input.refuse(&["serviceConnectDefaults"])?;
    check_configuration(&input)?;
    let tags: Vec<Tag> = input.parse_or_default("tags")?;
    check_tags(&tags)?;
    let providers = input.texts("capacityProviders");
    check_providers(&providers)?;
    let strategy: Vec<CapacityProviderStrategyItem> = input.parse_or_default("defaultCapacityProviderStrategy")?;
    check_strategy(StrategyOf::Cluster, &strategy, &providers)?;
    let settings = settings(&input)?;

    // Creating a cluster that exists answers with it. Ref: CreateCluster is idempotent by name.
    if let Some(existing) = tx.get::<Cluster>(&call.scope, &name).filter(|c| c.active) {
        return Ok(json!({ "cluster": view(tx, &call.scope, existing, &Include::all()) }));
    }
    let cluster = Cluster {
        name: name.clone(),
        active: true,
        created_at: tx.now(),
        settings: settings.unwrap_or_else(|| vec![(INSIGHTS.to_owned(), effective_setting(tx, call, INSIGHTS))]),
        configuration: input.value("configuration").cloned(),
        capacity_providers: providers,
        default_capacity_provider_strategy: strategy,
        tags,
    };
    tx.put(&call.scope, &name, cluster.clone());
    Ok(json!({ "cluster": view(tx, &call.scope, &cluster, &Include::all()) }))
}

/// DeleteCluster.
pub(super) fn delete(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let cluster = find::any_cluster(tx, call, &input)?.clone();
    let services = tx.find::<Service>(&call.scope, "cluster", &cluster.name);
    if services.into_iter().any(|(_, s)| s.status != ServiceStatus::Inactive) {
        return Err(ApiError::new(
            "ClusterContainsServicesException",
            "The Cluster cannot be deleted while Services are active.",
        ));
    }
    let tasks = tx.find::<Task>(&call.scope, "cluster", &cluster.name);
    if tasks.into_iter().any(|(_, t)| t.last_status != LastStatus::Stopped) {
        return Err(ApiError::new(
            "ClusterContainsTasksException",
            "The Cluster cannot be deleted while Tasks are active.",
        ));
    }
    let cluster = Cluster {
        active: false,
        ..cluster
    };
    tx.put(&call.scope, &cluster.name.clone(), cluster.clone());
    Ok(json!({ "cluster": view(tx, &call.scope, &cluster, &Include::all()) }))
}

/// DescribeClusters.
pub(super) fn describe(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let mut names = input.texts("clusters");
    if names.is_empty() {
        names.push(DEFAULT_CLUSTER.to_owned());
    }
    find::check_count(&names, "Clusters", 100)?;
    let include = Include::of(&input.texts("include"));
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for name in &names {
        match state.get::<Cluster>(&call.scope, short_name(name)) {
            Some(cluster) => clusters.push(view(state, &call.scope, cluster, &include)),
            None => failures.push(json!({ "arn": cluster_arn(&call.scope, short_name(name)), "reason": "MISSING" })),
        }
    }
    Ok(json!({ "clusters": clusters, "failures": failures }))
}

/// ListClusters.
pub(super) fn list(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let active = state.list::<Cluster>(&call.scope).filter(|(_, cluster)| cluster.active);
    let arns = active
        .map(|(name, _)| (name.to_owned(), Value::String(cluster_arn(&call.scope, name))))
        .collect();
    Ok(Input::new(input).page(arns, 100, 100)?.answer("clusterArns"))
}

/// UpdateCluster.
pub(super) fn update(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    input.refuse(&["serviceConnectDefaults"])?;
    check_configuration(&input)?;
    let mut cluster = find::cluster(tx, call, &input)?.clone();
    if let Some(settings) = settings(&input)? {
        cluster.settings = settings;
    }
    if let Some(configuration) = input.value("configuration") {
        cluster.configuration = Some(configuration.clone());
    }
    tx.put(&call.scope, &cluster.name.clone(), cluster.clone());
    Ok(json!({ "cluster": view(tx, &call.scope, &cluster, &Include::all()) }))
}

/// UpdateClusterSettings.
pub(super) fn update_settings(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let mut cluster = find::cluster(tx, call, &input)?.clone();
    cluster.settings = settings(&input)?.ok_or_else(|| invalid("Settings cannot be empty."))?;
    tx.put(&call.scope, &cluster.name.clone(), cluster.clone());
    Ok(json!({ "cluster": view(tx, &call.scope, &cluster, &Include::all()) }))
}

/// PutClusterCapacityProviders.
pub(super) fn put_capacity_providers(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let mut cluster = find::cluster(tx, call, &input)?.clone();
    let providers = input.texts("capacityProviders");
    check_providers(&providers)?;
    let strategy: Vec<CapacityProviderStrategyItem> = input.parse_or_default("defaultCapacityProviderStrategy")?;
    check_strategy(StrategyOf::Cluster, &strategy, &providers)?;
    let removed = cluster
        .capacity_providers
        .iter()
        .filter(|name| !providers.contains(name));
    if removed
        .into_iter()
        .any(|name| is_provider_used(tx, &call.scope, &cluster.name, name))
    {
        return Err(ApiError::new(
            "ResourceInUseException",
            "The specified capacity provider is in use and cannot be removed.",
        ));
    }
    cluster.capacity_providers = providers;
    cluster.default_capacity_provider_strategy = strategy;
    tx.put(&call.scope, &cluster.name.clone(), cluster.clone());
    Ok(json!({ "cluster": view(tx, &call.scope, &cluster, &Include::all()) }))
}

/// Whether a service that is not over, or a task that has not stopped, uses a provider.
fn is_provider_used(state: &State, scope: &Scope, cluster: &str, name: &str) -> bool {
    let names = |service: &Service| {
        let mut strategies = service.deployments.iter().flat_map(|d| &d.capacity_provider_strategy);
        service.status != ServiceStatus::Inactive && strategies.any(|item| item.capacity_provider == name)
    };
    state
        .find::<Service>(scope, "cluster", cluster)
        .any(|(_, service)| names(service))
        || state
            .find::<Task>(scope, "cluster", cluster)
            .any(|(_, task)| task.last_status != LastStatus::Stopped && task.capacity_provider.as_deref() == Some(name))
}

/// DescribeCapacityProviders: the two that every account has.
pub(super) fn describe_capacity_providers(_: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let named = input.texts("capacityProviders");
    let wanted = |name: &str| named.is_empty() || named.iter().any(|n| short_name(n) == name);
    let found: Vec<Value> = FARGATE_PROVIDERS
        .iter()
        .filter(|name| wanted(name))
        .map(|name| {
            json!({
                "capacityProviderArn": arn(&call.scope, &format!("capacity-provider/{name}")),
                "name": name, "status": "ACTIVE", "tags": [],
            })
        })
        .collect();
    let failures: Vec<Value> = named
        .iter()
        .filter(|name| !FARGATE_PROVIDERS.contains(&short_name(name)))
        .map(|name| {
            json!({ "arn": arn(&call.scope, &format!("capacity-provider/{}", short_name(name))), "reason": "MISSING" })
        })
        .collect();
    Ok(json!({ "capacityProviders": found, "failures": failures }))
}

fn settings(input: &Input) -> Result<Option<Vec<(String, String)>>, ApiError> {
    let Some(Value::Array(items)) = input.value("settings") else {
        return Ok(None);
    };
    let mut settings = Vec::new();
    for item in items {
        let of = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (name, value) = (of("name"), of("value"));
        if name != INSIGHTS {
            return Err(invalid("Invalid cluster setting: containerInsights is allowed."));
        }
        check_insights(&value)?;
        settings.push((name, value));
    }
    Ok(Some(settings))
}

/// What a cluster's `configuration` may ask for: nothing that would have to be encrypted, for nobody would.
fn check_configuration(input: &Input) -> Result<(), ApiError> {
    let part = |name: &str| input.value("configuration").and_then(|whole| whole.get(name));
    if let Some(execute) = part("executeCommandConfiguration") {
        session_logging::check(execute)?;
    }
    if let Some(storage) = part("managedStorageConfiguration") {
        refuse(storage, &["kmsKeyId", "fargateEphemeralStorageKmsKeyId"])?;
    }
    Ok(())
}

fn check_providers(providers: &[String]) -> Result<(), ApiError> {
    match providers
        .iter()
        .find(|name| !FARGATE_PROVIDERS.contains(&name.as_str()))
    {
        Some(name) => Err(invalid(format!(
            "The specified capacity provider '{name}' was not found. Specify a valid capacity provider and try again."
        ))),
        None => Ok(()),
    }
}

/// Whose strategy is checked: AWS says the same of each in other words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum StrategyOf {
    /// The default one of a cluster.
    Cluster,
    /// That of a service or of tasks.
    Tasks,
}

/// The rules of a strategy. Ref: ECS `CapacityProviderStrategyItem`. The texts are AWS's where they are known:
/// badmintoncryer/cdk-preflight, rules/ecs, recorded in September 2026.
pub(super) fn check_strategy(
    of: StrategyOf,
    strategy: &[CapacityProviderStrategyItem],
    providers: &[String],
) -> Result<(), ApiError> {
    if strategy.is_empty() {
        return Ok(());
    }
    if strategy.len() > 20 {
        return Err(invalid("The capacity provider strategy can have at most 20 items."));
    }
    if strategy.iter().any(|item| !providers.contains(&item.capacity_provider)) {
        let remedy = match of {
            StrategyOf::Cluster => " or specify a valid capacity provider",
            StrategyOf::Tasks => "",
        };
        return Err(invalid(format!(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with \
             the cluster. Associate the capacity provider with the cluster{remedy} and try again."
        )));
    }
    if strategy.iter().any(|item| item.weight > 1_000 || item.base > 100_000) {
        return Err(invalid("A weight is 0 to 1000, a base is 0 to 100000."));
    }
    if strategy.iter().filter(|item| item.base > 0).count() > 1 {
        return Err(invalid(match of {
            StrategyOf::Cluster => {
                "The specified capacity provider strategy contains multiple capacity providers with a base value \
                 defined. Only one capacity provider per strategy can have a base value defined."
            }
            StrategyOf::Tasks => {
                "There are multiple capacity providers in the specified capacity provider strategy with a base value \
                 greater than zero. Only one capacity provider can have a base value greater than zero. Specify a valid \
                 capacity provider strategy and try again."
            }
        }));
    }
    if strategy.iter().all(|item| item.weight == 0) {
        return Err(invalid(
            "There are no capacity providers in the capacity provider strategy with a weight value greater than zero. \
             Specify a weight value greater than zero for at least one capacity provider and try again.",
        ));
    }
    Ok(())
}

/// Which optional parts of a cluster are shown.
pub(super) struct Include {
    statistics: bool,
    tags: bool,
    settings: bool,
    configuration: bool,
}

impl Include {
    fn all() -> Self {
        Self {
            statistics: false,
            tags: true,
            settings: true,
            configuration: true,
        }
    }

    fn of(names: &[String]) -> Self {
        let has = |name: &str| names.iter().any(|n| n == name);
        Self {
            statistics: has("STATISTICS"),
            tags: has("TAGS"),
            settings: has("SETTINGS"),
            configuration: has("CONFIGURATIONS"),
        }
    }
}

fn view(state: &State, scope: &Scope, cluster: &Cluster, include: &Include) -> Value {
    let mut counts: [u64; 4] = [0; 4];
    for (_, task) in state.find::<Task>(scope, "cluster", &cluster.name) {
        let fargate = usize::from(task.launch_type == "FARGATE");
        match task.last_status {
            LastStatus::Running => counts[fargate] += 1,
            LastStatus::Provisioning | LastStatus::Pending | LastStatus::Activating => counts[2 + fargate] += 1,
            LastStatus::Deactivating | LastStatus::Stopping | LastStatus::Deprovisioning | LastStatus::Stopped => {}
        }
    }
    let services = |status: ServiceStatus, fargate: bool| {
        state
            .find::<Service>(scope, "cluster", &cluster.name)
            .filter(|(_, s)| {
                let launch_type = s.primary().and_then(|d| d.launch_type.as_deref());
                s.status == status && (launch_type != Some("EC2")) == fargate
            })
            .count()
    };
    let active = services(ServiceStatus::Active, true) + services(ServiceStatus::Active, false);
    let mut answer = json!({
        "clusterArn": cluster_arn(scope, &cluster.name),
        "clusterName": cluster.name,
        "status": if cluster.active { "ACTIVE" } else { "INACTIVE" },
        "registeredContainerInstancesCount":
            if cluster.active { state.list::<Node>(&node_scope()).count() } else { 0 },
        "runningTasksCount": counts[0] + counts[1],
        "pendingTasksCount": counts[2] + counts[3],
        "activeServicesCount": active,
        "statistics": [],
        "tags": [],
        "settings": [],
        "capacityProviders": cluster.capacity_providers,
        "defaultCapacityProviderStrategy": cluster.default_capacity_provider_strategy,
    });
    let members = answer.as_object_mut().expect("an object was built above");
    if include.statistics {
        let pair = |name: &str, value: u64| json!({ "name": name, "value": value.to_string() });
        members.insert(
            "statistics".to_owned(),
            json!([
                pair("runningEC2TasksCount", counts[0]),
                pair("runningFargateTasksCount", counts[1]),
                pair("pendingEC2TasksCount", counts[2]),
                pair("pendingFargateTasksCount", counts[3]),
                pair("activeEC2ServiceCount", services(ServiceStatus::Active, false) as u64),
                pair(
                    "activeFargateServiceCount",
                    services(ServiceStatus::Active, true) as u64
                ),
                pair(
                    "drainingEC2ServiceCount",
                    services(ServiceStatus::Draining, false) as u64
                ),
                pair(
                    "drainingFargateServiceCount",
                    services(ServiceStatus::Draining, true) as u64
                ),
            ]),
        );
    }
    if include.tags {
        members.insert("tags".to_owned(), tags_answer(&cluster.tags));
    }
    if include.settings {
        let settings = cluster
            .settings
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }));
        members.insert("settings".to_owned(), settings.collect());
    }
    if include.configuration {
        insert_some(members, "configuration", cluster.configuration.clone());
    }
    answer
}

/// Inserts a member if there is one.
pub(super) fn insert_some(members: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        members.insert(name.to_owned(), value);
    }
}

/// The name of a cluster that must exist: `ClusterNotFoundException`.
pub(super) fn existing_name(state: &State, call: &Call, input: &Input) -> Result<String, ApiError> {
    existing(state, call, find::cluster_name(input))
}

/// The same of a cluster's name.
pub(super) fn existing(state: &State, call: &Call, name: &str) -> Result<String, ApiError> {
    state
        .get::<Cluster>(&call.scope, name)
        .map(|c| c.name.clone())
        .ok_or_else(cluster_not_found)
}
