//! Memory, processor and process limits of the task and of its containers.

use crate::world::{World, ended, output, status_is, wait_for, wait_until};
use honmaru_runtime::{Bundle, Container, ContainerLimits, ContainerPhase, TaskLimits};

const MIB: u64 = 1024 * 1024;
/// Doubles a text until memory is out.
const EAT: &str = "x=0123456789abcdef; while true; do x=$x$x; done";

#[tokio::test]
async fn a_container_over_its_memory_ends_with_137_and_oom() {
    let world = World::new();
    let limits = ContainerLimits {
        memory_bytes: Some(32 * MIB),
        ..ContainerLimits::default()
    };
    let (status, _) = world
        .run(Container {
            limits,
            ..world.shell("c", EAT)
        })
        .await;
    let container = &status.containers[0];
    assert_eq!((container.exit_code(), container.oom()), (Some(137), true));
    let ContainerPhase::Stopped { reason, .. } = &container.phase else {
        panic!("{container:?}")
    };
    assert_eq!(
        reason.as_deref(),
        Some("OutOfMemoryError: Container killed due to memory usage")
    );
}

#[tokio::test]
async fn a_task_over_its_memory_ends_with_137_and_oom() {
    let world = World::new();
    let limits = TaskLimits {
        memory_bytes: Some(32 * MIB),
        ..TaskLimits::default()
    };
    let (status, _) = world
        .run_bundle(
            Bundle {
                limits,
                ..world.bundle("t", vec![world.shell("c", EAT)])
            },
            "c",
        )
        .await;
    assert_eq!(
        (status.containers[0].exit_code(), status.containers[0].oom()),
        (Some(137), true)
    );
}

#[tokio::test]
async fn a_container_that_lost_a_child_to_memory_ends_as_a_whole() {
    let world = World::new();
    let limits = TaskLimits {
        memory_bytes: Some(32 * MIB),
        ..TaskLimits::default()
    };
    let script = format!("/bin/sh -c '{EAT}'; echo survived; sleep 1000");
    let bundle = Bundle {
        limits,
        ..world.bundle(
            "t",
            vec![
                world.shell("c", &script),
                Container {
                    stop_timeout_s: Some(1),
                    ..world.shell("d", "sleep 1000")
                },
            ],
        )
    };
    let task = world.runtime.start(bundle).await.unwrap();
    let status = ended(&task).await;
    assert_eq!(
        (status.containers[0].exit_code(), status.containers[0].oom()),
        (Some(137), true)
    );
    assert!(!status.containers[1].oom());
}

#[tokio::test]
async fn processor_time_follows_the_quota() {
    let world = World::new();
    // 128 units are an eighth of a processor: over its whole life the container may not have used more than that share
    // of the time that passed, as the kernel itself counts both (throttling shows that it wanted more).
    let limits = TaskLimits {
        cpu_units: Some(128),
        ..TaskLimits::default()
    };
    let bundle = Bundle {
        limits,
        ..world.bundle("t", vec![world.shell("c", "while true; do :; done")])
    };
    let task = world.runtime.start(bundle).await.unwrap();
    let stat = format!("/sys/fs/cgroup/cpu/{}/t/cpu.stat", world.cgroup);
    let throttled = || {
        let text = std::fs::read_to_string(&stat).unwrap();
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
        };
        (field("nr_periods ").unwrap(), field("nr_throttled ").unwrap())
    };
    wait_until("throttling", || throttled().1 >= 20).await;
    let status = task.status().await.unwrap();
    let used_ns = task.stats(&status)["c"].cpu_usage_ns;
    let (periods, _) = throttled();
    // 2.5 ms of each 20 ms period; the kernel may hand out a slice or two ahead.
    assert!(
        used_ns <= (periods + 10) * 2_500_000 * 2,
        "{used_ns} ns in {periods} periods"
    );
    let quota = std::fs::read_to_string(format!("/sys/fs/cgroup/cpu/{}/t/cpu.cfs_quota_us", world.cgroup)).unwrap();
    assert_eq!(quota.trim(), "2500");
}

#[tokio::test]
async fn too_many_processes_fail_to_fork() {
    let world = World::new();
    let limits = TaskLimits {
        pids: Some(8),
        ..TaskLimits::default()
    };
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done; echo all";
    let (status, output) = world
        .run_bundle(
            Bundle {
                limits,
                ..world.bundle("t", vec![world.shell("c", script)])
            },
            "c",
        )
        .await;
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("can't fork"), "{output:?}");
    assert!(!status.containers[0].oom());
}

#[tokio::test]
async fn containers_see_their_own_limits_and_shares() {
    let world = World::new();
    let limits = ContainerLimits {
        cpu_units: 256,
        memory_bytes: Some(48 * MIB),
        memory_reservation_bytes: Some(16 * MIB),
        pids: Some(77),
    };
    let script = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes cpu/cpu.shares pids/pids.max; \
                  echo 1 > pids/pids.max; cat /proc/self/cgroup | grep -c ':/$'";
    let (_, output) = world
        .run(Container {
            limits,
            ..world.shell("c", script)
        })
        .await;
    let expected = format!("{}\n{}\n256\n77\n", 48 * MIB, 16 * MIB);
    assert!(output.stdout.starts_with(&expected), "{output:?}");
    assert!(output.stderr.contains("Read-only"), "{output:?}");
}

#[tokio::test]
async fn stats_count_what_was_used() {
    let world = World::new();
    let script = "head -c 8000000 /dev/zero > /dev/shm/x; dd if=/dev/zero of=/written bs=4096 count=64 2>/dev/null; \
                  echo done; sleep 1000";
    let limits = ContainerLimits {
        memory_bytes: Some(64 * MIB),
        ..ContainerLimits::default()
    };
    let task = world
        .runtime
        .start(world.bundle(
            "t",
            vec![Container {
                limits,
                ..world.shell("c", script)
            }],
        ))
        .await
        .unwrap();
    wait_until("the script", || output(&task, "c").stdout == "done\n").await;
    let status = status_is(&task, "running", |_| true).await;
    let stats = wait_for("statistics", || {
        std::future::ready(task.stats(&status).get("c").cloned())
    })
    .await;
    assert!(
        stats.memory_usage_bytes >= 8_000_000 && stats.cpu_usage_ns > 0 && stats.pids >= 1,
        "{stats:?}"
    );
    assert_eq!(stats.memory_limit_bytes, Some(64 * MIB));
    assert!(stats.cpu_user_ns + stats.cpu_system_ns > 0, "{stats:?}");
    assert!(stats.memory_stat.len() > 5, "{stats:?}");
    // `dd` has ended; its counters are its parent's now.
    let written: u64 = stats.io.iter().map(|device| device.write_bytes).sum();
    assert!(written >= 64 * 4_096, "{stats:?}");
}
