//! Namespaces, files, capabilities, the system call filter: what a container is kept from, and what it is given.

use crate::world::{UID_BASE, World, collect, ended, exec, output, status_is, strings};
use honmaru_runtime::{Bind, Bundle, Container, ContainerPhase, Tmpfs, Ulimit};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

const NAMESPACES: [&str; 7] = ["pid", "mnt", "uts", "ipc", "user", "net", "cgroup"];

fn namespaces_of(pid: &str) -> Vec<String> {
    let link = |name: &&str| {
        fs::read_link(format!("/proc/{pid}/ns/{name}"))
            .unwrap()
            .to_str()
            .unwrap()
            .to_string()
    };
    NAMESPACES.iter().map(link).collect()
}

#[tokio::test]
async fn every_namespace_is_the_containers_or_the_tasks_own() {
    let world = World::new();
    let containers = vec![world.shell("a", "sleep 1000"), world.shell("b", "sleep 1000")];
    let task = world.runtime.start(world.bundle("t", containers)).await.unwrap();
    let status = task.status().await.unwrap();
    let pids = status.containers.iter().map(|container| match container.phase {
        ContainerPhase::Running { pid, .. } => pid.to_string(),
        _ => panic!("{container:?}"),
    });
    let of: Vec<Vec<String>> = pids.map(|pid| namespaces_of(&pid)).collect();
    let host: BTreeSet<String> = namespaces_of("self").into_iter().collect();
    assert!(
        of.iter().flatten().all(|namespace| !host.contains(namespace)),
        "{of:?} {host:?}"
    );
    for (index, name) in NAMESPACES.iter().enumerate() {
        let shared = of[0][index] == of[1][index];
        assert_eq!(shared, matches!(*name, "user" | "net"), "{name}");
    }
}

#[tokio::test]
async fn process_one_is_root_inside_and_nobody_outside() {
    let world = World::new();
    let task = world
        .runtime
        .start(world.bundle(
            "t",
            vec![world.shell("c", "echo $$ $(id -u); echo x >/made; sleep 1000")],
        ))
        .await
        .unwrap();
    let upper = task.dir().join("c/c/upper/made");
    crate::world::wait_until("the file", || upper.exists()).await;
    assert_eq!(fs::metadata(&upper).unwrap().uid(), UID_BASE);
    let status = task.status().await.unwrap();
    let ContainerPhase::Running { pid, .. } = status.containers[0].phase else {
        panic!("{status:?}")
    };
    assert_eq!(fs::metadata(format!("/proc/{pid}")).unwrap().uid(), UID_BASE);
    task.stop().await.unwrap();
    task.signal("c", 9).await.unwrap();
    ended(&task).await;
    assert_eq!(output(&task, "c").stdout, "1 0\n");
}

#[tokio::test]
async fn the_root_user_of_the_image_owns_its_files_inside() {
    let world = World::new();
    let (_, output) = world
        .run(world.shell(
            "c",
            "stat -c '%u %g' /bin/busybox / /proc/self/ /dev/null; ls /dev; ls /dev/fd >/dev/null && echo ok",
        ))
        .await;
    let (owners, rest) = output.stdout.split_at("0 0\n".len() * 4);
    assert_eq!(owners, "0 0\n".repeat(4));
    assert_eq!(
        rest,
        "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\nok\n"
    );
}

#[tokio::test]
async fn without_a_user_namespace_root_is_root() {
    let world = World::new();
    let bundle = Bundle {
        user_namespace: None,
        ..world.bundle(
            "t",
            vec![world.shell(
                "c",
                "id -u; cat /proc/self/uid_map | wc -l; mount -t tmpfs x /tmp || echo no",
            )],
        )
    };
    let (_, output) = world.run_bundle(bundle, "c").await;
    assert_eq!(output.stdout, "0\n1\nno\n");
}

