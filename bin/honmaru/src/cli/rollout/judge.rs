//! What a look at a service means for a roll-out. Pure: the same look gives the same verdict.

use super::cause::Cause;
use super::listening::Open;
use crate::cli::deploy::GRACE_DEFAULT_S;
use crate::cli::observed::{Deployment, Service, Target, Task};
use honmaru_base::Clock;
use honmaru_engine::SystemClock;
use std::collections::{BTreeMap, BTreeSet};

/// A container that exits once may have met a bad moment; two of them are a fault of the version.
const EXITS_MAX: usize = 2;
/// How long a complaint about missing room must stand before it counts.
const COMPLAINT_STANDS_S: f64 = 3.0;
/// An app that answers has started: a wrong answer that comes so many seconds after the task's start stays. Somebody
/// who has named a grace of his own is believed.
const WRONG_ANSWER_STANDS_S: u32 = 10;
/// After a change of the path the old answer stands until the next checks, which are 5 s apart.
const OTHER_PATH_STANDS_S: u32 = 20;
/// An app that listens on other ports may still be about to open the right one, for example after its debugger's.
const OTHER_PORT_STANDS_S: u32 = 20;
/// A task that refuses connections is looked into so many seconds after its start, and again after so many more.
const LOOK_INTO_AFTER_S: f64 = 4.0;

/// ELBv2 of a connection that is refused.
const REFUSED: &str = "Health checks failed";

/// How a roll-out ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolledOut {
    /// Tasks that serve.
    pub healthy: u64,
    /// Tasks that were wanted.
    pub desired: u64,
}

/// What a roll-out shall reach.
#[derive(Debug, Clone, PartialEq)]
pub struct Goal {
    /// The deployment's id.
    pub deployment: String,
    /// Tasks and events before that moment do not count. Epoch seconds.
    pub since_s: f64,
    /// How long a task may be unhealthy after its start.
    pub grace_s: u32,
    /// Whether it brings another version, or the same one anew; otherwise the number of tasks changes.
    pub is_new: bool,
    /// Whether nobody has said that the app has the path of the health check.
    pub may_lack_path: bool,
    /// The moment at which the path of the health check was changed meanwhile: what was seen before says nothing.
    pub path_since_s: Option<f64>,
}

impl Goal {
    /// The goal of the deployment that is in force after a call that changed the service.
    pub fn of(after: &Service, before: Option<&Service>) -> Self {
        let primary = after.primary().cloned().unwrap_or_default();
        let is_new = before
            .and_then(Service::primary)
            .is_none_or(|earlier| earlier.id != primary.id);
        let since_s = if is_new {
            primary.created_at
        } else {
            SystemClock.now().as_epoch_s()
        };
        Self {
            deployment: primary.id,
            since_s,
            grace_s: after.grace_s,
            is_new,
            may_lack_path: false,
            path_since_s: None,
        }
    }

    /// How long after its start a task may be unhealthy for that reason, in seconds.
    fn forgives_s(&self, cause: &Cause) -> u32 {
        let may_be_starting = |code: &str| matches!(code, "502" | "503" | "504");
        match cause {
            Cause::WrongStatus { .. } if self.path_since_s.is_some() => self.grace_s.min(OTHER_PATH_STANDS_S),
            Cause::WrongStatus { code, .. } if !may_be_starting(code) && self.grace_s <= GRACE_DEFAULT_S => {
                self.grace_s.min(WRONG_ANSWER_STANDS_S)
            }
            Cause::OnlyLoopback { .. } => 0,
            Cause::OtherPort { .. } => self.grace_s.min(OTHER_PORT_STANDS_S),
            _ => self.grace_s,
        }
    }
}

/// One look.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    pub service: &'a Service,
    /// Those that shall run and those that stopped.
    pub tasks: &'a [Task],
    pub targets: &'a [Target],
    pub now_s: f64,
}

