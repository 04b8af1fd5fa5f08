//! Order, actions, labels, groups, overrides, rates, samples.

mod common;

use common::{NOW, Sent, acl, byte, compile, managed, rule, visibility, with_action};
use honmaru_firewall::{Decision, Firewall, Verdict};
use serde_json::{Value, json};

fn path(text: &str) -> Value {
    byte(json!({"UriPath": {}}), "CONTAINS", text, &[])
}

fn label(scope: &str, key: &str) -> Value {
    json!({"LabelMatchStatement": {"Scope": scope, "Key": key}})
}

fn labelled(mut rule: Value, labels: &[&str]) -> Value {
    rule["RuleLabels"] = labels.iter().map(|label| json!({"Name": label})).collect();
    rule
}

fn check(rules: Value, request: &str) -> Verdict {
    Sent::parse(request).inspect(&compile(&acl(rules)))
}

#[test]
fn the_lowest_priority_decides_first() {
    let rules = json!([
        rule("block", 5, path("a")),
        with_action("allow", 1, path("a"), json!({"Allow": {}}))
    ]);
    let verdict = check(rules, "GET /a");
    assert_eq!(
        (verdict.decision.name(), verdict.terminating_rule.as_str()),
        ("ALLOW", "allow")
    );
    let verdict = check(json!([rule("block", 5, path("a"))]), "GET /b");
    assert_eq!(
        (verdict.decision.name(), verdict.terminating_rule.as_str()),
        ("ALLOW", "Default_Action")
    );
}

#[test]
fn count_goes_on_and_inserts_headers() {
    let insert = json!({"Count": {"CustomRequestHandling": {"InsertHeaders": [{"Name": "seen", "Value": "1"}]}}});
    let verdict = check(json!([with_action("count", 0, path("a"), insert)]), "GET /a");
    assert_eq!(verdict.counted, ["count"]);
    let Decision::Allow { insert_headers } = verdict.decision else {
        panic!("allowed")
    };
    assert_eq!(insert_headers, [("x-amzn-waf-seen".to_owned(), "1".to_owned())]);
}

#[test]
fn block_answers_403_or_what_the_rule_says() {
    let verdict = check(json!([rule("r", 0, path("a"))]), "GET /a");
    let answer = verdict.decision.answer().expect("an answer");
    assert_eq!((answer.status, answer.content_type), (403, Some("text/html")));
    let custom = json!({"Block": {"CustomResponse": {
        "ResponseCode": 429, "CustomResponseBodyKey": "busy", "ResponseHeaders": [{"Name": "retry-after", "Value": "9"}]}}});
    let mut with_body = acl(json!([with_action("r", 0, path("a"), custom)]));
    assert!(Firewall::compile(&with_body).is_err(), "the body does not exist");
    with_body.custom_response_bodies =
        json!({"busy": {"ContentType": "APPLICATION_JSON", "Content": "{\"busy\":true}"}});
    let verdict = Sent::parse("GET /a").inspect(&compile(&with_body));
    let answer = verdict.decision.answer().expect("an answer");
    assert_eq!((answer.status, answer.content_type), (429, Some("application/json")));
    assert_eq!(answer.headers, [("retry-after".to_owned(), "9".to_owned())]);
    assert_eq!(answer.body, b"{\"busy\":true}");
}

#[test]
fn captcha_and_challenge_refuse_what_has_no_token() {
    let verdict = check(
        json!([with_action("r", 0, path("a"), json!({"Captcha": {}}))]),
        "GET /a\naccept: text/html",
    );
    let answer = verdict.decision.answer().expect("an answer");
    assert_eq!(
        (verdict.decision.name(), answer.status, answer.body.is_empty()),
        ("CAPTCHA", 405, false)
    );
    assert_eq!(
        answer.headers.first(),
        Some(&("x-amzn-waf-action".to_owned(), "captcha".to_owned()))
    );
    let verdict = check(
        json!([with_action("r", 0, path("a"), json!({"Challenge": {}}))]),
        "GET /a",
    );
    let answer = verdict.decision.answer().expect("an answer");
    assert_eq!(
        (verdict.decision.name(), answer.status, answer.body.is_empty()),
        ("CHALLENGE", 202, true)
    );
}

