//! The machine, and the processes and files of the cloud on it.

use crate::control::{Control, Finding, Outcome, Owner, Scope, Severity, act, fail, pass, run};
use crate::facts::Facts;
use crate::layers::Layer;
use honmaru_inspect::{Host, Machine, Role, Room};

pub const CONTROLS: &[Control] = &[
    Control {
        id: "S-01",
        title: "secrets at rest lie on an encrypted disk",
        owner: Owner::You,
        severity: Severity::Low,
        layer: Layer::Secrets,
        scope: Scope::Cloud,
        refs: &[],
        check: encrypted,
    },
    Control {
        id: "T-19",
        title: "all parts of the cloud run the same version",
        owner: Owner::You,
        severity: Severity::Low,
        layer: Layer::ControlPlane,
        scope: Scope::Cloud,
        refs: &["ECS.10", "CIS 1.2.2"],
        check: versions,
    },
    Control {
        id: "L-04",
        title: "the machine's clock is kept in time",
        owner: Owner::You,
        severity: Severity::Low,
        layer: Layer::Logs,
        scope: Scope::Cloud,
        refs: &[],
        check: clock,
    },
    Control {
        id: "H-01",
        title: "the newest kernel runs, and updates are installed by themselves",
        owner: Owner::You,
        severity: Severity::Medium,
        layer: Layer::Kernel,
        scope: Scope::Cloud,
        refs: &["CIS 1.2.1"],
        check: updates,
    },
    Control {
        id: "H-02",
        title: "nobody else can read what the cloud keeps",
        owner: Owner::Platform,
        severity: Severity::High,
        layer: Layer::ControlPlane,
        scope: Scope::Cloud,
        refs: &["CIS 1.1.1", "CIS 3"],
        check: rooms,
    },
    Control {
        id: "H-03",
        title: "the API runs without root, asks everybody for keys, and is on no open network without TLS",
        owner: Owner::Platform,
        severity: Severity::High,
        layer: Layer::ControlPlane,
        scope: Scope::Cloud,
        refs: &["CIS 2.1", "CIS 2.7"],
        check: endpoint,
    },
    Control {
        id: "H-05",
        title: "disk and memory have room",
        owner: Owner::You,
        severity: Severity::Medium,
        layer: Layer::Data,
        scope: Scope::Cloud,
        refs: &[],
        check: headroom,
    },
    Control {
        id: "H-06",
        title: "there are backups, and restoring one was tried",
        owner: Owner::You,
        severity: Severity::Medium,
        layer: Layer::Data,
        scope: Scope::Cloud,
        refs: &[],
        check: backups,
    },
];

/// Less than that of a disk or of memory is no room.
const FREE_PERCENT_MIN: u64 = 10;

fn host(facts: &Facts, look: impl Fn(&Host) -> Vec<Finding>) -> Vec<Finding> {
    match &facts.host {
        Err(reason) => Finding::unseen(reason),
        Ok(host) => look(host),
    }
}

fn encrypted(facts: &Facts) -> Vec<Finding> {
    host(facts, |host| {
        let devices = host
            .disk
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|disk| disk.devices.clone());
        let outcome = match devices {
            Err(reason) => Outcome::NotAssessed(reason),
            Ok(devices) if devices.is_empty() => Outcome::NotAssessed("no device was found below it".to_owned()),
            Ok(devices) => {
                let seen = format!("the state directory lies on {}", devices.join(" on "));
                if devices.iter().any(|device| device.contains("(CRYPT-")) {
                    pass(seen)
                } else {
                    fail(
                        format!("{seen}: no layer of it is dm-crypt's"),
                        act(
                            "put the state directory on an encrypted disk (LUKS); what encrypts below the machine (a \
                             provider, the disk itself) cannot be seen from here",
                        ),
                    )
                }
            }
        };
        vec![Finding::new("state directory", outcome)]
    })
}