impl Look<'_> {
    /// The target that a task is.
    fn target(&self, task: &Task) -> Option<&Target> {
        let address = task.address.as_deref()?;
        self.targets.iter().find(|target| target.address == address)
    }

    fn is_healthy(&self, task: &Task) -> bool {
        let is_well = task.last_status == "RUNNING" && task.health != "UNHEALTHY";
        is_well && (self.service.target.is_none() || self.target(task).is_some_and(|target| target.state == "healthy"))
    }
}

/// What earlier looks showed and later ones do not.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// The last bad health check of each task; a stopped task is no target any more.
    unhealthy: BTreeMap<String, Target>,
    /// What a task that refuses connections listens on, and when it was looked at.
    listens: BTreeMap<String, Open>,
    looked_at_s: BTreeMap<String, f64>,
    /// Tasks that were shown while they were wanted: their ends are shown, too.
    shown: BTreeSet<String>,
}

impl Memory {
    /// What a task listens on was found out.
    pub fn listens(&mut self, task: &str, open: Open) {
        self.listens.insert(task.to_owned(), open);
    }
}

/// Tasks of this roll-out that run and refuse the connections of the health check: worth a look inside, once in a while.
pub fn refusing(goal: &Goal, memory: &mut Memory, look: &Look<'_>) -> Vec<String> {
    let is_due = |task: &&Task| {
        let since_s = memory.looked_at_s.get(&task.id).copied().or(task.started_at);
        since_s.is_some_and(|since| look.now_s >= since + LOOK_INTO_AFTER_S)
    };
    let refuses = |task: &&Task| {
        let target = look.target(task);
        target.is_some_and(|t| {
            t.state == "unhealthy" && matches!(unhealthy(&task.id, &t.description, None), Cause::NobodyListens { .. })
        })
    };
    let found: Vec<String> = look
        .tasks
        .iter()
        .filter(|task| task.started_by == goal.deployment && task.is_wanted() && task.last_status == "RUNNING")
        .filter(is_due)
        .filter(refuses)
        .map(|task| task.id.clone())
        .take(1)
        .collect();
    for task in &found {
        memory.looked_at_s.insert(task.clone(), look.now_s);
    }
    found
}

/// What a look means.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Wait {
        healthy: u64,
    },
    /// The app answers 404 at a path that nobody has named.
    LacksPath,
    Done(RolledOut),
    Failed(Cause),
}

