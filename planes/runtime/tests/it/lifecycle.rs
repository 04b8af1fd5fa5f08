//! Order, stopping, restarts, health.

use crate::world::{World, ended, health, output, status_is, wait_until};
use honmaru_runtime::{Condition, Container, ContainerPhase, Dependency, Health, RestartPolicy, StopCause, TaskStatus};

fn on(container: &str, condition: Condition) -> Vec<Dependency> {
    vec![Dependency {
        container: container.into(),
        condition,
    }]
}

fn runs(status: &TaskStatus, name: &str) -> bool {
    matches!(status.container(name).unwrap().phase, ContainerPhase::Running { .. })
}

#[tokio::test]
async fn success_and_complete_wait_for_the_end() {
    let world = World::new();
    let setup = Container {
        essential: false,
        ..world.shell("setup", "sleep 0.1; echo ready")
    };
    let failing = Container {
        essential: false,
        depends_on: on("setup", Condition::Success),
        ..world.shell("failing", "exit 4")
    };
    let app = Container {
        depends_on: on("failing", Condition::Complete),
        ..world.shell("app", "echo app")
    };
    // In the bundle the other way round: the order comes from the dependencies.
    let task = world
        .runtime
        .start(world.bundle("t", vec![app, failing, setup]))
        .await
        .unwrap();
    let status = ended(&task).await;
    let codes: Vec<_> = status
        .containers
        .iter()
        .map(|container| container.exit_code())
        .collect();
    assert_eq!(codes, [Some(0), Some(4), Some(0)]);
    let begin = |name: &str| match status.container(name).unwrap().phase {
        ContainerPhase::Stopped { started_at_ms, .. } => started_at_ms.unwrap(),
        _ => panic!("{status:?}"),
    };
    assert!(begin("setup") <= begin("failing") && begin("failing") <= begin("app"));
    assert_eq!(output(&task, "app").stdout, "app\n");
}

#[tokio::test]
async fn a_failed_dependency_ends_an_essential_container() {
    let world = World::new();
    let setup = Container {
        essential: false,
        ..world.shell("setup", "exit 3")
    };
    let app = Container {
        depends_on: on("setup", Condition::Success),
        ..world.shell("app", "true")
    };
    let task = world.runtime.start(world.bundle("t", vec![setup, app])).await.unwrap();
    let status = ended(&task).await;
    let ContainerPhase::Stopped {
        exit_code: None,
        reason: Some(reason),
        ..
    } = &status.containers[1].phase
    else {
        panic!("{status:?}")
    };
    assert_eq!(reason, "dependency `setup` ended with exit code 3");
    assert_eq!(
        status.cause,
        Some(StopCause::EssentialContainerExited {
            container: "app".into()
        })
    );
}

#[tokio::test]
async fn a_start_timeout_gives_up() {
    let world = World::new();
    let slow = Container {
        start_timeout_s: Some(1),
        ..world.shell("slow", "trap 'exit 0' TERM; while true; do sleep 0.05; done")
    };
    let app = Container {
        depends_on: on("slow", Condition::Complete),
        ..world.shell("app", "true")
    };
    let task = world.runtime.start(world.bundle("t", vec![slow, app])).await.unwrap();
    let status = ended(&task).await;
    let ContainerPhase::Stopped {
        reason: Some(reason), ..
    } = &status.containers[1].phase
    else {
        panic!("{status:?}")
    };
    assert_eq!(
        reason,
        "dependency `slow` did not reach COMPLETE within its start timeout"
    );
}

#[tokio::test]
async fn healthy_is_waited_for() {
    let world = World::new();
    let check = health(&["/bin/sh", "-c", "test -e /ready"], 50, 20_000);
    let db = Container {
        health_check: Some(check),
        ..world.shell("db", "sleep 0.2; touch /ready; sleep 1000")
    };
    let app = Container {
        depends_on: on("db", Condition::Healthy),
        ..world.shell("app", "sleep 1000")
    };
    let task = world.runtime.start(world.bundle("t", vec![db, app])).await.unwrap();
    let status = status_is(&task, "app running", |status| runs(status, "app")).await;
    assert_eq!(status.container("db").unwrap().health, Health::Healthy);
}

#[tokio::test]
async fn health_turns_and_turns_back() {
    let world = World::new();
    let check = health(&["/bin/sh", "-c", "test ! -e /sick"], 30, 20_000);
    let container = Container {
        health_check: Some(check),
        ..world.shell("c", "sleep 1000")
    };
    let task = world.runtime.start(world.bundle("t", vec![container])).await.unwrap();
    let is = |wanted: Health| move |status: &TaskStatus| status.containers[0].health == wanted;
    status_is(&task, "healthy", is(Health::Healthy)).await;
    crate::world::collect(&mut crate::world::exec(&task, "c", &["touch", "/sick"]).await).await;
    status_is(&task, "unhealthy", is(Health::Unhealthy)).await;
    crate::world::collect(&mut crate::world::exec(&task, "c", &["rm", "/sick"]).await).await;
    status_is(&task, "healthy again", is(Health::Healthy)).await;
}

