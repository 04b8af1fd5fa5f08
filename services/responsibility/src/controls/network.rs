//! Who may talk to whom.

use crate::control::{Control, Finding, Outcome, Owner, Scope, Severity, act, each, fail, pass, run};
use crate::facts::{Definition, Facts, Service, last_part, list, text, texts};
use crate::layers::Layer;
use serde_json::Value;

pub const CONTROLS: &[Control] = &[
    Control {
        id: "N-01",
        title: "tasks are reached through their load balancer only",
        owner: Owner::You,
        severity: Severity::High,
        layer: Layer::Network,
        scope: Scope::App,
        refs: &["ECS.2", "CIS 5.8", "CIS 5.9"],
        check: behind_balancer,
    },
    Control {
        id: "N-02",
        title: "no security group opens all ports or those of administrators to everybody",
        owner: Owner::You,
        severity: Severity::High,
        layer: Layer::Network,
        scope: Scope::App,
        refs: &["EC2.13", "EC2.18", "EC2.19"],
        check: open_ports,
    },
    Control {
        id: "N-03",
        title: "the kernel drops what no security group allows",
        owner: Owner::Platform,
        severity: Severity::High,
        layer: Layer::Network,
        scope: Scope::Cloud,
        refs: &["CIS 2.2"],
        check: enforced,
    },
    Control {
        id: "N-11",
        title: "tasks cannot open connections to everywhere",
        owner: Owner::You,
        severity: Severity::Low,
        layer: Layer::Network,
        scope: Scope::App,
        refs: &[],
        check: egress,
    },
];

/// Ports that are for administrators and databases. Ref: Security Hub, EC2.19.
const SENSITIVE_PORTS: [u16; 20] = [
    20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3306, 3389, 4333, 5432, 5500, 5601, 6379, 9200, 27017,
];
/// A rule for more ports than that has nobody counted.
const PORTS_MANY: u32 = 1_000;
const EVERYWHERE: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// A rule that lets everybody in.
struct Open<'a> {
    protocol: &'a str,
    /// Nothing: all of them.
    ports: Option<(u32, u32)>,
    cidr: &'a str,
}

impl Open<'_> {
    fn words(&self) -> String {
        let what = match (self.protocol, self.ports) {
            ("-1", _) => "everything".to_owned(),
            (protocol, Some((from, to))) if from == to => format!("{protocol} {from}"),
            (protocol, Some((from, to))) => format!("{protocol} {from} to {to}"),
            (protocol, None) => format!("all of {protocol}"),
        };
        format!("{what} from {}", self.cidr)
    }

    /// As `--ip-permissions` takes it.
    fn permission(&self) -> String {
        let range = if self.cidr.contains(':') {
            format!("Ipv6Ranges=[{{CidrIpv6={}}}]", self.cidr)
        } else {
            format!("IpRanges=[{{CidrIp={}}}]", self.cidr)
        };
        match self.ports {
            Some((from, to)) => format!("IpProtocol={},FromPort={from},ToPort={to},{range}", self.protocol),
            None => format!("IpProtocol={},{range}", self.protocol),
        }
    }

    fn is_wide(&self) -> bool {
        let is_sensitive = |(from, to): (u32, u32)| {
            let mut ports = SENSITIVE_PORTS.iter();
            ports.any(|port| (from..=to).contains(&u32::from(*port)))
        };
        // The numbers of ICMP are types, not ports.
        let is_icmp = self.protocol.starts_with("icmp");
        self.is_of_many_ports() || !is_icmp && self.ports.is_some_and(is_sensitive)
    }

    fn is_of_many_ports(&self) -> bool {
        match self.ports {
            _ if self.protocol == "-1" => true,
            _ if self.protocol.starts_with("icmp") => false,
            None => true,
            Some((from, to)) => to.saturating_sub(from) >= PORTS_MANY,
        }
    }
}

fn open_rules<'a>(group: &'a Value, member: &str) -> Vec<Open<'a>> {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
    let mut found = Vec::new();
    for permission in list(group, member) {
        let ports = number(&permission["fromPort"]).zip(number(&permission["toPort"]));
        let four = list(permission, "ipRanges").map(|range| text(range, "cidrIp"));
        let six = list(permission, "ipv6Ranges").map(|range| text(range, "cidrIpv6"));
        for cidr in four.chain(six).filter(|cidr| EVERYWHERE.contains(cidr)) {
            found.push(Open {
                protocol: text(permission, "ipProtocol"),
                ports,
                cidr,
            });
        }
    }
    found
}

