//! The sentences. Pure: the same facts give the same text.

use super::Facts;
use crate::cli::certificate::{day, end_words};
use crate::cli::observed::{Target, Task, last_part};
use crate::cli::ps;
use crate::cli::rollout::task_state;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Events that are told, the newest.
const EVENTS_SHOWN_MAX: usize = 6;
/// Stopped tasks that are told, the newest.
const STOPPED_SHOWN_MAX: usize = 3;

/// The whole explanation.
pub fn tell(facts: &Facts) -> String {
    let mut out = String::new();
    paragraph(&mut out, None, &state(facts));
    paragraph(&mut out, Some("how a request gets there"), &way(facts));
    paragraph(&mut out, Some("tasks"), &tasks(facts));
    paragraph(&mut out, Some("who may talk to whom"), &groups(facts));
    paragraph(&mut out, Some("what happened"), &history(facts));
    paragraph(&mut out, Some("what the platform secures"), &secured(facts));
    paragraph(&mut out, Some("what remains yours"), &yours(facts));
    out
}

fn paragraph(out: &mut String, heading: Option<&str>, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    if let Some(heading) = heading {
        let _ = writeln!(out, "\n{heading}");
    }
    for line in lines {
        let _ = writeln!(out, "{}{line}", if heading.is_some() { "  " } else { "" });
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn state(facts: &Facts) -> Vec<String> {
    let service = &facts.service;
    let mut lines = vec![format!(
        "`{}` is {}: {} of {} tasks run",
        facts.name,
        ps::status(service),
        service.running,
        service.desired
    )];
    for deployment in &service.deployments {
        let version = last_part(&deployment.task_definition);
        let since = ps::age(facts.now_s - deployment.created_at);
        let failed = match deployment.failed {
            0 => String::new(),
            failed => format!(", {} failed", counted(failed as usize, "task")),
        };
        lines.push(match deployment.rollout_state.as_str() {
            "COMPLETED" => format!("version {version} serves, deployed {since} ago"),
            "IN_PROGRESS" if deployment.status == "PRIMARY" => format!(
                "version {version} is being rolled out since {since}: {} of {} tasks run{failed}",
                deployment.running, deployment.desired
            ),
            "FAILED" => format!(
                "version {version} was given up after {since}{failed}: {}",
                deployment.rollout_state_reason
            ),
            _ => format!(
                "version {version} is being replaced: {} of its tasks still run",
                deployment.running
            ),
        });
    }
    lines
}

fn way(facts: &Facts) -> Vec<String> {
    let Some(balancer) = &facts.balancer else {
        return vec![
            "no load balancer has its name: whoever may reach a task's address talks to it directly".to_owned(),
        ];
    };
    let mut lines = Vec::new();
    let ports: Vec<String> = facts
        .listeners
        .iter()
        .map(|listener| format!("{} {}", text(listener, "Protocol"), text(listener, "Port")))
        .collect();
    let zones = balancer["AvailabilityZones"].as_array().map_or(0, Vec::len);
    if let Some(url) = &facts.url {
        lines.push(format!(
            "1. {url} leads to the load balancer `{}`",
            text(balancer, "LoadBalancerName")
        ));
    } else {
        lines.push(format!("1. {} is the load balancer's name", text(balancer, "DNSName")));
    }
    lines.push(match ports.as_slice() {
        [] => "   it has no listener: nothing is answered".to_owned(),
        ports => format!("   it listens on {} in {}", ports.join(" and "), counted(zones, "zone")),
    });
    if let Some(served) = &facts.secure {
        if let Some(entry) = &served.at_entry {
            let once = entry
                .address()
                .map(|address| format!(", once the name leads to {address}"));
            lines.push(format!(
                "   {} leads there over TLS{}",
                entry.url(),
                once.unwrap_or_default()
            ));
        }
        if served.redirects {
            lines.push("   who comes over HTTP is led to HTTPS".to_owned());
        }
        lines.push(format!(
            "   {} leads there, too, once the name leads to {}",
            served.url(),
            served.address
        ));
        lines.push(format!(
            "   its certificate is for {} and {}",
            served.facts.names.join(", "),
            end_words(served.facts.ends_ms, (facts.now_s * 1_000.0) as i64)
        ));
    }
    lines.push(match &facts.web_acl {
        None => "2. no web ACL is in front of it: every request passes unseen".to_owned(),
        Some(acl) => {
            let default = if acl["DefaultAction"]["Block"].is_object() {
                "blocked"
            } else {
                "let through"
            };
            let rules = acl["Rules"].as_array().map_or(0, Vec::len);
            format!(
                "2. the web ACL `{}` looks at every request with {}; what no rule matches is {default}",
                text(acl, "Name"),
                counted(rules, "rule")
            )
        }
    });
    for rule in facts.web_acl.iter().flat_map(|acl| list(acl, "Rules")) {
        lines.push(format!("   {}", rule_words(rule)));
    }
    if let (Some(group), Some((_, port))) = (&facts.target_group, &facts.service.target) {
        let healthy = facts.targets.iter().filter(|target| target.state == "healthy").count();
        lines.push(format!(
            "3. it goes to port {port} of one of {}",
            counted(healthy, "healthy task")
        ));
        lines.push(format!(
            "   a task is healthy when `GET {}` answers {} {} times in a row, every {} s",
            text(group, "HealthCheckPath"),
            text(&group["Matcher"], "HttpCode"),
            text(group, "HealthyThresholdCount"),
            text(group, "HealthCheckIntervalSeconds"),
        ));
    }
    lines
}

fn rule_words(rule: &Value) -> String {
    let managed = &rule["Statement"]["ManagedRuleGroupStatement"];
    let counts: Vec<&str> = list(managed, "RuleActionOverrides")
        .filter(|over| over["ActionToUse"]["Count"].is_object())
        .filter_map(|over| over["Name"].as_str())
        .collect();
    let action = ["Block", "Allow", "Count", "Captcha", "Challenge"]
        .into_iter()
        .find(|action| rule["Action"][action].is_object());
    let does = match action {
        Some(action) => format!(" ({})", action.to_lowercase()),
        None if rule["OverrideAction"]["Count"].is_object() => " (counts only)".to_owned(),
        None => String::new(),
    };
    let but = if counts.is_empty() {
        String::new()
    } else {
        format!(", but only counts {}", counts.join(", "))
    };
    format!("- {}{does}{but}", text(rule, "Name"))
}

fn tasks(facts: &Facts) -> Vec<String> {
    let target = |task: &Task| -> Option<&Target> {
        facts
            .targets
            .iter()
            .find(|target| Some(&target.address) == task.address.as_ref())
    };
    let mut lines = Vec::new();
    let definition = &facts.definition;
    if definition.is_object() {
        lines.push(format!(
            "each has {} CPU units (1024 are one core) and {} MiB, and an address of its own",
            text(definition, "cpu"),
            text(definition, "memory")
        ));
        lines.extend(list(definition, "containerDefinitions").filter_map(writable_words));
    }
    for task in facts.tasks.iter().filter(|task| task.last_status != "STOPPED") {
        let address = task.address.as_deref().unwrap_or("no address yet");
        lines.push(format!(
            "{}  {}  {address}  {}",
            task.short(),
            task.task_definition,
            task_state(task, target(task))
        ));
    }
    let stopped: Vec<&Task> = facts
        .tasks
        .iter()
        .filter(|task| task.last_status == "STOPPED")
        .collect();
    for task in stopped.iter().rev().take(STOPPED_SHOWN_MAX) {
        let since = task
            .stopped_at
            .map(|at| format!(" {} ago", ps::age(facts.now_s - at)))
            .unwrap_or_default();
        let reason = task
            .container_reason
            .as_ref()
            .filter(|reason| !reason.contains("OutOfMemory"))
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        lines.push(format!(
            "{}  {}  {}{reason}{since}",
            task.short(),
            task.task_definition,
            task_state(task, None)
        ));
    }
    lines
}

fn groups(facts: &Facts) -> Vec<String> {
    let mut lines = Vec::new();
    let name_of = |id: &str| {
        let all = facts.balancer_groups.iter().chain(&facts.task_groups);
        let known = all.into_iter().find(|group| text(group, "groupId") == id);
        known.map_or(id.to_owned(), |group| text(group, "groupName").to_owned())
    };
    for (whose, groups) in [("load balancer", &facts.balancer_groups), ("tasks", &facts.task_groups)] {
        for group in groups {
            let rules: Vec<String> = list(group, "ipPermissions")
                .flat_map(|permission| permission_words(permission, "from", &name_of))
                .collect();
            let rules = if rules.is_empty() {
                "nothing".to_owned()
            } else {
                rules.join("; ")
            };
            lines.push(format!("`{}` ({whose}) lets in {rules}", text(group, "groupName")));
        }
    }
    let network = &facts.service.raw["networkConfiguration"]["awsvpcConfiguration"];
    if network.is_object() {
        lines.push(way_out(facts, text(network, "assignPublicIp") == "ENABLED", &name_of));
    }
    lines
}

/// Where a container whose root is read-only may write.
fn writable_words(container: &Value) -> Option<String> {
    if container["readonlyRootFilesystem"] != true {
        return None;
    }
    let of_memory = list(&container["linuxParameters"], "tmpfs").map(|mount| text(mount, "containerPath"));
    let of_volumes = list(container, "mountPoints")
        .filter(|mount| mount["readOnly"] != true)
        .map(|mount| text(mount, "containerPath"));
    let paths: Vec<&str> = of_memory.chain(of_volumes).collect();
    let apart = match paths.as_slice() {
        [] => String::new(),
        paths => format!(", apart from {}", paths.join(", ")),
    };
    Some(format!(
        "the root file system of `{}` is read-only{apart}",
        text(container, "name")
    ))
}

/// Where the tasks may open connections to.
fn way_out(facts: &Facts, has_internet: bool, name_of: &dyn Fn(&str) -> String) -> String {
    let egress = facts.task_groups.iter().map(|group| list(group, "ipPermissionsEgress"));
    let ways: Vec<String> = egress
        .flatten()
        .flat_map(|permission| permission_words(permission, "to", name_of))
        .collect();
    // Groups that were not described are open, as they are made.
    let is_open = facts.task_groups.is_empty() || ways.iter().any(|way| way == "everything to everywhere");
    match (is_open, has_internet) {
        (true, true) => {
            "the tasks may open connections to the internet; nobody can open one to them from there".to_owned()
        }
        (true, false) => "the tasks have no way out to the internet".to_owned(),
        (false, _) if ways.is_empty() => "the tasks may open connections to nobody".to_owned(),
        (false, _) => format!("the tasks may open connections to these alone: {}", ways.join("; ")),
    }
}

fn permission_words(permission: &Value, preposition: &str, name_of: &dyn Fn(&str) -> String) -> Vec<String> {
    let (from, to) = (text(permission, "fromPort"), text(permission, "toPort"));
    let what = match (text(permission, "ipProtocol"), from == to) {
        ("-1", _) => "everything".to_owned(),
        (protocol, true) => format!("{protocol} {from}"),
        (protocol, false) => format!("{protocol} {from} to {to}"),
    };
    let ranges = list(permission, "ipRanges").map(|range| match text(range, "cidrIp") {
        "0.0.0.0/0" => "everywhere".to_owned(),
        cidr => cidr.to_owned(),
    });
    let groups = list(permission, "groups").map(|group| format!("`{}`", name_of(text(group, "groupId"))));
    ranges
        .chain(groups)
        .map(|other| format!("{what} {preposition} {other}"))
        .collect()
}

fn history(facts: &Facts) -> Vec<String> {
    let mut lines = Vec::new();
    for deployment in &facts.deployments {
        let words = match deployment.status.as_str() {
            "SUCCESSFUL" => "was rolled out",
            "IN_PROGRESS" | "PENDING" => "is being rolled out",
            "ROLLBACK_SUCCESSFUL" => "failed and was taken back",
            "ROLLBACK_IN_PROGRESS" => "failed and is being taken back",
            "STOPPED" => "was stopped",
            other => other,
        };
        let reason = if deployment.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", deployment.reason)
        };
        lines.push(format!(
            "{} ago  version {} {words}{reason}",
            ps::age(facts.now_s - deployment.at_s),
            deployment.version
        ));
    }
    let prefix = format!("(service {}) ", facts.name);
    let mut told = BTreeSet::new();
    for event in facts
        .service
        .events
        .iter()
        .filter(|event| told.insert(event.message.clone()))
        .take(EVENTS_SHOWN_MAX)
    {
        let message = event.message.strip_prefix(&prefix).unwrap_or(&event.message);
        lines.push(format!(
            "{} ago  {}",
            ps::age(facts.now_s - event.at),
            short_names(message)
        ));
    }
    lines
}

/// ARNs as the name that people gave; the rest of them is the same for all.
fn short_names(message: &str) -> String {
    let short = |word: &str| {
        let end = word.trim_start_matches('(').trim_end_matches([')', '.', ',']);
        let name = end.strip_prefix("arn:").and_then(|arn| arn.split('/').nth(1));
        name.map_or(word.to_owned(), |name| word.replace(end, name))
    };
    message.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

fn secured(facts: &Facts) -> Vec<String> {
    let role = last_part(text(&facts.definition, "taskRoleArn")).to_owned();
    let mut lines = vec![
        "each container has its own process, file, user and network namespaces, a system call filter, and few capabilities"
            .to_owned(),
        "each task is held to its CPU and memory; one that uses more memory is ended, not its neighbours".to_owned(),
        "packets that no security group allows are dropped; every API call is signed and checked against IAM".to_owned(),
    ];
    if !role.is_empty() {
        lines.push(format!(
            "the app itself may do what its role `{role}` allows, and nothing else"
        ));
    }
    let image = text(&facts.definition["containerDefinitions"][0], "image");
    if let Some((_, digest)) = image.split_once('@') {
        lines.push(format!(
            "every task of this version runs the same image, {}",
            digest.get(..19).unwrap_or(digest)
        ));
    }
    lines
}

fn yours(facts: &Facts) -> Vec<String> {
    let mut lines = vec![
        "tasks share the kernel of the machine that they run on: a hole in it is a way out of a container, so keep it \
         updated and do not run strangers' code here"
            .to_owned(),
        "the app, what it is built from, and who may log in to it".to_owned(),
    ];
    let environment = &facts.definition["containerDefinitions"][0]["environment"];
    if environment
        .as_array()
        .is_some_and(|variables| variables.iter().any(|v| text(v, "name") != "PORT"))
    {
        lines.push("its variables: whoever may describe the task definition can read them".to_owned());
    }
    let is_plain = !facts.listeners.is_empty() && facts.listeners.iter().all(|l| text(l, "Protocol") == "HTTP");
    if let Some(served) = &facts.secure {
        lines.push(format!(
            "a renewed certificate before {}, with `honmaru deploy`",
            day(served.facts.ends_ms)
        ));
    }
    if is_plain {
        lines.push("encryption on the way: its listener speaks plain HTTP".to_owned());
    }
    if facts.web_acl.is_none() && facts.balancer.is_some() {
        lines.push("what requests contain: no web ACL looks at them".to_owned());
    }
    lines.push("backups of the state directory".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::certificate;
    use crate::cli::deploy::Served;
    use crate::cli::explain::Deployed;
    use crate::cli::observed::{Deployment, Event, Service};
    use crate::cli::secure_entry::AtEntry;
    use serde_json::json;

    fn facts() -> Facts {
        let task = |id: &str, last_status: &str| Task {
            id: format!("{id}23456789abcdef"),
            started_by: "new".to_owned(),
            last_status: last_status.to_owned(),
            desired_status: if last_status == "STOPPED" { "STOPPED" } else { "RUNNING" }.to_owned(),
            address: Some(format!("172.31.0.{id}")),
            task_definition: "hello:2".to_owned(),
            ..Task::default()
        };
        let stopped = Task {
            stopped_reason: Some("Essential container in task exited".to_owned()),
            container_reason: Some("OutOfMemoryError: Container killed due to memory usage".to_owned()),
            exit_code: Some(137),
            stopped_at: Some(900.0),
            ..task("3", "STOPPED")
        };
        let rule = |port: &str, member: &str, sources: Value| {
            let mut rule = json!({ "ipProtocol": "tcp", "fromPort": port, "toPort": port });
            rule[member] = sources;
            rule
        };
        Facts {
            name: "hello".to_owned(),
            url: Some("http://hello.localhost:8080".to_owned()),
            service: Service {
                name: "hello".to_owned(),
                status: "ACTIVE".to_owned(),
                desired: 2,
                running: 2,
                deployments: vec![Deployment {
                    id: "new".to_owned(),
                    status: "PRIMARY".to_owned(),
                    task_definition: "arn:aws:ecs:us-east-1:000000000000:task-definition/hello:2".to_owned(),
                    rollout_state: "COMPLETED".to_owned(),
                    created_at: 700.0,
                    ..Deployment::default()
                }],
                events: vec![Event {
                    at: 940.0,
                    message: "(service hello) has reached a steady state.".to_owned(),
                }],
                target: Some(("tg".to_owned(), 8080)),
                raw: json!({ "networkConfiguration": { "awsvpcConfiguration": { "assignPublicIp": "ENABLED" } } }),
                ..Service::default()
            },
            tasks: vec![task("1", "RUNNING"), task("2", "RUNNING"), stopped],
            targets: ["1", "2"]
                .map(|id| Target {
                    address: format!("172.31.0.{id}"),
                    port: 8080,
                    state: "healthy".to_owned(),
                    ..Target::default()
                })
                .into(),
            deployments: vec![
                Deployed {
                    version: "hello:3".to_owned(),
                    status: "ROLLBACK_SUCCESSFUL".to_owned(),
                    reason: "ECS deployment circuit breaker: tasks failed to start.".to_owned(),
                    at_s: 880.0,
                },
                Deployed {
                    version: "hello:2".to_owned(),
                    status: "SUCCESSFUL".to_owned(),
                    reason: String::new(),
                    at_s: 700.0,
                },
            ],
            definition: json!({
                "cpu": "256", "memory": "512", "taskRoleArn": "arn:aws:iam::000000000000:role/honmaru-hello-task",
                "containerDefinitions": [{
                    "image": "000000000000.dkr.ecr.us-east-1.localhost:4566/hello@sha256:0123456789abcdef0123",
                    "environment": [{ "name": "PORT", "value": "8080" }, { "name": "GREETING", "value": "Ciao" }],
                }],
            }),
            balancer: Some(json!({ "LoadBalancerName": "hello", "AvailabilityZones": [1, 2, 3] })),
            listeners: vec![json!({ "Protocol": "HTTP", "Port": "80" })],
            secure: None,
            target_group: Some(json!({
                "HealthCheckPath": "/health", "Matcher": { "HttpCode": "200" }, "HealthyThresholdCount": "2",
                "HealthCheckIntervalSeconds": "5",
            })),
            web_acl: Some(json!({
                "Name": "hello", "DefaultAction": { "Allow": {} },
                "Rules": [
                    { "Name": "AWSManagedRulesKnownBadInputsRuleSet", "OverrideAction": { "None": {} },
                      "Statement": { "ManagedRuleGroupStatement": { "RuleActionOverrides": [
                          { "Name": "Host_localhost_HEADER", "ActionToUse": { "Count": {} } } ] } } },
                    { "Name": "mine", "Action": { "Block": {} }, "Statement": {} },
                ],
            })),
            balancer_groups: vec![json!({
                "groupId": "sg-lb", "groupName": "hello-lb",
                "ipPermissions": [rule("80", "ipRanges", json!([{ "cidrIp": "0.0.0.0/0" }]))],
            })],
            task_groups: vec![json!({
                "groupId": "sg-task", "groupName": "hello-task",
                "ipPermissions": [rule("8080", "groups", json!([{ "groupId": "sg-lb" }]))],
                "ipPermissionsEgress": [{ "ipProtocol": "-1", "ipRanges": [{ "cidrIp": "0.0.0.0/0" }] }],
            })],
            now_s: 1_000.0,
        }
    }

    #[test]
    fn a_service_in_sentences() {
        crate::cli::golden::check("explain.txt", &tell(&facts()));
    }

    #[test]
    fn walls_are_told() {
        let mut walled = facts();
        walled.definition["containerDefinitions"] = json!([
            { "name": "hello", "readonlyRootFilesystem": true,
              "linuxParameters": { "tmpfs": [{ "containerPath": "/tmp" }, { "containerPath": "/data" }] } },
            { "name": "beside", "readonlyRootFilesystem": true },
        ]);
        let said = |rules: Value| {
            let mut facts = walled.clone();
            facts.task_groups[0]["ipPermissionsEgress"] = rules;
            tell(&facts)
        };
        let nobody = said(json!(""));
        for wanted in [
            "the root file system of `hello` is read-only, apart from /tmp, /data\n",
            "the root file system of `beside` is read-only\n",
            "the tasks may open connections to nobody\n",
        ] {
            assert!(nobody.contains(wanted), "no `{wanted}`: {nobody}");
        }
        let some = said(json!([
            { "ipProtocol": "tcp", "fromPort": "443", "toPort": "443", "ipRanges": [{ "cidrIp": "0.0.0.0/0" }] },
            { "ipProtocol": "-1", "ipRanges": [{ "cidrIp": "10.0.0.0/8" }] },
        ]));
        let wanted = "to these alone: tcp 443 to everywhere; everything to 10.0.0.0/8\n";
        assert!(some.contains(wanted), "{some}");
    }

    #[test]
    fn https_is_told() {
        let secure = Facts {
            secure: Some(Served {
                leaf: Vec::new().into(),
                facts: certificate::Facts {
                    names: vec!["hello.example.com".to_owned(), "*.hello.example.com".to_owned()],
                    is_listed: true,
                    issuer: "Test".to_owned(),
                    is_own_issuer: false,
                    begins_ms: 0,
                    ends_ms: 10 * 24 * 60 * 60 * 1_000,
                },
                arn: "arn:aws:iam::000000000000:server-certificate/honmaru/hello/hello-01".to_owned(),
                address: std::net::Ipv4Addr::new(172, 31, 0, 4),
                port: 8443,
                at_entry: Some(AtEntry {
                    host: "hello.example.com".to_owned(),
                    server: ([127, 0, 0, 1], 9443).into(),
                }),
                redirects: true,
            }),
            listeners: vec![
                json!({ "Protocol": "HTTP", "Port": "80" }),
                json!({ "Protocol": "HTTPS", "Port": "8443" }),
            ],
            ..facts()
        };
        crate::cli::golden::check("explain_https.txt", &tell(&secure));
    }

    #[test]
    fn what_is_missing_is_said() {
        let bare = Facts {
            balancer: None,
            web_acl: None,
            listeners: Vec::new(),
            target_group: None,
            targets: Vec::new(),
            ..facts()
        };
        crate::cli::golden::check("explain_without_a_load_balancer.txt", &tell(&bare));
    }
}