fn clock(facts: &Facts) -> Vec<Finding> {
    host(facts, |host| {
        let outcome = match &host.clock {
            Err(reason) => Outcome::NotAssessed(reason.clone()),
            Ok(clock) if clock.is_synchronised => pass(&clock.raw),
            Ok(clock) => fail(
                format!("{}: not synchronised", clock.raw),
                run(
                    "signatures and the trail need the right time",
                    "sudo apt-get install systemd-timesyncd && sudo timedatectl set-ntp true",
                ),
            ),
        };
        vec![Finding::new("clock", outcome)]
    })
}

fn updates(facts: &Facts) -> Vec<Finding> {
    host(facts, |host| {
        vec![
            Finding::new("kernel", kernel(host)),
            Finding::new("updates", unattended(host)),
        ]
    })
}

fn kernel(host: &Host) -> Outcome {
    let restart = || {
        run(
            "restart the machine; containers start again by themselves",
            "sudo systemctl reboot",
        )
    };
    if let Some(said) = &host.reboot {
        return fail(said, restart());
    }
    match &host.kernel {
        Err(reason) => Outcome::NotAssessed(reason.clone()),
        Ok(kernel) => {
            let newest = kernel.installed.iter().max_by(|a, b| compare(a, b));
            match newest {
                None => Outcome::NotAssessed(format!(
                    "kernel {} runs, and /boot has none: whoever starts this machine updates its kernel",
                    kernel.running
                )),
                Some(newest) if compare(newest, &kernel.running).is_gt() => fail(
                    format!("kernel {} runs, {newest} is installed", kernel.running),
                    restart(),
                ),
                Some(_) => pass(format!(
                    "kernel {} runs, the newest in /boot; no restart is asked for",
                    kernel.running
                )),
            }
        }
    }
}

/// Versions: numbers by their value, the rest as text.
fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    let parts = |text: &str| -> Vec<(u64, String)> {
        let part = |part: &str| {
            (
                part.parse().unwrap_or(0),
                if part.parse::<u64>().is_ok() {
                    String::new()
                } else {
                    part.to_owned()
                },
            )
        };
        text.split(['.', '-', '+', '~']).map(part).collect()
    };
    parts(a).cmp(&parts(b))
}

fn unattended(host: &Host) -> Outcome {
    match &host.unattended {
        Err(reason) => Outcome::NotAssessed(reason.clone()),
        Ok(Some(line)) => pass(line),
        Ok(None) => fail(
            "apt's configuration has no `APT::Periodic::Unattended-Upgrade` that is on",
            run(
                "let security updates be installed by themselves",
                "sudo apt-get install unattended-upgrades && sudo dpkg-reconfigure -f noninteractive -plow \
                 unattended-upgrades",
            ),
        ),
    }
}

fn machine(facts: &Facts, look: impl Fn(&Machine) -> Vec<Finding>) -> Vec<Finding> {
    match &facts.machine {
        Err(reason) => Finding::unseen(reason),
        Ok(machine) => look(machine),
    }
}

/// The bits that a place must not have. Sockets are for processes of any user, whom the other side asks who they are.
fn forbidden(room: &Room) -> u32 {
    match room.name.as_str() {
        "control" | "edge" | "images" | "node" | "tasks" | "control/credentials.json" => 0o077,
        // It may lie elsewhere, and be readable by a group of `control`'s.
        "control/blobs.key" => 0o037,
        _ if room.is_socket => 0,
        _ => 0o022,
    }
}