#[test]
fn labels_are_seen_by_later_rules_only() {
    let count = |name: &str, at: i64| with_action(name, at, path("a"), json!({"Count": {}}));
    let rules = json!([
        rule("too-early", 0, label("LABEL", "ns:seen")),
        labelled(count("mark", 1), &["ns:seen"]),
        rule("later", 2, label("LABEL", "ns:seen")),
    ]);
    let verdict = check(rules, "GET /a");
    assert_eq!(verdict.terminating_rule, "later");
    assert_eq!(verdict.labels, ["awswaf:000000000000:webacl:shop:ns:seen"]);
    for (statement, expected) in [
        (label("NAMESPACE", "ns:"), "BLOCK"),
        (label("NAMESPACE", "other:"), "ALLOW"),
        (label("LABEL", "awswaf:000000000000:webacl:shop:ns:seen"), "BLOCK"),
        (label("LABEL", "ns:SEEN"), "ALLOW"),
    ] {
        let rules = json!([labelled(count("mark", 1), &["ns:seen"]), rule("later", 2, statement)]);
        assert_eq!(check(rules, "GET /a").decision.name(), expected);
    }
    let reserved = json!([labelled(count("mark", 1), &["awswaf:mine"])]);
    assert!(Firewall::compile(&acl(reserved)).is_err());
}

fn group_acl(reference: Value) -> honmaru_contract::edge::WebAcl {
    let mut acl = acl(json!([
        reference,
        rule("after", 9, label("LABEL", "awswaf:000000000000:rulegroup:mine:found")),
    ]));
    let rules = json!([labelled(rule("inner", 0, path("a")), &["found"])]);
    acl.rule_groups
        .insert("arn:group".to_owned(), json!({"Name": "mine", "Rules": rules}));
    acl
}

fn reference(over: &str, actions: Value) -> Value {
    let mut over_action = json!({});
    over_action[over] = json!({});
    json!({
        "Name": "ref", "Priority": 1, "OverrideAction": over_action, "VisibilityConfig": visibility("ref"),
        "Statement": {"RuleGroupReferenceStatement": {"ARN": "arn:group", "RuleActionOverrides": actions}},
    })
}

#[test]
fn groups_decide_unless_overridden() {
    let run = |reference: Value| Sent::parse("GET /a").inspect(&compile(&group_acl(reference)));
    let verdict = run(reference("None", json!([])));
    assert_eq!(verdict.terminating_rule, "ref");
    assert_eq!(
        (verdict.terminating_rule_type, verdict.rule_inside_group.as_deref()),
        ("GROUP", Some("inner"))
    );
    let verdict = run(reference("Count", json!([])));
    assert_eq!(
        verdict.terminating_rule, "after",
        "the group only counts, its label stays"
    );
    let verdict = run(reference(
        "None",
        json!([{"Name": "inner", "ActionToUse": {"Count": {}}}]),
    ));
    assert_eq!(
        (verdict.terminating_rule.as_str(), verdict.counted),
        ("after", vec!["inner".to_owned()])
    );
    let unknown = reference("None", json!([{"Name": "nobody", "ActionToUse": {"Count": {}}}]));
    assert!(
        Firewall::compile(&group_acl(unknown)).is_err(),
        "an own group must have the rule"
    );
}

#[test]
fn managed_groups_name_rule_and_label_and_ignore_unknown_overrides() {
    let mut reference = managed("AWSManagedRulesSQLiRuleSet", 0);
    reference["Statement"]["ManagedRuleGroupStatement"]["RuleActionOverrides"] =
        json!([{"Name": "NoSuchRule", "ActionToUse": {"Count": {}}}]);
    let verdict = check(json!([reference]), "GET /?id=1'%20OR%20'1'='1");
    assert_eq!(verdict.terminating_rule_type, "MANAGED_RULE_GROUP");
    assert_eq!(verdict.rule_inside_group.as_deref(), Some("SQLi_QUERYARGUMENTS"));
    assert_eq!(verdict.labels, ["awswaf:managed:aws:sql-database:SQLi_QueryArguments"]);
}

