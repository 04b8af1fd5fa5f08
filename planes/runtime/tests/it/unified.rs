//! cgroup v2: on a v1 host through its `unified` hierarchy, which has no controllers, in a mount namespace where it
//! lies over `/sys/fs/cgroup`. So this shows placement, sessions, killing and removal, not limits.

use crate::world::{World, alive, collect, ended, exec, wait_until};
use honmaru_runtime::{CgroupMode, ContainerPhase, cgroup_mode};
use std::fs;
use std::process::Command;

const INNER: &str = "HONMARU_RUNTIME_TEST_UNIFIED";

#[test]
fn a_task_on_the_unified_hierarchy() {
    let place = match cgroup_mode() {
        CgroupMode::V2 => "true",
        CgroupMode::V1 => "mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup",
    };
    let output = Command::new("unshare")
        .args(["-m", "/bin/sh", "-c", &format!("{place} && exec \"$@\"")])
        .arg("sh")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "unified::inner", "--nocapture"])
        .env(INNER, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("inner ran"), "{text}");
}

#[tokio::test]
async fn inner() {
    if std::env::var_os(INNER).is_none() {
        return;
    }
    assert_eq!(cgroup_mode(), CgroupMode::V2);
    let world = World::new();
    let script = "cat /proc/self/cgroup; ls /sys/fs/cgroup/cgroup.procs; sleep 1000";
    let task = world
        .runtime
        .start(world.bundle("t", vec![world.shell("c", script)]))
        .await
        .unwrap();
    let status = task.status().await.unwrap();
    let ContainerPhase::Running { pid, .. } = status.containers[0].phase else {
        panic!("{status:?}")
    };
    let placed = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(placed.contains(&format!("0::/{}/t/c-c\n", world.cgroup)), "{placed}");
    wait_until("the output", || {
        let seen = crate::world::output(&task, "c").stdout;
        seen.contains("0::/\n") && seen.contains("/sys/fs/cgroup/cgroup.procs")
    })
    .await;
    let mut session = exec(&task, "c", &["/bin/sh", "-c", "setsid sleep 4321 & sleep 4321"]).await;
    let procs = format!("/sys/fs/cgroup/{}/t/c-c/x", world.cgroup);
    let members = || -> Vec<u32> {
        let dirs = fs::read_dir(procs.trim_end_matches('x'))
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().is_dir());
        let texts = dirs.map(|dir| fs::read_to_string(dir.path().join("cgroup.procs")).unwrap_or_default());
        texts
            .flat_map(|text| text.lines().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>())
            .collect()
    };
    wait_until("the session's processes", || members().len() >= 2).await;
    let pids = members();
    session.control.kill().await.unwrap();
    assert_eq!(collect(&mut session).await.1, Some(137));
    wait_until("the session is dead", || pids.iter().all(|pid| !alive(*pid))).await;
    task.signal("c", 9).await.unwrap();
    assert_eq!(ended(&task).await.containers[0].exit_code(), Some(137));
    assert!(world.cgroups_left().is_empty());
    println!("inner ran");
}
