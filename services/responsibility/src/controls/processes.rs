//! What the kernel shows of containers' processes, from outside of them. Needs root's eyes.

use super::task_definitions::looks_secret;
use crate::control::{Control, Finding, Fix, Outcome, Owner, Scope, Severity, act, fail, pass};
use crate::facts::{Facts, last_part, list, text};
use crate::layers::Layer;
use honmaru_inspect::{CgroupLimits, Container, Limit, Machine, Seen};
use std::collections::BTreeMap;

/// A control of this file: what differs.
const fn control(
    id: &'static str,
    title: &'static str,
    severity: Severity,
    refs: &'static [&'static str],
    check: fn(&Facts) -> Vec<Finding>,
) -> Control {
    Control {
        id,
        title,
        owner: Owner::Platform,
        severity,
        layer: Layer::Isolation,
        scope: Scope::App,
        refs,
        check,
    }
}

pub const CONTROLS: &[Control] = &[
    Control {
        owner: Owner::You,
        layer: Layer::Secrets,
        ..control(
            "I-10",
            "no secrets in the image's own variables",
            Severity::High,
            &["CIS 4.10"],
            secrets_of_image,
        )
    },
    Control {
        layer: Layer::Network,
        ..control(
            "N-04",
            "a task gets its own credentials alone, and not those of the machine",
            Severity::High,
            &["EKS IAM"],
            metadata,
        )
    },
    Control {
        owner: Owner::You,
        ..control(
            "I-09",
            "the app does not run as root",
            Severity::Medium,
            &["ECS.20", "CIS 4.1"],
            not_root,
        )
    },
    Control {
        owner: Owner::Shared,
        ..control(
            "T-02",
            "no capabilities beyond the default set",
            Severity::High,
            &["CIS 5.4"],
            capabilities,
        )
    },
    control(
        "T-03",
        "programs cannot gain rights (no_new_privs)",
        Severity::High,
        &["CIS 5.26"],
        no_new_privs,
    ),
    control(
        "T-04",
        "a filter limits system calls (seccomp)",
        Severity::High,
        &["CIS 5.22"],
        seccomp,
    ),
    control(
        "T-05",
        "AppArmor or SELinux confines the task",
        Severity::Low,
        &["CIS 5.2", "CIS 5.3"],
        confined,
    ),
    control(
        "T-06",
        "root in a container is nobody on the host",
        Severity::High,
        &["CIS 2.9", "CIS 5.31"],
        user_namespace,
    ),
    control(
        "T-08",
        "the task has namespaces of its own",
        Severity::High,
        &["ECS.1", "ECS.3", "CIS 5.10", "CIS 5.16", "CIS 5.17", "CIS 5.21"],
        namespaces,
    ),
    control(
        "T-09",
        "no file of the host is mounted in a task",
        Severity::High,
        &["CIS 5.6", "CIS 5.32"],
        host_files,
    ),
    control(
        "T-10",
        "no device of the host is in a task",
        Severity::High,
        &["CIS 5.18"],
        devices,
    ),
    control("T-11", "memory is limited", Severity::High, &["CIS 5.11"], memory),
    control(
        "T-12",
        "processor time is limited or weighted",
        Severity::Medium,
        &["CIS 5.12"],
        cpu,
    ),
    control(
        "T-13",
        "the number of processes is limited",
        Severity::Medium,
        &["CIS 5.29"],
        pids,
    ),
    control(
        "T-14",
        "open files are limited",
        Severity::Low,
        &["CIS 2.8", "CIS 5.19"],
        ulimits,
    ),
    control(
        "T-15",
        "mounts do not spread between host and task",
        Severity::Medium,
        &["CIS 5.20"],
        propagation,
    ),
];