#[test]
fn scope_down_and_excluded_rules_of_managed_groups() {
    let mut reference = managed("AWSManagedRulesSQLiRuleSet", 0);
    reference["Statement"]["ManagedRuleGroupStatement"]["ScopeDownStatement"] = path("/api");
    let attack = "?id=1%20UNION%20SELECT%20user,password%20FROM%20users--";
    assert_eq!(
        check(json!([reference.clone()]), &format!("GET /x{attack}"))
            .decision
            .name(),
        "ALLOW"
    );
    assert_eq!(
        check(json!([reference.clone()]), &format!("GET /api{attack}"))
            .decision
            .name(),
        "BLOCK"
    );
    reference["Statement"]["ManagedRuleGroupStatement"]["ExcludedRules"] =
        json!([{"Name": "SQLi_QUERYARGUMENTS"}, {"Name": "SQLiExtendedPatterns_QUERYARGUMENTS"}]);
    let verdict = check(json!([reference]), &format!("GET /api{attack}"));
    assert_eq!(verdict.decision.name(), "ALLOW");
    assert_eq!(
        verdict.labels.len(),
        2,
        "excluded rules still add their labels: {:?}",
        verdict.labels
    );
}

fn rate(limit: u64, more: Value) -> Value {
    let mut statement = json!({"Limit": limit, "EvaluationWindowSec": 60, "AggregateKeyType": "IP"});
    for (key, value) in more.as_object().into_iter().flatten() {
        statement[key] = value.clone();
    }
    rule("rate", 0, json!({"RateBasedStatement": statement}))
}

fn limited(firewall: &Firewall, sent: &Sent) -> bool {
    sent.inspect(firewall).decision.name() == "BLOCK"
}

#[test]
fn rates_count_by_address_and_recover() {
    let firewall = compile(&acl(json!([rate(10, json!({}))])));
    let one = Sent::parse("GET /").from("192.0.2.1");
    for _ in 0..10 {
        assert!(!limited(&firewall, &one));
    }
    assert!(limited(&firewall, &one), "the eleventh");
    assert!(
        !limited(&firewall, &Sent::parse("GET /").from("192.0.2.2")),
        "another address"
    );
    assert_eq!(
        firewall.limited_addresses("rate", NOW),
        Some(vec!["192.0.2.1".to_owned()])
    );
    assert!(
        !limited(&firewall, &one.clone().at(NOW.plus_s(70))),
        "the window is over"
    );
}

#[test]
fn rates_survive_a_new_configuration_unless_they_changed() {
    let firewall = compile(&acl(json!([rate(10, json!({}))])));
    let sent = Sent::parse("GET /");
    for _ in 0..11 {
        limited(&firewall, &sent);
    }
    let same = acl(json!([rate(10, json!({})), rule("new", 5, path("x"))]));
    let next = Firewall::compile_from(Some(&firewall), &same).unwrap_or_else(|error| panic!("{error}"));
    assert!(limited(&next, &sent));
    let changed = acl(json!([rate(11, json!({}))]));
    let next = Firewall::compile_from(Some(&next), &changed).unwrap_or_else(|error| panic!("{error}"));
    assert!(!limited(&next, &sent), "changed settings begin anew");
}

#[test]
fn rates_by_custom_keys_constant_and_scope() {
    let keys = json!({"AggregateKeyType": "CUSTOM_KEYS", "CustomKeys": [
        {"Header": {"Name": "X-Key", "TextTransformations": common::chain(&["LOWERCASE"])}}, {"HTTPMethod": {}}]});
    let firewall = compile(&acl(json!([rate(10, keys)])));
    for _ in 0..10 {
        assert!(!limited(&firewall, &Sent::parse("GET /\nx-key: Abc")));
    }
    assert!(limited(&firewall, &Sent::parse("GET /\nx-key: aBC")));
    assert!(
        !limited(&firewall, &Sent::parse("POST /\nx-key: abc")),
        "another method"
    );
    for _ in 0..20 {
        assert!(
            !limited(&firewall, &Sent::parse("GET /")),
            "without the key nothing is counted"
        );
    }
    let constant = json!({"AggregateKeyType": "CONSTANT", "ScopeDownStatement": path("/login")});
    let firewall = compile(&acl(json!([rate(10, constant)])));
    for at in 0..10 {
        assert!(!limited(
            &firewall,
            &Sent::parse("GET /login").from(&format!("192.0.2.{at}"))
        ));
        assert!(!limited(&firewall, &Sent::parse("GET /other")));
    }
    assert!(limited(&firewall, &Sent::parse("GET /login").from("192.0.2.200")));
    assert!(!limited(&firewall, &Sent::parse("GET /other")), "outside of the scope");
    for bad in [
        json!({"AggregateKeyType": "CONSTANT"}),
        json!({"AggregateKeyType": "CUSTOM_KEYS", "CustomKeys": [{"IP": {}}]}),
        json!({"AggregateKeyType": "FORWARDED_IP"}),
        json!({"Limit": 9}),
        json!({"EvaluationWindowSec": 61}),
    ] {
        assert!(
            Firewall::compile(&acl(json!([rate(10, bad.clone())]))).is_err(),
            "{bad}"
        );
    }
}

