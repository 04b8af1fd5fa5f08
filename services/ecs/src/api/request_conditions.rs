//! The condition keys of what a call asks for, beside those of tags. Ref: Service Authorization Reference, "Condition keys
//! for Amazon Elastic Container Service"; ECS developer guide, "Identity-based policies", condition keys.
//!
//! What a call leaves out has the value that it will have: a policy that allows tasks without exec allows a call that
//! does not speak of it.

use super::fargate::{cpu_units, memory_mib};
use crate::model::{Service, TaskDefinition};
use crate::names::{arn, cluster_arn, service_arn, short_name};
use honmaru_machine::{Access, Call};
use serde_json::Value;

fn text<'a>(input: &'a Value, name: &str) -> Option<&'a str> {
    input.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn texts(input: &Value, name: &str) -> Vec<String> {
    let items = input.get(name).and_then(Value::as_array);
    let items = items.into_iter().flatten().filter_map(Value::as_str);
    items.map(str::to_owned).collect()
}

fn has_items(input: &Value, name: &str) -> bool {
    input
        .get(name)
        .and_then(Value::as_array)
        .is_some_and(|items| !items.is_empty())
}

fn flag(access: Access, key: &str, value: bool) -> Access {
    access.with(key, vec![value.to_string()])
}

fn some(access: Access, key: &str, values: Vec<String>) -> Access {
    match values.is_empty() {
        true => access,
        false => access.with(key, values),
    }
}

fn provider_arn(call: &Call, name: &str) -> String {
    arn(&call.scope, &format!("capacity-provider/{}", short_name(name)))
}

/// The ARNs of capacity providers that are named, or the pattern of all.
pub(super) fn provider_arns(call: &Call, input: &Value) -> Vec<String> {
    let named = texts(input, "capacityProviders");
    match named.is_empty() {
        true => vec![provider_arn(call, "*")],
        false => named.iter().map(|name| provider_arn(call, name)).collect(),
    }
}

/// `ecs:capacity-provider`: the providers that a cluster gets, or that a strategy names.
pub(super) fn of_providers(access: Access, call: &Call, input: &Value) -> Access {
    let strategies = ["capacityProviderStrategy", "defaultCapacityProviderStrategy"];
    let items = strategies
        .iter()
        .filter_map(|name| input.get(name)?.as_array())
        .flatten();
    let mut named: Vec<String> = items
        .filter_map(|item| text(item, "capacityProvider").map(str::to_owned))
        .chain(texts(input, "capacityProviders"))
        .map(|name| provider_arn(call, &name))
        .collect();
    named.sort();
    named.dedup();
    some(access, "ecs:capacity-provider", named)
}

/// `ecs:task-cpu` and `ecs:task-memory`: those of the call, or else of the definition.
fn of_size(mut access: Access, input: &Value, definition: Option<&TaskDefinition>) -> Access {
    let cpu = text(input, "cpu").and_then(|text| cpu_units(text).ok());
    if let Some(cpu) = cpu.or_else(|| definition?.cpu) {
        access = access.with("ecs:task-cpu", vec![cpu.to_string()]);
    }
    let memory = text(input, "memory").and_then(|text| memory_mib(text).ok());
    if let Some(memory) = memory.or_else(|| definition?.memory) {
        access = access.with("ecs:task-memory", vec![memory.to_string()]);
    }
    access
}

/// The keys of RegisterTaskDefinition.
pub(super) fn of_definition(access: Access, input: &Value) -> Access {
    let containers = input.get("containerDefinitions").and_then(Value::as_array);
    let is_privileged = |container: &Value| container.get("privileged").and_then(Value::as_bool) == Some(true);
    let privileged = containers.is_some_and(|containers| containers.iter().any(is_privileged));
    let access = some(
        access,
        "ecs:compute-compatibility",
        texts(input, "requiresCompatibilities"),
    );
    of_size(flag(access, "ecs:privileged", privileged), input, None)
}