/// The shim's default set: Docker's without MKNOD.
const CAPABILITIES_DEFAULT: u64 = 0xa004_25fb;
/// Capabilities that people ask for, by number. Ref: linux/capability.h.
const CAPABILITY_NAMES: [(u32, &str); 9] = [
    (2, "DAC_READ_SEARCH"),
    (12, "NET_ADMIN"),
    (16, "SYS_MODULE"),
    (17, "SYS_RAWIO"),
    (19, "SYS_PTRACE"),
    (21, "SYS_ADMIN"),
    (24, "SYS_RESOURCE"),
    (25, "SYS_TIME"),
    (27, "MKNOD"),
];
/// What every container may have in `/dev`. Ref: OCI runtime specification, default devices.
const DEVICES_DEFAULT: [&str; 8] = ["console", "full", "null", "ptmx", "random", "tty", "urandom", "zero"];
const NAMESPACES: [&str; 6] = ["ipc", "mnt", "net", "pid", "user", "uts"];
/// More open files than that exhaust the host's memory for them.
const OPEN_FILES_MAX: u64 = 1_048_576;
/// Different processes that a line of evidence names.
const PIDS_SHOWN_MAX: usize = 4;

/// What a look at one process shows.
enum Judged {
    Good(String),
    Bad(String),
    Unseen(String),
}

use Judged::{Bad, Good, Unseen};

/// A defect of the platform: nothing that its owner could set.
fn defect() -> Fix {
    act("report this: it is a defect of Honmaru; until it is repaired, run nothing here that you do not trust")
}

/// One finding for each app: all of its containers must be good.
fn of_apps(facts: &Facts, judge: impl Fn(&Container, &Machine) -> Judged, fix: impl Fn(&str) -> Fix) -> Vec<Finding> {
    let machine = match &facts.machine {
        Err(reason) => return Finding::unseen(reason),
        Ok(machine) => machine,
    };
    let mut apps: BTreeMap<String, Vec<(u32, Judged)>> = BTreeMap::new();
    for container in &machine.containers {
        let judged = judge(container, machine);
        apps.entry(facts.owner_of(container))
            .or_default()
            .push((container.pid, judged));
    }
    // A task that runs and was not found: somebody else's eyes are needed, and it counts as not looked at.
    for task in facts
        .tasks
        .iter()
        .flatten()
        .filter(|task| text(task, "lastStatus") == "RUNNING")
    {
        let id = last_part(text(task, "taskArn"));
        if !machine.containers.iter().any(|container| container.task_id == id) {
            let missing = Container {
                task_id: id.to_owned(),
                ..Container::default()
            };
            let reason = format!("no process of task {} was found", id.get(..8).unwrap_or(id));
            apps.entry(facts.owner_of(&missing))
                .or_default()
                .push((0, Unseen(reason)));
        }
    }
    if apps.is_empty() {
        return vec![Finding::new("-", Outcome::NotApplicable("no task runs".to_owned()))];
    }
    apps.into_iter()
        .map(|(app, judged)| {
            let outcome = sum(&judged, || fix(&app));
            Finding::new(app, outcome)
        })
        .collect()
}

fn sum(judged: &[(u32, Judged)], fix: impl Fn() -> Fix) -> Outcome {
    let of = |wanted: fn(&Judged) -> Option<&String>| {
        let mut seen: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (pid, judged) in judged {
            if let Some(text) = wanted(judged) {
                seen.entry(text).or_default().push(*pid);
            }
        }
        let lines: Vec<String> = seen
            .iter()
            .map(|(text, pids)| format!("{text}{}", pids_words(pids)))
            .collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    };
    let bad = of(|judged| match judged {
        Bad(text) => Some(text),
        Good(_) | Unseen(_) => None,
    });
    let unseen = of(|judged| match judged {
        Unseen(text) => Some(text),
        Good(_) | Bad(_) => None,
    });
    let good = of(|judged| match judged {
        Good(text) => Some(text),
        Bad(_) | Unseen(_) => None,
    });
    match (bad, unseen, good) {
        (Some(seen), _, _) => fail(seen, fix()),
        (None, Some(reason), _) => Outcome::NotAssessed(reason),
        (None, None, Some(seen)) => pass(seen),
        (None, None, None) => Outcome::NotAssessed("no process was looked at".to_owned()),
    }
}

