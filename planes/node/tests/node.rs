//! The agent against the real kernel and a fake control, as root. Each test's host is a network namespace of its own.

mod lab;

use honmaru_contract::node::*;
use lab::*;
use std::net::Ipv4Addr;

/// A server that ends with code 7 when it is asked to.
const SERVER: &str = "trap 'exit 7' TERM; echo ready; httpd -p 8080 -h /www; while :; do sleep 0.1; done";

// Goal: a task runs, answers, stops as asked, and leaves nothing once it is forgotten.
#[test]
fn a_task_from_begin_to_end() {
    host(|mut lab| async move {
        lab.start_node();
        let spec = task(&lab, 10, SERVER);
        let id = spec.task_id.clone();
        lab.run_task(spec).await;
        let observed = lab.running(&id).await;
        let main = &observed.containers[0];
        assert_eq!(main.image_digest.as_ref(), Some(&lab.image));
        assert!(main.runtime_id.starts_with(&id) && observed.pull_stopped_at >= observed.pull_started_at);
        assert!(get((Ipv4Addr::new(10, 31, 0, 10), 8080)).await.contains("hello"));
        lab.stop_task(&id).await;
        let (reason, observed) = lab.stopped(&id).await;
        assert_eq!(reason, StopReason::Asked);
        assert!(matches!(
            observed.containers[0].phase,
            ContainerPhase::Stopped { exit_code: Some(7), .. }
        ));
        lab.want(|desired| desired.tasks.clear()).await;
        let record = lab.config.state_dir.join(format!("node/agent/tasks/{id}.json"));
        lab.until("the task forgotten", |_| (!record.exists()).then_some(()))
            .await;
        assert_eq!(
            lab.seen.lock().expect("no panic").lines[&(id.clone(), "main".to_owned())],
            ["ready"]
        );
        assert!(
            !lab.config.state_dir.join("tasks").join(&id).exists(),
            "the task's directory is gone"
        );
        lab.stop_node().await;
    });
}

