//! What is shown of a roll-out's tasks.

use super::goal::Goal;
use super::look::{Look, Memory};
use super::reasons::{REFUSED, why_silent};
use crate::cli::observed::{Target, Task};
use crate::cli::rollout::listening::Open;

/// What to show of the tasks: key and text.
pub fn lines(goal: &Goal, memory: &mut Memory, look: &Look<'_>) -> Vec<(String, String)> {
    // What was on its way out before is not this roll-out's.
    let wanted = look.tasks.iter().filter(|task| task.is_wanted());
    memory.shown.extend(wanted.map(|task| task.id.clone()));
    let is_own = |task: &Task| task.started_by == goal.deployment && task.created_at >= goal.since_s;
    let is_shown = |task: &&Task| is_own(task) || (task.last_status != "STOPPED" && memory.shown.contains(&task.id));
    look.tasks
        .iter()
        .filter(is_shown)
        .map(|task| {
            let target = look.target(task);
            let text = match (elsewhere(task, target, look), target, &look.service.target) {
                (Some(words), ..) => format!("running, but {words}"),
                (None, Some(target), Some((_, port)))
                    if task.last_status == "RUNNING"
                        && target.state == "unhealthy"
                        && target.description == REFUSED =>
                {
                    format!("running, but nothing listens on port {port} yet")
                }
                (None, target, _) => state(task, target),
            };
            let text = if task.started_by == goal.deployment {
                text
            } else {
                format!("{text} (old version)")
            };
            (format!("task {}", task.short()), text)
        })
        .collect()
}

/// What a task that runs listens on instead of the service's port.
fn elsewhere(task: &Task, target: Option<&Target>, look: &Look<'_>) -> Option<String> {
    let (_, port) = look.service.target.as_ref()?;
    if task.last_status != "RUNNING" || target.is_some_and(|target| target.state == "healthy") {
        return None;
    }
    let open = Open::read(task.listening.as_deref()?);
    Some(why_silent(&open, *port)?.words(*port))
}

/// The state of a task in a few words.
pub fn state(task: &Task, target: Option<&Target>) -> String {
    let target_state = target.map(|target| target.state.as_str());
    match (task.last_status.as_str(), target_state) {
        ("PROVISIONING", _) => "gets its network".to_owned(),
        ("PENDING", _) => "gets its image and starts".to_owned(),
        ("ACTIVATING", _) => "is registered with the load balancer".to_owned(),
        ("RUNNING", _) if task.health == "UNHEALTHY" => "running, its own health check fails".to_owned(),
        ("RUNNING", Some("healthy") | None) => "healthy".to_owned(),
        ("RUNNING", Some("initial")) => "running, waits for its health check".to_owned(),
        ("RUNNING", Some("unhealthy")) => {
            let why = target.map(|target| target.description.as_str()).unwrap_or_default();
            format!("running, unhealthy: {why}")
        }
        ("RUNNING", Some(other)) => format!("running, {other}"),
        ("DEACTIVATING", _) => "finishes its last requests".to_owned(),
        ("STOPPING" | "DEPROVISIONING", _) => "is stopping".to_owned(),
        ("STOPPED", _) => match stopped_words(task) {
            Some(words) => format!("stopped: {words}"),
            None => "stopped".to_owned(),
        },
        (other, _) => other.to_lowercase(),
    }
}

/// Why a task stopped, for people: ECS's own reasons name deployments and target groups by their ARNs.
fn stopped_words(task: &Task) -> Option<String> {
    let reason = task.stopped_reason.clone().unwrap_or_default();
    let of_container = task.container_reason.clone().unwrap_or_default();
    Some(match (task.stop_code.as_deref(), task.exit_code) {
        _ if reason.contains("OutOfMemory") || of_container.contains("OutOfMemory") => {
            "it used more memory than it has".to_owned()
        }
        (Some("EssentialContainerExited"), Some(code)) => format!("it ended with exit code {code}"),
        _ if reason.starts_with("Task failed container") => "its own health check failed".to_owned(),
        _ if reason.starts_with("Task failed ELB") => "its health check failed".to_owned(),
        _ if reason.starts_with("Scaling activity") => "it was not needed any more".to_owned(),
        _ if reason.is_empty() => return None,
        _ => reason,
    })
}