fn rooms(facts: &Facts) -> Vec<Finding> {
    machine(facts, |machine| {
        let needed = ["control", "node"];
        let is_there = |name: &&str| machine.rooms.iter().any(|room| room.name == **name);
        if !needed.iter().all(is_there) {
            return Finding::unseen("the state directory does not have the rooms of a cloud");
        }
        let shown = |room: &&Room| format!("{} {:04o} of user {}", room.path.display(), room.mode, room.uid);
        let of_control = |name: &str| matches!(name, "control" | "control/credentials.json" | "images");
        let control = machine
            .roles
            .iter()
            .find(|role| role.name == "control")
            .map(|role| role.uid);
        let is_bad = |room: &&Room| {
            let is_strangers = match (room.name.as_str(), control) {
                (name, Some(uid)) if of_control(name) => room.uid != uid,
                ("" | "bin" | "node" | "tasks" | "lock" | "logs", _) => room.uid != 0,
                _ => false,
            };
            room.mode & forbidden(room) != 0 || is_strangers
        };
        let bad: Vec<&Room> = machine.rooms.iter().filter(is_bad).collect();
        let outcome = if bad.is_empty() {
            let private = machine.rooms.iter().filter(|room| forbidden(room) == 0o077);
            pass(private.map(|room| shown(&room)).collect::<Vec<_>>().join(", "))
        } else {
            let seen: Vec<String> = bad.iter().map(shown).collect();
            fail(
                seen.join(", "),
                act(
                    "start the cloud anew (`sudo honmaru up`), which sets the modes of its rooms; then find who changed them",
                ),
            )
        };
        vec![Finding::new("state directory", outcome)]
    })
}

fn endpoint(facts: &Facts) -> Vec<Finding> {
    let keys = match &facts.strangers.api {
        Err(reason) => Outcome::NotAssessed(reason.clone()),
        Ok(status @ (401 | 403)) => pass(format!("a call without keys: {status}")),
        Ok(status) => fail(
            format!("a call without keys: {status}"),
            act("start the cloud without `--dev`"),
        ),
    };
    let mut findings = vec![Finding::new("a call without keys", keys)];
    findings.extend(machine(facts, |machine| {
        let mut findings = Vec::new();
        for name in ["control", "edge"] {
            let Some(role) = machine.roles.iter().find(|role| role.name == name) else {
                let reason = format!("no process of `{name}` was found");
                findings.push(Finding::new(name, Outcome::NotAssessed(reason)));
                continue;
            };
            let seen = format!("process {}: user {}, CapEff {:x}", role.pid, role.uid, role.cap_eff);
            findings.push(Finding::new(
                name,
                if role.uid == 0 || role.cap_eff & !NET_BIND_SERVICE != 0 {
                    fail(seen, act("report this: it is a defect of Honmaru"))
                } else {
                    pass(seen)
                },
            ));
            if name == "control" {
                findings.push(Finding::new("addresses of the API", addresses(role)));
            }
        }
        findings
    }));
    findings
}

fn versions(facts: &Facts) -> Vec<Finding> {
    machine(facts, |machine| {
        let shown: Vec<String> = machine
            .roles
            .iter()
            .map(|role| format!("{}: {}", role.name, crate::facts::last_part(&role.binary)))
            .collect();
        let is_same = |role: &Role| machine.roles.first().is_some_and(|first| first.binary == role.binary);
        let is_gone = |role: &Role| role.binary.ends_with(" (deleted)");
        let outcome = if machine.roles.len() < ROLES {
            Outcome::NotAssessed(format!("not all parts run: {}", shown.join(", ")))
        } else if machine.roles.iter().all(|role| is_same(role) && !is_gone(role)) {
            pass(shown.join(", "))
        } else {
            fail(
                shown.join(", "),
                act(
                    "start `sudo honmaru up` anew with the version that you want: it replaces the parts that run another",
                ),
            )
        };
        vec![Finding::new("control, edge, node", outcome)]
    })
}

/// Parts that have a process each.
const ROLES: usize = 3;

/// Ports below 1024 are no other right.
const NET_BIND_SERVICE: u64 = 1 << 10;

fn addresses(role: &Role) -> Outcome {
    let (near, far): (Vec<_>, Vec<_>) = role.listens.iter().partition(|listen| listen.address.is_loopback());
    let shown = |listens: &[&honmaru_inspect::Listen]| {
        let words: Vec<String> = listens
            .iter()
            .map(|l| std::net::SocketAddr::new(l.address, l.port).to_string())
            .collect();
        words.join(", ")
    };
    match (near.as_slice(), far.as_slice()) {
        ([], []) => Outcome::NotAssessed("it was seen to listen nowhere".to_owned()),
        (near, []) => pass(format!("it listens on {}", shown(near))),
        (_, far) => fail(
            format!("it listens on {}, where plain HTTP is possible", shown(far)),
            act(
                "start the cloud with `--listen 127.0.0.1:4566`, and put what ends TLS in front of it for other machines",
            ),
        ),
    }
}