fn words(rules: &[Open<'_>]) -> String {
    rules.iter().map(Open::words).collect::<Vec<_>>().join("; ")
}

fn permissions(rules: &[Open<'_>]) -> String {
    let quoted: Vec<String> = rules.iter().map(|rule| format!("'{}'", rule.permission())).collect();
    quoted.join(" ")
}

fn revoke(group: &Value, rules: &[Open<'_>]) -> String {
    format!(
        "aws ec2 revoke-security-group-ingress --group-id {} --ip-permissions {}",
        text(group, "groupId"),
        permissions(rules)
    )
}

fn network(service: &Service) -> &Value {
    &service.raw["networkConfiguration"]["awsvpcConfiguration"]
}

/// The groups of a service's tasks, as far as they were described.
fn groups_of<'a>(service: &Service, groups: &'a [Value]) -> Vec<&'a Value> {
    let ids = texts(&network(service)["securityGroups"]);
    groups
        .iter()
        .filter(|group| ids.iter().any(|id| id == text(group, "groupId")))
        .collect()
}

fn behind_balancer(facts: &Facts) -> Vec<Finding> {
    let groups = match &facts.groups {
        Err(reason) => return Finding::unseen(reason),
        Ok(groups) => groups,
    };
    each(&facts.services, "there is no service", |service| {
        let groups = groups_of(service, groups);
        if groups.is_empty() {
            let reason = "the security groups of its tasks were not described".to_owned();
            return Finding::new(&service.name, Outcome::NotAssessed(reason));
        }
        let (mut open, mut commands) = (Vec::new(), Vec::new());
        for group in &groups {
            let rules = open_rules(group, "ipPermissions");
            if !rules.is_empty() {
                open.push(format!("`{}` lets in {}", text(group, "groupName"), words(&rules)));
                commands.push(revoke(group, &rules));
            }
        }
        let names: Vec<&str> = groups.iter().map(|group| text(group, "groupName")).collect();
        let outcome = if open.is_empty() {
            pass(format!("no rule of {} is for 0.0.0.0/0", names.join(", ")))
        } else {
            fail(
                open.join("; "),
                run(
                    "let only the load balancer's group in: past it there is no request firewall",
                    commands.join(" && "),
                ),
            )
        };
        Finding::new(&service.name, outcome)
    })
}

fn open_ports(facts: &Facts) -> Vec<Finding> {
    let used = facts.groups_used.as_ref().ok();
    let groups = facts.groups.as_ref().map_err(Clone::clone).map(|groups| {
        let is_used = |group: &&Value| used.is_none_or(|used| used.iter().any(|id| id == text(group, "groupId")));
        groups.iter().filter(is_used).cloned().collect::<Vec<Value>>()
    });
    each(&groups, "no interface has a security group", |group| {
        let rules = open_rules(group, "ipPermissions");
        let wide: Vec<Open<'_>> = rules.into_iter().filter(Open::is_wide).collect();
        let count = list(group, "ipPermissions").count();
        let outcome = if wide.is_empty() {
            pass(format!("none of its {count} rules for incoming packets does"))
        } else {
            fail(
                words(&wide),
                run("close it, and open the ports that are needed", revoke(group, &wide)),
            )
        };
        Finding::new(text(group, "groupName"), outcome)
    })
}

fn enforced(facts: &Facts) -> Vec<Finding> {
    let firewall = match facts.machine.as_ref().map(|machine| &machine.firewall) {
        Err(reason) => return Finding::unseen(reason),
        Ok(None) => return Finding::unseen("the kernel's packet filter was not looked at"),
        Ok(Some(Err(reason))) => return Finding::unseen(reason),
        Ok(Some(Ok(firewall))) => firewall,
    };
    let loose: Vec<&str> = firewall
        .last_rules
        .iter()
        .filter(|(_, rule)| rule.as_str() != "drop")
        .map(|(chain, _)| chain.as_str())
        .collect();
    // Tasks whose processes were seen: one that ended since the API named it is not missed.
    let was_seen = |task: &&Value| {
        let id = last_part(text(task, "taskArn"));
        let mut containers = facts.machine.iter().flat_map(|machine| &machine.containers);
        containers.any(|container| container.task_id == id)
    };
    let addresses: Vec<&str> = facts
        .tasks
        .iter()
        .flatten()
        .filter(was_seen)
        .flat_map(|task| list(task, "attachments"))
        .flat_map(|attachment| list(attachment, "details"))
        .filter(|detail| text(detail, "name") == "privateIPv4Address")
        .map(|detail| text(detail, "value"))
        .collect();
    let unknown: Vec<&str> = addresses
        .iter()
        .copied()
        .filter(|address| !firewall.ports.iter().any(|port| port == address))
        .collect();
    let table = &firewall.table;
    let chains: Vec<&str> = firewall.last_rules.keys().map(String::as_str).collect();
    let defect = || act("report this: it is a defect of Honmaru");
    let outcome = if chains.is_empty() {
        fail(format!("table inet {table} has no chain that drops"), defect())
    } else if !loose.is_empty() {
        fail(
            format!("table inet {table}: {} do not end with `drop`", loose.join(", ")),
            defect(),
        )
    } else if !unknown.is_empty() {
        fail(
            format!("table inet {table} does not know {}", unknown.join(", ")),
            defect(),
        )
    } else {
        pass(format!(
            "table inet {table}: {} end with `drop`; the addresses of {} tasks are bound to their interfaces",
            chains.join(", "),
            addresses.len()
        ))
    };
    vec![Finding::new("packet filter", outcome)]
}

fn egress(facts: &Facts) -> Vec<Finding> {
    let groups = match &facts.groups {
        Err(reason) => return Finding::unseen(reason),
        Ok(groups) => groups,
    };
    each(&facts.services, "there is no service", |service| {
        if text(network(service), "assignPublicIp") != "ENABLED" {
            return Finding::new(
                &service.name,
                pass("assignPublicIp is not ENABLED: there is no way out"),
            );
        }
        let groups = groups_of(service, groups);
        if groups.is_empty() {
            let reason = "the security groups of its tasks were not described".to_owned();
            return Finding::new(&service.name, Outcome::NotAssessed(reason));
        }
        let wide: Vec<(&Value, Vec<Open<'_>>)> = groups
            .iter()
            .map(|group| {
                let rules = open_rules(group, "ipPermissionsEgress");
                (*group, rules.into_iter().filter(Open::is_of_many_ports).collect())
            })
            .filter(|(_, rules): &(_, Vec<_>)| !rules.is_empty())
            .collect();
        let outcome = match wide.as_slice() {
            [] => pass("assignPublicIp: ENABLED, and no rule for outgoing packets is for everywhere and everything"),
            wide => {
                let names: Vec<&str> = wide.iter().map(|(group, _)| text(group, "groupName")).collect();
                let commands: Vec<String> = wide
                    .iter()
                    .map(|(group, rules)| {
                        format!(
                            "aws ec2 revoke-security-group-egress --group-id {} --ip-permissions {}",
                            text(group, "groupId"),
                            permissions(rules)
                        )
                    })
                    .collect();
                let deployed = facts
                    .definition_of_service(service)
                    .is_some_and(Definition::is_deployed);
                let fix = if deployed {
                    run(
                        "say what the app calls, with `--egress` or with `egress` in `honmaru.toml`: nothing (`none`), \
                         HTTPS alone (`0.0.0.0/0:443`), or networks",
                        format!(
                            "honmaru deploy DIR --name {} --egress none{}",
                            service.name, facts.flags
                        ),
                    )
                } else {
                    run(
                        "if the app calls nobody, close the way out; else allow what it calls",
                        commands.join(" && "),
                    )
                };
                fail(
                    format!(
                        "assignPublicIp: ENABLED, and everything may go everywhere by {}",
                        names.join(", ")
                    ),
                    fix,
                )
            }
        };
        Finding::new(&service.name, outcome)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{edited, fix_of, status_of};
    use serde_json::json;

    fn with_rule(rule: Value) -> Facts {
        edited(|facts| facts.groups.as_mut().expect("seen")[1]["ipPermissions"] = json!([rule]))
    }

    fn everybody(from: &str, to: &str) -> Value {
        json!({ "ipProtocol": "tcp", "fromPort": from, "toPort": to, "ipRanges": [{ "cidrIp": "0.0.0.0/0" }] })
    }

    #[test]
    fn groups_that_let_everybody_in() {
        let good = edited(|_| {});
        assert_eq!(status_of(&good, "N-01", "shop"), "pass");
        assert_eq!(status_of(&good, "N-02", "shop-task"), "pass");
        assert_eq!(status_of(&good, "N-02", "shop-lb"), "pass");
        for (rule, n01, n02) in [
            (everybody("8080", "8080"), "fail", "pass"),
            (everybody("22", "22"), "fail", "fail"),
            (everybody("5000", "5500"), "fail", "fail"),
            (everybody("0", "65535"), "fail", "fail"),
            (
                json!({ "ipProtocol": "-1", "ipRanges": [{ "cidrIp": "0.0.0.0/0" }] }),
                "fail",
                "fail",
            ),
            (
                json!({ "ipProtocol": "-1", "ipRanges": [{ "cidrIp": "10.0.0.0/8" }] }),
                "pass",
                "pass",
            ),
            (
                json!({ "ipProtocol": "icmp", "fromPort": "8", "toPort": "-1", "ipRanges": [{ "cidrIp": "0.0.0.0/0" }] }),
                "fail",
                "pass",
            ),
        ] {
            let facts = with_rule(rule.clone());
            assert_eq!(status_of(&facts, "N-01", "shop"), n01, "{rule}");
            assert_eq!(status_of(&facts, "N-02", "shop-task"), n02, "{rule}");
        }
        let all = with_rule(json!({ "ipProtocol": "-1", "ipRanges": [{ "cidrIp": "0.0.0.0/0" }] }));
        assert_eq!(
            fix_of(&all, "N-02", "shop-task").command.expect("a command"),
            "aws ec2 revoke-security-group-ingress --group-id sg-task --ip-permissions \
             'IpProtocol=-1,IpRanges=[{CidrIp=0.0.0.0/0}]'"
        );
    }

    #[test]
    fn groups_that_nobody_has_do_not_count() {
        let unused = edited(|facts| {
            facts.groups.as_mut().expect("seen")[1]["ipPermissions"] = json!([everybody("22", "22")]);
            facts.groups_used = Ok(vec!["sg-lb".to_owned()]);
        });
        let found = crate::check(&unused, None);
        assert!(
            !found
                .iter()
                .any(|r| r.control.id == "N-02" && r.finding.subject == "shop-task")
        );
    }

    #[test]
    fn the_kernels_table() {
        assert_eq!(status_of(&edited(|_| {}), "N-03", "packet filter"), "pass");
        let change = |change: fn(&mut honmaru_inspect::Firewall)| {
            edited(|facts| {
                let firewall = facts.machine.as_mut().expect("seen").firewall.as_mut();
                change(firewall.expect("looked").as_mut().expect("seen"));
            })
        };
        let loose = change(|firewall| {
            firewall
                .last_rules
                .insert("fwd_sender_hook".to_owned(), "accept".to_owned());
        });
        assert_eq!(status_of(&loose, "N-03", "packet filter"), "fail");
        assert_eq!(
            status_of(&change(|f| f.last_rules.clear()), "N-03", "packet filter"),
            "fail"
        );
        assert_eq!(status_of(&change(|f| f.ports.clear()), "N-03", "packet filter"), "fail");
        let ended = edited(|facts| {
            let machine = facts.machine.as_mut().expect("seen");
            machine.containers.clear();
            let firewall = machine.firewall.as_mut().expect("looked").as_mut().expect("seen");
            firewall.ports.clear();
        });
        assert_eq!(status_of(&ended, "N-03", "packet filter"), "pass");
        let unseen = edited(|facts| facts.machine.as_mut().expect("seen").firewall = Some(Err("no nft".to_owned())));
        assert_eq!(status_of(&unseen, "N-03", "-"), "not-assessed");
    }

    #[test]
    fn the_way_out() {
        assert_eq!(status_of(&edited(|_| {}), "N-11", "shop"), "pass");
        let open = edited(|facts| {
            facts.groups.as_mut().expect("seen")[1]["ipPermissionsEgress"] =
                json!([{ "ipProtocol": "-1", "ipRanges": [{ "cidrIp": "0.0.0.0/0" }] }]);
        });
        assert_eq!(status_of(&open, "N-11", "shop"), "fail");
        assert_eq!(
            fix_of(&open, "N-11", "shop").command.expect("a command"),
            "aws ec2 revoke-security-group-egress --group-id sg-task --ip-permissions \
             'IpProtocol=-1,IpRanges=[{CidrIp=0.0.0.0/0}]'"
        );
        let mut deployed = open.clone();
        deployed.definitions.as_mut().expect("seen")[0].raw["executionRoleArn"] =
            json!("arn:aws:iam::000000000000:role/honmaru-shop-execution");
        assert_eq!(
            fix_of(&deployed, "N-11", "shop").command.expect("a command"),
            "honmaru deploy DIR --name shop --egress none"
        );
        for port in ["443", "5432"] {
            let one = edited(|facts| {
                facts.groups.as_mut().expect("seen")[1]["ipPermissionsEgress"] = json!([everybody(port, port)]);
            });
            assert_eq!(status_of(&one, "N-11", "shop"), "pass", "{port}");
        }
        let closed = edited(|facts| {
            facts.groups.as_mut().expect("seen")[1]["ipPermissionsEgress"] =
                json!([{ "ipProtocol": "-1", "ipRanges": [{ "cidrIp": "0.0.0.0/0" }] }]);
            facts.services.as_mut().expect("seen")[0].raw["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] =
                json!("DISABLED");
        });
        assert_eq!(status_of(&closed, "N-11", "shop"), "pass");
    }
}