/// Judges a look.
pub fn judge(goal: &Goal, memory: &mut Memory, look: &Look<'_>) -> Verdict {
    let service = look.service;
    let own: Vec<&Task> = look
        .tasks
        .iter()
        .filter(|task| task.started_by == goal.deployment)
        .collect();
    let recent = || own.iter().copied().filter(|task| task.created_at >= goal.since_s);
    for task in &own {
        if let Some(target) = look.target(task).filter(|target| target.state == "unhealthy") {
            memory.unhealthy.insert(task.id.clone(), target.clone());
        }
    }

    if goal.may_lack_path
        && memory
            .unhealthy
            .iter()
            .any(|(task, target)| matches!(unhealthy(task, &target.description, None), Cause::WrongStatus { code, .. } if code == "404"))
    {
        return Verdict::LacksPath;
    }

    let mut exits = Vec::new();
    for task in recent().filter(|task| !task.is_wanted()) {
        match stopped(task, memory, look, said_unhealthy(goal, service)) {
            Some(cause @ Cause::Exited { .. }) => exits.push(cause),
            Some(cause) => return Verdict::Failed(cause),
            None => {}
        }
    }
    let primary = service.primary();
    let given_up = primary.is_none_or(|primary| primary.id != goal.deployment || primary.rollout_state == "FAILED");
    if (given_up || exits.len() >= EXITS_MAX)
        && let Some(cause) = exits.pop()
    {
        return Verdict::Failed(cause);
    }
    for task in own.iter().filter(|task| task.is_wanted()) {
        let Some(target) = look.target(task).filter(|target| target.state == "unhealthy") else {
            continue;
        };
        let cause = unhealthy(&task.id, &target.description, seen_open(memory, look, &task.id));
        let is_forgiven = task.started_at.is_none_or(|started| {
            let since = started.max(goal.since_s).max(goal.path_since_s.unwrap_or_default());
            look.now_s < since + f64::from(goal.forgives_s(&cause))
        });
        if !is_forgiven {
            return Verdict::Failed(cause);
        }
    }
    match primary {
        None => return Verdict::Failed(Cause::Vanished),
        Some(primary) if primary.id != goal.deployment => {
            let is_rollback = primary.rollout_state_reason.contains("rolling back")
                || service
                    .deployments
                    .iter()
                    .any(|d| d.id == goal.deployment && d.rollout_state == "FAILED");
            // What made the circuit breaker go back was seen before, or it went faster than we looked.
            return Verdict::Failed(if is_rollback {
                given_up_for(goal, memory, look, primary)
            } else {
                Cause::Superseded
            });
        }
        Some(primary) if primary.rollout_state == "FAILED" => {
            return Verdict::Failed(Cause::GivenUp {
                reason: primary.rollout_state_reason.clone(),
            });
        }
        Some(_) => {}
    }
    let is_starting = own.iter().any(|task| task.is_wanted() && task.last_status != "RUNNING");
    if let Some(event) = service.events.first()
        && !is_starting
        && event.message.contains("was unable to")
        && event.at >= goal.since_s
        && look.now_s - event.at > COMPLAINT_STANDS_S
    {
        return Verdict::Failed(Cause::NoRoom {
            message: event.message.clone(),
        });
    }

    let wanted: Vec<&&Task> = own.iter().filter(|task| task.is_wanted()).collect();
    let healthy = wanted.iter().filter(|task| look.is_healthy(task)).count() as u64;
    let is_alone = service.deployments.len() == 1;
    let is_complete = primary.is_some_and(|primary| primary.rollout_state == "COMPLETED");
    if is_complete && is_alone && healthy == service.desired && wanted.len() as u64 == service.desired {
        return Verdict::Done(RolledOut {
            healthy,
            desired: service.desired,
        });
    }
    Verdict::Wait { healthy }
}

/// Why a task stopped, when that is a failure.
fn stopped(task: &Task, memory: &Memory, look: &Look<'_>, said: Option<&str>) -> Option<Cause> {
    let reason = task.stopped_reason.clone().unwrap_or_default();
    let container_reason = task.container_reason.clone().unwrap_or_default();
    if reason.contains("OutOfMemory") || container_reason.contains("OutOfMemory") {
        return Some(Cause::OutOfMemory { task: task.id.clone() });
    }
    match task.stop_code.as_deref() {
        Some("TaskFailedToStart") => {
            let reason = if reason.is_empty() { container_reason } else { reason };
            Some(Cause::CannotStart {
                task: task.id.clone(),
                reason,
            })
        }
        Some("EssentialContainerExited") => Some(Cause::Exited {
            task: task.id.clone(),
            exit_code: task.exit_code,
            reason: container_reason,
        }),
        Some("ServiceSchedulerInitiated") if reason.starts_with("Task failed container") => {
            Some(Cause::ContainerCheck { task: task.id.clone() })
        }
        Some("ServiceSchedulerInitiated") if reason.starts_with("Task failed") => {
            let description = memory
                .unhealthy
                .get(&task.id)
                .map(|target| target.description.as_str())
                .or(said);
            let open = seen_open(memory, look, &task.id);
            Some(unhealthy(&task.id, description.unwrap_or_default(), open))
        }
        _ => None,
    }
}