fn headroom(facts: &Facts) -> Vec<Finding> {
    host(facts, |host| {
        let percent = |free: u64, all: u64| free.saturating_mul(100) / all.max(1);
        let disk = match &host.disk {
            Err(reason) => Outcome::NotAssessed(reason.clone()),
            Ok(disk) => {
                let bytes = percent(disk.bytes_free, disk.bytes);
                let files = if disk.files == 0 {
                    100
                } else {
                    percent(disk.files_free, disk.files)
                };
                let seen = format!(
                    "free: {bytes} % of {} GiB, {files} % of its files",
                    disk.bytes / (1 << 30)
                );
                if bytes >= FREE_PERCENT_MIN && files >= FREE_PERCENT_MIN {
                    pass(seen)
                } else {
                    fail(
                        seen,
                        run(
                            "make room: a full disk stops the cloud",
                            format!("sudo honmaru registry gc{}", facts.flags),
                        ),
                    )
                }
            }
        };
        let memory = match &host.memory {
            Err(reason) => Outcome::NotAssessed(reason.clone()),
            Ok(memory) => {
                let free = percent(memory.available_kib, memory.total_kib);
                let seen = format!("available: {free} % of {} MiB", memory.total_kib / 1_024);
                if free >= FREE_PERCENT_MIN {
                    pass(seen)
                } else {
                    fail(
                        seen,
                        act("run fewer or smaller tasks (`honmaru scale`), or give the machine more memory"),
                    )
                }
            }
        };
        vec![Finding::new("disk", disk), Finding::new("memory", memory)]
    })
}

