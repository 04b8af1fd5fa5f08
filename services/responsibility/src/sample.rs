//! Facts in which every control passes that can: an app `shop`, on a machine that is well. Tests change one thing.

use crate::control::{Finding, Fix};
use crate::facts::{Balancer, Definition, Facts, Identity, Repository, Service, Strangers};
use honmaru_inspect::{
    CgroupLimits, Clock, Container, Disk, Firewall, Host, IdRange, Kernel, Limit, Listen, Machine, Memory, Mount,
    Probe, Role, Room, Ulimit, Variable,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const TASK: &str = "0123456789abcdef0123456789abcdef";
const DEFINITION: &str = "arn:aws:ecs:us-east-1:000000000000:task-definition/shop:1";

/// The sample with a change.
pub fn edited(change: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = sample();
    change(&mut facts);
    facts
}

fn finding(facts: &Facts, id: &str, subject: &str) -> Finding {
    let results = crate::check(facts, None);
    let found: Vec<Finding> = results
        .into_iter()
        .filter(|result| result.control.id == id)
        .map(|result| result.finding)
        .collect();
    let one = found.iter().find(|finding| finding.subject == subject);
    one.unwrap_or_else(|| panic!("{id} says nothing of `{subject}`: {found:?}"))
        .clone()
}

/// What a control says of a subject, in a word.
pub fn status_of(facts: &Facts, id: &str, subject: &str) -> &'static str {
    finding(facts, id, subject).outcome.word()
}

/// What was seen.
pub fn seen_of(facts: &Facts, id: &str, subject: &str) -> String {
    finding(facts, id, subject).outcome.evidence().to_owned()
}

/// What to do about its failure.
pub fn fix_of(facts: &Facts, id: &str, subject: &str) -> Fix {
    finding(facts, id, subject).outcome.fix().expect("it failed").clone()
}

fn sample() -> Facts {
    Facts {
        now_s: 1_000_000.0,
        services: Ok(vec![service()]),
        tasks: Ok(vec![task()]),
        definitions: Ok(vec![definition()]),
        balancers: Ok(vec![balancer()]),
        groups: Ok(groups()),
        groups_used: Ok(vec!["sg-lb".to_owned(), "sg-task".to_owned()]),
        repositories: Ok(vec![Repository {
            raw: json!({ "repositoryName": "shop", "repositoryUri": "localhost:4566/shop",
                "imageTagMutability": "IMMUTABLE" }),
            policy: Ok(None),
            lifecycle: Ok(Some(json!({ "rules": [{}] }))),
        }]),
        log_groups: Ok(vec![json!({ "logGroupName": "/honmaru/shop", "retentionInDays": 365 })]),
        clusters: Ok(vec![json!({ "clusterName": "default" })]),
        identity: Ok(identity()),
        trail: Ok(vec![
            json!({ "EventName": "DescribeServices", "Username": "administrator", "EventTime": 999_999.0 }),
        ]),
        strangers: Strangers {
            api: Ok(403),
            registry: Ok(401),
        },
        machine: Ok(machine()),
        host: Ok(host()),
        flags: String::new(),
    }
}

fn service() -> Service {
    Service {
        name: "shop".to_owned(),
        cluster: "default".to_owned(),
        raw: json!({
            "serviceName": "shop", "taskDefinition": DEFINITION, "desiredCount": 2, "enableExecuteCommand": true,
            "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": true, "rollback": true } },
            "loadBalancers": [{ "targetGroupArn": "arn:aws:elasticloadbalancing:::targetgroup/shop/1" }],
            "networkConfiguration": { "awsvpcConfiguration": { "securityGroups": ["sg-task"], "assignPublicIp": "ENABLED" } },
        }),
    }
}

fn task() -> Value {
    json!({
        "taskArn": format!("arn:aws:ecs:us-east-1:000000000000:task/default/{TASK}"), "lastStatus": "RUNNING",
        "group": "service:shop", "taskDefinitionArn": DEFINITION,
        "containers": [{ "name": "shop", "imageDigest": "sha256:aa" }],
        "attachments": [{ "details": [{ "name": "privateIPv4Address", "value": "172.31.0.4" }] }],
    })
}

fn definition() -> Definition {
    Definition {
        arn: DEFINITION.to_owned(),
        raw: json!({
            "family": "shop", "taskRoleArn": "arn:aws:iam::000000000000:role/shop-task",
            "executionRoleArn": "arn:aws:iam::000000000000:role/shop-execution",
            "containerDefinitions": [{
                "name": "shop", "image": "localhost:4566/shop@sha256:aa", "readonlyRootFilesystem": true,
                "environment": [{ "name": "PORT", "value": "8080" }],
                "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": "/honmaru/shop" } },
            }],
        }),
        services: vec![("default".to_owned(), "shop".to_owned())],
    }
}