fn pids_words(pids: &[u32]) -> String {
    let shown: Vec<String> = pids.iter().take(PIDS_SHOWN_MAX).map(u32::to_string).collect();
    let more = pids.len().saturating_sub(PIDS_SHOWN_MAX);
    match (pids, more) {
        ([0], _) => String::new(),
        ([pid], _) => format!(" (process {pid})"),
        (_, 0) => format!(" (processes {})", shown.join(", ")),
        (_, more) => format!(" (processes {} and {more} more)", shown.join(", ")),
    }
}

fn not_root(facts: &Facts) -> Vec<Finding> {
    let fix = |_: &str| act("put `USER 65534:65534` into its Dockerfile, before CMD, and deploy again");
    of_apps(
        facts,
        |container, _| {
            let inside = container.uid_map.iter().find_map(|range| {
                let offset = container.uid.checked_sub(range.outside)?;
                (offset < range.count).then(|| range.inside + offset)
            });
            match inside {
                None => Unseen(format!("user {} of the host is nobody in the container", container.uid)),
                Some(0) => Bad("runs as user 0 in the container".to_owned()),
                Some(uid) => Good(format!(
                    "runs as user {uid} in the container, {} on the host",
                    container.uid
                )),
            }
        },
        fix,
    )
}

fn secrets_of_image(facts: &Facts) -> Vec<Finding> {
    let fix = |_: &str| {
        act(
            "change the secret, because whoever may pull the image has it; take it out of `ENV` and `ARG` of the Dockerfile, \
             deploy again, and delete the old image",
        )
    };
    of_apps(
        facts,
        |container, _| {
            let Some(definition) = facts.definition_of(container) else {
                return Unseen("its task definition could not be read".to_owned());
            };
            if container.variables.is_empty() {
                return Unseen("its variables cannot be read".to_owned());
            }
            let own = definition.containers().filter(|c| text(c, "name") == container.name);
            let own: Vec<&str> = own
                .flat_map(|c| list(c, "environment"))
                .map(|v| text(v, "name"))
                .collect();
            // What the platform sets for SDKs, and what T-16 looks at.
            let is_images = |name: &str| !own.contains(&name) && !name.starts_with("AWS_CONTAINER_");
            let of_image: Vec<_> = container.variables.iter().filter(|v| is_images(&v.name)).collect();
            let found: Vec<String> = of_image
                .iter()
                .filter_map(|v| Some(format!("`{}` {}", v.name, looks_secret(&v.name, &v.value)?)))
                .collect();
            if found.is_empty() {
                Good(format!("none of {} variables looks like a secret", of_image.len()))
            } else {
                Bad(format!("{}, values are not shown", found.join(", ")))
            }
        },
        fix,
    )
}

fn metadata(facts: &Facts) -> Vec<Finding> {
    of_apps(
        facts,
        |container, machine| {
            let probe = match machine.probes.get(&container.task_id) {
                None => return Unseen("it was not tried".to_owned()),
                Some(Err(reason)) => return Unseen(reason.clone()),
                Some(Ok(probe)) => probe,
            };
            let Some(closed) = &probe.instance_metadata else {
                return Bad("a connection to 169.254.169.254:80 came about from within the task".to_owned());
            };
            let whose = &probe.asked_for;
            match &probe.credentials {
                Err(reason) => Unseen(reason.clone()),
                Ok(status) if (400..500).contains(status) => Good(format!(
                    "from within: 169.254.169.254:80: {closed}; 169.254.170.2 for the credentials of {whose}: {status}"
                )),
                Ok(status) => Bad(format!("169.254.170.2 for the credentials of {whose}: {status}")),
            }
        },
        |_| defect(),
    )
}

fn capabilities(facts: &Facts) -> Vec<Finding> {
    let fix = |_: &str| act("take the capabilities out of `linuxParameters.capabilities.add` of the task definition");
    of_apps(
        facts,
        |container, _| {
            let added = container.cap_bnd & !CAPABILITIES_DEFAULT;
            let raw = format!("CapBnd: {:016x}", container.cap_bnd);
            if added == 0 {
                return Good(raw);
            }
            let name = |bit: u32| {
                let known = CAPABILITY_NAMES.iter().find(|(number, _)| *number == bit);
                known.map_or_else(|| format!("number {bit}"), |(_, name)| (*name).to_owned())
            };
            let names: Vec<String> = (0..64).filter(|bit| added & (1 << bit) != 0).map(name).collect();
            Bad(format!("{raw}, beyond the default: {}", names.join(", ")))
        },
        fix,
    )
}