/// Why the circuit breaker gave the roll-out up: what was seen before, else what the events say, else its own words.
fn given_up_for(goal: &Goal, memory: &Memory, look: &Look<'_>, primary: &Deployment) -> Cause {
    if let Some((task, target)) = memory.unhealthy.iter().next_back() {
        return unhealthy(task, &target.description, seen_open(memory, look, task));
    }
    let newest = look
        .tasks
        .iter()
        .rfind(|task| task.started_by == goal.deployment && !task.is_wanted());
    match (newest, said_unhealthy(goal, look.service)) {
        (Some(task), Some(description)) => unhealthy(&task.id, description, seen_open(memory, look, &task.id)),
        _ => Cause::GivenUp {
            reason: primary.rollout_state_reason.clone(),
        },
    }
}

/// What the service's newest event says of a target's health: a look may come after the task was stopped for it.
/// Ref: ECS developer guide, "Service event messages": `is unhealthy in (target-group x) due to (reason y)`.
fn said_unhealthy<'a>(goal: &Goal, service: &'a Service) -> Option<&'a str> {
    service
        .events
        .iter()
        .filter(|event| event.at >= goal.since_s)
        .find_map(|event| {
            let (_, reason) = event.message.split_once("due to (reason ")?;
            Some(reason.trim_end_matches('.').trim_end_matches(')'))
        })
}

/// What a look into a task that refuses connections has shown.
enum Seen {
    /// It listens on the port, for itself only.
    OnLoopback,
    /// It listens on other ports.
    Elsewhere(Vec<u16>),
}

fn seen_open(memory: &Memory, look: &Look<'_>, task: &str) -> Option<Seen> {
    let (_, port) = look.service.target.as_ref()?;
    let open = memory.listens.get(task)?;
    if open.to_all.contains(port) {
        // It has begun to listen meanwhile.
        None
    } else if open.to_itself.contains(port) {
        Some(Seen::OnLoopback)
    } else if open.to_all.is_empty() {
        None
    } else {
        Some(Seen::Elsewhere(open.to_all.iter().copied().collect()))
    }
}

