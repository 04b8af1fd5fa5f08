//! What a web ACL or a rule group may hold, said when it is made or changed: what is stored stays as it is. The words were
//! recorded by badmintoncryer/cdk-preflight in September 2026 (`pf-wafv2-*`).

use crate::error;
use crate::rules::References;
use honmaru_base::{ApiError, Arn, Scope};
use honmaru_firewall::{Action, Effect, Home, Rule, Statement};
use serde_json::{Map, Value};

/// Ref: WAFv2 quotas.
const TOKEN_DOMAINS_MAX: usize = 10;
/// Ref: WAFv2 quotas: headers that all rules together insert.
const INSERTED_HEADERS_MAX: usize = 100;
/// Ref: WAFv2 quotas.
const RATE_RULES_OF_GROUP_MAX: usize = 4;
/// Ref: WAFv2 quotas.
const RATE_RULES_OF_WEB_ACL_MAX: usize = 10;
/// Ref: AWS WAF developer guide: 300 seconds is the least of a challenge.
const CHALLENGE_IMMUNITY_S_MIN: u64 = 300;
/// Ref: WAFv2 API, `VisibilityConfig.MetricName`.
const RESERVED_METRICS: [&str; 2] = ["All", "Default_Action"];
/// Characters of the name of a query argument, as AWS's own model says.
const ARGUMENT_NAME_MAX: usize = 30;

pub(super) fn check(scope: &Scope, settings: &Map<String, Value>, rules: &[Rule], home: Home) -> Result<(), ApiError> {
    let given = settings.get("Rules").and_then(Value::as_array);
    for (rule, at) in given.into_iter().flatten().zip(1..) {
        check_names(rule, &format!("rules.{at}.member"))?;
    }
    let metric = |holder: &Value| holder.pointer("/MetricName").and_then(Value::as_str).map(str::to_owned);
    let own = settings.get("VisibilityConfig").and_then(metric);
    let metrics = rules.iter().map(|rule| rule.metric.as_str()).chain(own.as_deref());
    for name in metrics {
        if RESERVED_METRICS.contains(&name) {
            return Err(error::invalid("METRIC_NAME", name, "The metric name is not valid"));
        }
    }
    let configs = given
        .into_iter()
        .flatten()
        .filter_map(|rule| rule.get("ChallengeConfig"));
    for config in configs.chain(settings.get("ChallengeConfig")) {
        let immunity = config
            .pointer("/ImmunityTimeProperty/ImmunityTime")
            .and_then(Value::as_u64);
        if let Some(seconds) = immunity.filter(|seconds| *seconds < CHALLENGE_IMMUNITY_S_MIN) {
            let reason = "The parameter value is out of bounds";
            return Err(error::invalid("CHALLENGE_CONFIG", &seconds.to_string(), reason));
        }
    }
    let domains = settings.get("TokenDomains").and_then(Value::as_array);
    if domains.is_some_and(|domains| domains.len() > TOKEN_DOMAINS_MAX) {
        return Err(error::limit_of("NUM_TOKEN_DOMAINS_IN_WEBACL"));
    }
    if rules.iter().map(inserted).sum::<usize>() > INSERTED_HEADERS_MAX {
        return Err(error::limit_exceeded());
    }
    let rates = rules.iter().filter(|rule| matches!(rule.statement, Statement::Rate(_)));
    match (home, rates.count()) {
        (Home::RuleGroup, count) if count > RATE_RULES_OF_GROUP_MAX => {
            return Err(error::limit_of("NUM_RATEBASED_STATEMENT_IN_RULE_GROUP"));
        }
        (Home::WebAcl, count) if count > RATE_RULES_OF_WEB_ACL_MAX => return Err(error::limit_exceeded()),
        _ => {}
    }
    for arn in References::of(rules).arns {
        let is_own = |arn: Arn| arn.account == scope.account.as_str() && arn.region == scope.region.as_str();
        if !arn.parse().is_ok_and(is_own) {
            return Err(error::invalid_arn(&arn));
        }
    }
    Ok(())
}

/// How many headers a rule puts into requests.
fn inserted(rule: &Rule) -> usize {
    match &rule.effect {
        Effect::Act(
            Action::Allow { insert }
            | Action::Count { insert }
            | Action::Captcha { insert }
            | Action::Challenge { insert },
        ) => insert.len(),
        Effect::Act(Action::Block(_)) | Effect::Override { .. } => 0,
    }
}

/// Names of query arguments, which AWS's model bounds, wherever they stand in a rule.
fn check_names(value: &Value, path: &str) -> Result<(), ApiError> {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let mut letters = name.chars();
                let first = letters.next().map(|first| first.to_ascii_lowercase());
                let below = format!("{path}.{}{}", first.unwrap_or_default(), letters.as_str());
                let is_argument = matches!(name.as_str(), "SingleQueryArgument" | "QueryArgument");
                let text = member.get("Name").and_then(Value::as_str).unwrap_or_default();
                if is_argument && text.chars().count() > ARGUMENT_NAME_MAX {
                    return Err(ApiError::new(
                        "ValidationException",
                        format!(
                            "1 validation error detected: Value '{text}' at '{below}.name' failed to satisfy constraint: \
                             Member must have length less than or equal to {ARGUMENT_NAME_MAX}"
                        ),
                    ));
                }
                check_names(member, &below)?;
            }
            Ok(())
        }
        Value::Array(items) => {
            (items.iter().zip(1..)).try_for_each(|(item, at)| check_names(item, &format!("{path}.{at}.member")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}
