use crate::sample::{edited, seen_of, status_of};
use honmaru_inspect::{Container, IdRange, Limit, Mount, Probe, Ulimit, Variable};

/// What the control says of the sample with its container changed.
fn of(id: &str, change: impl Fn(&mut Container)) -> &'static str {
    let facts = edited(|facts| change(&mut facts.machine.as_mut().expect("seen").containers[0]));
    status_of(&facts, id, "shop")
}

#[test]
fn the_sample_passes() {
    for id in [
        "I-09", "I-10", "N-04", "T-02", "T-03", "T-04", "T-05", "T-06", "T-08", "T-09", "T-10", "T-11", "T-12", "T-13",
        "T-14", "T-15",
    ] {
        assert_eq!(of(id, |_| {}), "pass", "{id}");
    }
}

#[test]
fn each_wall_that_is_missing_is_seen() {
    assert_eq!(of("I-09", |c| c.uid = c.uid_map[0].outside), "fail");
    assert_eq!(of("T-02", |c| c.cap_bnd |= 1 << 21), "fail");
    assert_eq!(of("T-02", |c| c.cap_bnd = 0), "pass");
    assert_eq!(of("T-03", |c| c.no_new_privs = Some(0)), "fail");
    assert_eq!(of("T-04", |c| c.seccomp = Some(0)), "fail");
    assert_eq!(of("T-05", |c| c.confinement = Some("unconfined".to_owned())), "fail");
    let all = IdRange {
        inside: 0,
        outside: 0,
        count: u32::MAX,
    };
    assert_eq!(of("T-06", |c| c.uid_map = vec![all]), "fail");
    assert_eq!(
        of("T-08", |c| drop(
            c.namespaces.insert("net".to_owned(), "net:[1]".to_owned())
        )),
        "fail"
    );
    let file = ("/host".to_owned(), "/etc".to_owned());
    assert_eq!(of("T-09", |c| c.host_files.push(file.clone())), "fail");
    assert_eq!(
        of("T-10", |c| c.devices = Some(vec!["null".to_owned(), "sda".to_owned()])),
        "fail"
    );
    let unlimited = Limit {
        raw: "memory.max = max".to_owned(),
        is_set: false,
    };
    assert_eq!(
        of("T-11", |c| c.cgroup.as_mut().expect("there").memory =
            Ok(unlimited.clone())),
        "fail"
    );
    assert_eq!(
        of("T-12", |c| c.cgroup.as_mut().expect("there").cpu =
            Ok(unlimited.clone())),
        "fail"
    );
    assert_eq!(
        of("T-13", |c| c.cgroup.as_mut().expect("there").pids =
            Ok(unlimited.clone())),
        "fail"
    );
    let files = |hard| Ulimit {
        name: "Max open files".to_owned(),
        hard,
    };
    assert_eq!(of("T-14", |c| c.ulimits = vec![files(None)]), "fail");
    assert_eq!(of("T-14", |c| c.ulimits = vec![files(Some(1 << 30))]), "fail");
    let shared = Mount {
        is_shared: true,
        ..Mount::default()
    };
    assert_eq!(of("T-15", |c| c.mounts.push(shared.clone())), "fail");
}

#[test]
fn secrets_of_images_are_named_and_not_shown() {
    let secret = |name: &str| {
        let variable = Variable {
            name: name.to_owned(),
            value: "hunter2hunter2".to_owned(),
        };
        edited(move |facts| facts.machine.as_mut().expect("seen").containers[0].variables = vec![variable])
    };
    let facts = secret("NPM_TOKEN");
    assert_eq!(status_of(&facts, "I-10", "shop"), "fail");
    assert!(!format!("{:?}", crate::check(&facts, None)).contains("hunter2"));
    assert_eq!(
        status_of(&secret("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), "I-10", "shop"),
        "pass"
    );
    // T-16 tells of what the task definition sets.
    assert_eq!(status_of(&secret("PORT"), "I-10", "shop"), "pass");
    assert_eq!(of("I-10", |c| c.variables.clear()), "not-assessed");
}

#[test]
fn what_a_task_can_reach() {
    let with = |change: fn(&mut Probe)| {
        edited(|facts| {
            let probes = &mut facts.machine.as_mut().expect("seen").probes;
            probes.values_mut().flatten().for_each(change);
        })
    };
    assert_eq!(
        status_of(&with(|probe| probe.instance_metadata = None), "N-04", "shop"),
        "fail"
    );
    assert_eq!(
        status_of(&with(|probe| probe.credentials = Ok(200)), "N-04", "shop"),
        "fail"
    );
    let silent = with(|probe| probe.credentials = Err("no answer".to_owned()));
    assert_eq!(status_of(&silent, "N-04", "shop"), "not-assessed");
    let untried = edited(|facts| facts.machine.as_mut().expect("seen").probes.clear());
    assert_eq!(status_of(&untried, "N-04", "shop"), "not-assessed");
}

#[test]
fn what_was_not_seen_is_not_assessed() {
    assert_eq!(of("T-03", |c| c.no_new_privs = None), "not-assessed");
    assert_eq!(of("T-08", |c| c.namespaces.clear()), "not-assessed");
    assert_eq!(of("T-13", |c| c.cgroup = None), "not-assessed");
    assert_eq!(of("T-10", |c| c.devices = None), "not-assessed");
    assert_eq!(of("T-15", |c| c.mounts.clear()), "not-assessed");
    assert_eq!(of("T-06", |c| c.uid_map.clear()), "not-assessed");
    let without_root = edited(|facts| facts.machine = Err("run this with `sudo`".to_owned()));
    assert_eq!(status_of(&without_root, "T-03", "-"), "not-assessed");
    let not_found = edited(|facts| facts.machine.as_mut().expect("seen").containers.clear());
    assert_eq!(status_of(&not_found, "T-03", "shop"), "not-assessed");
    let nothing = edited(|facts| {
        facts.tasks = Ok(Vec::new());
        facts.machine.as_mut().expect("seen").containers.clear();
    });
    assert_eq!(status_of(&nothing, "T-03", "-"), "not-applicable");
    let no_module = edited(|facts| facts.machine.as_mut().expect("seen").modules.clear());
    assert_eq!(status_of(&no_module, "T-05", "-"), "not-applicable");
}

#[test]
fn one_bad_container_of_two_fails_and_is_named() {
    let facts = edited(|facts| {
        let containers = &mut facts.machine.as_mut().expect("seen").containers;
        let other = Container {
            pid: 4_712,
            no_new_privs: Some(0),
            ..containers[0].clone()
        };
        containers.push(other);
    });
    assert_eq!(status_of(&facts, "T-03", "shop"), "fail");
    assert_eq!(seen_of(&facts, "T-03", "shop"), "NoNewPrivs: 0 (process 4712)");
    assert_eq!(seen_of(&facts, "T-04", "shop"), "Seccomp: 2 (processes 4711, 4712)");
}