fn balancer() -> Balancer {
    Balancer {
        raw: json!({ "LoadBalancerName": "shop", "LoadBalancerArn": "arn:lb", "Type": "application",
            "SecurityGroups": ["sg-lb"] }),
        listeners: vec![
            json!({ "ListenerArn": "arn:l80", "Protocol": "HTTP", "Port": "80",
                "DefaultActions": [{ "Type": "redirect", "RedirectConfig": { "Protocol": "HTTPS" } }] }),
            json!({ "ListenerArn": "arn:l443", "Protocol": "HTTPS", "Port": "443", "DefaultActions": [{ "Type": "forward" }] }),
        ],
        attributes: vec![
            (
                "routing.http.drop_invalid_header_fields.enabled".to_owned(),
                "true".to_owned(),
            ),
            ("routing.http.desync_mitigation_mode".to_owned(), "defensive".to_owned()),
        ],
        web_acl: Ok(Some(
            json!({ "Name": "shop", "Rules": [{ "Name": "sqli", "OverrideAction": { "None": {} } }] }),
        )),
        services: vec!["shop".to_owned()],
        certificates: vec![("arn:c/shop-01".to_owned(), Ok(1_000_000.0 + 60.0 * 86_400.0))],
        protocols: vec![("New".to_owned(), vec!["TLSv1.2".to_owned(), "TLSv1.3".to_owned()])],
    }
}

fn groups() -> Vec<Value> {
    let rule = |port: &str| json!({ "ipProtocol": "tcp", "fromPort": port, "toPort": port });
    let (mut web, mut app, mut https) = (rule("443"), rule("8080"), rule("443"));
    web["ipRanges"] = json!([{ "cidrIp": "0.0.0.0/0" }]);
    app["groups"] = json!([{ "groupId": "sg-lb" }]);
    https["ipRanges"] = json!([{ "cidrIp": "0.0.0.0/0" }]);
    vec![
        json!({ "groupId": "sg-lb", "groupName": "shop-lb", "ipPermissions": [web] }),
        json!({ "groupId": "sg-task", "groupName": "shop-task", "ipPermissions": [app], "ipPermissionsEgress": [https] }),
    ]
}

fn identity() -> Identity {
    Identity {
        credentials: vec![
            json!({ "user": "<root_account>", "access_key_1_active": "false", "access_key_2_active": "false" }),
            json!({ "user": "administrator", "password_enabled": "false", "access_key_1_active": "true",
                "access_key_1_last_rotated": "1970-01-10T00:00:00Z", "access_key_1_last_used_date": "N/A" }),
        ],
        roles: vec![json!({ "RoleName": "shop-task", "RolePolicyList": [], "AttachedManagedPolicies": [] })],
        ..Identity::default()
    }
}

fn machine() -> Machine {
    let room = |name: &str, mode, uid| Room {
        name: name.to_owned(),
        path: format!("/var/lib/honmaru/{name}").trim_end_matches('/').into(),
        mode,
        uid,
        is_socket: name.ends_with(".sock"),
    };
    let role = |name: &str, uid, port| Role {
        name: name.to_owned(),
        pid: 100,
        uid,
        cap_eff: 0,
        listens: vec![Listen {
            address: Ipv4Addr::LOCALHOST.into(),
            port,
        }],
        binary: "/var/lib/honmaru/bin/honmaru-01".to_owned(),
    };
    let kinds = ["ipc", "mnt", "net", "pid", "user", "uts"];
    let namespaces = |number: u32| -> BTreeMap<String, String> {
        kinds
            .iter()
            .map(|kind| ((*kind).to_owned(), format!("{kind}:[{number}]")))
            .collect()
    };
    let drops = ["fwd_receiver_hook", "fwd_sender_hook"].map(|name| (name.to_owned(), "drop".to_owned()));
    let probe = Probe {
        instance_metadata: Some("connection timed out".to_owned()),
        asked_for: "task 89abcdef".to_owned(),
        credentials: Ok(404),
    };
    Machine {
        probes: BTreeMap::from([(TASK.to_owned(), Ok(probe))]),
        containers: vec![container(namespaces(2))],
        namespaces: namespaces(1),
        modules: vec!["apparmor".to_owned()],
        rooms: vec![
            room("", 0o755, 0),
            room("control", 0o700, 70_001),
            room("control/blobs.key", 0o600, 70_001),
            room("control/credentials.json", 0o600, 70_001),
            room("node", 0o700, 0),
            room("up.sock", 0o666, 0),
        ],
        roles: vec![
            role("control", 70_001, 4_566),
            role("edge", 70_002, 8_080),
            role("node", 0, 53),
        ],
        firewall: Some(Ok(Firewall {
            table: "honmaru_012345".to_owned(),
            last_rules: drops.into_iter().collect(),
            ports: vec!["172.31.0.4".to_owned()],
        })),
    }
}

