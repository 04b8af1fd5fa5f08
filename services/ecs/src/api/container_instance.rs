//! Container instances: every node is one, in every cluster.

use super::cluster::existing_name;
use super::find;
use crate::input::Input;
use crate::machine::CPU_OVERSUBSCRIPTION;
use crate::model::{LastStatus, Node, Task, node_scope};
use crate::names::{arn, short_name};
use honmaru_base::ApiError;
use honmaru_machine::{Call, State};
use serde_json::{Value, json};

/// ListContainerInstances.
pub(super) fn list(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let cluster = existing_name(state, call, &input)?;
    input.refuse(&["filter"])?;
    let active = input.text("status").is_none_or(|status| status == "ACTIVE");
    let items = state
        .list::<Node>(&node_scope())
        .filter(|_| active)
        .map(|(name, node)| (name.to_owned(), Value::String(instance_arn(call, &cluster, node))))
        .collect();
    Ok(input.page(items, 100, 100)?.answer("containerInstanceArns"))
}

/// DescribeContainerInstances.
pub(super) fn describe(state: &State, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let cluster = existing_name(state, call, &input)?;
    let names = input.texts("containerInstances");
    // Seen: getmoto/moto issue 2473, gchq/sleeper issue 3387.
    find::check_count(&names, "Container instance", 100)?;
    let (mut instances, mut failures) = (Vec::new(), Vec::new());
    for id in names.iter().map(|name| short_name(name)) {
        match state
            .list::<Node>(&node_scope())
            .find(|(_, node)| node.instance_id == id)
        {
            Some((name, node)) => instances.push(view(state, call, &cluster, name, node)),
            None => {
                let arn = arn(&call.scope, &format!("container-instance/{cluster}/{id}"));
                failures.push(json!({ "arn": arn, "reason": "MISSING" }));
            }
        }
    }
    Ok(json!({ "containerInstances": instances, "failures": failures }))
}

fn instance_arn(call: &Call, cluster: &str, node: &Node) -> String {
    arn(
        &call.scope,
        &format!("container-instance/{cluster}/{}", node.instance_id),
    )
}

fn view(state: &State, call: &Call, cluster: &str, name: &str, node: &Node) -> Value {
    let (mut cpu, mut memory, mut running, mut pending) = (0_u64, 0_u64, 0, 0);
    for (_, _, task) in state
        .all::<Task>()
        .filter(|(_, _, task)| task.node.as_deref() == Some(name))
    {
        if task.last_status < LastStatus::Deprovisioning {
            cpu += u64::from(task.reserved.0);
            memory += u64::from(task.reserved.1);
        }
        if task.cluster == cluster {
            running += u32::from(task.last_status == LastStatus::Running);
            pending += u32::from(task.last_status < LastStatus::Running);
        }
    }
    let resource = |name: &str, value: u64| json!({ "name": name, "type": "INTEGER", "integerValue": value, "doubleValue": 0.0, "longValue": 0 });
    let cpu_all = u64::from(node.cpu_units) * CPU_OVERSUBSCRIPTION;
    let memory_all = u64::from(node.memory_mib);
    json!({
        "containerInstanceArn": instance_arn(call, cluster, node),
        "version": 1,
        "versionInfo": {},
        "registeredResources": [resource("CPU", cpu_all), resource("MEMORY", memory_all)],
        "remainingResources": [
            resource("CPU", cpu_all.saturating_sub(cpu)),
            resource("MEMORY", memory_all.saturating_sub(memory)),
        ],
        "status": "ACTIVE",
        "agentConnected": true,
        "runningTasksCount": running,
        "pendingTasksCount": pending,
        "registeredAt": node.registered_at.as_epoch_s(),
        "attributes": [
            { "name": "ecs.os-type", "value": "linux" },
            { "name": "ecs.cpu-architecture", "value": "x86_64" },
        ],
        "attachments": [],
        "tags": [],
    })
}