// Goal: ends of all kinds have their reasons.
#[test]
fn ends_have_reasons() {
    host(|mut lab| async move {
        lab.start_node();
        let ids: Vec<String> = {
            let exits = task(&lab, 10, "exit 3");
            let mut oom = task(&lab, 11, "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done");
            oom.memory_mib = Some(32);
            let mut unknown = task(&lab, 12, "true");
            let digest = format!("sha256:{}", "0".repeat(64));
            unknown.containers[0].source = ImageSource::Local {
                manifest_digest: digest,
            };
            let mut missing = task(&lab, 13, "true");
            missing.containers[0].command = Some(vec!["/no/such/program".to_owned()]);
            let mut default = task(&lab, 14, "");
            default.containers[0].command = None;
            let specs = [exits, oom, unknown, missing, default];
            let ids = specs.iter().map(|spec| spec.task_id.clone()).collect();
            lab.want(|desired| desired.tasks.extend(specs.map(|spec| (spec.task_id.clone(), spec))))
                .await;
            ids
        };
        let end = async |n: usize| {
            let (reason, observed) = lab.stopped(&ids[n]).await;
            match &observed.containers[0].phase {
                ContainerPhase::Stopped {
                    exit_code,
                    reason: text,
                    ..
                } => (reason, *exit_code, text.clone()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(end(0).await, (StopReason::EssentialContainerExited, Some(3), None));
        let (reason, code, text) = end(1).await;
        assert_eq!((reason, code), (StopReason::EssentialContainerExited, Some(137)));
        assert_eq!(
            text.as_deref(),
            Some("OutOfMemoryError: Container killed due to memory usage")
        );
        let (reason, code, text) = end(2).await;
        let StopReason::CannotPull(whole) = reason else {
            panic!("{reason:?}")
        };
        assert!(whole.starts_with("CannotPullContainerError: "), "{whole}");
        assert_eq!((code, text), (None, Some(whole)));
        let (reason, _, _) = end(3).await;
        let StopReason::CannotStart(whole) = reason else {
            panic!("{reason:?}")
        };
        assert!(
            whole.starts_with("CannotStartContainerError: ") && whole.contains("/no/such/program"),
            "{whole}"
        );
        assert_eq!(end(4).await, (StopReason::EssentialContainerExited, Some(0), None));
        lab.until("the image's own command", |seen| {
            (seen.lines.get(&(ids[4].clone(), "main".to_owned()))? == &["image command"]).then_some(())
        })
        .await;
        lab.stop_node().await;
    });
}

// Goal: kill -9 of the node: containers go on, are adopted, and every line arrives once.
#[test]
fn logs_arrive_once_across_kill_9() {
    host(|lab| async move {
        let mut node = lab.spawn_node();
        let spec = task(
            &lab,
            10,
            "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo done; sleep 1000",
        );
        let id = spec.task_id.clone();
        let key = (id.clone(), "main".to_owned());
        // Silent from the beginning: however fast the container writes, the first batch is not acknowledged.
        lab.seen.lock().expect("no panic").silent = true;
        lab.run_task(spec).await;
        let pid = |observed: &TaskObserved| match observed.containers[0].phase {
            ContainerPhase::Running { pid, .. } => pid,
            ref other => panic!("{other:?}"),
        };
        let first = pid(&lab.running(&id).await);
        for round in 0..4 {
            // Every other time the acknowledgement is on its way when the node dies.
            let (stored, repeated) = {
                let mut seen = lab.seen.lock().expect("no panic");
                seen.silent = round % 2 == 0;
                match round {
                    0 => (0, 0),
                    _ => (seen.lines.get(&key).map_or(0, Vec::len), seen.repeated),
                }
            };
            lab.until("more lines", |seen| {
                let lines = seen.lines.get(&key)?;
                // A silent control may get the batch again that it stored before, and then no more.
                let progress = lines.len() > stored || seen.repeated > repeated;
                (progress || lines.last().is_some_and(|line| line == "done")).then_some(())
            })
            .await;
            drop(node);
            let before = {
                let mut seen = lab.seen.lock().expect("no panic");
                seen.silent = false;
                seen.snapshots.len()
            };
            node = lab.spawn_node();
            let adopted = lab
                .until("a new snapshot", |seen| {
                    seen.snapshots.get(before).map(|snapshot| snapshot.tasks[0].clone())
                })
                .await;
            assert_eq!(
                pid(&adopted),
                first,
                "adopted, not restarted, and never said to be anything but running"
            );
        }
        lab.until("the last line", |seen| {
            (seen.lines.get(&key)?.last()? == "done").then_some(())
        })
        .await;
        {
            let seen = lab.seen.lock().expect("no panic");
            let wanted: Vec<String> = (0..20_000)
                .map(|n| format!("line {n}"))
                .chain(["done".to_owned()])
                .collect();
            assert!(
                seen.lines[&key] == wanted,
                "{} lines, {} wanted",
                seen.lines[&key].len(),
                wanted.len()
            );
            assert!(seen.repeated > 0, "an acknowledgement was lost at least once");
        }
        drop(node);
    });
}

// Goal: commands run in containers; the environment is as ECS promises; metadata and credentials are for their task only.
#[test]
fn exec_and_metadata() {
    host(|mut lab| async move {
        lab.start_node();
        let (spec, other) = (task(&lab, 10, SERVER), task(&lab, 11, SERVER));
        let (id, other_id) = (spec.task_id.clone(), other.task_id.clone());
        lab.run_task(spec).await;
        lab.run_task(other).await;
        lab.running(&id).await;
        lab.running(&other_id).await;
        assert_eq!(
            lab.exec(&id, "cat; exit 5", b"through").await,
            ("through".to_owned(), Some(5))
        );
        let (env, _) = lab.exec(&id, "env; id -u; cat /etc/resolv.conf", b"").await;
        for wanted in [
            "FROM_IMAGE=yes",
            "FROM_TASK=yes",
            "AWS_REGION=us-east-1",
            "AWS_EXECUTION_ENV=AWS_ECS_FARGATE",
            "HOSTNAME=ip-10-31-0-10",
            "nameserver 10.31.0.2",
            "ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/",
            "ECS_CONTAINER_METADATA_URI=http://169.254.170.2/v3/",
        ] {
            assert!(env.contains(wanted), "{wanted} is not in {env}");
        }
        // Paths as the container sees them; asked from its namespace (busybox's static wget cannot resolve at all).
        let (paths, _) = lab
            .exec(
                &id,
                "echo $ECS_CONTAINER_METADATA_URI_V4 $AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                b"",
            )
            .await;
        let (metadata, credentials) = paths.trim().split_once(' ').expect("two paths");
        let metadata = metadata
            .strip_prefix("http://169.254.170.2")
            .expect("the address")
            .to_owned();
        let ask = |task_id: &str, path: &str| lab.metadata(task_id, path);
        let (status, document) = ask(&id, &format!("{metadata}/task"));
        assert_eq!(status, 200, "{document}");
        assert_eq!(document["Family"], "web");
        assert_eq!(document["Revision"], "3");
        assert_eq!(document["ServiceName"], "shop");
        assert_eq!(document["Limits"], serde_json::json!({"CPU": 0.25, "Memory": 64}));
        assert_eq!(
            document["Containers"][0]["Networks"][0]["IPv4Addresses"][0],
            "10.31.0.10"
        );
        assert_eq!(document["Containers"][0]["KnownStatus"], "RUNNING");
        assert!(document["VPCID"].is_string(), "{document}");
        let (status, third) = ask(&id, &format!("{}/task", metadata.replace("/v4/", "/v3/")));
        assert_eq!((status, &third["TaskARN"]), (200, &document["TaskARN"]));
        let (_, container) = ask(&id, &metadata);
        assert_eq!(
            (&container["Name"], &container["Image"]),
            (&"main".into(), &"busybox:test".into())
        );
        let (_, stats) = ask(&id, &format!("{metadata}/stats"));
        assert!(
            stats["memory_stats"]["usage"].as_u64().is_some_and(|bytes| bytes > 0),
            "{stats}"
        );
        assert_eq!(stats["memory_stats"]["limit"], 64 << 20, "the task's: {stats}");
        let networks = stats["networks"].as_object().expect("networks");
        let interface = networks.values().next().expect("an interface");
        assert!(interface["rx_packets"].as_u64().is_some_and(|n| n > 0), "{stats}");
        assert!(stats["network_rate_stats"]["tx_bytes_per_sec"].is_number(), "{stats}");
        let bytes = stats["blkio_stats"]["io_service_bytes_recursive"].as_array();
        assert!(
            bytes.is_some_and(|rows| rows.iter().any(|row| row["op"] == "Write")),
            "{stats}"
        );
        let (status, of_task) = ask(&id, &format!("{metadata}/task/stats"));
        let all = of_task.as_object().expect("an object").values();
        assert!(
            status == 200 && all.clone().all(|one| one["networks"].is_object()),
            "{of_task}"
        );
        for _ in 0..2 {
            let (status, found) = ask(&id, credentials);
            assert_eq!(
                (status, &found["AccessKeyId"], &found["Token"]),
                (200, &"ASIATEST".into(), &"token".into())
            );
        }
        assert_eq!(
            lab.seen.lock().expect("no panic").credentials_asked,
            1,
            "the second answer is from the cache"
        );
        // What the one task may see, the other may not.
        for path in [&metadata, &format!("{metadata}/task"), credentials] {
            let (status, found) = ask(&other_id, path);
            assert_eq!(status, 404, "{path} answered {found}");
        }
        lab.stop_node().await;
    });
}

// Goal: what the tasks of the wanted clusters use comes in one message an interval, and no more once nobody wants it.
#[test]
fn use_is_reported_while_it_is_wanted() {
    host(|mut lab| async move {
        lab.start_node();
        let busy = "dd if=/dev/zero of=/written bs=4096 count=64; while :; do :; done";
        let (first, second) = (task(&lab, 10, busy), task(&lab, 11, SERVER));
        let mut other = task(&lab, 12, SERVER);
        other.cluster = "arn:aws:ecs:us-east-1:000000000000:cluster/other".to_owned();
        let clusters = [first.cluster.clone()].into();
        let ids = [&first, &second, &other].map(|spec| spec.task_id.clone());
        for spec in [first, second, other] {
            lab.run_task(spec).await;
        }
        for id in &ids {
            lab.running(id).await;
        }
        lab.want(|desired| {
            desired.usage = UsageWanted {
                clusters,
                interval_ms: 300,
            }
        })
        .await;
        assert!(get((Ipv4Addr::new(10, 31, 0, 11), 8080)).await.contains("hello"));
        let report = lab
            .until("a report after which much was used", |seen| {
                let report = seen.usage.last()?;
                let busy = report.tasks.iter().find(|task| task.task_id == ids[0])?;
                let asked = report.tasks.iter().find(|task| task.task_id == ids[1])?;
                let used = busy.containers.first()?;
                // Of 256. A shim or a node that was held up between a clock and a counter tells more for one interval.
                let is_seen = (10.0..400.0).contains(&used.cpu_units)
                    && used.storage_write_bytes >= 64 * 4_096
                    && asked.network?.rx.packets > 0;
                is_seen.then(|| report.clone())
            })
            .await;
        let found: Vec<&String> = report.tasks.iter().map(|task| &task.task_id).collect();
        assert_eq!(found, [&ids[0], &ids[1]], "the other cluster is not asked for");
        assert_eq!(report.at.as_ms() % 300, 0, "at whole intervals");
        let container = &report.tasks[0].containers[0];
        assert!(container.memory_bytes > 0, "{container:?}");
        let network = report.tasks[1].network.expect("an interface");
        assert!(
            network.rx.bytes > network.rx.packets && network.tx.bytes > 0,
            "{network:?}"
        );
        lab.want(|desired| desired.usage = UsageWanted::default()).await;
        // A change that the node has followed afterwards shows that it has heard of that one, too.
        lab.stop_task(&ids[1]).await;
        lab.stopped(&ids[1]).await;
        let count = lab.seen.lock().expect("no panic").usage.len();
        tokio::time::sleep(std::time::Duration::from_millis(900)).await;
        let after = lab.seen.lock().expect("no panic").usage.len();
        assert!(after <= count + 1, "{count} reports, then {after}");
        lab.stop_node().await;
    });
}

// Goal: a declared port that nobody serves is reported while the task runs, with what is listened on instead, and no
// longer once somebody serves it.
#[test]
fn silent_ports_are_told() {
    host(|mut lab| async move {
        lab.start_node();
        let mut spec = task(
            &lab,
            10,
            "httpd -p 127.0.0.1:8080 -h /www; httpd -p 9999 -h /www; while [ ! -e /go ]; do sleep 0.1; done; \
             killall httpd; httpd -f -p 8080 -h /www",
        );
        spec.containers[0].ports = vec![8080];
        let id = spec.task_id.clone();
        lab.run_task(spec).await;
        let listener = |port, loopback| Listener { loopback, port };
        let instead = [listener(9_999, false), listener(8_080, true)];
        lab.until("the silent port and what is heard instead", |seen| {
            let task = seen.tasks.get(&id)?;
            (task.silent_ports == [8080] && task.listening == instead).then_some(())
        })
        .await;
        lab.exec(&id, "touch /go", b"").await;
        lab.until("the port heard", |seen| {
            let task = seen.tasks.get(&id)?;
            (task.silent_ports.is_empty() && task.listening.is_empty()).then_some(())
        })
        .await;
        lab.stop_node().await;
    });
}

// Goal: an older desired state than one seen is refused, also by the next agent.
#[test]
fn older_generations_are_refused() {
    host(|mut lab| async move {
        lab.start_node();
        let spec = task(&lab, 10, SERVER);
        let id = spec.task_id.clone();
        lab.run_task(spec).await;
        lab.running(&id).await;
        let old = || {
            ToNode::Desired(Box::new(NodeDesired {
                generation: 1,
                ..NodeDesired::default()
            }))
        };
        lab.send(old()).await;
        lab.until("the refusal", |seen| (seen.stale == [2]).then_some(())).await;
        lab.stop_node().await;
        lab.start_node();
        lab.until("the next connection", |seen| (seen.connections >= 2).then_some(()))
            .await;
        lab.send(old()).await;
        lab.until("the refusal", |seen| (seen.stale == [2, 2]).then_some(()))
            .await;
        assert_eq!(lab.running(&id).await.phase, TaskPhase::Running, "it still runs");
        lab.stop_node().await;
    });
}

// Goal: control dies and comes back: the node connects again, says what it has, and delivers what was written meanwhile.
#[test]
fn control_comes_back() {
    host(|mut lab| async move {
        lab.start_node();
        let spec = task(
            &lab,
            10,
            "echo one; while [ ! -e /go ]; do sleep 0.1; done; echo two; sleep 1000",
        );
        let id = spec.task_id.clone();
        let key = (id.clone(), "main".to_owned());
        lab.run_task(spec).await;
        let running = lab.running(&id).await;
        lab.until("the first line", |seen| seen.lines.contains_key(&key).then_some(()))
            .await;
        lab.seen.lock().expect("no panic").silent = true;
        lab.exec(&id, "touch /go", b"").await;
        lab.until("the second line", |seen| (seen.lines[&key].len() == 2).then_some(()))
            .await;
        // Stored, but the acknowledgement is lost with the connection.
        lab.seen.lock().expect("no panic").silent = false;
        lab.cut.notify_one();
        let again = lab
            .until("the second snapshot", |seen| seen.snapshots.get(1).cloned())
            .await;
        assert_eq!(again.tasks[0].containers, running.containers);
        lab.until("the batch again", |seen| (seen.repeated == 1).then_some(()))
            .await;
        assert_eq!(lab.seen.lock().expect("no panic").lines[&key], ["one", "two"]);
        lab.stop_node().await;
    });
}

// Goal: whoever sits on control's socket without being control is told nothing.
#[test]
fn a_stranger_on_the_socket_is_refused() {
    host(|mut lab| async move {
        lab.config.control_uid = 4_242;
        lab.start_node();
        lab.until("two attempts", |seen| (seen.connections >= 2).then_some(()))
            .await;
        assert!(lab.seen.lock().expect("no panic").snapshots.is_empty());
        lab.stop_node().await;
    });
}

// Goal: containers of a task share a volume and start in order; a terminal is one.
#[test]
fn volumes_order_and_terminals() {
    host(|mut lab| async move {
        lab.start_node();
        let mut spec = task(&lab, 10, "cat /data/file; sleep 1000");
        let mut first = container(
            &lab,
            "first",
            "sleep 0.3; id -u > /data/file; echo from first >> /data/file",
        );
        first.essential = false;
        let mount = |read_only| MountSpec {
            volume: "v".to_owned(),
            container_path: "/data".to_owned(),
            read_only,
        };
        first.mounts = vec![mount(false)];
        spec.containers[0].mounts = vec![mount(true)];
        spec.containers[0].depends_on = vec![("first".to_owned(), DependencyCondition::Success)];
        spec.containers.push(first);
        spec.volumes = vec![VolumeSpec {
            name: "v".to_owned(),
            host_path: None,
        }];
        let id = spec.task_id.clone();
        let key = (id.clone(), "main".to_owned());
        lab.run_task(spec).await;
        lab.until("main's output", |seen| {
            (seen.lines.get(&key)? == &["0", "from first"]).then_some(())
        })
        .await;
        let open = ExecOpen {
            session: "tty".to_owned(),
            task_id: id.clone(),
            container: "main".to_owned(),
            command: [
                "/bin/sh",
                "-c",
                "read x; stty size; echo got $x; touch /data/no || echo refused",
            ]
            .map(str::to_owned)
            .to_vec(),
            tty: true,
            cols: 100,
            rows: 30,
        };
        lab.send(ToNode::ExecOpen(open)).await;
        lab.send(ToNode::ExecResize {
            session: "tty".to_owned(),
            cols: 120,
            rows: 40,
        })
        .await;
        lab.send(ToNode::ExecInput {
            session: "tty".to_owned(),
            data: "d29yZAo=".to_owned(),
        })
        .await;
        let text = lab
            .until("the end of the session", |seen| {
                let (output, ended, _) = seen.output.get("tty")?;
                ended.map(|_| String::from_utf8_lossy(output).into_owned())
            })
            .await;
        assert!(
            text.contains("40 120") && text.contains("got word") && text.contains("refused"),
            "{text}"
        );
        // The shim is killed: the task is lost, and said to be so.
        let shim = std::fs::read_to_string(lab.config.state_dir.join("tasks").join(&id).join("lock")).expect("a pid");
        run("kill", &["-9", shim.trim()]);
        let (reason, _) = lab.stopped(&id).await;
        assert!(matches!(reason, StopReason::Lost(_)), "{reason:?}");
        lab.stop_node().await;
    });
}

// Goal: layers that no task needs go, those of a running task stay. Method: two images of which one runs; a node that
// starts an hour later (by the layers' times) finds that the registry has lost both.
#[test]
fn layers_go_when_no_task_needs_them() {
    host(|mut lab| async move {
        let other = put_image(&lab.config, "another\n").await;
        lab.start_node();
        let running = task(&lab, 10, SERVER);
        let mut ended = task(&lab, 11, "true");
        ended.containers[0].source = ImageSource::Local { manifest_digest: other };
        let (running_id, ended_id) = (running.task_id.clone(), ended.task_id.clone());
        lab.run_task(running).await;
        lab.run_task(ended).await;
        lab.running(&running_id).await;
        lab.stopped(&ended_id).await;
        lab.want(|desired| {
            desired.tasks.remove(&ended_id);
        })
        .await;
        let record = lab.config.state_dir.join(format!("node/agent/tasks/{ended_id}.json"));
        lab.until("the task forgotten", |_| (!record.exists()).then_some(()))
            .await;
        lab.stop_node().await;
        let layers = lab.config.state_dir.join("node/layers");
        let trees = || {
            let entries = std::fs::read_dir(&layers).expect("layers").flatten();
            entries.filter(|entry| entry.path().is_dir()).count()
        };
        assert_eq!(trees(), 2);
        for entry in std::fs::read_dir(&layers).expect("layers").flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "json") {
                let record = std::fs::File::options()
                    .write(true)
                    .open(entry.path())
                    .expect("a record");
                let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3_600);
                record.set_modified(hour_ago).expect("a time");
            }
        }
        // What is in the registry stays for a day; only what it lost goes now.
        lab.start_node();
        lab.running(&running_id).await;
        assert_eq!(trees(), 2);
        lab.stop_node().await;
        std::fs::remove_dir_all(lab.config.state_dir.join("images/blobs")).expect("blobs");
        lab.start_node();
        lab.until("one layer", |_| (trees() == 1).then_some(())).await;
        lab.running(&running_id).await;
        assert!(get((Ipv4Addr::new(10, 31, 0, 10), 8080)).await.contains("hello"));
        lab.stop_node().await;
    });
}

