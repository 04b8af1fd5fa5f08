//! Conditions of rules: checked, and stored in the long form (`...Config`), with `Values` beside it where AWS shows it.
//!
//! The texts are AWS's: most were recorded by badmintoncryer/cdk-preflight in September 2026 (`pf-elbv2-rule-*`), "You
//! cannot provide both Values and 'HostHeaderConfig' ..." was seen in aws-controllers-k8s/community issue 2759, and the
//! rest are in the suite of getmoto/moto, whose pull request 3662 validated them against AWS.

use super::foreign;
use super::limits::{CONDITION_VALUES_MAX, WILDCARDS_MAX};
use crate::error::{unsupported, validation};
use crate::types;
use honmaru_base::ApiError;
use honmaru_wire::tree::Tree;
use ipnet::IpNet;
use serde_json::Value;

/// Characters of a condition's value. Ref: `HostHeaderConditionConfig` and the others: "The maximum size of each string
/// is 128 characters".
const VALUE_CHARS_MAX: usize = 128;
/// Characters of a header's name and of a request method. Ref: `HttpHeaderName`, `HttpRequestMethodConfig`.
const NAME_CHARS_MAX: usize = 40;

/// Checks a rule's conditions and returns them as trees.
pub(super) fn normalize(conditions: Vec<types::RuleCondition>) -> Result<Vec<Value>, ApiError> {
    if conditions.is_empty() {
        return Err(validation("A condition must be specified"));
    }
    let mut trees = Vec::with_capacity(conditions.len());
    let mut single: Vec<String> = Vec::new();
    let mut counts = Counts::default();
    for condition in conditions {
        let field = condition.field.clone().unwrap_or_default();
        if ["host-header", "path-pattern", "http-request-method", "source-ip"].contains(&field.as_str()) {
            if single.contains(&field) {
                return Err(validation(format!("A rule can only have one '{field}' condition")));
            }
            single.push(field.clone());
        }
        trees.push(one(&field, condition, &mut counts)?.into_tree());
    }
    if counts.values > CONDITION_VALUES_MAX {
        return Err(validation(format!(
            "A rule can only have '{CONDITION_VALUES_MAX}' condition values and regex values"
        )));
    }
    if counts.wildcards > WILDCARDS_MAX {
        return Err(validation(format!(
            "Rules can have a maximum of '{WILDCARDS_MAX}' wildcards"
        )));
    }
    Ok(trees)
}

#[derive(Default)]
struct Counts {
    values: usize,
    wildcards: usize,
}

impl Counts {
    fn add(&mut self, value: &str) {
        self.values += 1;
        self.wildcards += value.chars().filter(|c| matches!(c, '*' | '?')).count();
    }
}

/// Whether a condition gives regular expressions, where it may, and literals or regular expressions in each of its
/// configurations.
fn check_regex(field: &str, condition: &types::RuleCondition) -> Result<(), ApiError> {
    let is_some = |values: &Option<Vec<String>>| values.as_ref().is_some_and(|values| !values.is_empty());
    if is_some(&condition.regex_values) && matches!(field, "http-request-method" | "query-string" | "source-ip") {
        return Err(validation(format!(
            "'RegexValues' is not supported for a condition of type '{field}'"
        )));
    }
    let host = condition.host_header_config.as_ref();
    let path = condition.path_pattern_config.as_ref();
    let header = condition.http_header_config.as_ref();
    let configs = [
        (
            "host-header",
            "HostHeaderConfig",
            host.map(|it| (&it.values, &it.regex_values)),
        ),
        (
            "path-pattern",
            "PathPatternConfig",
            path.map(|it| (&it.values, &it.regex_values)),
        ),
        (
            "http-header",
            "HttpHeaderConfig",
            header.map(|it| (&it.values, &it.regex_values)),
        ),
    ];
    let mut has_regex = is_some(&condition.regex_values);
    for (of, name, config) in configs {
        let Some((values, regex)) = config else { continue };
        if of == field && is_some(values) == is_some(regex) {
            return Err(validation(format!(
                "You must provide exactly one of the following: ['Values' 'RegexValues'] for config of type '{name}'"
            )));
        }
        has_regex |= is_some(regex);
    }
    match has_regex {
        true => Err(unsupported("regular expressions in conditions are not supported")),
        false => Ok(()),
    }
}

