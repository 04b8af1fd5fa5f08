//! What the edge shall serve: this service's part of its configuration.

use crate::api::{alpn, ssl};
use crate::attributes::{self, Owner};
use crate::machine::{group_owner, rules_by_priority};
use crate::model::{Listener, LoadBalancer, Target, TargetGroup};
use crate::types;
use honmaru_base::Scope;
use honmaru_contract::edge;
use honmaru_machine::State;
use honmaru_wire::tree::Tree;
use serde_json::Value;
use std::collections::BTreeMap;

/// Load balancers and target groups of all accounts and regions. Web ACLs, host names and the generation are the
/// cloud's to add.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EdgePart {
    /// By ARN.
    pub load_balancers: BTreeMap<String, edge::LoadBalancer>,
    /// By ARN.
    pub target_groups: BTreeMap<String, edge::TargetGroup>,
}

/// The edge's configuration as the state wants it.
pub fn edge_config(state: &State) -> EdgePart {
    let load_balancers = state
        .all::<LoadBalancer>()
        .map(|(scope, arn, row)| (arn.to_owned(), load_balancer(state, scope, row)));
    let target_groups = state
        .all::<TargetGroup>()
        .map(|(scope, arn, row)| (arn.to_owned(), target_group(state, scope, row)));
    EdgePart {
        load_balancers: load_balancers.collect(),
        target_groups: target_groups.collect(),
    }
}

fn load_balancer(state: &State, scope: &Scope, row: &LoadBalancer) -> edge::LoadBalancer {
    let mut listeners: Vec<edge::Listener> = state
        .find::<Listener>(scope, "load_balancer", &row.arn)
        .map(|(_, it)| listener(state, scope, it))
        .collect();
    listeners.sort_by_key(|listener| listener.port);
    edge::LoadBalancer {
        name: row.name.clone(),
        dns_name: row.dns_name.clone(),
        addresses: row.zones.iter().map(|zone| zone.address).collect(),
        attributes: attributes::all(balancer_owner(&row.kind), &row.attributes),
        listeners,
        web_acl: None,
    }
}

/// Whose attributes a load balancer of that kind has.
pub(crate) fn balancer_owner(kind: &str) -> Owner {
    if kind == "network" {
        Owner::NetworkLoadBalancer
    } else {
        Owner::ApplicationLoadBalancer
    }
}

fn listener(state: &State, scope: &Scope, row: &Listener) -> edge::Listener {
    let mut rules: Vec<edge::Rule> = rules_by_priority(state, scope, &row.arn)
        .into_iter()
        .map(|rule| edge::Rule {
            arn: rule.arn.clone(),
            conditions: rule.conditions.iter().filter_map(condition).collect(),
            actions: rule.actions.iter().filter_map(action).collect(),
        })
        .collect();
    rules.push(edge::Rule {
        arn: row.default_rule_arn.clone(),
        conditions: Vec::new(),
        actions: row.default_actions.iter().filter_map(action).collect(),
    });
    edge::Listener {
        arn: row.arn.clone(),
        protocol: row.protocol.clone(),
        port: row.port,
        rules,
        certificates: row
            .certificates
            .iter()
            .filter_map(|arn| certificate(state, arn))
            .collect(),
        tls_versions: ssl::versions(row.ssl_policy.as_deref()).map(str::to_owned).collect(),
        alpn_protocols: alpn::protocols(row.alpn_policy.as_deref())
            .iter()
            .map(|protocol| (*protocol).to_owned())
            .collect(),
    }
}

fn certificate(state: &State, arn: &str) -> Option<edge::Certificate> {
    let row = honmaru_iam::server_certificate(state, arn)?;
    Some(edge::Certificate {
        arn: arn.to_owned(),
        chain_pem: row.chain_pem(),
        key_pem: row.key_pem().to_owned(),
        names: row.names.clone(),
    })
}

fn action(tree: &Value) -> Option<edge::Action> {
    let action = types::Action::from_tree(tree.clone());
    match action.r#type.as_str() {
        "forward" => {
            let config = action.forward_config.unwrap_or_default();
            let sticky = config.target_group_stickiness_config.unwrap_or_default();
            let groups = config.target_groups.unwrap_or_default();
            Some(edge::Action::Forward {
                groups: groups
                    .into_iter()
                    .filter_map(|tuple| Some((tuple.target_group_arn?, number(tuple.weight.unwrap_or(1)))))
                    .collect(),
                stickiness_s: sticky
                    .enabled
                    .unwrap_or(false)
                    .then(|| number(sticky.duration_seconds.unwrap_or(3_600))),
            })
        }
        "redirect" => {
            let config = action.redirect_config?;
            Some(edge::Action::Redirect {
                status: if config.status_code == "HTTP_301" { 301 } else { 302 },
                protocol: config.protocol.unwrap_or_default(),
                host: config.host.unwrap_or_default(),
                port: config.port.unwrap_or_default(),
                path: config.path.unwrap_or_default(),
                query: config.query.unwrap_or_default(),
            })
        }
        "fixed-response" => {
            let config = action.fixed_response_config?;
            Some(edge::Action::FixedResponse {
                status: config.status_code.parse().ok()?,
                content_type: config.content_type,
                body: config.message_body,
            })
        }
        _ => None,
    }
}

/// Numbers of the API are signed; checked ones are never negative.
fn number(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

fn condition(tree: &Value) -> Option<edge::Condition> {
    let condition = types::RuleCondition::from_tree(tree.clone());
    Some(match condition.field.as_deref()? {
        "host-header" => edge::Condition::HostHeader(condition.host_header_config?.values?),
        "path-pattern" => edge::Condition::PathPattern(condition.path_pattern_config?.values?),
        "http-header" => {
            let config = condition.http_header_config?;
            edge::Condition::HttpHeader {
                name: config.http_header_name?,
                values: config.values?,
            }
        }
        "http-request-method" => edge::Condition::HttpRequestMethod(condition.http_request_method_config?.values?),
        "query-string" => {
            let pairs = condition.query_string_config?.values?;
            edge::Condition::QueryString(
                pairs
                    .into_iter()
                    .map(|pair| (pair.key, pair.value.unwrap_or_default()))
                    .collect(),
            )
        }
        "source-ip" => edge::Condition::SourceIp(condition.source_ip_config?.values?),
        _ => return None,
    })
}

fn target_group(state: &State, scope: &Scope, row: &TargetGroup) -> edge::TargetGroup {
    let health = &row.health;
    edge::TargetGroup {
        name: row.name.clone(),
        protocol: row.protocol.clone(),
        protocol_version: row.protocol_version.clone().unwrap_or_else(|| "HTTP1".to_owned()),
        attributes: attributes::all(group_owner(&row.protocol), &row.attributes),
        health_check: edge::HealthCheck {
            enabled: health.is_enabled,
            protocol: health.protocol.clone(),
            port: health.port.parse().ok(),
            path: health.path.clone().unwrap_or_default(),
            interval_s: health.interval_s,
            timeout_s: health.timeout_s,
            healthy_threshold: health.healthy_threshold,
            unhealthy_threshold: health.unhealthy_threshold,
            matcher: health.matcher.clone().unwrap_or_default(),
        },
        targets: state
            .find::<Target>(scope, "group", &row.arn)
            .map(|(_, target)| edge::Target {
                address: target.address,
                port: target.port,
                draining_since: target.draining_since,
            })
            .collect(),
    }
}