fn backups(_: &Facts) -> Vec<Finding> {
    let reason =
        "Honmaru makes no backups and cannot see yours: copy the state directory while the cloud is stopped, and try \
                  once to start from the copy"
            .to_owned();
    vec![Finding::new("state directory", Outcome::NotAssessed(reason))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{edited, status_of};
    use honmaru_inspect::{Kernel, Listen};

    fn with(change: impl Fn(&mut Host)) -> Facts {
        edited(|facts| change(facts.host.as_mut().expect("seen")))
    }

    fn with_machine(change: impl Fn(&mut Machine)) -> Facts {
        edited(|facts| change(facts.machine.as_mut().expect("seen")))
    }

    #[test]
    fn kernels_and_updates() {
        let kernel = |running: &'static str, installed: &'static [&'static str]| {
            with(move |host| {
                host.kernel = Ok(Kernel {
                    running: running.to_owned(),
                    installed: installed.iter().map(|name| (*name).to_owned()).collect(),
                });
            })
        };
        assert_eq!(
            status_of(&kernel("6.1.0-9-amd64", &["6.1.0-9-amd64"]), "H-01", "kernel"),
            "pass"
        );
        let newer = kernel("6.1.0-9-amd64", &["6.1.0-9-amd64", "6.1.0-10-amd64"]);
        assert_eq!(status_of(&newer, "H-01", "kernel"), "fail");
        assert_eq!(status_of(&kernel("6.18.1", &[]), "H-01", "kernel"), "not-assessed");
        let asked = with(|host| host.reboot = Some("restart".to_owned()));
        assert_eq!(status_of(&asked, "H-01", "kernel"), "fail");
        assert_eq!(
            status_of(&with(|host| host.unattended = Ok(None)), "H-01", "updates"),
            "fail"
        );
        assert_eq!(status_of(&with(|_| {}), "H-01", "updates"), "pass");
    }

    #[test]
    fn disks_memory_and_time() {
        assert_eq!(status_of(&with(|_| {}), "S-01", "state directory"), "pass");
        let plain = with(|host| host.disk.as_mut().expect("seen").devices = Ok(vec!["vda".to_owned()]));
        assert_eq!(status_of(&plain, "S-01", "state directory"), "fail");
        assert_eq!(status_of(&with(|_| {}), "L-04", "clock"), "pass");
        let late = with(|host| host.clock.as_mut().expect("seen").is_synchronised = false);
        assert_eq!(status_of(&late, "L-04", "clock"), "fail");
        assert_eq!(status_of(&with(|_| {}), "H-05", "disk"), "pass");
        assert_eq!(
            status_of(&with(|h| h.disk.as_mut().expect("seen").bytes_free = 1), "H-05", "disk"),
            "fail"
        );
        assert_eq!(
            status_of(&with(|h| h.disk.as_mut().expect("seen").files_free = 1), "H-05", "disk"),
            "fail"
        );
        assert_eq!(status_of(&with(|_| {}), "H-05", "memory"), "pass");
        let full = with(|host| host.memory.as_mut().expect("seen").available_kib = 1);
        assert_eq!(status_of(&full, "H-05", "memory"), "fail");
        assert_eq!(status_of(&full, "H-06", "state directory"), "not-assessed");
    }

    #[test]
    fn modes_of_rooms() {
        assert_eq!(status_of(&with_machine(|_| {}), "H-02", "state directory"), "pass");
        for name in ["control", "node", "control/credentials.json", "control/blobs.key"] {
            let open = with_machine(|machine| {
                let room = machine.rooms.iter_mut().find(|room| room.name == name);
                room.expect("there").mode |= 0o004;
            });
            assert_eq!(status_of(&open, "H-02", "state directory"), "fail", "{name}");
        }
        let given = with_machine(|machine| {
            let room = machine.rooms.iter_mut().find(|room| room.name == "control");
            room.expect("there").uid = 1_000;
        });
        assert_eq!(status_of(&given, "H-02", "state directory"), "fail");
        let nothing = with_machine(|machine| machine.rooms.clear());
        assert_eq!(status_of(&nothing, "H-02", "-"), "not-assessed");
    }

    #[test]
    fn one_version() {
        assert_eq!(status_of(&with_machine(|_| {}), "T-19", "control, edge, node"), "pass");
        let two = with_machine(|machine| machine.roles[1].binary = "/var/lib/honmaru/bin/honmaru-02".to_owned());
        assert_eq!(status_of(&two, "T-19", "control, edge, node"), "fail");
        let gone = with_machine(|machine| {
            machine
                .roles
                .iter_mut()
                .for_each(|role| role.binary.push_str(" (deleted)"))
        });
        assert_eq!(status_of(&gone, "T-19", "control, edge, node"), "fail");
        let one = with_machine(|machine| machine.roles.truncate(1));
        assert_eq!(status_of(&one, "T-19", "control, edge, node"), "not-assessed");
    }

    #[test]
    fn the_endpoint() {
        let good = with_machine(|_| {});
        for subject in ["a call without keys", "control", "edge", "addresses of the API"] {
            assert_eq!(status_of(&good, "H-03", subject), "pass", "{subject}");
        }
        let open = edited(|facts| facts.strangers.api = Ok(200));
        assert_eq!(status_of(&open, "H-03", "a call without keys"), "fail");
        let root = with_machine(|machine| machine.roles[0].uid = 0);
        assert_eq!(status_of(&root, "H-03", "control"), "fail");
        let everywhere = with_machine(|machine| {
            machine.roles[0].listens.push(Listen {
                address: std::net::Ipv4Addr::UNSPECIFIED.into(),
                port: 4_566,
            });
        });
        assert_eq!(status_of(&everywhere, "H-03", "addresses of the API"), "fail");
        let gone = with_machine(|machine| machine.roles.clear());
        assert_eq!(status_of(&gone, "H-03", "control"), "not-assessed");
    }
}
