//! A web ACL from rules, a request from text, and what the firewall says of it.
#![allow(dead_code, reason = "each test file uses its own part")]

use base64::Engine;
use honmaru_base::Time;
use honmaru_contract::edge::WebAcl;
use honmaru_firewall::{Firewall, RequestView, Verdict};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

pub const NOW: Time = Time::from_ms(1_800_000_000_000);

pub fn acl(rules: Value) -> WebAcl {
    WebAcl {
        name: "shop".to_owned(),
        account: "000000000000".to_owned(),
        default_action: json!({"Allow": {}}),
        rules,
        custom_response_bodies: Value::Null,
        visibility_config: visibility("shop"),
        ip_sets: BTreeMap::new(),
        regex_pattern_sets: BTreeMap::new(),
        rule_groups: BTreeMap::new(),
    }
}

pub fn visibility(metric: &str) -> Value {
    json!({"MetricName": metric, "SampledRequestsEnabled": true, "CloudWatchMetricsEnabled": true})
}

/// A blocking rule of that statement.
pub fn rule(name: &str, priority: i64, statement: Value) -> Value {
    with_action(name, priority, statement, json!({"Block": {}}))
}

pub fn with_action(name: &str, priority: i64, statement: Value, action: Value) -> Value {
    json!({"Name": name, "Priority": priority, "Statement": statement, "Action": action, "VisibilityConfig": visibility(name)})
}

pub fn base64(text: impl AsRef<[u8]>) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

pub fn byte(field: Value, position: &str, search: &str, transformations: &[&str]) -> Value {
    json!({"ByteMatchStatement": {
        "FieldToMatch": field,
        "PositionalConstraint": position,
        "SearchString": base64(search),
        "TextTransformations": chain(transformations),
    }})
}

pub fn chain(names: &[&str]) -> Value {
    let names = if names.is_empty() { &["NONE"] } else { names };
    names
        .iter()
        .enumerate()
        .map(|(priority, name)| json!({"Priority": priority, "Type": name}))
        .collect()
}

/// A request that owns its parts.
#[derive(Debug, Clone)]
pub struct Sent {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    pub truncated: bool,
    pub peer: IpAddr,
    pub now: Time,
    pub ja3: Option<String>,
}

impl Sent {
    /// `GET /path?query`, then lines `name: value`, an empty line, the body.
    pub fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let (method, target) = lines
            .next()
            .and_then(|line| line.split_once(' '))
            .expect("a request line");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers: Vec<(String, Vec<u8>)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().as_bytes().to_vec()))
            .collect();
        for (name, value) in [
            ("host", "shop.example.com"),
            ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"),
        ] {
            if !headers.iter().any(|(have, _)| have.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), value.as_bytes().to_vec()));
            }
        }
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: body.as_bytes().to_vec(),
            truncated: false,
            peer: "203.0.113.9".parse().expect("an address"),
            now: NOW,
            ja3: None,
        }
    }

    pub fn from(mut self, peer: &str) -> Self {
        self.peer = peer.parse().expect("an address");
        self
    }

    pub fn at(mut self, now: Time) -> Self {
        self.now = now;
        self
    }

    pub fn inspect(&self, firewall: &Firewall) -> Verdict {
        let headers: Vec<(&str, &[u8])> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
            .collect();
        firewall.inspect(&RequestView {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            version: "HTTP/1.1",
            host: "shop.example.com",
            headers: &headers,
            peer: self.peer,
            body: &self.body,
            body_truncated: self.truncated,
            now: self.now,
            trace_id: "Root=1-0",
            ja3: self.ja3.as_deref(),
            ja4: None,
        })
    }
}

pub fn compile(acl: &WebAcl) -> Firewall {
    match Firewall::compile(acl) {
        Ok(firewall) => firewall,
        Err(error) => panic!("{error} ({} {})", error.field, error.parameter),
    }
}

/// Whether a web ACL with that one blocking statement blocks the request.
pub fn blocks(statement: Value, request: &str) -> bool {
    blocks_sent(statement, &Sent::parse(request))
}

pub fn blocks_sent(statement: Value, request: &Sent) -> bool {
    request
        .inspect(&compile(&acl(json!([rule("r", 0, statement)]))))
        .decision
        .name()
        == "BLOCK"
}

/// A reference to a managed group with all its rules.
pub fn managed(name: &str, priority: i64) -> Value {
    json!({
        "Name": name,
        "Priority": priority,
        "OverrideAction": {"None": {}},
        "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": name}},
        "VisibilityConfig": visibility(name),
    })
}

/// All managed groups.
pub fn all_managed() -> Firewall {
    let rules: Vec<Value> = honmaru_firewall::managed_groups()
        .iter()
        .zip(0..)
        .map(|(group, at)| managed(group.name, at))
        .collect();
    compile(&acl(rules.into()))
}