fn container(namespaces: BTreeMap<String, String>) -> Container {
    let set = |raw: &str| {
        Ok(Limit {
            raw: raw.to_owned(),
            is_set: true,
        })
    };
    Container {
        task_id: TASK.to_owned(),
        name: "shop".to_owned(),
        pid: 4_711,
        uid: 536_936_446,
        cap_eff: 0,
        cap_bnd: 0xa004_25fb,
        no_new_privs: Some(1),
        seccomp: Some(2),
        uid_map: vec![IdRange {
            inside: 0,
            outside: 536_870_912,
            count: 65_536,
        }],
        namespaces,
        confinement: Some("honmaru (enforce)".to_owned()),
        mounts: vec![Mount {
            point: "/".to_owned(),
            options: vec!["ro".to_owned()],
            ..Mount::default()
        }],
        host_files: vec![(
            "/etc/hosts".to_owned(),
            format!("/var/lib/honmaru/tasks/{TASK}/c/shop/hosts"),
        )],
        devices: Some(vec!["null".to_owned(), "zero".to_owned()]),
        ulimits: vec![Ulimit {
            name: "Max open files".to_owned(),
            hard: Some(65_535),
        }],
        cgroup: Some(CgroupLimits {
            memory: set("memory.max = 1"),
            cpu: set("cpu.max = 1 2"),
            pids: set("pids.max = 1"),
        }),
        variables: vec![Variable {
            name: "PATH".to_owned(),
            value: "/usr/bin:/bin".to_owned(),
        }],
    }
}

fn host() -> Host {
    Host {
        kernel: Ok(Kernel {
            running: "6.1.0-9-amd64".to_owned(),
            installed: vec!["6.1.0-9-amd64".to_owned()],
        }),
        reboot: None,
        unattended: Ok(Some(
            "20auto-upgrades: APT::Periodic::Unattended-Upgrade \"1\";".to_owned(),
        )),
        clock: Ok(Clock {
            is_synchronised: true,
            raw: "adjtimex: status 0x2001".to_owned(),
        }),
        disk: Ok(Disk {
            bytes: 100,
            bytes_free: 50,
            files: 100,
            files_free: 50,
            devices: Ok(vec!["dm-0 (CRYPT-LUKS2-x)".to_owned(), "vda".to_owned()]),
        }),
        memory: Ok(Memory {
            total_kib: 100,
            available_kib: 50,
        }),
    }
}

#[test]
fn nothing_of_the_sample_fails() {
    let facts = sample();
    for result in crate::check(&facts, None) {
        let word = result.finding.outcome.word();
        assert_ne!(word, "fail", "{} {:?}", result.control.id, result.finding);
        assert!(
            !result.finding.outcome.evidence().is_empty(),
            "{} without evidence",
            result.control.id
        );
    }
}

#[test]
fn one_app_alone() {
    let facts = edited(|facts| {
        let services = facts.services.as_mut().expect("seen");
        services.push(Service {
            name: "other".to_owned(),
            ..services[0].clone()
        });
        facts
            .groups
            .as_mut()
            .expect("seen")
            .push(json!({ "groupId": "sg-x", "groupName": "x" }));
        facts
            .log_groups
            .as_mut()
            .expect("seen")
            .push(json!({ "logGroupName": "/x" }));
    });
    assert!(facts.clone().of_app("nothing").is_none());
    let facts = facts.of_app("shop").expect("it is there");
    assert_eq!(facts.services.as_ref().map(Vec::len), Ok(1));
    assert_eq!(facts.groups.as_ref().map(Vec::len), Ok(2));
    assert_eq!(facts.log_groups.as_ref().map(Vec::len), Ok(1));
    assert_eq!(facts.repositories.as_ref().map(Vec::len), Ok(1));
    assert_eq!(facts.machine.as_ref().map(|machine| machine.containers.len()), Ok(1));
    let results = crate::check(&facts, Some("shop"));
    assert!(results.iter().all(|result| result.control.scope == crate::Scope::App));
    assert!(
        results.iter().all(|result| result.finding.outcome.word() != "fail"),
        "{results:?}"
    );
}