#[tokio::test]
async fn capabilities_privileges_and_the_filter() {
    let world = World::new();
    let script = "grep -E 'CapEff|CapBnd|CapInh|CapAmb|NoNewPrivs|Seccomp:' /proc/self/status; \
                  mount -t tmpfs x /tmp; unshare -r true; echo 1 > /proc/sys/kernel/hostname; cat /proc/kcore | head -c 1 | wc -c; mknod /tmp/n c 1 3; \
                  chroot / /bin/true && echo chroot";
    let (_, output) = world.run(world.shell("c", script)).await;
    let expected = "CapInh:\t0000000000000000\nCapEff:\t00000000a00425fb\nCapBnd:\t00000000a00425fb\n\
                    CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n0\nchroot\n";
    assert_eq!(output.stdout, expected);
    for line in [
        "mount: permission denied (are you root?)",
        "mknod: /tmp/n: Operation not permitted",
        "unshare: unshare(0x10000000): Operation not permitted",
    ] {
        assert!(output.stderr.contains(line), "{}", output.stderr);
    }
    assert!(output.stderr.contains("Read-only file system"), "{}", output.stderr);
    let dropped = Container {
        capabilities_drop: strings(&["ALL"]),
        capabilities_add: strings(&["NET_RAW"]),
        ..world.shell("c", "grep CapEff /proc/self/status")
    };
    let (_, output) = world.run_bundle(world.bundle("t2", vec![dropped]), "c").await;
    assert_eq!(output.stdout, "CapEff:\t0000000000002000\n");
    let user = Container {
        user: Some("1000:1000".into()),
        ..world.shell("c", "grep CapEff /proc/self/status; id -u")
    };
    let (_, output) = world.run_bundle(world.bundle("t3", vec![user]), "c").await;
    assert_eq!(output.stdout, "CapEff:\t0000000000000000\n1000\n");
}

#[tokio::test]
async fn a_read_only_root_with_a_writable_tmpfs() {
    let world = World::new();
    let tmpfs = Tmpfs {
        path: "/scratch".into(),
        size_mib: 1,
        options: strings(&["mode=700", "noexec"]),
    };
    let script = "touch /x; echo a > /scratch/a && cat /scratch/a; stat -c %a /scratch; dd if=/dev/zero of=/scratch/big bs=1k count=2000 2>/dev/null || echo full; touch /etc/hosts && echo hosts; df -k /dev/shm | tail -1 | awk '{print $2}'";
    let container = Container {
        readonly_root: true,
        tmpfs: vec![tmpfs],
        shm_mib: Some(3),
        ..world.shell("c", script)
    };
    let (_, output) = world.run(container).await;
    assert_eq!(output.stdout, "a\n700\nfull\nhosts\n3072\n");
    assert_eq!(output.stderr, "touch: /x: Read-only file system\n");
}

#[tokio::test]
async fn what_the_image_wants_to_be_writable_is_there_and_stays_writable() {
    let world = World::new();
    let data = world.dir.path().join("image/data");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("from_image"), "content\n").unwrap();
    let script = "cat /data/from_image; echo a > /data/a && cat /data/a; touch /new/dir/x && echo new; touch /x; \
                  df -k /tmp/held | tail -1 | awk '{print $2}'";
    let container = |readonly_root| Container {
        readonly_root,
        writable_dirs: strings(&["/data", "/new/dir", "/tmp/held"]),
        tmpfs: vec![Tmpfs {
            path: "/tmp/held".into(),
            size_mib: 1,
            options: Vec::new(),
        }],
        ..world.shell("c", script)
    };
    let (_, output) = world.run_bundle(world.bundle("t1", vec![container(true)]), "c").await;
    assert_eq!(output.stdout, "content\na\nnew\n1024\n");
    assert_eq!(output.stderr, "touch: /x: Read-only file system\n");
    let (_, output) = world.run_bundle(world.bundle("t2", vec![container(false)]), "c").await;
    assert_eq!(output.stdout, "content\na\nnew\n1024\n");
    assert_eq!(output.stderr, "");
}

#[tokio::test]
async fn names_of_the_task_are_in_etc() {
    let world = World::new();
    let script = "cat /etc/resolv.conf /etc/hostname /etc/hosts; echo more >> /etc/hosts && tail -1 /etc/hosts";
    let bundle = Bundle {
        hostname: "ip-10-0-0-1".into(),
        resolv_conf: Some("nameserver 10.0.0.2\n".into()),
        hosts: Some("127.0.0.1 localhost\n".into()),
        ..world.bundle("t", vec![world.shell("c", script)])
    };
    let (_, output) = world.run_bundle(bundle, "c").await;
    assert_eq!(
        output.stdout,
        "nameserver 10.0.0.2\nip-10-0-0-1\n127.0.0.1 localhost\nmore\n"
    );
}