#[test]
fn samples_show_what_was_decided() {
    let firewall = compile(&acl(json!([
        rule("blocked", 0, path("bad")),
        managed("AWSManagedRulesSQLiRuleSet", 1)
    ])));
    Sent::parse("GET /bad?x=1\nx-test: yes").inspect(&firewall);
    Sent::parse("GET /good").inspect(&firewall);
    Sent::parse("GET /?id=1'%20OR%20'1'='1").inspect(&firewall);
    let set = firewall.samples("blocked", NOW.plus_s(-60), NOW, 500);
    assert_eq!((set.sampled.len(), set.population), (1, 1));
    let sample = &set.sampled[0];
    assert_eq!(sample["Action"], "BLOCK");
    assert_eq!(sample["ResponseCodeSent"], 403);
    assert_eq!(sample["Request"]["URI"], "/bad?x=1");
    assert_eq!(sample["Request"]["ClientIP"], "203.0.113.9");
    assert_eq!(
        sample["Request"]["Headers"][0],
        json!({"Name": "x-test", "Value": "yes"})
    );
    assert_eq!(
        firewall.samples("shop", NOW.plus_s(-60), NOW, 500).sampled.len(),
        1,
        "the default action's"
    );
    let group = firewall.samples("AWSManagedRulesSQLiRuleSet", NOW.plus_s(-60), NOW, 500);
    assert_eq!(
        group.sampled[0]["RuleNameWithinRuleGroup"],
        "AWS#AWSManagedRulesSQLiRuleSet#SQLi_QUERYARGUMENTS"
    );
    assert!(
        firewall
            .samples("blocked", NOW.plus_s(10), NOW.plus_s(20), 500)
            .sampled
            .is_empty()
    );
    assert!(firewall.samples("nobody", NOW, NOW, 500).sampled.is_empty());
}

#[test]
fn samples_stay_bounded_and_weigh_what_they_leave_out() {
    let firewall = compile(&acl(json!([rule("r", 0, path("bad"))])));
    for _ in 0..1_000 {
        Sent::parse("GET /bad").inspect(&firewall);
    }
    Sent::parse("GET /bad").at(NOW.plus_s(1)).inspect(&firewall);
    let set = firewall.samples("r", NOW.plus_s(-60), NOW.plus_s(60), 500);
    assert_eq!((set.sampled.len(), set.population), (100, 1_001));
    assert_eq!(set.sampled.last().map(|sample| &sample["Weight"]), Some(&json!(901)));
}

#[test]
fn what_a_web_acl_may_not_hold() {
    let group = json!({"RuleGroupReferenceStatement": {"ARN": "arn:group"}});
    let not_group =
        json!({"NotStatement": {"Statement": {"RateBasedStatement": {"Limit": 10, "AggregateKeyType": "IP"}}}});
    for rules in [
        json!([rule("a", 0, path("a")), rule("b", 0, path("b"))]),
        json!([rule("a", 0, path("a")), rule("a", 1, path("b"))]),
        json!([rule("a", 0, group)]),
        json!([rule("a", 0, not_group)]),
        json!([managed("AWSManagedRulesBotControlRuleSet", 0)]),
        json!([{"Name": "a", "Priority": 0, "Statement": path("a"), "VisibilityConfig": visibility("a")}]),
    ] {
        assert!(Firewall::compile(&acl(rules.clone())).is_err(), "{rules}");
    }
}