#[tokio::test]
async fn a_check_that_cannot_start_or_hangs_is_a_failure() {
    let world = World::new();
    let missing = Container {
        health_check: Some(health(&["no-such-command"], 20, 20_000)),
        stop_timeout_s: Some(1),
        ..world.shell("missing", "sleep 1000")
    };
    // It hangs with a child in another session: the child has to die too.
    let script = "setsid sleep 7654 & sleep 7654";
    let hangs = Container {
        health_check: Some(health(&["/bin/sh", "-c", script], 20, 100)),
        stop_timeout_s: Some(1),
        ..world.shell("hangs", "sleep 1000")
    };
    let task = world
        .runtime
        .start(world.bundle("t", vec![missing, hangs]))
        .await
        .unwrap();
    status_is(&task, "both unhealthy", |status| {
        status.containers.iter().all(|one| one.health == Health::Unhealthy)
    })
    .await;
    task.stop().await.unwrap();
    let cgroup = format!("/sys/fs/cgroup/pids/{}/t/c-hangs", world.cgroup);
    let checks = || {
        std::fs::read_dir(&cgroup)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .count()
    };
    wait_until("the checks are gone", || checks() == 0).await;
}

#[tokio::test]
async fn stop_lets_a_trap_run() {
    let world = World::new();
    let script = "trap 'echo bye; exit 9' TERM; echo up; while true; do sleep 0.05; done";
    let task = world
        .runtime
        .start(world.bundle("t", vec![world.shell("c", script)]))
        .await
        .unwrap();
    wait_until("the trap", || output(&task, "c").stdout == "up\n").await;
    task.stop().await.unwrap();
    let status = ended(&task).await;
    assert_eq!(
        (status.containers[0].exit_code(), status.cause),
        (Some(9), Some(StopCause::Asked))
    );
    assert_eq!(output(&task, "c").stdout, "up\nbye\n");
    task.stop().await.unwrap();
}

#[tokio::test]
async fn stop_uses_the_images_signal() {
    let world = World::new();
    let script = "trap 'exit 8' QUIT; echo up; while true; do sleep 0.05; done";
    let container = Container {
        stop_signal: Some("SIGQUIT".into()),
        ..world.shell("c", script)
    };
    let task = world.runtime.start(world.bundle("t", vec![container])).await.unwrap();
    wait_until("the trap", || output(&task, "c").stdout == "up\n").await;
    task.stop().await.unwrap();
    assert_eq!(ended(&task).await.containers[0].exit_code(), Some(8));
}

#[tokio::test]
async fn stop_kills_what_does_not_listen() {
    let world = World::new();
    let container = Container {
        stop_timeout_s: Some(1),
        ..world.shell("c", "trap '' TERM; echo up; while true; do sleep 0.05; done")
    };
    let task = world.runtime.start(world.bundle("t", vec![container])).await.unwrap();
    wait_until("the trap", || output(&task, "c").stdout == "up\n").await;
    task.stop().await.unwrap();
    let status = ended(&task).await;
    assert_eq!(
        (status.containers[0].exit_code(), status.containers[0].oom()),
        (Some(137), false)
    );
    assert!(world.cgroups_left().is_empty());
}

#[tokio::test]
async fn stop_goes_against_the_dependencies() {
    let world = World::new();
    let script = "trap 'exit 0' TERM; echo up; while true; do sleep 0.02; done";
    let db = world.shell("db", script);
    let app = Container {
        depends_on: on("db", Condition::Start),
        ..world.shell(
            "app",
            "trap 'sleep 0.3; exit 0' TERM; echo up; while true; do sleep 0.02; done",
        )
    };
    let task = world.runtime.start(world.bundle("t", vec![db, app])).await.unwrap();
    wait_until("the traps", || {
        ["db", "app"].iter().all(|name| output(&task, name).stdout == "up\n")
    })
    .await;
    task.stop().await.unwrap();
    let status = ended(&task).await;
    let end = |name: &str| match status.container(name).unwrap().phase {
        ContainerPhase::Stopped { stopped_at_ms, .. } => stopped_at_ms,
        _ => panic!("{status:?}"),
    };
    assert!(end("app") <= end("db"), "{status:?}");
    assert!(
        status
            .containers
            .iter()
            .all(|container| container.exit_code() == Some(0))
    );
}

#[tokio::test]
async fn the_task_goes_on_without_what_is_not_essential() {
    let world = World::new();
    let side = Container {
        essential: false,
        ..world.shell("side", "exit 1")
    };
    let task = world
        .runtime
        .start(world.bundle("t", vec![side, world.shell("app", "sleep 1000")]))
        .await
        .unwrap();
    let status = status_is(&task, "side stopped", |status| {
        status.container("side").unwrap().exit_code() == Some(1)
    })
    .await;
    assert!(runs(&status, "app") && status.cause.is_none());
}

#[tokio::test]
async fn a_restart_keeps_files_and_counts() {
    let world = World::new();
    let script = "echo life >> /lives; cat /lives | wc -l; test $(cat /lives | wc -l) -ge 3 && exit 42; exit 1";
    let restart = Some(RestartPolicy {
        ignored_exit_codes: vec![42],
        attempt_period_ms: 0,
    });
    let task = world
        .runtime
        .start(world.bundle(
            "t",
            vec![Container {
                restart,
                ..world.shell("c", script)
            }],
        ))
        .await
        .unwrap();
    let status = ended(&task).await;
    assert_eq!(
        (status.containers[0].restarts, status.containers[0].exit_code()),
        (2, Some(42))
    );
    assert_eq!(output(&task, "c").stdout, "1\n2\n3\n");
}
