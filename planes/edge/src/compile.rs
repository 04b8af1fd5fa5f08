//! From the contract's configuration to a [`Plan`]. Numbers, firewalls and targets of the plan before are taken over.

use crate::condition::Condition;
use crate::counters::{GroupNumbers, LoadBalancerNumbers};
use crate::firewall::Wall;
use crate::group::{Algorithm, Group, GroupParts, Health, Reason, Stickiness, Target, TargetKey, Version};
use crate::plan::{Action, Balancer, ForwardedMode, Listener, Named, Plan, Protocol, Redirect, Rule, Settings};
use crate::tls;
use bytes::Bytes;
use honmaru_base::chain;
use honmaru_contract::edge;
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

type Attributes = BTreeMap<String, String>;

fn number<T: std::str::FromStr>(attributes: &Attributes, key: &str, default: T) -> T {
    attributes
        .get(key)
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

fn switch(attributes: &Attributes, key: &str, default: bool) -> bool {
    attributes.get(key).map_or(default, |value| value == "true")
}

fn settings(attributes: &Attributes) -> Settings {
    let mode = attributes
        .get("routing.http.xff_header_processing.mode")
        .map(String::as_str);
    Settings {
        idle_timeout_s: number(attributes, "idle_timeout.timeout_seconds", 60),
        client_keep_alive_s: number(attributes, "client_keep_alive.seconds", 3_600),
        drop_invalid_headers: switch(attributes, "routing.http.drop_invalid_header_fields.enabled", false),
        preserve_host: switch(attributes, "routing.http.preserve_host_header.enabled", false),
        tls_headers: switch(
            attributes,
            "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
            false,
        ),
        forwarded_port: switch(attributes, "routing.http.xff_client_port.enabled", false),
        forwarded_mode: match mode {
            Some("preserve") => ForwardedMode::Preserve,
            Some("remove") => ForwardedMode::Remove,
            _ => ForwardedMode::Append,
        },
        http2: switch(attributes, "routing.http2.enabled", true),
        fail_open: switch(attributes, "waf.fail_open.enabled", false),
    }
}

fn stickiness(attributes: &Attributes) -> Stickiness {
    if !switch(attributes, "stickiness.enabled", false) {
        return Stickiness::Off;
    }
    match attributes.get("stickiness.type").map(String::as_str) {
        Some("app_cookie") => Stickiness::Application {
            cookie: attributes
                .get("stickiness.app_cookie.cookie_name")
                .cloned()
                .unwrap_or_default(),
            duration_s: number(attributes, "stickiness.app_cookie.duration_seconds", 86_400),
        },
        Some("lb_cookie") | None => Stickiness::Balancer {
            duration_s: number(attributes, "stickiness.lb_cookie.duration_seconds", 86_400),
        },
        // source_ip and the like: flows of NLB listeners, which are not kept on a target.
        Some(_) => Stickiness::Off,
    }
}

/// What a plan is made from beside the configuration.
pub(crate) struct Before<'a> {
    pub(crate) plan: &'a Plan,
    /// Targets by key, kept over all plans; entries are added here.
    pub(crate) targets: &'a mut HashMap<TargetKey, Arc<Target>>,
    /// Health that was known before a restart.
    pub(crate) remembered: &'a HashMap<TargetKey, Health>,
}

/// Compiles a configuration.
pub(crate) fn compile(config: &edge::EdgeConfig, before: &mut Before<'_>) -> Plan {
    let mut plan = Plan {
        generation: config.generation,
        ..Plan::default()
    };
    let used = used_groups(config);
    for (arn, group) in &config.target_groups {
        let group = compile_group(arn, group, used.get(arn.as_str()).copied(), before);
        plan.groups.insert(group.arn.clone(), Arc::new(group));
    }
    for (arn, acl) in &config.web_acls {
        let earlier = before.plan.walls.get(arn);
        plan.walls.insert(arn.clone(), Wall::compile(acl, earlier));
    }
    let mut named = HashMap::new();
    for (arn, balancer) in &config.load_balancers {
        let entry = compile_balancer(arn, balancer, &mut plan, before);
        for host in [
            format!("{}.localhost", balancer.name.to_ascii_lowercase()),
            balancer.dns_name.to_ascii_lowercase(),
        ] {
            plan.hosts.insert(host, entry.clone());
        }
        named.insert(arn.as_str(), entry);
    }
    for (host, arn) in &config.host_names {
        if let Some(entry) = named.get(arn.as_str()) {
            plan.hosts.insert(host.to_ascii_lowercase(), entry.clone());
        }
    }
    plan
}