/// The keys of RunTask and StartTask.
pub(super) fn of_tasks(access: Access, call: &Call, input: &Value, definition: Option<&TaskDefinition>) -> Access {
    let execute = input.get("enableExecuteCommand").and_then(Value::as_bool);
    let access = flag(access, "ecs:enable-execute-command", execute == Some(true));
    let access = flag(
        access,
        "ecs:enable-ebs-volumes",
        has_items(input, "volumeConfigurations"),
    );
    let access = of_providers(access, call, input);
    let instances = texts(input, "containerInstances");
    let instances = instances.iter().map(|id| instance_arn(call, cluster_of(input), id));
    let access = some(access, "ecs:container-instances", instances.collect());
    of_size(access, input.get("overrides").unwrap_or(&Value::Null), definition)
}

/// The keys of CreateService and UpdateService; `service` is the one that is updated.
pub(super) fn of_service(
    access: Access,
    call: &Call,
    input: &Value,
    service: Option<&Service>,
    definition: Option<&TaskDefinition>,
) -> Access {
    let asked = |name: &str| input.get(name).and_then(Value::as_bool);
    let execute = asked("enableExecuteCommand").unwrap_or_else(|| service.is_some_and(|s| s.enable_execute_command));
    let managed = asked("enableECSManagedTags").unwrap_or_else(|| service.is_some_and(|s| s.enable_ecs_managed_tags));
    let propagate = text(input, "propagateTags")
        .or_else(|| service.map(|service| service.propagate_tags.as_str()))
        .unwrap_or("NONE");
    let mut access = flag(access, "ecs:enable-execute-command", execute);
    access = flag(access, "ecs:enable-ecs-managed-tags", managed);
    access = access.with("ecs:propagate-tags", vec![propagate.to_owned()]);
    access = flag(
        access,
        "ecs:enable-ebs-volumes",
        has_items(input, "volumeConfigurations"),
    );
    access = flag(
        access,
        "ecs:enable-vpc-lattice",
        has_items(input, "vpcLatticeConfigurations"),
    );
    let connect = &input["serviceConnectConfiguration"]["enabled"];
    access = flag(access, "ecs:enable-service-connect", connect.as_bool() == Some(true));
    if let Some(network) = input["networkConfiguration"].get("awsvpcConfiguration") {
        access = some(access, "ecs:subnet", texts(network, "subnets"));
        let is_public = text(network, "assignPublicIp") == Some("ENABLED");
        access = flag(access, "ecs:auto-assign-public-ip", is_public);
    }
    if let Some(definition) = definition {
        let name = format!("task-definition/{}:{}", definition.family, definition.revision);
        access = access.with("ecs:task-definition", vec![arn(&call.scope, &name)]);
    }
    of_size(of_providers(access, call, input), &Value::Null, definition)
}

/// `ecs:account-setting`.
pub(super) fn of_setting(access: Access, input: &Value) -> Access {
    match text(input, "name") {
        Some(name) => access.with("ecs:account-setting", vec![name.to_owned()]),
        None => access,
    }
}

fn cluster_of(input: &Value) -> &str {
    text(input, "cluster").map_or(crate::names::DEFAULT_CLUSTER, short_name)
}

/// The ARN of a container instance, from its id or its ARN.
pub(super) fn instance_arn(call: &Call, cluster: &str, instance: &str) -> String {
    let id = short_name(instance);
    arn(&call.scope, &format!("container-instance/{cluster}/{id}"))
}

/// What is asked for of deployments and revisions of services, which are named by ARN: permission for each one, and for
/// its service.
pub(super) fn of_deployments(action: &str, call: &Call, arns: &[String]) -> Vec<Access> {
    if arns.is_empty() {
        return vec![Access::any(action)];
    }
    let mut all = Vec::with_capacity(arns.len() * 2);
    for named in arns {
        // `arn:...:service-deployment/CLUSTER/SERVICE/ID`
        let mut parts = named.split('/').skip(1);
        let (cluster, service) = (parts.next().unwrap_or("*"), parts.next().unwrap_or("*"));
        let of_service = service_arn(&call.scope, cluster, service);
        let in_cluster = vec![cluster_arn(&call.scope, cluster)];
        let access = Access::new(action, vec![named.clone()]).with("ecs:cluster", in_cluster.clone());
        all.push(access.with("ecs:service", vec![of_service.clone()]));
        all.push(Access::new(action, vec![of_service]).with("ecs:cluster", in_cluster));
    }
    all
}