fn one(field: &str, condition: types::RuleCondition, counts: &mut Counts) -> Result<types::RuleCondition, ApiError> {
    check_regex(field, &condition)?;
    let whole = condition.clone();
    let plain = condition.values.clone();
    let mut stored = types::RuleCondition {
        field: Some(field.to_owned()),
        ..Default::default()
    };
    match field {
        "host-header" => {
            let long = condition.host_header_config.map(|config| config.values);
            let values = either(field, "HostHeaderConfig", plain, long)?;
            check_values(
                field,
                &values,
                |c| c.is_ascii_alphanumeric() || "-.*?".contains(c),
                counts,
            )?;
            if let Some(wrong) = values.iter().find(|value| !is_host(value)) {
                return Err(wrong_character(wrong));
            }
            stored.values = Some(values.clone());
            stored.host_header_config = Some(types::HostHeaderConditionConfig {
                values: Some(values),
                regex_values: None,
            });
        }
        "path-pattern" => {
            let long = condition.path_pattern_config.map(|config| config.values);
            let values = either(field, "PathPatternConfig", plain, long)?;
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_-.$/~\"'@:+&*?".contains(c);
            check_values(field, &values, is_allowed, counts)?;
            stored.values = Some(values.clone());
            stored.path_pattern_config = Some(types::PathPatternConditionConfig {
                values: Some(values),
                regex_values: None,
            });
        }
        "http-header" => {
            let config = condition
                .http_header_config
                .ok_or_else(|| needed(field, "HttpHeaderConfig"))?;
            let name = config.http_header_name.filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| validation("An HTTP header name must be specified"))?;
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.chars().count() > NAME_CHARS_MAX {
                return Err(too_many_characters(field, NAME_CHARS_MAX));
            }
            if name.eq_ignore_ascii_case("host") {
                return Err(validation("You cannot specify 'host' as an HTTP header name"));
            }
            if !name.chars().all(is_token) {
                return Err(validation(format!("The HTTP header name '{name}' is not valid")));
            }
            let values = some(field, config.values)?;
            check_values(field, &values, |c| c.is_ascii() && !c.is_ascii_control(), counts)?;
            stored.http_header_config = Some(types::HttpHeaderConditionConfig {
                http_header_name: Some(name),
                values: Some(values),
                regex_values: None,
            });
        }
        "http-request-method" => {
            let config = condition
                .http_request_method_config
                .ok_or_else(|| needed(field, "HttpRequestMethodConfig"))?;
            let values = some(field, config.values)?;
            for value in &values {
                counts.values += 1;
                if value.chars().count() > NAME_CHARS_MAX {
                    return Err(too_many_characters(field, NAME_CHARS_MAX));
                }
                let is_method = value.chars().all(|c| c.is_ascii_uppercase() || "-_".contains(c));
                if value.is_empty() || !is_method {
                    return Err(wrong_character(value));
                }
            }
            stored.http_request_method_config = Some(types::HttpRequestMethodConditionConfig { values: Some(values) });
        }
        "query-string" => {
            let config = condition
                .query_string_config
                .ok_or_else(|| needed(field, "QueryStringConfig"))?;
            let pairs = some(field, config.values)?;
            for pair in &pairs {
                let value = pair.value.as_deref().unwrap_or("");
                let key = pair.key.as_deref().unwrap_or("");
                if value.is_empty() {
                    return Err(validation("A 'Value' must be specified in 'QueryStringKeyValuePair'"));
                }
                for (what, text) in [("Key", key), ("Value", value)] {
                    if text.chars().count() > VALUE_CHARS_MAX {
                        return Err(too_long(what, VALUE_CHARS_MAX));
                    }
                }
                counts.add(value);
                counts.wildcards += key.chars().filter(|c| matches!(c, '*' | '?')).count();
            }
            stored.query_string_config = Some(types::QueryStringConditionConfig { values: Some(pairs) });
        }
        "source-ip" => {
            let config = condition
                .source_ip_config
                .ok_or_else(|| needed(field, "SourceIpConfig"))?;
            let values = some(field, config.values)?;
            for value in &values {
                counts.values += 1;
                if value.parse::<IpNet>().is_err() {
                    return Err(validation(format!(
                        "The specified value '{value}' is not a valid CIDR block"
                    )));
                }
            }
            stored.source_ip_config = Some(types::SourceIpConditionConfig {
                values: Some(values),
                ip_address_type: None,
            });
        }
        other => {
            return Err(validation(format!(
                "Condition field '{other}' must be one of 'http-header,http-request-method,host-header,query-string,path-pattern,source-ip'"
            )));
        }
    }
    // What is missing is said before what is too much.
    foreign::check_condition(field, &whole)?;
    Ok(stored)
}

