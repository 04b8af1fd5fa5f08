//! Measures detection and false positives: each line of the files is sent as `GET /?q=LINE` through all managed groups.
//! `cargo run -p honmaru-firewall --example rates -- [--show] FILE...`; lines that begin with `#` are comments.
//! `--show` prints the lines that passed.

use honmaru_base::Time;
use honmaru_contract::edge::WebAcl;
use honmaru_firewall::{Firewall, RequestView, managed_groups};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn main() -> std::io::Result<()> {
    let groups: Value = managed_groups()
        .iter()
        .enumerate()
        .map(|(at, group)| {
            json!({"Name": group.name, "Priority": at, "OverrideAction": {"None": {}},
                "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": group.name}},
                "VisibilityConfig": {"MetricName": group.name, "SampledRequestsEnabled": false}})
        })
        .collect();
    let acl = WebAcl {
        name: "rates".to_owned(),
        account: "000000000000".to_owned(),
        default_action: json!({"Allow": {}}),
        rules: groups,
        custom_response_bodies: Value::Null,
        visibility_config: json!({"MetricName": "rates", "SampledRequestsEnabled": false}),
        ip_sets: BTreeMap::new(),
        regex_pattern_sets: BTreeMap::new(),
        rule_groups: BTreeMap::new(),
    };
    let firewall = Firewall::compile(&acl).map_err(std::io::Error::other)?;
    let mut show = false;
    for argument in std::env::args().skip(1) {
        if argument == "--show" {
            show = true;
            continue;
        }
        measure(&firewall, &argument, show)?;
    }
    Ok(())
}

fn measure(firewall: &Firewall, file: &str, show: bool) -> std::io::Result<()> {
    let text = std::fs::read(file)?;
    let (mut lines, mut blocked) = (0u32, 0u32);
    let mut rules: BTreeMap<String, u32> = BTreeMap::new();
    for line in text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii) {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        // Lines of such lists may be URL-encoded already.
        let encoded = line.contains(&b'%') && !line.contains(&b' ');
        let query = if encoded {
            String::from_utf8_lossy(line).into_owned()
        } else {
            encode(line)
        };
        let query = format!("q={}", query.replace('&', "%26"));
        let verdict = firewall.inspect(&RequestView {
            method: "GET",
            path: "/",
            query: query.get(..2_048).unwrap_or(&query),
            version: "HTTP/1.1",
            host: "shop.example.com",
            headers: &[
                ("host", b"shop.example.com"),
                ("user-agent", b"Mozilla/5.0"),
                ("accept", b"*/*"),
            ],
            peer: std::net::IpAddr::from([192, 0, 2, 1]),
            body: &[],
            body_truncated: false,
            now: Time::from_ms(0),
            trace_id: "",
            ja3: None,
            ja4: None,
        });
        lines += 1;
        match verdict.rule_inside_group {
            Some(rule) => {
                blocked += 1;
                *rules.entry(rule).or_default() += 1;
            }
            None if show => println!("passed: {}", String::from_utf8_lossy(line)),
            None => {}
        }
    }
    let share = f64::from(blocked) * 100.0 / f64::from(lines.max(1));
    println!("{file}: {blocked} of {lines} blocked, {share:.2} %");
    for (rule, count) in rules {
        println!("  {count:6} {rule}");
    }
    Ok(())
}

fn encode(line: &[u8]) -> String {
    line.iter()
        .map(|byte| match byte {
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(b) => char::from(*b).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