#[tokio::test]
async fn volumes_are_resolved_inside_the_root() {
    let world = World::new();
    let volume = world.dir.path().join("volume");
    fs::create_dir_all(volume.join("sub")).unwrap();
    fs::write(volume.join("file"), "content\n").unwrap();
    // A hostile image: the volume's target is a link to the host's root.
    std::os::unix::fs::symlink("/../../../../etc", world.dir.path().join("image/link")).unwrap();
    let source = volume.to_str().unwrap().to_string();
    let bind = |target: &str, read_only| Bind {
        source: source.clone(),
        target: target.into(),
        read_only,
    };
    let file = Bind {
        source: format!("{source}/file"),
        target: "/single".into(),
        read_only: true,
    };
    let script =
        "cat /link/vol/file /etc/vol/file /single; stat -c %u /rw/file; echo new > /rw/new; echo no > /link/vol/no";
    let container = Container {
        binds: vec![bind("/link/vol", true), bind("/rw", false), file],
        ..world.shell("c", script)
    };
    let (_, output) = world.run(container).await;
    assert_eq!(output.stdout, "content\ncontent\ncontent\n0\n");
    assert!(output.stderr.contains("Read-only file system"), "{}", output.stderr);
    let new = fs::metadata(volume.join("new")).unwrap();
    assert_eq!(new.uid(), 0, "an id-mapped volume keeps the host's root as owner");
    assert!(!std::path::Path::new("/etc/vol").exists());
}

#[tokio::test]
async fn a_target_with_dots_is_refused() {
    let world = World::new();
    let bind = Bind {
        source: world.image(),
        target: "/a/../../b".into(),
        read_only: true,
    };
    let container = Container {
        binds: vec![bind],
        ..world.shell("c", "true")
    };
    let error = world
        .runtime
        .start(world.bundle("t", vec![container]))
        .await
        .unwrap_err();
    assert_eq!(
        error.ecs_text(),
        "CannotStartContainerError: mount: /a/../../b: it contains `..`"
    );
}

#[tokio::test]
async fn layers_shadow_each_other_and_stay_as_they_were() {
    let world = World::new();
    let mut layers = vec![world.image()];
    for index in 0..40 {
        let layer = world.dir.path().join(format!("layer{index}"));
        fs::create_dir_all(&layer).unwrap();
        fs::write(layer.join("which"), index.to_string()).unwrap();
        fs::write(layer.join(format!("file{index}")), "").unwrap();
        layers.push(layer.to_str().unwrap().to_string());
    }
    let container = Container {
        layers,
        ..world.shell("c", "cat /which; ls / | grep -c file; rm /which; echo changed > /file7")
    };
    let (_, output) = world.run(container).await;
    assert_eq!(output.stdout, "3940\n");
    assert_eq!(
        fs::read_to_string(world.dir.path().join("layer39/which")).unwrap(),
        "39"
    );
    assert_eq!(fs::read_to_string(world.dir.path().join("layer7/file7")).unwrap(), "");
}

// Goal: as many layers as docker and ECS allow are mounted and read, and as many as the kernel can stack. Method: each
// layer has a file of its own and one that hides the lower layers'; paths are so long that a page of mount options would
// hold a few of them only.
#[tokio::test]
async fn an_image_of_127_layers_and_one_of_500_are_mounted_and_read() {
    let world = World::new();
    let long = world.dir.path().join("x".repeat(120));
    let mut layers = vec![world.image()];
    for index in 1..500 {
        let layer = long.join(format!("layer{index}"));
        fs::create_dir_all(&layer).unwrap();
        fs::write(layer.join("top"), index.to_string()).unwrap();
        fs::write(layer.join(format!("file{index}")), index.to_string()).unwrap();
        layers.push(layer.to_str().unwrap().to_string());
    }
    for count in [127, 500] {
        let container = Container {
            layers: layers[..count].to_vec(),
            ..world.shell("c", "cat /file* | wc -c; ls / | grep -c file; cat /file1 /top")
        };
        let bundle = world.bundle(&format!("t{count}"), vec![container]);
        let (_, output) = world.run_bundle(bundle, "c").await;
        let bytes: usize = (1..count).map(|index| index.to_string().len()).sum();
        let wanted = format!("{bytes}\n{}\n1{}\n", count - 1, count - 1);
        assert_eq!(
            (output.stdout, output.stderr),
            (wanted, String::new()),
            "{count} layers"
        );
    }
}