fn needed(field: &str, config: &str) -> ApiError {
    validation(format!("A '{config}' must be specified with '{field}'"))
}

/// Whether a host's name has a last part, of letters and wildcards at its beginning. Ref: `HostHeaderConditionConfig`:
/// "You must include at least one "." character"; a last part of one wildcard was seen in
/// kubernetes-sigs/aws-load-balancer-controller issue 987, and the refusal of a lone one in notes of a user of Terraform's
/// provider: "Condition value '*' contains a character that is not valid".
fn is_host(value: &str) -> bool {
    let last = value.rsplit_once('.').and_then(|(_, last)| last.chars().next());
    last.is_some_and(|first| first.is_ascii_alphabetic() || "*?".contains(first))
}

fn wrong_character(value: &str) -> ApiError {
    validation(format!(
        "Condition value '{value}' contains a character that is not valid"
    ))
}

fn too_many_characters(field: &str, max: usize) -> ApiError {
    validation(format!(
        "Condition value for '{field}' cannot contain more than {max} characters"
    ))
}

fn too_long(what: &str, max: usize) -> ApiError {
    validation(format!("The '{what}' value is too long; the limit is '{max}'"))
}

/// The members of a list that must have some.
fn some<T>(field: &str, values: Option<Vec<T>>) -> Result<Vec<T>, ApiError> {
    values
        .filter(|values| !values.is_empty())
        .ok_or_else(|| validation(format!("A '{field}' value must be specified")))
}

/// The value of the short form or the values of the long one, not of both.
fn either(
    field: &str,
    config: &str,
    short: Option<Vec<String>>,
    long: Option<Option<Vec<String>>>,
) -> Result<Vec<String>, ApiError> {
    let short = short.filter(|values| !values.is_empty());
    if short.is_some() && long.is_some() {
        return Err(validation(format!(
            "You cannot provide both Values and '{config}' for a condition of type '{field}'"
        )));
    }
    // Ref: `RuleCondition`, `Values`: "If Field is host-header and you are not using HostHeaderConfig, you can specify a
    // single host name"; the same of path-pattern.
    if short.as_ref().is_some_and(|values| values.len() > 1) {
        return Err(validation(format!(
            "The '{field}' field contains too many values; the limit is '1'"
        )));
    }
    let values = short.or(long.flatten()).filter(|values| !values.is_empty());
    values.ok_or_else(|| {
        validation(format!(
            "For conditions of type '{field}', you must specify the following fields: 'Values or RegexValues or {config}'"
        ))
    })
}

fn check_values(
    field: &str,
    values: &[String],
    is_allowed: impl Fn(char) -> bool,
    counts: &mut Counts,
) -> Result<(), ApiError> {
    for value in values {
        counts.add(value);
        if value.is_empty() {
            return Err(validation("Condition value cannot be empty"));
        }
        if value.chars().count() > VALUE_CHARS_MAX {
            return Err(too_many_characters(field, VALUE_CHARS_MAX));
        }
        if !value.chars().all(&is_allowed) {
            return Err(wrong_character(value));
        }
    }
    Ok(())
}