/// Target groups that a rule leads to, with the first address of a load balancer that does.
fn used_groups(config: &edge::EdgeConfig) -> HashMap<&str, Option<Ipv4Addr>> {
    let mut used = HashMap::new();
    for balancer in config.load_balancers.values() {
        let actions = balancer
            .listeners
            .iter()
            .flat_map(|listener| &listener.rules)
            .flat_map(|rule| &rule.actions);
        for action in actions {
            if let edge::Action::Forward { groups, .. } = action {
                for (group, _) in groups {
                    used.entry(group.as_str())
                        .or_insert(balancer.addresses.first().copied());
                }
            }
        }
    }
    used
}

fn compile_group(
    arn: &str,
    group: &edge::TargetGroup,
    used: Option<Option<Ipv4Addr>>,
    before: &mut Before<'_>,
) -> Group {
    let earlier = before.plan.groups.get(arn);
    let arn: Arc<str> = earlier.map_or_else(|| Arc::from(arn), |earlier| earlier.arn.clone());
    let (mut targets, mut draining) = (Vec::new(), Vec::new());
    for target in &group.targets {
        let key = TargetKey {
            group: arn.clone(),
            address: SocketAddrV4::new(target.address, target.port),
        };
        let remembered = before.remembered.get(&key).copied();
        let entry = before.targets.entry(key.clone()).or_insert_with(|| {
            Arc::new(Target::new(
                key,
                remembered.unwrap_or(Health::Initial),
                Reason::default(),
            ))
        });
        let list = if target.draining_since.is_some() {
            &mut draining
        } else {
            &mut targets
        };
        list.push(entry.clone());
    }
    let attributes = &group.attributes;
    let minimum = |unit: &str, default: usize| {
        number(
            attributes,
            &format!("target_group_health.unhealthy_state_routing.minimum_healthy_targets.{unit}"),
            default,
        )
    };
    Group::new(GroupParts {
        version: match group.protocol_version.as_str() {
            "HTTP2" => Version::Http2,
            "GRPC" => Version::Grpc,
            _ => Version::Http1,
        },
        uses_tls: matches!(group.protocol.as_str(), "HTTPS" | "TLS"),
        algorithm: match attributes.get("load_balancing.algorithm.type").map(String::as_str) {
            Some("least_outstanding_requests") => Algorithm::LeastOutstanding,
            Some("weighted_random") => Algorithm::WeightedRandom,
            _ => Algorithm::RoundRobin,
        },
        stickiness: stickiness(attributes),
        slow_start_ms: number::<u64>(attributes, "slow_start.duration_seconds", 0) * 1_000,
        healthy_count_min: minimum("count", 1),
        healthy_percent_min: minimum("percentage", 0),
        check: group.health_check.clone(),
        is_used: used.is_some(),
        targets,
        draining,
        numbers: earlier.map_or_else(|| Arc::new(GroupNumbers::default()), |earlier| earlier.numbers.clone()),
        source: used.flatten(),
        arn,
    })
}

