//! Why a roll-out failed, in words for the person who began it.

use crate::cli::app::App;
use crate::cli::failure::Failure;
use crate::cli::observed::short_id;

/// What programs say of a file system that refuses to be written to: the C library, and Node.
const REFUSALS: [&str; 2] = ["ead-only file system", "EROFS"];

/// Why. Tasks are named by their ids.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// The container ended.
    Exited {
        task: String,
        exit_code: Option<i64>,
        reason: String,
    },
    /// The container used more memory than the task has.
    OutOfMemory { task: String },
    /// The task never started: no image, no network, no role.
    CannotStart { task: String, reason: String },
    /// The port refuses connections.
    NobodyListens { task: String },
    /// The app listens on the port for itself only.
    OnlyLoopback { task: String },
    /// The app listens, but on other ports.
    OtherPort { task: String, ports: Vec<u16> },
    /// Connections or answers do not come.
    Silent { task: String },
    /// The health check answers another status.
    WrongStatus { task: String, code: String },
    /// The load balancer's health check fails in a way that it does not tell.
    Unhealthy { task: String, description: String },
    /// The image's own health check fails.
    ContainerCheck { task: String },
    /// No node has room.
    NoRoom { message: String },
    /// The circuit breaker was faster than we.
    GivenUp { reason: String },
    /// Somebody began another deployment.
    Superseded,
    /// Somebody deleted the service.
    Vanished,
    /// Nothing is known, only that it takes too long.
    Slow { seconds: u64 },
}

impl Cause {
    /// The task whose log may tell more.
    pub fn task(&self) -> Option<&str> {
        match self {
            Self::Exited { task, .. }
            | Self::OutOfMemory { task }
            | Self::NobodyListens { task }
            | Self::OnlyLoopback { task }
            | Self::OtherPort { task, .. }
            | Self::Silent { task }
            | Self::WrongStatus { task, .. }
            | Self::Unhealthy { task, .. }
            | Self::ContainerCheck { task } => Some(task),
            Self::CannotStart { .. }
            | Self::NoRoom { .. }
            | Self::GivenUp { .. }
            | Self::Superseded
            | Self::Vanished
            | Self::Slow { .. } => None,
        }
    }

    /// Whether this version will not do, so that going back to the one before is right.
    pub fn is_of_the_version(&self) -> bool {
        !matches!(self, Self::Superseded | Self::Vanished)
    }
}

/// What the cause is told with.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// The app's port; 0 when it is not known.
    pub port: u16,
    /// The health check's path.
    pub path: String,
    /// The last lines of the task's log.
    pub lines: Vec<String>,
    /// Tasks of the old version that run, where another version was brought.
    pub old_tasks: Option<usize>,
}