// Goal: after a reboot tasks are lost, never started again. Method: what a reboot takes away is taken away by hand.
#[test]
fn a_reboot_loses_tasks() {
    host(|mut lab| async move {
        lab.start_node();
        let spec = task(&lab, 10, SERVER);
        let id = spec.task_id.clone();
        lab.run_task(spec).await;
        lab.running(&id).await;
        lab.stop_node().await;
        let dir = lab.config.state_dir.join("tasks").join(&id);
        let shim = std::fs::read_to_string(dir.join("lock")).expect("a pid");
        run("kill", &["-9", shim.trim()]);
        // Killed is not yet dead: a shim that still answers would be adopted.
        lab.until("the shim is dead", |_| (!is_alive(shim.trim())).then_some(()))
            .await;
        for file in [
            dir.join("status.json"),
            lab.config.state_dir.join(format!("node/agent/tasks/{id}.json")),
        ] {
            let text = std::fs::read_to_string(&file).expect("a file");
            let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("an id");
            assert!(text.contains(boot_id.trim()));
            std::fs::write(
                &file,
                text.replace(boot_id.trim(), "00000000-0000-4000-8000-000000000000"),
            )
            .expect("write");
        }
        lab.start_node();
        let (reason, observed) = lab.stopped(&id).await;
        assert!(
            matches!(&reason, StopReason::Lost(why) if why.contains("started anew")),
            "{reason:?}"
        );
        assert!(matches!(
            observed.containers[0].phase,
            ContainerPhase::Stopped { exit_code: None, .. }
        ));
        assert!(
            !lab.config.state_dir.join("node/netns").join(&id).exists(),
            "its network is gone"
        );
        lab.stop_node().await;
    });
}