#[tokio::test]
async fn limits_sysctls_and_ports() {
    let world = World::new();
    let limit = |name: &str, soft, hard| Ulimit {
        name: name.into(),
        soft,
        hard,
    };
    let container = Container {
        ulimits: vec![limit("nofile", 512, 600), limit("core", 0, 0)],
        sysctls: vec![("net.core.somaxconn".into(), "77".into()), ("kernel.msgmax".into(), "9000".into())],
        user: Some("web".into()),
        ..world.shell("c", "ulimit -Sn; ulimit -Hn; ulimit -c; cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax; ip -o link | wc -l; \
            (while :; do nc -l -p 80 >/dev/null; done &) ; \
            for i in $(seq 300); do nc 127.0.0.1 80 -w 2 </dev/null >/dev/null && echo open && break; sleep 0.1; done")
    };
    let (_, output) = world.run(container).await;
    assert_eq!(output.stdout, "512\n600\n0\n77\n9000\n1\nopen\n", "{}", output.stderr);
    let error = world
        .runtime
        .start(world.bundle(
            "t2",
            vec![Container {
                sysctls: vec![("kernel.panic".into(), "1".into())],
                ..world.shell("c", "true")
            }],
        ))
        .await
        .unwrap_err();
    assert!(
        error
            .ecs_text()
            .contains("kernel.panic: not a parameter of the task's own namespaces"),
        "{error}"
    );
}

#[tokio::test]
async fn a_given_network_namespace_is_joined_by_all() {
    let world = World::new();
    let donor = world
        .runtime
        .start(world.bundle("donor", vec![world.shell("c", "sleep 1000")]))
        .await
        .unwrap();
    let ContainerPhase::Running { pid, .. } = donor.status().await.unwrap().containers[0].phase else {
        panic!()
    };
    let path = format!("/proc/{pid}/ns/net");
    let expected = fs::read_link(&path).unwrap().to_str().unwrap().to_string();
    let bundle = Bundle {
        network_namespace: Some(path),
        ..world.bundle("t", vec![world.shell("c", "readlink /proc/self/ns/net")])
    };
    let (_, output) = world.run_bundle(bundle, "c").await;
    assert_eq!(output.stdout.trim(), expected);
    let missing = Bundle {
        network_namespace: Some("/run/netns/none".into()),
        ..world.bundle("t2", vec![world.shell("c", "true")])
    };
    let error = world.runtime.start(missing).await.unwrap_err();
    assert_eq!(
        error.ecs_text(),
        "CannotStartContainerError: network: /run/netns/none: no such file or directory"
    );
}

#[tokio::test]
async fn an_init_process_reaps_and_passes_signals_and_codes_on() {
    let world = World::new();
    let script = "trap 'echo got; exit 5' TERM; (sleep 0.01 &) ; echo pid $$; while true; do sleep 0.05; done";
    let container = Container {
        init_process: true,
        ..world.shell("c", script)
    };
    let task = world.runtime.start(world.bundle("t", vec![container])).await.unwrap();
    crate::world::wait_until("the trap", || output(&task, "c").stdout.starts_with("pid")).await;
    let (seen, code) = collect(
        &mut exec(
            &task,
            "c",
            &["/bin/sh", "-c", "ls -d /proc/[0-9]* | wc -l; cat /proc/1/comm"],
        )
        .await,
    )
    .await;
    assert_eq!(code, Some(0));
    assert!(seen.stdout.ends_with("honmaru-shim\n"), "{seen:?}");
    task.stop().await.unwrap();
    let status = ended(&task).await;
    assert_eq!(status.containers[0].exit_code(), Some(5));
    assert_eq!(output(&task, "c").stdout, "pid 2\ngot\n");
    let missing = Container {
        init_process: true,
        ..world.container("c", &["nothing"])
    };
    let error = world
        .runtime
        .start(world.bundle("t2", vec![missing]))
        .await
        .unwrap_err();
    assert!(
        error.ecs_text().contains("executable file not found in $PATH"),
        "{error}"
    );
}

#[tokio::test]
async fn a_terminal_for_the_container() {
    let world = World::new();
    let container = Container {
        pseudo_terminal: true,
        ..world.shell("c", "test -t 0 && test -t 1 && tty; echo $TERM; echo err >&2; exit 3")
    };
    let (status, output) = world.run(container).await;
    assert_eq!(output.stdout, "/dev/pts/0\r\nxterm\r\nerr\r\n");
    assert_eq!(status.containers[0].exit_code(), Some(3));
}

#[tokio::test]
async fn nothing_is_mounted_on_the_host() {
    let world = World::new();
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let task = world
        .runtime
        .start(world.bundle("t", vec![world.shell("c", "sleep 1000")]))
        .await
        .unwrap();
    status_is(&task, "running", |status| {
        matches!(status.containers[0].phase, ContainerPhase::Running { .. })
    })
    .await;
    let ours = |text: &str| {
        text.lines()
            .filter(|line| line.contains(world.dir.path().to_str().unwrap()))
            .count()
    };
    assert_eq!(
        (
            ours(&before),
            ours(&fs::read_to_string("/proc/self/mountinfo").unwrap())
        ),
        (0, 0)
    );
}