/// The cause behind ELBv2's description of a bad health check.
/// Ref: ELBv2 `TargetHealth.Description`, with the codes `Target.Timeout`, `Target.ResponseCodeMismatch` and
/// `Target.FailedHealthChecks`.
fn unhealthy(task: &str, description: &str, seen: Option<Seen>) -> Cause {
    let task = task.to_owned();
    let code = description
        .split_once("codes: [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map(|(code, _)| code);
    match (code, description) {
        (Some(code), _) => Cause::WrongStatus {
            task,
            code: code.to_owned(),
        },
        (None, "Request timed out") => Cause::Silent { task },
        (None, REFUSED) => match seen {
            Some(Seen::OnLoopback) => Cause::OnlyLoopback { task },
            Some(Seen::Elsewhere(ports)) => Cause::OtherPort { task, ports },
            None => Cause::NobodyListens { task },
        },
        (None, other) => Cause::Unhealthy {
            task,
            description: other.to_owned(),
        },
    }
}

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
            let text = match (look.target(task), &look.service.target) {
                (Some(target), Some((_, port)))
                    if task.last_status == "RUNNING"
                        && target.state == "unhealthy"
                        && target.description == REFUSED =>
                {
                    format!("running, but nothing listens on port {port} yet")
                }
                (target, _) => state(task, target),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::observed::Event;

    const NOW: f64 = 1_000.0;

    fn service(rollout_state: &str) -> Service {
        let primary = Deployment {
            id: "new".to_owned(),
            status: "PRIMARY".to_owned(),
            rollout_state: rollout_state.to_owned(),
            created_at: 900.0,
            ..Deployment::default()
        };
        Service {
            desired: 2,
            deployments: vec![primary],
            target: Some(("tg".to_owned(), 8080)),
            ..Service::default()
        }
    }

    fn task(id: &str, last_status: &str) -> Task {
        let is_wanted = last_status != "STOPPED";
        Task {
            id: id.to_owned(),
            started_by: "new".to_owned(),
            last_status: last_status.to_owned(),
            desired_status: if is_wanted { "RUNNING" } else { "STOPPED" }.to_owned(),
            address: Some(format!("10.0.0.{id}")),
            created_at: 901.0,
            started_at: Some(905.0),
            ..Task::default()
        }
    }

    fn exited(id: &str) -> Task {
        Task {
            stop_code: Some("EssentialContainerExited".to_owned()),
            stopped_reason: Some("Essential container in task exited".to_owned()),
            exit_code: Some(3),
            ..task(id, "STOPPED")
        }
    }

    fn target(id: &str, state: &str, reason: &str, description: &str) -> Target {
        Target {
            address: format!("10.0.0.{id}"),
            port: 8080,
            state: state.to_owned(),
            reason: reason.to_owned(),
            description: description.to_owned(),
        }
    }

    fn verdict(service: &Service, tasks: &[Task], targets: &[Target]) -> Verdict {
        let goal = Goal {
            deployment: "new".to_owned(),
            since_s: 900.0,
            grace_s: 10,
            is_new: true,
            may_lack_path: false,
            path_since_s: None,
        };
        judge(
            &goal,
            &mut Memory::default(),
            &Look {
                service,
                tasks,
                targets,
                now_s: NOW,
            },
        )
    }

    #[test]
    fn it_is_over_when_all_tasks_are_healthy_and_the_old_ones_gone() {
        let tasks = [task("1", "RUNNING"), task("2", "RUNNING")];
        let targets = [target("1", "healthy", "", ""), target("2", "healthy", "", "")];
        let done = Verdict::Done(RolledOut { healthy: 2, desired: 2 });
        assert_eq!(verdict(&service("COMPLETED"), &tasks, &targets), done);
        assert_eq!(
            verdict(&service("IN_PROGRESS"), &tasks, &targets),
            Verdict::Wait { healthy: 2 }
        );
        let initial = [target("1", "healthy", "", ""), target("2", "initial", "", "")];
        assert_eq!(
            verdict(&service("COMPLETED"), &tasks, &initial),
            Verdict::Wait { healthy: 1 }
        );
        let mut with_old = service("COMPLETED");
        with_old.deployments.push(Deployment {
            id: "old".to_owned(),
            ..Deployment::default()
        });
        assert_eq!(verdict(&with_old, &tasks, &targets), Verdict::Wait { healthy: 2 });
    }

    #[test]
    fn one_exit_may_happen_two_are_a_fault() {
        let running = service("IN_PROGRESS");
        assert_eq!(verdict(&running, &[exited("1")], &[]), Verdict::Wait { healthy: 0 });
        let two = verdict(&running, &[exited("1"), exited("2")], &[]);
        assert!(
            matches!(two, Verdict::Failed(Cause::Exited { exit_code: Some(3), .. })),
            "{two:?}"
        );
        let given_up = verdict(&service("FAILED"), &[exited("1")], &[]);
        assert!(
            matches!(given_up, Verdict::Failed(Cause::Exited { .. })),
            "{given_up:?}"
        );
    }

    #[test]
    fn exits_before_this_roll_out_do_not_count() {
        let old = Task {
            created_at: 800.0,
            ..exited("1")
        };
        let verdict = verdict(
            &service("IN_PROGRESS"),
            &[
                old.clone(),
                Task {
                    id: "2".to_owned(),
                    ..old
                },
            ],
            &[],
        );
        assert_eq!(verdict, Verdict::Wait { healthy: 0 });
    }

    #[test]
    fn an_image_that_cannot_be_had_is_known_at_once() {
        let failed = Task {
            stop_code: Some("TaskFailedToStart".to_owned()),
            stopped_reason: Some("CannotPullContainerError: x".to_owned()),
            ..task("1", "STOPPED")
        };
        let verdict = verdict(&service("IN_PROGRESS"), &[failed], &[]);
        let reason = "CannotPullContainerError: x".to_owned();
        assert_eq!(
            verdict,
            Verdict::Failed(Cause::CannotStart {
                task: "1".to_owned(),
                reason
            })
        );
    }

    #[test]
    fn each_bad_health_check_has_its_cause() {
        let task = task("1", "RUNNING");
        let of = |reason, description| {
            verdict(
                &service("IN_PROGRESS"),
                std::slice::from_ref(&task),
                &[target("1", "unhealthy", reason, description)],
            )
        };
        let id = || "1".to_owned();
        let refused = of("Target.FailedHealthChecks", "Health checks failed");
        assert_eq!(refused, Verdict::Failed(Cause::NobodyListens { task: id() }));
        assert_eq!(
            of("Target.Timeout", "Request timed out"),
            Verdict::Failed(Cause::Silent { task: id() })
        );
        assert_eq!(
            of(
                "Target.ResponseCodeMismatch",
                "Health checks failed with these codes: [404]"
            ),
            Verdict::Failed(Cause::WrongStatus {
                task: id(),
                code: "404".to_owned()
            })
        );
        let young = Task {
            started_at: Some(NOW - 5.0),
            ..task.clone()
        };
        let target = target("1", "unhealthy", "Target.Timeout", "");
        assert_eq!(
            verdict(&service("IN_PROGRESS"), &[young], &[target]),
            Verdict::Wait { healthy: 0 }
        );
    }

    fn patient(grace_s: u32) -> Goal {
        Goal {
            deployment: "new".to_owned(),
            since_s: 900.0,
            grace_s,
            is_new: true,
            may_lack_path: false,
            path_since_s: None,
        }
    }

    #[test]
    fn what_a_task_listens_on_tells_why_it_refuses() {
        let goal = patient(300);
        let refused = [target("1", "unhealthy", "Target.FailedHealthChecks", REFUSED)];
        let service = Service {
            target: Some(("tg".to_owned(), 8080)),
            ..service("IN_PROGRESS")
        };
        let tasks = [task("1", "RUNNING")];
        let look = Look {
            service: &service,
            tasks: &tasks,
            targets: &refused,
            now_s: NOW,
        };
        let mut memory = Memory::default();
        assert_eq!(refusing(&goal, &mut memory, &look), ["1"]);
        assert!(
            refusing(&goal, &mut memory, &look).is_empty(),
            "it was looked at just now"
        );
        assert_eq!(judge(&goal, &mut memory, &look), Verdict::Wait { healthy: 0 });
        let open = |to_all: &[u16], to_itself: &[u16]| Open {
            to_all: to_all.iter().copied().collect(),
            to_itself: to_itself.iter().copied().collect(),
        };
        let task = || "1".to_owned();
        memory.listens("1", open(&[9_000], &[]));
        let other = Cause::OtherPort {
            task: task(),
            ports: vec![9_000],
        };
        assert_eq!(judge(&goal, &mut memory, &look), Verdict::Failed(other));
        memory.listens("1", open(&[9_000], &[8_080]));
        assert_eq!(
            judge(&goal, &mut memory, &look),
            Verdict::Failed(Cause::OnlyLoopback { task: task() })
        );
        memory.listens("1", open(&[8_080], &[]));
        assert_eq!(judge(&goal, &mut memory, &look), Verdict::Wait { healthy: 0 });
    }

    #[test]
    fn a_path_that_nobody_named_may_be_missing() {
        let mut goal = Goal {
            may_lack_path: true,
            ..patient(60)
        };
        let missing = [target(
            "1",
            "unhealthy",
            "Target.ResponseCodeMismatch",
            "Health checks failed with these codes: [404]",
        )];
        let (service, tasks) = (service("IN_PROGRESS"), [task("1", "RUNNING")]);
        let look = Look {
            service: &service,
            tasks: &tasks,
            targets: &missing,
            now_s: NOW,
        };
        assert_eq!(judge(&goal, &mut Memory::default(), &look), Verdict::LacksPath);
        goal.may_lack_path = false;
        let wrong = Cause::WrongStatus {
            task: "1".to_owned(),
            code: "404".to_owned(),
        };
        assert_eq!(judge(&goal, &mut Memory::default(), &look), Verdict::Failed(wrong));
        // What stands there is the answer of the old path.
        goal.path_since_s = Some(NOW - 1.0);
        assert_eq!(
            judge(&goal, &mut Memory::default(), &look),
            Verdict::Wait { healthy: 0 }
        );
    }

    #[test]
    fn a_task_that_was_stopped_for_its_health_keeps_its_cause() {
        let goal = Goal {
            deployment: "new".to_owned(),
            since_s: 900.0,
            grace_s: 10,
            is_new: true,
            may_lack_path: false,
            path_since_s: None,
        };
        let mut memory = Memory::default();
        let service = service("IN_PROGRESS");
        let young = Task {
            started_at: Some(NOW - 1.0),
            ..task("1", "RUNNING")
        };
        let bad = target("1", "unhealthy", "Target.Timeout", "Request timed out");
        let first = Look {
            service: &service,
            tasks: &[young],
            targets: &[bad],
            now_s: NOW,
        };
        assert_eq!(judge(&goal, &mut memory, &first), Verdict::Wait { healthy: 0 });
        let stopped = Task {
            stop_code: Some("ServiceSchedulerInitiated".to_owned()),
            stopped_reason: Some("Task failed ELB health checks in (target-group tg)".to_owned()),
            ..task("1", "STOPPED")
        };
        let tasks = [stopped];
        let second = Look {
            service: &service,
            tasks: &tasks,
            targets: &[],
            now_s: NOW,
        };
        assert_eq!(
            judge(&goal, &mut memory, &second),
            Verdict::Failed(Cause::Silent { task: "1".to_owned() })
        );
        // Without a look in between the service's event tells it.
        let message = "(service x) (port 8080) is unhealthy in (target-group tg) due to (reason Health checks failed \
                       with these codes: [404]).";
        let events = vec![Event {
            at: NOW,
            message: message.to_owned(),
        }];
        let service = Service { events, ..service };
        let cause = Cause::WrongStatus {
            task: "1".to_owned(),
            code: "404".to_owned(),
        };
        assert_eq!(verdict(&service, &tasks, &[]), Verdict::Failed(cause));
    }

    #[test]
    fn scaling_in_is_no_failure_and_missing_room_is_one() {
        let stopped = Task {
            stop_code: Some("ServiceSchedulerInitiated".to_owned()),
            stopped_reason: Some("Scaling activity initiated by (deployment new)".to_owned()),
            ..task("1", "STOPPED")
        };
        let mut service = service("IN_PROGRESS");
        assert_eq!(
            verdict(&service, std::slice::from_ref(&stopped), &[]),
            Verdict::Wait { healthy: 0 }
        );
        let message = "(service x) was unable to place a task because memory".to_owned();
        service.events = vec![Event {
            at: NOW - 5.0,
            message: message.clone(),
        }];
        assert_eq!(
            verdict(&service, &[stopped], &[]),
            Verdict::Failed(Cause::NoRoom { message })
        );
    }

    #[test]
    fn a_roll_back_and_somebody_elses_deployment_differ() {
        let mut rolled = service("IN_PROGRESS");
        rolled.deployments.insert(
            0,
            Deployment {
                id: "old".to_owned(),
                rollout_state: "IN_PROGRESS".to_owned(),
                rollout_state_reason: "ECS deployment circuit breaker: rolling back to deploymentId old.".to_owned(),
                ..Deployment::default()
            },
        );
        assert!(matches!(
            verdict(&rolled, &[], &[]),
            Verdict::Failed(Cause::GivenUp { .. })
        ));
        rolled.deployments[0].rollout_state_reason = "ECS deployment in progress.".to_owned();
        assert_eq!(verdict(&rolled, &[], &[]), Verdict::Failed(Cause::Superseded));
    }
}
