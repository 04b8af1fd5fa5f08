//! The policy table: cases from AWS's documentation, each group with its page. Files: `tests/policy/*.json`.
//!
//! A group has a title, the page that it is from, what is `given`, and cases; a case overrides what is given.
//! Members: `identity` and `session` (lists of documents), `resource`, `holder`, `boundary` (documents), `caller`, `action`,
//! `resource_arn`, `resource_account`, `resource_policy_required`, `context` (values by key), `source_ip`, `secure`,
//! `region`, `user_agent`, `referer`, `now_ms`.
//! Expected: `allow`, `deny LAYER` (a statement denies) or `no LAYER` (none allows).
//! In `malformed.json`: `document`, `kind`; expected `valid` or `malformed`.

use honmaru_base::Time;
use honmaru_identity::{
    CallContext, Caller, CallerKind, Decision, Layer, Policies, Policy, PolicyKind, Request, evaluate,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// 2026-11-22T00:00:00Z.
const NOW_MS: i64 = 1_795_305_600_000;
const ACCOUNT: &str = "111122223333";

fn policy(document: &Value) -> Arc<Policy> {
    let text = document.to_string();
    Arc::new(Policy::parse(&text, PolicyKind::Stored).unwrap_or_else(|error| panic!("{text}: {error}")))
}

fn policies(case: &Map<String, Value>, name: &str) -> Vec<Arc<Policy>> {
    case.get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(policy)
        .collect()
}

fn kind(name: &str) -> CallerKind {
    match name {
        "Root" => CallerKind::Root,
        "User" => CallerKind::User,
        "AssumedRole" => CallerKind::AssumedRole,
        "FederatedUser" => CallerKind::FederatedUser,
        "Service" => CallerKind::Service,
        "Federated" => CallerKind::Federated,
        "Anonymous" => CallerKind::Anonymous,
        other => panic!("no kind of caller: {other}"),
    }
}

fn decide(case: &Map<String, Value>) -> String {
    let default = json!({"kind": "User", "account": ACCOUNT, "arn": "arn:aws:iam::111122223333:user/ada",
        "user_id": "AIDAEXAMPLE", "user_name": "ada"});
    let who = case.get("caller").unwrap_or(&default);
    let text = |name: &str| who.get(name).and_then(Value::as_str);
    let tags: Vec<(String, String)> = who
        .get("tags")
        .cloned()
        .map_or_else(Vec::new, |tags| serde_json::from_value(tags).expect("a list of pairs"));
    let caller = Caller {
        kind: kind(text("kind").unwrap()),
        account: text("account").unwrap(),
        arn: text("arn").unwrap(),
        role_arn: text("role_arn"),
        user_id: text("user_id").unwrap_or_default(),
        user_name: text("user_name"),
        tags: &tags,
        source_identity: text("source_identity"),
        is_temporary: who.get("is_temporary").and_then(Value::as_bool).unwrap_or(false),
        token_issued_at: who.get("token_issued_ms").and_then(Value::as_i64).map(Time::from_ms),
        federated_provider: text("federated_provider"),
        mfa_at: who.get("mfa_ms").and_then(Value::as_i64).map(Time::from_ms),
    };
    let text = |name: &str, default: &'static str| case.get(name).and_then(Value::as_str).unwrap_or(default);
    let extra: Vec<(String, Vec<String>)> = case
        .get("context")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, values)| {
            (
                key.clone(),
                serde_json::from_value(values.clone()).expect("a list of texts"),
            )
        })
        .collect();
    let resource_account = text("resource_account", ACCOUNT);
    let context = CallContext {
        caller: &caller,
        now: Time::from_ms(case.get("now_ms").and_then(Value::as_i64).unwrap_or(NOW_MS)),
        source_ip: match case.get("source_ip") {
            None => Some([203, 0, 113, 9].into()),
            Some(ip) => ip.as_str().map(|ip| ip.parse().expect("an address")),
        },
        user_agent: text("user_agent", "table"),
        referer: text("referer", ""),
        secure: case.get("secure").and_then(Value::as_bool).unwrap_or(true),
        region: text("region", "us-east-1"),
        resource_account,
        extra: &extra,
    };
    let request = Request {
        caller: &caller,
        action: text("action", "app:Act"),
        resource: text("resource_arn", "*"),
        resource_account,
        context: &context,
        resource_policy_required: case.contains_key("resource_policy_required"),
    };
    let policies = Policies {
        identity: policies(case, "identity"),
        boundary: case.get("boundary").map(policy),
        session: policies(case, "session"),
        resource: case.get("resource").map(policy),
        holder: case.get("holder").map(policy),
    };
    let layer = |layer| match layer {
        Layer::Identity => "identity",
        Layer::Resource => "resource",
        Layer::Boundary => "boundary",
        Layer::Session => "session",
    };
    match evaluate(&request, &policies) {
        Decision::Allow => "allow".to_owned(),
        Decision::ExplicitDeny(by) => format!("deny {}", layer(by)),
        Decision::ImplicitDeny(by) => format!("no {}", layer(by)),
    }
}

fn parse(case: &Map<String, Value>) -> String {
    let kind = match case["kind"].as_str().unwrap() {
        "Identity" => PolicyKind::Identity,
        "Resource" => PolicyKind::Resource,
        "Trust" => PolicyKind::Trust,
        other => panic!("no kind of policy: {other}"),
    };
    match Policy::parse(case["document"].as_str().unwrap(), kind) {
        Ok(_) => "valid".to_owned(),
        Err(_) => "malformed".to_owned(),
    }
}

#[test]
fn the_table() {
    let (mut ok, mut failed, mut pages) = (0, Vec::new(), BTreeSet::new());
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/policy")).unwrap() {
        let path = entry.unwrap().path();
        let groups: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for group in groups.as_array().unwrap() {
            let page = group["page"].as_str().unwrap();
            assert!(page.starts_with("https://docs.aws.amazon.com/"), "{page}");
            pages.insert(page.to_owned());
            for case in group["cases"].as_array().unwrap() {
                let mut merged = group["given"].as_object().unwrap().clone();
                merged.extend(case["with"].as_object().unwrap().clone());
                let got = if merged.contains_key("document") {
                    parse(&merged)
                } else {
                    decide(&merged)
                };
                let (title, name, expected) = (&group["title"], &case["name"], case["expect"].as_str().unwrap());
                if got == expected {
                    ok += 1;
                } else {
                    failed.push(format!("{title}, {name}: expected {expected}, got {got} ({page})"));
                }
            }
        }
    }
    println!("{ok} of {} cases from {} pages", ok + failed.len(), pages.len());
    assert!(ok + failed.len() >= 300, "the table lost cases");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
