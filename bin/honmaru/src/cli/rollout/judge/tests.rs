use super::reasons::REFUSED;
use super::*;
use crate::cli::observed::{Deployment, Event, Service, Target, Task};
use crate::cli::rollout::cause::Cause;

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
    let service = service("IN_PROGRESS");
    let mut memory = Memory::default();
    let mut of = |listening: Option<&str>, age_s: f64, targets: &[Target]| {
        let task = Task {
            listening: listening.map(str::to_owned),
            started_at: Some(NOW - age_s),
            ..task("1", "RUNNING")
        };
        let look = Look {
            service: &service,
            tasks: &[task],
            targets,
            now_s: NOW,
        };
        let shown = lines(&goal, &mut memory, &look).remove(0).1;
        (judge(&goal, &mut memory, &look), shown)
    };
    let refused = [target("1", "unhealthy", "Target.FailedHealthChecks", REFUSED)];
    let initial = [target("1", "initial", "", "")];
    let healthy = [target("1", "healthy", "", "")];
    let wait = || Verdict::Wait { healthy: 0 };
    let loopback = || Verdict::Failed(Cause::OnlyLoopback { task: "1".to_owned() });
    let other = || {
        Verdict::Failed(Cause::OtherPort {
            task: "1".to_owned(),
            ports: vec![9_000],
        })
    };
    for (listening, age_s, targets, verdict, shown) in [
        (
            None,
            95.0,
            &refused,
            wait(),
            "running, but nothing listens on port 8080 yet",
        ),
        // Neither waits for the health check.
        (
            Some("127.0.0.1:8080"),
            1.0,
            &initial,
            wait(),
            "running, but listens on 127.0.0.1:8080 only",
        ),
        (
            Some("127.0.0.1:8080"),
            4.0,
            &initial,
            loopback(),
            "running, but listens on 127.0.0.1:8080 only",
        ),
        (
            Some("0.0.0.0:9000 127.0.0.1:8080"),
            4.0,
            &refused,
            loopback(),
            "running, but listens on 127.0.0.1:8080 only",
        ),
        // The right port may still follow a debugger's.
        (
            Some("0.0.0.0:9000"),
            10.0,
            &refused,
            wait(),
            "running, but listens on port 9000, not 8080",
        ),
        (
            Some("0.0.0.0:9000"),
            25.0,
            &initial,
            other(),
            "running, but listens on port 9000, not 8080",
        ),
        // Another container's port may be silent: this one is not.
        (
            Some("0.0.0.0:8080"),
            25.0,
            &initial,
            wait(),
            "running, waits for its health check",
        ),
        (
            Some("127.0.0.1:8080"),
            25.0,
            &healthy,
            Verdict::Wait { healthy: 1 },
            "healthy",
        ),
        // What was seen last is what counts.
        (
            None,
            25.0,
            &refused,
            wait(),
            "running, but nothing listens on port 8080 yet",
        ),
    ] {
        assert_eq!(
            of(listening, age_s, targets),
            (verdict, shown.to_owned()),
            "{listening:?} after {age_s} s"
        );
    }
}

#[test]
fn a_task_that_was_stopped_keeps_what_it_listened_on() {
    let (goal, service) = (patient(300), service("IN_PROGRESS"));
    let mut memory = Memory::default();
    let running = Task {
        listening: Some("0.0.0.0:9000".to_owned()),
        started_at: Some(NOW - 1.0),
        ..task("1", "RUNNING")
    };
    let refused = [target("1", "unhealthy", "Target.FailedHealthChecks", REFUSED)];
    let stopped = Task {
        stop_code: Some("ServiceSchedulerInitiated".to_owned()),
        stopped_reason: Some("Task failed ELB health checks in (target-group tg)".to_owned()),
        ..task("1", "STOPPED")
    };
    for (task, targets, expected) in [
        (running, refused.as_slice(), Verdict::Wait { healthy: 0 }),
        (
            stopped,
            &[],
            Verdict::Failed(Cause::OtherPort {
                task: "1".to_owned(),
                ports: vec![9_000],
            }),
        ),
    ] {
        let look = Look {
            service: &service,
            tasks: &[task],
            targets,
            now_s: NOW,
        };
        assert_eq!(judge(&goal, &mut memory, &look), expected);
    }
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
