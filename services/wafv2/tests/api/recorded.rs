//! What AWS refuses, in the words that were recorded of it.

use crate::support::*;
use serde_json::{Value, json};

/// What AWS refuses and how, as badmintoncryer/cdk-preflight recorded it in September 2026 (`pf-wafv2-*`).
#[test]
fn refusals_are_in_the_words_of_aws() {
    const LIMIT: &str = "AWS WAF couldn’t perform the operation because you exceeded your resource limit";
    const BOUNDS: &str = "Error reason: The parameter value is out of bounds., field:";
    const ARN: &str = "Error reason: The ARN isn't valid. A valid ARN begins with arn: and includes other information \
                       separated by colons or slashes., field: RESOURCE_ARN, parameter:";
    let mut cloud = Cloud::with_balancer();
    let headers = |count: usize| -> Value {
        (0..count)
            .map(|at| json!({"Name": format!("h{at}"), "Value": "v"}))
            .collect()
    };
    let rate = json!({"RateBasedStatement": {"Limit": 100, "AggregateKeyType": "IP"}});
    let rates = |count: i64| -> Value { (0..count).map(|at| rule(&format!("r{at}"), at, rate.clone())).collect() };
    let changed = |mut rule: Value, pointer: &str, member: &str, value: Value| {
        rule.pointer_mut(pointer).unwrap()[member] = value;
        rule
    };
    let plain = || rule("r", 1, regex("a"));
    let inserting = |name: &str, priority: i64, count: usize| {
        let action = json!({"Allow": {"CustomRequestHandling": {"InsertHeaders": headers(count)}}});
        changed(rule(name, priority, regex("a")), "", "Action", action)
    };
    let many_headers: Value = (0..11).map(|at| inserting(&format!("r{at}"), at, 10)).collect();
    let transformations: Value = (0..11).map(|at| json!({"Priority": at, "Type": "LOWERCASE"})).collect();
    let long = "YWFh".repeat(67);
    let byte = json!({"ByteMatchStatement": {"SearchString": long, "FieldToMatch": {"UriPath": {}},
        "PositionalConstraint": "EXACTLY", "TextTransformations": [{"Priority": 0, "Type": "NONE"}]}});
    let argument = json!({"SingleQueryArgument": {"Name": "a".repeat(31)}});
    let argument = changed(plain(), "/Statement/RegexMatchStatement", "FieldToMatch", argument);
    let elsewhere = "arn:aws:wafv2:eu-west-1:000000000000:regional/ipset/x/11111111-2222-3333-4444-555555555555";
    let managed = json!({"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesCommonRuleSet"}});
    let (invalid, limits) = ("WAFInvalidParameterException", "WAFLimitsExceededException");
    let metric =
        json!({"SampledRequestsEnabled": false, "CloudWatchMetricsEnabled": false, "MetricName": "Default_Action"});
    let table = [
        (json!([plain(), changed(plain(), "", "Name", json!("s"))]), invalid,
            "Error reason: You have a duplicate priority. Priorities must be unique., field: RULE, parameter: 1".to_owned()),
        (json!([rule("r", 0, json!({}))]), invalid,
            "Error reason: EXACTLY_ONE_CONDITION_REQUIRED, field: STATEMENT, parameter: Statement".to_owned()),
        (json!([rule("r", 0, json!({"AndStatement": {"Statements": [regex("a")]}}))]), invalid,
            "Error reason: You haven't met a minimum requirement for a threshold setting. Examples include a rule group \
             capacity setting that's too low and an OR statement with only one nested statement., field: AND_STATEMENT, \
             parameter: AndStatement".to_owned()),
        (json!([rule("r", 0, managed)]), invalid,
            "Error reason: A reference in your rule statement is not valid., field: RULE, parameter: Statement".to_owned()),
        (json!([changed(plain(), "", "RuleLabels", json!([{"Name": "a".repeat(129)}]))]), invalid,
            format!("{BOUNDS} null, parameter: Label")),
        (json!([changed(plain(), "", "ChallengeConfig", json!({"ImmunityTimeProperty": {"ImmunityTime": 299}}))]), invalid,
            format!("{BOUNDS} CHALLENGE_CONFIG, parameter: 299")),
        (json!([changed(plain(), "", "VisibilityConfig", metric)]), invalid,
            "Error reason: The metric name is not valid., field: METRIC_NAME, parameter: Default_Action".to_owned()),
        (json!([rule("r", 0, ip(&json!(elsewhere)))]), invalid, format!("{ARN} {elsewhere}")),
        (json!([rule("r", 0, byte)]), limits, format!("{LIMIT} NUM_BYTES_IN_BYTEMATCH_SEARCHSTRING")),
        (json!([changed(plain(), "/Statement/RegexMatchStatement", "TextTransformations", transformations)]), limits,
            format!("{LIMIT}.")),
        (json!([inserting("r", 0, 11)]), limits, format!("{LIMIT}.")),
        (many_headers, limits, format!("{LIMIT}.")),
        (rates(11), limits, format!("{LIMIT}.")),
        (json!([argument]), "ValidationException", format!(
            "1 validation error detected: Value '{}' at \
             'rules.1.member.statement.regexMatchStatement.fieldToMatch.singleQueryArgument.name' failed to satisfy \
             constraint: Member must have length less than or equal to 30", "a".repeat(31))),
    ];
    for (rules, code, text) in table {
        let error = cloud.error("CreateWebACL", acl("shop", rules.clone()));
        assert_eq!((error.code.as_str(), error.message), (code, text), "{rules}");
    }
    let bodies: serde_json::Map<String, Value> = (0..51)
        .map(|at| (format!("b{at}"), json!({"ContentType": "TEXT_PLAIN", "Content": "x"})))
        .collect();
    let domains: Value = (0..11).map(|at| json!(format!("a{at}.com"))).collect();
    let patterns: Value = (0..11).map(|at| json!({"RegexString": format!("a{at}")})).collect();
    let sets = json!({"Name": "s", "Scope": "REGIONAL", "RegularExpressionList": patterns});
    let with_bodies = changed(acl("shop", json!([])), "", "CustomResponseBodies", bodies.into());
    let with_domains = changed(acl("shop", json!([])), "", "TokenDomains", domains);
    for (name, input, limit) in [
        ("CreateWebACL", with_bodies, "NUM_CUSTOM_RESPONSE_BODY_IN_CONTAINER"),
        ("CreateWebACL", with_domains, "NUM_TOKEN_DOMAINS_IN_WEBACL"),
        (
            "CreateRuleGroup",
            group("g", 500, rates(5)),
            "NUM_RATEBASED_STATEMENT_IN_RULE_GROUP",
        ),
        (
            "CreateRuleGroup",
            group("g", 5_001, json!([])),
            "NUM_CAPACITY_UNITS_IN_RULE_GROUP",
        ),
        ("CreateRegexPatternSet", sets, "NUM_PATTERNS_IN_REGEX_PATTERN_SET"),
    ] {
        let error = cloud.error(name, input);
        assert_eq!(
            (error.code.as_str(), error.message),
            (limits, format!("{LIMIT} {limit}"))
        );
    }
    cloud.ok("CreateRuleGroup", group("four", 500, rates(4)));
    let acl = cloud.create_acl("ten", rates(10));
    let group = "arn:aws:wafv2:us-east-1:000000000000:regional/rulegroup/g/11111111-2222-3333-4444-555555555555";
    let distribution = "arn:aws:cloudfront::000000000000:distribution/E1234567890ABC";
    for (web_acl, resource, wrong) in [
        (&acl["ARN"], distribution, distribution),
        (&json!(group), BALANCER, group),
    ] {
        let error = cloud.error(
            "AssociateWebACL",
            json!({"WebACLArn": web_acl, "ResourceArn": resource}),
        );
        assert_eq!(
            (error.code.as_str(), error.message),
            (invalid, format!("{ARN} {wrong}"))
        );
    }
}