fn no_new_privs(facts: &Facts) -> Vec<Finding> {
    of_apps(
        facts,
        |container, _| match container.no_new_privs {
            Some(1) => Good("NoNewPrivs: 1".to_owned()),
            Some(other) => Bad(format!("NoNewPrivs: {other}")),
            None => Unseen("this kernel does not show NoNewPrivs".to_owned()),
        },
        |_| defect(),
    )
}

fn seccomp(facts: &Facts) -> Vec<Finding> {
    of_apps(
        facts,
        |container, _| match container.seccomp {
            Some(2) => Good("Seccomp: 2".to_owned()),
            Some(other) => Bad(format!("Seccomp: {other}")),
            None => Unseen("this kernel does not show Seccomp".to_owned()),
        },
        |_| defect(),
    )
}

fn confined(facts: &Facts) -> Vec<Finding> {
    if facts.machine.as_ref().is_ok_and(|machine| machine.modules.is_empty()) {
        let reason = "this kernel has neither AppArmor nor SELinux switched on".to_owned();
        return vec![Finding::new("-", Outcome::NotApplicable(reason))];
    }
    of_apps(
        facts,
        |container, _| match container.confinement.as_deref() {
            None => Unseen("attr/current cannot be read".to_owned()),
            Some(label) if label.is_empty() || label.contains("unconfined") => Bad(format!("attr/current: {label}")),
            Some(label) => Good(format!("attr/current: {label}")),
        },
        |_| act("nothing yet: Honmaru sets no profile; the other walls (T-03, T-04, T-06, T-08) do not rest on it"),
    )
}

fn user_namespace(facts: &Facts) -> Vec<Finding> {
    of_apps(
        facts,
        |container, _| {
            let ranges: Vec<String> = container
                .uid_map
                .iter()
                .map(|range| format!("{} {} {}", range.inside, range.outside, range.count))
                .collect();
            let raw = format!("uid_map: {}", ranges.join(", "));
            match container.uid_map.as_slice() {
                [] => Unseen("uid_map is empty".to_owned()),
                ranges if ranges.iter().any(|range| range.outside == 0) => Bad(raw),
                _ => Good(raw),
            }
        },
        |_| defect(),
    )
}

fn namespaces(facts: &Facts) -> Vec<Finding> {
    of_apps(
        facts,
        |container, machine| {
            let (mut shared, mut unseen) = (Vec::new(), Vec::new());
            for kind in NAMESPACES {
                match (container.namespaces.get(kind), machine.namespaces.get(kind)) {
                    (Some(own), Some(host)) if own == host => shared.push(own.clone()),
                    (Some(_), Some(_)) => {}
                    _ => unseen.push(kind),
                }
            }
            let own: Vec<&String> = NAMESPACES
                .iter()
                .filter_map(|kind| container.namespaces.get(*kind))
                .collect();
            if !shared.is_empty() {
                Bad(format!("the host's own: {}", shared.join(", ")))
            } else if unseen.is_empty() {
                let own: Vec<&str> = own.into_iter().map(String::as_str).collect();
                Good(format!("none of {} is the host's", own.join(", ")))
            } else {
                Unseen(format!("namespaces {} cannot be compared", unseen.join(", ")))
            }
        },
        |_| defect(),
    )
}