/// The cause as a failure.
pub fn failure(app: &App, cause: &Cause, scene: &Scene) -> Failure {
    let Scene {
        port,
        path,
        lines,
        old_tasks,
    } = scene;
    let name = app.name();
    let logs = |task: &str| {
        format!(
            "`honmaru logs {name} --task {}` shows everything that it said",
            short_id(task)
        )
    };
    let mut failure = match cause {
        Cause::Exited {
            task,
            exit_code,
            reason,
        } => {
            let code = exit_code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
            let failure = Failure::new(format!(
                "the container exits: task {} ended with {code}",
                short_id(task)
            ));
            let failure = if reason.is_empty() {
                failure
            } else {
                failure.detail(reason.clone())
            };
            failure.hint(match exit_code {
                Some(126 | 127) => "check that the program that CMD or ENTRYPOINT names is in the image".to_owned(),
                Some(0) => {
                    "a service's program must not end; if it starts another one, let it stay in front".to_owned()
                }
                _ if lines.is_empty() => "it said nothing before it ended: run its command by hand".to_owned(),
                _ => logs(task),
            })
        }
        Cause::OutOfMemory { task } => Failure::new(format!(
            "the app needs more memory than its task has: task {} ended with OutOfMemoryError",
            short_id(task)
        ))
        .hint("give it more, for example `--memory 1024` or `--memory 2048` (MiB)"),
        Cause::CannotStart { task, reason } => {
            let failure = Failure::new(format!("task {} cannot start: {reason}", short_id(task)));
            if reason.starts_with("CannotPull") {
                failure.hint("deploy again: the image is pushed anew")
            } else if reason.starts_with("CannotStartContainer") {
                failure.hint(
                    "check that the program that CMD or ENTRYPOINT names is in the image, and that its user may run it",
                )
            } else {
                failure.hint(format!("`honmaru explain {name}` shows what the task would have got"))
            }
        }
        Cause::NobodyListens { task } => Failure::new(format!(
            "nothing listens on port {port} in task {}, which runs",
            short_id(task)
        ))
        .detail("connections of the health check are refused")
        .hint(format!(
            "let the app listen on 0.0.0.0:{port} (not on 127.0.0.1; the variable PORT has the number), or name \
                     its port with `--port`; if it only starts slowly, give it time with `--grace 120`"
        )),
        Cause::OnlyLoopback { task } => Failure::new(format!(
            "the app in task {} listens on 127.0.0.1:{port} only: nobody outside of its container can reach it",
            short_id(task)
        ))
        .hint(format!("let it listen on 0.0.0.0:{port}")),
        Cause::OtherPort { task, ports } => {
            let open: Vec<String> = ports.iter().map(u16::to_string).collect();
            let first = open.first().cloned().unwrap_or_default();
            Failure::new(format!(
                "nothing listens on port {port} in task {}: its app listens on port {}",
                short_id(task),
                open.join(", ")
            ))
            .hint(format!(
                "name that port, for example `--port {first}`, or let the app listen on the port in the variable PORT"
            ))
        }
        Cause::Silent { task } => Failure::new(format!(
            "task {} runs, but `GET {path}` on port {port} gets no answer in time",
            short_id(task)
        ))
        .hint(
            "the health check waits 2 seconds: let the path answer without slow work; if the app only starts slowly, \
             give it time with `--grace 120`",
        ),
        Cause::WrongStatus { task, code } => Failure::new(format!(
            "the health check `GET {path}` of task {} answers {code} instead of 200",
            short_id(task)
        ))
        .hint("name a path that answers 200, for example `--health-path /`, or let the app answer it"),
        Cause::Unhealthy { task, description } => {
            let failure = Failure::new(format!(
                "the health check `GET {path}` of task {} fails",
                short_id(task)
            ));
            let failure = if description.is_empty() {
                failure
            } else {
                failure.detail(description.clone())
            };
            failure.hint(format!(
                "{}; if the app only starts slowly, give it time with `--grace 120`",
                logs(task)
            ))
        }
        Cause::ContainerCheck { task } => {
            Failure::new(format!("the image's own health check fails in task {}", short_id(task))).hint(logs(task))
        }
        Cause::NoRoom { message } => Failure::new("there is no room for the tasks")
            .detail(message.clone())
            .hint("ask for fewer or smaller ones: `--count`, `--cpu`, `--memory`"),
        Cause::GivenUp { reason } => Failure::new(format!("the roll-out was given up: {reason}"))
            .hint(format!("`honmaru explain {name}` shows the events")),
        Cause::Superseded => Failure::new("another deployment of the service has begun meanwhile")
            .hint(format!("`honmaru ps {name}` shows it")),
        Cause::Vanished => Failure::new(format!("the service `{name}` was deleted meanwhile")),
        Cause::Slow { seconds } => Failure::new(format!("the service is not steady after {seconds} s"))
            .hint(format!("`honmaru explain {name}` shows what it waits for")),
    };
    let is_refused = |line: &String| REFUSALS.iter().any(|words| line.contains(words));
    if cause.task().is_some() && lines.iter().any(is_refused) {
        failure = failure.hint(
            "the root file system is read-only: name the directory that the app writes to with `--writable PATH`, or say \
             `--read-only=false`",
        );
    }
    if let (Some(task), false) = (cause.task(), lines.is_empty()) {
        failure = failure.detail(format!("task {} said last:", short_id(task)));
        for line in lines {
            failure = failure.detail(format!("| {line}"));
        }
    }
    if let Some(old_tasks) = old_tasks.filter(|_| cause.is_of_the_version()) {
        failure = failure.detail(match old_tasks {
            0 => "no earlier version serves".to_owned(),
            1 => "the old version keeps serving with 1 task".to_owned(),
            count => format!("the old version keeps serving with {count} tasks"),
        });
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::render;
    use crate::cli::terminal::Style;

    #[test]
    fn every_cause_in_its_words() {
        let app: App = "shop".parse().expect("a name");
        let task = || "0123456789abcdef".to_owned();
        let said = Scene {
            port: 8080,
            path: "/health".to_owned(),
            lines: vec!["reading /etc/shop.toml".to_owned(), "fatal: no database".to_owned()],
            old_tasks: Some(2),
        };
        let silent = Scene {
            lines: Vec::new(),
            old_tasks: Some(0),
            ..said.clone()
        };
        let refused = Scene {
            lines: vec!["touch: /data/x: Read-only file system".to_owned()],
            ..said.clone()
        };
        let scenes = [
            (
                Cause::Exited {
                    task: task(),
                    exit_code: Some(3),
                    reason: String::new(),
                },
                &said,
            ),
            (
                Cause::Exited {
                    task: task(),
                    exit_code: Some(127),
                    reason: String::new(),
                },
                &silent,
            ),
            (
                Cause::Exited {
                    task: task(),
                    exit_code: Some(1),
                    reason: String::new(),
                },
                &refused,
            ),
            (Cause::OutOfMemory { task: task() }, &said),
            (
                Cause::CannotStart {
                    task: task(),
                    reason: "CannotPullContainerError: failed to resolve ref shop: not found".to_owned(),
                },
                &silent,
            ),
            (Cause::NobodyListens { task: task() }, &said),
            (Cause::OnlyLoopback { task: task() }, &silent),
            (
                Cause::OtherPort {
                    task: task(),
                    ports: vec![3_000, 9_229],
                },
                &silent,
            ),
            (Cause::Silent { task: task() }, &silent),
            (
                Cause::CannotStart {
                    task: task(),
                    reason: "CannotStartContainerError: exec: \"/nope\": stat /nope: no such file or directory"
                        .to_owned(),
                },
                &silent,
            ),
            (
                Cause::WrongStatus {
                    task: task(),
                    code: "404".to_owned(),
                },
                &silent,
            ),
            (
                Cause::Unhealthy {
                    task: task(),
                    description: String::new(),
                },
                &silent,
            ),
            (Cause::ContainerCheck { task: task() }, &silent),
            (
                Cause::NoRoom {
                    message: "(service shop) was unable to place a task.".to_owned(),
                },
                &silent,
            ),
            (
                Cause::GivenUp {
                    reason: "ECS deployment circuit breaker: tasks failed to start.".to_owned(),
                },
                &said,
            ),
            (Cause::Superseded, &said),
            (Cause::Vanished, &said),
            (Cause::Slow { seconds: 600 }, &silent),
        ];
        let mut text = String::new();
        for (cause, scene) in scenes {
            text.push_str(&render(&failure(&app, &cause, scene).into(), &Style::plain()));
            text.push('\n');
        }
        crate::cli::golden::check("causes.txt", &text);
    }
}
