//! Deaths: of the parent, of the shim; adoption, removal, nonsense from clients, logs.

use crate::world::{World, alive, ended, exec, output, status_is, wait_for, wait_until};
use honmaru_runtime::{Adopted, ContainerPhase, LogStream, Runtime, Task, TaskStatus, read_log};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

const HELPER: &str = "HONMARU_RUNTIME_TEST_HELPER";

/// Not a test by itself: the process that starts a task and is killed.
#[tokio::test]
async fn helper_that_starts_a_task_and_waits() {
    let Ok(text) = std::env::var(HELPER) else { return };
    let (dir, cgroup) = text.split_once(' ').unwrap();
    let runtime = World::open(std::path::Path::new(dir), cgroup);
    let bundle = serde_json::from_slice(&std::fs::read(format!("{dir}/bundle.json")).unwrap()).unwrap();
    runtime.start(bundle).await.unwrap();
    std::fs::write(format!("{dir}/started"), "").unwrap();
    std::future::pending::<()>().await;
}

fn pid_of(status: &TaskStatus) -> u32 {
    match status.containers[0].phase {
        ContainerPhase::Running { pid, .. } => pid,
        _ => panic!("{status:?}"),
    }
}

fn kill(pid: u32) {
    assert!(
        Command::new("/bin/busybox")
            .args(["kill", "-9", &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

async fn adopt_one(runtime: &Runtime) -> Adopted {
    let mut all = runtime.adopt().await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[tokio::test]
async fn a_task_survives_the_one_who_started_it() {
    let world = World::new();
    let script = "i=0; trap 'echo bye; exit 0' TERM; while true; do i=$((i+1)); echo $i; sleep 0.02; done";
    let bundle = world.bundle("t", vec![world.shell("c", script)]);
    let dir = world.dir.path().to_str().unwrap().to_string();
    std::fs::write(format!("{dir}/bundle.json"), serde_json::to_vec(&bundle).unwrap()).unwrap();
    let mut helper = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "survival::helper_that_starts_a_task_and_waits",
            "--nocapture",
        ])
        .env(HELPER, format!("{dir} {}", world.cgroup))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the start", || std::fs::metadata(format!("{dir}/started")).is_ok()).await;
    helper.kill().unwrap();
    helper.wait().unwrap();

    let runtime = World::open(world.dir.path(), &world.cgroup);
    let Adopted::Running(task) = adopt_one(&runtime).await else {
        panic!("not running")
    };
    let lines = output(&task, "c").stdout.lines().count();
    wait_until("more output", || output(&task, "c").stdout.lines().count() > lines + 5).await;
    let (seen, code) = crate::world::collect(&mut exec(&task, "c", &["echo", "hi"]).await).await;
    assert_eq!((seen.stdout.as_str(), code), ("hi\n", Some(0)));
    task.stop().await.unwrap();
    let status = ended(&task).await;
    assert_eq!(status.containers[0].exit_code(), Some(0));
    let Adopted::Ended(again) = adopt_one(&runtime).await else {
        panic!("not ended")
    };
    assert_eq!(again, status);
    runtime.remove("t").await.unwrap();
    assert!(runtime.adopt().await.unwrap().is_empty());
}

#[tokio::test]
async fn containers_die_with_their_shim_and_the_task_is_lost() {
    let world = World::new();
    let containers = vec![
        world.shell("a", "sleep 1000 & sleep 1000"),
        world.shell("b", "sleep 1000"),
    ];
    let task = world.runtime.start(world.bundle("t", containers)).await.unwrap();
    let status = task.status().await.unwrap();
    let mut events = task.events();
    events.recv().await.unwrap();
    kill(status.shim_pid);
    let last = wait_for("the last event", || {
        let event = events.try_recv().ok();
        async { event }
    });
    assert!(matches!(last.await, honmaru_runtime::TaskEvent::Lost { .. }));
    wait_until("the container is dead", || !alive(pid_of(&status))).await;
    let Adopted::Lost { task_id, last, .. } = adopt_one(&world.runtime).await else {
        panic!("not lost")
    };
    assert_eq!((task_id.as_str(), last.map(|last| last.ended())), ("t", Some(false)));
    assert!(world.cgroups_left().is_empty());
    assert!(task.status().await.is_err());
    world.runtime.remove("t").await.unwrap();
}

#[tokio::test]
async fn a_shim_of_another_boot_is_lost() {
    let world = World::new();
    let task = world
        .runtime
        .start(world.bundle("t", vec![world.shell("c", "sleep 1000")]))
        .await
        .unwrap();
    kill(task.status().await.unwrap().shim_pid);
    wait_for("lost", || async { task.status().await.err() }).await;
    let path = task.dir().join("status.json");
    let mut status: TaskStatus = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    status.boot_id = "another".into();
    std::fs::write(&path, serde_json::to_vec(&status).unwrap()).unwrap();
    let Adopted::Lost { reason, .. } = adopt_one(&world.runtime).await else {
        panic!("not lost")
    };
    assert_eq!(reason, "the machine was started anew");
}

#[tokio::test]
async fn removing_a_running_task_kills_it() {
    let world = World::new();
    let task = world
        .runtime
        .start(world.bundle("t", vec![world.shell("c", "trap '' TERM; sleep 1000")]))
        .await
        .unwrap();
    let pid = pid_of(&task.status().await.unwrap());
    world.runtime.remove("t").await.unwrap();
    wait_until("the container is dead", || !alive(pid)).await;
    assert!(world.cgroups_left().is_empty() && !task.dir().exists());
    world.runtime.remove("t").await.unwrap();
}

#[tokio::test]
async fn sweep_finds_shims_whose_directory_is_gone() {
    let world = World::new();
    let task = world
        .runtime
        .start(world.bundle("t", vec![world.shell("c", "sleep 1000")]))
        .await
        .unwrap();
    let status = task.status().await.unwrap();
    std::fs::remove_dir_all(task.dir()).unwrap();
    let swept = world.runtime.sweep().await.unwrap();
    assert_eq!((swept.shims, swept.failed), (1, vec![]));
    wait_until("all are dead", || !alive(status.shim_pid) && !alive(pid_of(&status))).await;
    assert!(world.cgroups_left().is_empty());
}

#[tokio::test]
async fn the_same_task_does_not_start_twice() {
    let world = World::new();
    let bundle = world.bundle("t", vec![world.shell("c", "sleep 1000")]);
    let task = world.runtime.start(bundle.clone()).await.unwrap();
    let error = world.runtime.start(bundle).await.unwrap_err();
    assert!(matches!(error, honmaru_runtime::StartError::Exists { .. }));
    // Nor behind the runtime's back.
    let shim = std::fs::read_link(format!("/proc/{}/exe", task.status().await.unwrap().shim_pid)).unwrap();
    let second = Command::new(shim).arg("run").arg(task.dir()).output().unwrap();
    let text = String::from_utf8(second.stdout).unwrap();
    assert!(text.contains("another shim runs this task"), "{text}");
    assert!(matches!(adopt_one(&world.runtime).await, Adopted::Running(_)));
}

#[tokio::test]
async fn no_nonsense_ends_a_shim() {
    let world = World::new();
    let task = world
        .runtime
        .start(world.bundle("t", vec![world.shell("c", "sleep 1000")]))
        .await
        .unwrap();
    let pid = pid_of(&task.status().await.unwrap());
    let socket = task.dir().join("shim.sock");
    let frame = |body: &[u8]| [&(body.len() as u32).to_be_bytes(), body].concat();
    let deep = "[".repeat(100_000);
    let nonsense: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 100_000],
        vec![0, 0, 0, 0],
        vec![0, 0, 0, 200, b'{'],
        frame(b"{}"),
        frame(b"null"),
        frame(b"\xff\xfe"),
        frame(deep.as_bytes()),
        frame(br#"{"type":"exec"}"#),
        frame(br#"{"type":"exec","container":"c","command":["a\u0000b"]}"#),
        frame(br#"{"type":"exec","container":"c","command":["true"],"user":"\u0000"}"#),
        frame(br#"{"type":"exec_resize","cols":1,"rows":1}"#),
        frame(br#"{"type":"exec_signal","signal":-1}"#),
        frame(br#"{"type":"signal","container":"c","signal":1000}"#),
        frame(br#"{"type":"signal","container":"nobody","signal":9}"#),
        frame(br#"{"type":"fly"}"#),
    ];
    for bytes in nonsense {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // The shim may have hung up while we were writing: that is its right.
        let _hung_up = stream.write_all(&bytes);
        let _hung_up = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _hung_up = stream.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains("exec_started"));
        assert_eq!(pid_of(&task.status().await.unwrap()), pid);
    }
    // On one connection: an error does not end it.
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream
        .write_all(&[frame(b"{}"), frame(br#"{"type":"hello","protocol":1}"#)].concat())
        .unwrap();
    let mut answers = String::new();
    while !answers.contains("shim_pid") {
        let mut bytes = [0; 1000];
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "{answers}");
        answers.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    // More connections than it takes: the others are refused, those that exist go on.
    let many: Vec<UnixStream> = (0..100).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    drop(many);
    wait_for("an answer", || async { task.status().await.ok() }).await;
}

/// Reads as a tailer does: piece by piece, keeping an offset.
fn tail(task: &Task, offset: &mut u64, bytes_max: u64) -> Vec<String> {
    let chunk = read_log(&task.log_path("c"), *offset, bytes_max).unwrap();
    assert_eq!(chunk.lost_bytes, 0);
    *offset = chunk.next_offset;
    chunk
        .lines
        .into_iter()
        .map(|line| String::from_utf8(line.text).unwrap())
        .collect()
}

#[tokio::test]
async fn a_tailer_misses_nothing_across_a_rotation() {
    let world = World::new();
    // 20 MiB: one rotation. The tailer reads while it is written.
    let script = "awk 'BEGIN { for (i = 0; i < 200000; i++) printf \"%06d %090d\\n\", i, 0 }'";
    let task = world
        .runtime
        .start(world.bundle("t", vec![world.shell("c", script)]))
        .await
        .unwrap();
    let (mut offset, mut lines) = (0, Vec::new());
    wait_until("all lines", || {
        lines.extend(tail(&task, &mut offset, 300_000));
        lines.len() >= 200_000
    })
    .await;
    assert!(
        lines
            .iter()
            .enumerate()
            .all(|(index, line)| line.starts_with(&format!("{index:06} ")))
    );
    ended(&task).await;
    assert!(task.log_path("c").with_extension("log.1").exists());
    let chunk = read_log(&task.log_path("c"), offset, 1000).unwrap();
    assert!(chunk.lines.is_empty());
}

#[tokio::test]
async fn long_lines_are_split_and_streams_kept_apart() {
    let world = World::new();
    let script = "head -c 40000 /dev/zero | tr '\\0' x; echo; printf err >&2; printf 'last words'";
    let (_, _) = world.run(world.shell("c", script)).await;
    let chunk = read_log(&world.runtime.log_path("t", "c"), 0, 1 << 20).unwrap();
    let stdout: Vec<_> = chunk
        .lines
        .iter()
        .filter(|line| line.stream == LogStream::Stdout)
        .collect();
    let shape: Vec<_> = stdout.iter().map(|line| (line.text.len(), line.partial)).collect();
    assert_eq!(shape, [(16_384, true), (16_384, true), (7_232, false), (10, false)]);
    let stderr: Vec<_> = chunk
        .lines
        .iter()
        .filter(|line| line.stream == LogStream::Stderr)
        .collect();
    assert_eq!(stderr.len(), 1);
    assert_eq!(stderr[0].text, b"err");
}

#[tokio::test]
async fn events_arrive_in_order_and_end() {
    let world = World::new();
    let task = world
        .runtime
        .start(world.bundle("t", vec![world.shell("c", "sleep 0.1; exit 3")]))
        .await
        .unwrap();
    let mut events = task.events();
    let (mut sequence, mut last) = (0, None);
    while let Some(event) = events.recv().await {
        match event {
            honmaru_runtime::TaskEvent::Changed(status) => {
                assert!(status.sequence >= sequence);
                sequence = status.sequence;
            }
            other => last = Some(other),
        }
    }
    let Some(honmaru_runtime::TaskEvent::Ended(status)) = last else {
        panic!("{last:?}")
    };
    assert_eq!(status.containers[0].exit_code(), Some(3));
    assert_eq!(status_is(&task, "ended", |status| status.ended()).await, status);
}