fn host_files(facts: &Facts) -> Vec<Finding> {
    of_apps(
        facts,
        |container, machine| {
            let Some(state) = machine.rooms.iter().find(|room| room.name.is_empty()) else {
                return Unseen("the state directory cannot be looked at".to_owned());
            };
            // The task's own room, and its volumes.
            let own = [
                state.path.join("tasks").join(&container.task_id),
                state.path.join("node/volumes").join(&container.task_id),
            ];
            let is_own = |path: &str| own.iter().any(|own| std::path::Path::new(path).starts_with(own));
            let (own, foreign): (Vec<_>, Vec<_>) = container.host_files.iter().partition(|(_, path)| is_own(path));
            if foreign.is_empty() {
                let points: Vec<&str> = own.iter().map(|(point, _)| point.as_str()).collect();
                Good(format!(
                    "of the host's disk only its own room is mounted, at {}",
                    points.join(", ")
                ))
            } else {
                let foreign: Vec<String> = foreign
                    .iter()
                    .map(|(point, path)| format!("{path} at {point}"))
                    .collect();
                Bad(foreign.join(", "))
            }
        },
        |_| defect(),
    )
}

fn devices(facts: &Facts) -> Vec<Finding> {
    of_apps(
        facts,
        |container, _| {
            let Some(devices) = &container.devices else {
                return Unseen("/dev of the container cannot be read".to_owned());
            };
            let is_default = |name: &&String| DEVICES_DEFAULT.contains(&name.as_str());
            let foreign: Vec<&str> = devices
                .iter()
                .filter(|name| !is_default(name))
                .map(String::as_str)
                .collect();
            if foreign.is_empty() {
                Good(format!("/dev has {}", devices.join(", ")))
            } else {
                Bad(format!("/dev has {}", foreign.join(", ")))
            }
        },
        |_| defect(),
    )
}

fn limit(container: &Container, of: impl Fn(&CgroupLimits) -> &Seen<Limit>) -> Judged {
    match container.cgroup.as_ref().map(of) {
        None => Unseen("its control group was not found".to_owned()),
        Some(Err(reason)) => Unseen(reason.clone()),
        // The path has the task's id: without it the same limits of several tasks are one line.
        Some(Ok(limit)) => {
            let raw = limit.raw.rsplit('/').next().unwrap_or(&limit.raw).to_owned();
            if limit.is_set {
                Good(raw)
            } else {
                Bad(limit.raw.clone())
            }
        }
    }
}

fn memory(facts: &Facts) -> Vec<Finding> {
    let fix = |_: &str| act("give the task definition a `memory`; `honmaru deploy` does so by itself (`--memory`)");
    of_apps(facts, |container, _| limit(container, |limits| &limits.memory), fix)
}

fn cpu(facts: &Facts) -> Vec<Finding> {
    let fix = |_: &str| act("give the task definition a `cpu`; `honmaru deploy` does so by itself (`--cpu`)");
    of_apps(facts, |container, _| limit(container, |limits| &limits.cpu), fix)
}

fn pids(facts: &Facts) -> Vec<Finding> {
    of_apps(
        facts,
        |container, _| limit(container, |limits| &limits.pids),
        |_| defect(),
    )
}

fn ulimits(facts: &Facts) -> Vec<Finding> {
    let fix = |_: &str| act("give the containers a smaller `nofile` in `ulimits` of the task definition");
    of_apps(
        facts,
        |container, _| match container.ulimits.iter().find(|limit| limit.name == "Max open files") {
            None => Unseen("its limits do not name open files".to_owned()),
            Some(limit) => match limit.hard {
                Some(files) if files <= OPEN_FILES_MAX => Good(format!("Max open files: {files}")),
                Some(files) => Bad(format!("Max open files: {files}")),
                None => Bad("Max open files: unlimited".to_owned()),
            },
        },
        fix,
    )
}

fn propagation(facts: &Facts) -> Vec<Finding> {
    of_apps(
        facts,
        |container, _| {
            let shared: Vec<&str> = container
                .mounts
                .iter()
                .filter(|mount| mount.is_shared)
                .map(|mount| mount.point.as_str())
                .collect();
            match (container.mounts.len(), shared.as_slice()) {
                (0, _) => Unseen("mountinfo is empty".to_owned()),
                (count, []) => Good(format!("none of {count} mounts is shared")),
                (_, shared) => Bad(format!("shared: {}", shared.join(", "))),
            }
        },
        |_| defect(),
    )
}

#[cfg(test)]
mod tests;
