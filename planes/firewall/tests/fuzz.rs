//! Goal: no bytes make an inspection panic. Method: random and mutated requests against every managed group and one rule
//! for each transformation, component and oversize handling.

mod common;

use common::{acl, chain, compile, rule};
use honmaru_firewall::{Firewall, RequestView, Transformation, managed_groups};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::OnceLock;

fn firewall() -> &'static Firewall {
    static FIREWALL: OnceLock<Firewall> = OnceLock::new();
    FIREWALL.get_or_init(|| {
        let fields = [
            json!({"Body": {}}),
            json!({"QueryString": {}}),
            json!({"AllQueryArguments": {}}),
            json!({"JsonBody": {"MatchPattern": {"All": {}}, "MatchScope": "ALL", "InvalidFallbackBehavior": "EVALUATE_AS_STRING"}}),
            json!({"Headers": {"MatchPattern": {"All": {}}, "MatchScope": "ALL", "OversizeHandling": "CONTINUE"}}),
            json!({"Cookies": {"MatchPattern": {"All": {}}, "MatchScope": "ALL", "OversizeHandling": "CONTINUE"}}),
        ];
        let mut rules: Vec<Value> = Vec::new();
        for (at, transformation) in Transformation::ALL.iter().enumerate() {
            for field in &fields {
                let statement = json!({"ByteMatchStatement": {
                    "FieldToMatch": field, "PositionalConstraint": "CONTAINS", "SearchString": common::base64("\u{1}no such text\u{2}"),
                    "TextTransformations": chain(&[transformation.name(), "URL_DECODE_UNI"]),
                }});
                let name = format!("r{at}-{}", rules.len());
                let mut counting = rule(&name, rules.len() as i64, statement);
                counting["Action"] = json!({"Count": {}});
                rules.push(counting);
            }
        }
        for group in managed_groups() {
            let mut reference = common::managed(group.name, rules.len() as i64);
            let overrides: Value =
                group.rules.iter().map(|rule| json!({"Name": rule.name, "ActionToUse": {"Count": {}}})).collect();
            reference["Statement"]["ManagedRuleGroupStatement"]["RuleActionOverrides"] = overrides;
            rules.push(reference);
        }
        compile(&acl(rules.into()))
    })
}

/// Pieces of which attacks and encodings are made, so that random sequences get past the first checks.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "'",
        "\"",
        "%",
        "%u",
        "%27",
        "\\",
        "\\u00",
        "\\x",
        "/*",
        "*/",
        "--",
        "union select",
        " or 1=1",
        "<script",
        ">",
        "&#x",
        "&lt",
        ";",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"a\":",
        "../",
        "\0",
        "0x41",
        "=",
        "&",
        "\r\n",
        "--x",
        "on",
        "${",
        "jndi:",
        "(",
        ")",
        "`",
        "@@",
        "in boolean mode",
        "into",
        "filename=",
        "é",
        "javascript:",
        "<!--",
        "<![CDATA[",
    ]);
    prop_oneof![
        known.prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..12),
        "[a-z0-9 ]{0,8}".prop_map(String::into_bytes),
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(), 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn inspection_never_panics(
        path in text(),
        query in text(),
        headers in prop::collection::vec((text(), text()), 0..6),
        body in text(),
        content_type in prop::sample::select(vec![
            "", "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain",
            "application/octet-stream",
        ]),
        cookie in text(),
        truncated in any::<bool>(),
    ) {
        let path = String::from_utf8_lossy(&path);
        let query = String::from_utf8_lossy(&query);
        let names: Vec<(String, Vec<u8>)> =
            headers.into_iter().map(|(name, value)| (String::from_utf8_lossy(&name).into_owned(), value)).collect();
        let mut headers: Vec<(&str, &[u8])> =
            names.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        headers.push(("content-type", content_type.as_bytes()));
        headers.push(("cookie", &cookie));
        let verdict = firewall().inspect(&RequestView {
            method: "POST",
            path: &path,
            query: &query,
            version: "HTTP/1.1",
            host: "a.example",
            headers: &headers,
            peer: std::net::IpAddr::from([192, 0, 2, 1]),
            body: &body,
            body_truncated: truncated,
            now: common::NOW,
            trace_id: "",
            ja3: None,
            ja4: None,
        });
        prop_assert_eq!(verdict.decision.name(), "ALLOW");
    }
}