fn compile_balancer(arn: &str, balancer: &edge::LoadBalancer, plan: &mut Plan, before: &Before<'_>) -> Named {
    let earlier = before.plan.balancers.iter().find(|earlier| earlier.arn == arn);
    let compiled = Arc::new(Balancer {
        arn: arn.to_owned(),
        settings: settings(&balancer.attributes),
        source: balancer.addresses.first().copied(),
        wall: balancer.web_acl.as_ref().and_then(|acl| plan.walls.get(acl).cloned()),
        numbers: earlier.map_or_else(
            || Arc::new(LoadBalancerNumbers::default()),
            |earlier| earlier.numbers.clone(),
        ),
    });
    plan.balancers.push(compiled.clone());
    let mut named = Named::default();
    for listener in &balancer.listeners {
        match compile_listener(listener, &compiled, plan, before) {
            Ok(listener) => {
                let listener = Arc::new(listener);
                match listener.protocol {
                    Protocol::Http => named.http.push(listener.clone()),
                    Protocol::Https => named.https.push(listener.clone()),
                    Protocol::Tcp | Protocol::Tls => {}
                }
                plan.listeners.push((listener, balancer.addresses.clone()));
            }
            Err(cause) => plan.refused.push((listener.arn.clone(), cause)),
        }
    }
    named.http.sort_by_key(|listener| (listener.port != 80, listener.port));
    named
        .https
        .sort_by_key(|listener| (listener.port != 443, listener.port));
    named
}

fn compile_listener(
    listener: &edge::Listener,
    balancer: &Arc<Balancer>,
    plan: &Plan,
    before: &Before<'_>,
) -> Result<Listener, String> {
    let protocol = match listener.protocol.as_str() {
        "HTTP" => Protocol::Http,
        "HTTPS" => Protocol::Https,
        "TCP" => Protocol::Tcp,
        "TLS" => Protocol::Tls,
        other => return Err(format!("listeners of protocol {other} are not served")),
    };
    let tls = match protocol {
        Protocol::Https | Protocol::Tls => {
            let speaks_h2 = protocol == Protocol::Https && balancer.settings.http2;
            let alpn: Vec<&[u8]> = match (protocol, speaks_h2) {
                (Protocol::Https, true) => vec![b"h2", b"http/1.1"],
                (Protocol::Https, false) => vec![b"http/1.1"],
                _ => listener.alpn_protocols.iter().map(String::as_bytes).collect(),
            };
            let spoken = tls::Spoken {
                versions: &listener.tls_versions,
                alpn: &alpn,
            };
            let earlier = before
                .plan
                .listeners
                .iter()
                .find(|(earlier, _)| earlier.arn == listener.arn);
            let earlier = earlier.and_then(|(earlier, _)| earlier.tls.as_ref());
            Some(tls::Secured::new(&listener.certificates, spoken, earlier).map_err(|error| chain(&error))?)
        }
        Protocol::Http | Protocol::Tcp => None,
    };
    let mut rules = Vec::with_capacity(listener.rules.len());
    for rule in &listener.rules {
        let action = rule
            .actions
            .last()
            .ok_or_else(|| format!("rule {} has no action", rule.arn))?;
        rules.push(Rule {
            conditions: rule.conditions.iter().map(Condition::compile).collect(),
            action: compile_action(action, plan),
        });
    }
    Ok(Listener {
        arn: listener.arn.clone(),
        balancer: balancer.clone(),
        protocol,
        port: listener.port,
        port_value: http::HeaderValue::from(listener.port),
        rules,
        tls,
    })
}

fn compile_action(action: &edge::Action, plan: &Plan) -> Action {
    match action {
        edge::Action::Forward { groups, stickiness_s } => Action::Forward {
            groups: groups
                .iter()
                .filter_map(|(arn, weight)| Some((plan.groups.get(arn.as_str())?.clone(), *weight)))
                .collect(),
            stickiness_s: *stickiness_s,
        },
        edge::Action::Redirect {
            status,
            protocol,
            host,
            port,
            path,
            query,
        } => Action::Redirect(Redirect {
            status: *status,
            protocol: protocol.clone(),
            host: host.clone(),
            port: port.clone(),
            path: path.clone(),
            query: query.clone(),
        }),
        edge::Action::FixedResponse {
            status,
            content_type,
            body,
        } => Action::Fixed {
            status: *status,
            content_type: content_type.clone(),
            body: Bytes::from(body.clone().unwrap_or_default()),
        },
    }
}
