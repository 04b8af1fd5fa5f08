//! Prints microseconds of CPU per inspected request, with all managed groups and without rules.
//! `cargo run --release -p honmaru-firewall --example bench`

use honmaru_base::Time;
use honmaru_contract::edge::WebAcl;
use honmaru_firewall::{Firewall, RequestView, managed_groups};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

fn acl(rules: Value) -> WebAcl {
    WebAcl {
        name: "bench".to_owned(),
        account: "000000000000".to_owned(),
        default_action: json!({"Allow": {}}),
        rules,
        custom_response_bodies: Value::Null,
        visibility_config: json!({"MetricName": "bench", "SampledRequestsEnabled": true}),
        ip_sets: BTreeMap::new(),
        regex_pattern_sets: BTreeMap::new(),
        rule_groups: BTreeMap::new(),
    }
}

fn main() {
    let groups: Value = managed_groups()
        .iter()
        .enumerate()
        .map(|(at, group)| {
            json!({"Name": group.name, "Priority": at, "OverrideAction": {"None": {}},
                "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": group.name}},
                "VisibilityConfig": {"MetricName": group.name, "SampledRequestsEnabled": true}})
        })
        .collect();
    let started = Instant::now();
    let all = acl(groups);
    let firewalls = [
        ("no rules", compile(&acl(json!([])))),
        ("all managed groups", compile(&all)),
    ];
    println!("compiled in {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
    let english =
        "The committee will select a chair and, in union with its members, order dinner for eight or nine. ".repeat(21);
    let form = format!("title=Minutes&text={}", english.replace(' ', "+"));
    let headers: Vec<(&str, &[u8])> = vec![
        ("host", b"shop.example.com"),
        (
            "user-agent",
            b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0 Safari/537.36",
        ),
        (
            "accept",
            b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ),
        ("accept-language", b"en-US,en;q=0.9"),
        ("accept-encoding", b"gzip, deflate, br"),
        (
            "cookie",
            b"session=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0; theme=dark; _ga=GA1.2.123.456",
        ),
        ("content-type", b"application/x-www-form-urlencoded"),
    ];
    for (name, firewall) in &firewalls {
        for (kind, query, body) in [
            (
                "GET with 4 arguments and 3 cookies",
                "q=laptop+bag&page=2&sort=-price&lang=en",
                "",
            ),
            ("GET with an injection", "id=1'+OR+'1'='1", ""),
            ("POST with a form of 2 KB", "", form.as_str()),
        ] {
            let started = Instant::now();
            let mut rounds = 0u32;
            let mut decision = "";
            while rounds < 20_000 && started.elapsed().as_secs() < 3 {
                let verdict = firewall.inspect(&RequestView {
                    method: if body.is_empty() { "GET" } else { "POST" },
                    path: "/search",
                    query,
                    version: "HTTP/1.1",
                    host: "shop.example.com",
                    headers: &headers,
                    peer: std::net::IpAddr::from([192, 0, 2, 1]),
                    body: body.as_bytes(),
                    body_truncated: false,
                    now: Time::from_ms(i64::from(rounds)),
                    trace_id: "Root=1-0",
                    ja3: None,
                    ja4: None,
                });
                decision = verdict.decision.name();
                rounds += 1;
            }
            let us = started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds);
            println!("{name:20} {kind:36} {us:8.1} us/request  {decision}");
        }
    }
}

fn compile(acl: &WebAcl) -> Firewall {
    match Firewall::compile(acl) {
        Ok(firewall) => firewall,
        Err(error) => panic!("{error}"),
    }
}
