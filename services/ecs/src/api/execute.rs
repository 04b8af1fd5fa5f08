//! ExecuteCommand.

use super::cluster::existing_name;
use super::{find, session_logging};
use crate::error::{invalid, unsupported};
use crate::input::Input;
use crate::model::{Cluster, LastStatus, Session, TaskDefinition};
use crate::names::{cluster_arn, container_arn, task_arn, task_definition_key};
use honmaru_base::{ApiError, hex_id};
use honmaru_machine::{Call, Tx};
use serde_json::{Value, json};

/// The longest command.
const COMMAND_BYTES_MAX: usize = 65_536;

/// ExecuteCommand: opens a session whose data channel the caller reaches at `streamUrl` with the token.
pub(super) fn execute(tx: &mut Tx<'_>, call: &Call, input: Value) -> Result<Value, ApiError> {
    let input = Input::new(input);
    let cluster = existing_name(tx, call, &input)?;
    let command = input.required("command")?.to_owned();
    if command.len() > COMMAND_BYTES_MAX {
        return Err(invalid("command can be at most 65536 bytes."));
    }
    let interactive = input.flag("interactive").unwrap_or(false);
    if !interactive {
        // Ref: ExecuteCommand: "Amazon ECS only supports initiating interactive sessions".
        return Err(invalid("Interactive is the only mode supported currently."));
    }
    let wanted = find::task_id(&cluster, input.required("task")?, "task")?;
    let task = find::task(tx, &call.scope, &cluster, wanted)
        .ok_or_else(|| invalid("The referenced task was not found."))?
        .clone();
    if task.last_status > LastStatus::Running || !task.is_wanted() {
        return Err(invalid("The specified task is not running."));
    }
    if !task.enable_execute_command {
        return Err(invalid(
            "The execute command failed because execute command was not enabled when the task was run or the execute \
             command agent isn\u{2019}t running. Wait and try again or run a new task with execute command enabled \
             and try again.",
        ));
    }
    let container = match input.text("container").filter(|name| !name.is_empty()) {
        Some(name) => task
            .containers
            .iter()
            .find(|c| c.name == name)
            .ok_or_else(|| invalid(format!("The specified container '{name}' is not in the task.")))?,
        None => match &task.containers[..] {
            [only] => only,
            _ => {
                return Err(invalid(
                    "A container name must be specified for tasks with multiple containers.",
                ));
            }
        },
    };
    let Some(node) = task.node.clone().filter(|_| container.last_status == "RUNNING") else {
        return Err(ApiError::new(
            "TargetNotConnectedException",
            "The execute command failed due to an internal error. Try again later.",
        ));
    };
    if call.host.is_empty() {
        return Err(unsupported("ExecuteCommand without a Host header"));
    }
    let definition = tx.get::<TaskDefinition>(&call.scope, &task_definition_key(&task.family, task.revision));
    let container_definition =
        definition.and_then(|definition| definition.containers.iter().find(|c| c.name == container.name));
    let log = tx
        .get::<Cluster>(&call.scope, &cluster)
        .and_then(|cluster| session_logging::log(&call.scope, cluster, container_definition));
    let id = format!("ecs-execute-command-{}", hex_id(tx.rng(), 17));
    let session = Session {
        task_id: task.id.clone(),
        node,
        container: container.name.clone(),
        command,
        interactive,
        token: hex_id(tx.rng(), 64),
        log,
        created_at: tx.now(),
    };
    let scheme = if call.secure { "wss" } else { "ws" };
    let answer = json!({
        "clusterArn": cluster_arn(&call.scope, &cluster),
        "containerArn": container_arn(&call.scope, &cluster, &task.id, &container.id),
        "containerName": container.name,
        "interactive": interactive,
        "session": {
            "sessionId": id,
            "streamUrl": format!("{scheme}://{}/v1/data-channel/{id}", call.host),
            "tokenValue": session.token,
        },
        "taskArn": task_arn(&call.scope, &cluster, &task.id),
    });
    tx.put(&call.scope, &id, session);
    Ok(answer)
}
