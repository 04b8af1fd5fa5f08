//! Commands in running containers.

use crate::world::{Output, World, alive, collect, exec, strings, wait_until};
use honmaru_runtime::{ExecError, ExecEvent, ExecStart, Task};

async fn running(world: &World) -> Task {
    world
        .runtime
        .start(world.bundle("t", vec![world.shell("c", "sleep 1000")]))
        .await
        .unwrap()
}

#[tokio::test]
async fn output_and_exit_code_come_back() {
    let world = World::new();
    let task = running(&world).await;
    let mut session = exec(
        &task,
        "c",
        &[
            "/bin/sh",
            "-c",
            "echo out; echo err >&2; id -u; grep CapEff /proc/self/status; exit 6",
        ],
    )
    .await;
    let (output, code) = collect(&mut session).await;
    let stdout = "out\n0\nCapEff:\t00000000a00425fb\n".to_string();
    assert_eq!(
        (output, code),
        (
            Output {
                stdout,
                stderr: "err\n".into()
            },
            Some(6)
        )
    );
}

#[tokio::test]
async fn input_goes_in_and_ends() {
    let world = World::new();
    let task = running(&world).await;
    let mut session = exec(&task, "c", &["/bin/sh", "-c", "wc -c; echo end"]).await;
    let data = vec![b'x'; 300_000];
    session.input.write(&data).await.unwrap();
    session.input.close().await;
    assert_eq!(collect(&mut session).await.0.stdout, "300000\nend\n");
}

#[tokio::test]
async fn much_output_is_not_lost() {
    let world = World::new();
    let task = running(&world).await;
    let mut session = exec(&task, "c", &["head", "-c", "5000000", "/dev/zero"]).await;
    assert_eq!(collect(&mut session).await.0.stdout.len(), 5_000_000);
}

#[tokio::test]
async fn a_terminal_of_a_size() {
    let world = World::new();
    let task = running(&world).await;
    let request = ExecStart {
        container: "c".into(),
        command: strings(&[
            "/bin/sh",
            "-c",
            "stty size; read line; stty size; echo got $line; exit 3",
        ]),
        env: vec![("X".into(), "y".into())],
        tty: true,
        cols: 100,
        rows: 30,
        ..ExecStart::default()
    };
    let mut session = task.exec(request).await.unwrap();
    let mut text = String::new();
    while !text.contains("30 100") {
        let Some(ExecEvent::Output { data, .. }) = session.events.recv().await else {
            panic!("{text}")
        };
        text.push_str(&String::from_utf8_lossy(&data));
    }
    session.control.resize(132, 50).await.unwrap();
    session.input.write(b"hello\n").await.unwrap();
    let (output, code) = collect(&mut session).await;
    assert!(output.stdout.contains("50 132\r\ngot hello\r\n"), "{output:?}");
    assert_eq!(code, Some(3));
}

#[tokio::test]
async fn what_cannot_run_is_said() {
    let world = World::new();
    let task = running(&world).await;
    for (container, command, message) in [
        (
            "c",
            vec!["nothing"],
            "exec: \"nothing\": executable file not found in $PATH",
        ),
        ("d", vec!["true"], "no container `d` in this task"),
        ("c", vec![], "no command"),
    ] {
        let request = ExecStart {
            container: container.into(),
            command: strings(&command),
            ..ExecStart::default()
        };
        match task.exec(request).await {
            Err(ExecError::NotStarted { message: found }) => assert_eq!(found, message),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("{command:?} runs"),
        }
    }
}

#[tokio::test]
async fn another_user_and_directory() {
    let world = World::new();
    let task = running(&world).await;
    let request = ExecStart {
        container: "c".into(),
        command: strings(&["/bin/sh", "-c", "id -u; pwd; echo $HOME $Q"]),
        env: vec![("Q".into(), "1".into())],
        user: Some("web".into()),
        working_directory: Some("/var/lib".into()),
        ..ExecStart::default()
    };
    let mut session = task.exec(request).await.unwrap();
    assert_eq!(collect(&mut session).await.0.stdout, "101\n/var/lib\n/srv/web 1\n");
}

#[tokio::test]
async fn a_kill_reaches_the_children() {
    let world = World::new();
    let task = running(&world).await;
    let mut session = exec(&task, "c", &["/bin/sh", "-c", "setsid sleep 4321 & sleep 4321"]).await;
    let pids = session_pids(&world, 2).await;
    session.control.kill().await.unwrap();
    assert_eq!(collect(&mut session).await.1, Some(137));
    wait_until("the children are dead", || pids.iter().all(|pid| !alive(*pid))).await;
}

#[tokio::test]
async fn a_dropped_session_is_killed() {
    let world = World::new();
    let task = running(&world).await;
    let session = exec(&task, "c", &["/bin/sh", "-c", "setsid sleep 4321 & sleep 4321"]).await;
    let pids = session_pids(&world, 2).await;
    drop(session);
    wait_until("the children are dead", || pids.iter().all(|pid| !alive(*pid))).await;
}

/// The processes of the only session, once there are so many.
async fn session_pids(world: &World, count: usize) -> Vec<u32> {
    let container = format!("/sys/fs/cgroup/pids/{}/t/c-c", world.cgroup);
    let pids = || -> Vec<u32> {
        let entries = std::fs::read_dir(&container)
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().is_dir());
        let texts = entries.map(|entry| std::fs::read_to_string(entry.path().join("cgroup.procs")).unwrap_or_default());
        texts
            .flat_map(|text| text.lines().map(|line| line.parse().unwrap()).collect::<Vec<u32>>())
            .collect()
    };
    wait_until("the session's processes", || pids().len() >= count).await;
    pids()
}

#[tokio::test]
async fn sessions_end_with_their_container() {
    let world = World::new();
    let task = running(&world).await;
    let mut session = exec(&task, "c", &["sleep", "1000"]).await;
    task.signal("c", 9).await.unwrap();
    assert_eq!(collect(&mut session).await.1, Some(137));
    crate::world::ended(&task).await;
    assert!(world.cgroups_left().is_empty());
}
