//! Conditions of rules: checked, and stored in the long form (`...Config`), with `Values` beside it where AWS shows it.

use super::limits::{CONDITION_VALUES_MAX, WILDCARDS_MAX};
use crate::error::{unsupported, validation};
use crate::types;
use honmaru_base::ApiError;
use honmaru_wire::tree::Tree;
use ipnet::IpNet;
use serde_json::Value;

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
            "Rules can have a maximum of '{CONDITION_VALUES_MAX}' condition values"
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

fn one(field: &str, condition: types::RuleCondition, counts: &mut Counts) -> Result<types::RuleCondition, ApiError> {
    let has_regex = condition.regex_values.is_some()
        || condition
            .host_header_config
            .as_ref()
            .is_some_and(|config| config.regex_values.is_some())
        || condition
            .path_pattern_config
            .as_ref()
            .is_some_and(|config| config.regex_values.is_some())
        || condition
            .http_header_config
            .as_ref()
            .is_some_and(|config| config.regex_values.is_some());
    if has_regex {
        return Err(unsupported("regular expressions in conditions are not supported"));
    }
    let plain = condition.values.clone();
    let mut stored = types::RuleCondition {
        field: Some(field.to_owned()),
        ..Default::default()
    };
    match field {
        "host-header" => {
            let values = either(
                field,
                plain,
                condition.host_header_config.and_then(|config| config.values),
            )?;
            check_values(
                field,
                &values,
                |c| c.is_ascii_alphanumeric() || "-.*?".contains(c),
                counts,
            )?;
            stored.values = Some(values.clone());
            stored.host_header_config = Some(types::HostHeaderConditionConfig {
                values: Some(values),
                regex_values: None,
            });
        }
        "path-pattern" => {
            let values = either(
                field,
                plain,
                condition.path_pattern_config.and_then(|config| config.values),
            )?;
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_-.$/~\"'@:+&*?".contains(c);
            check_values(field, &values, is_allowed, counts)?;
            stored.values = Some(values.clone());
            stored.path_pattern_config = Some(types::PathPatternConditionConfig {
                values: Some(values),
                regex_values: None,
            });
        }
        "http-header" => {
            let config = condition.http_header_config.unwrap_or_default();
            let name = config.http_header_name.filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| validation("An HTTP header name must be specified"))?;
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            if name.len() > 40 || !name.chars().all(is_token) || name.eq_ignore_ascii_case("host") {
                return Err(validation(format!("The HTTP header name '{name}' is not valid")));
            }
            let values = either(field, None, config.values)?;
            check_values(field, &values, |c| c.is_ascii() && !c.is_ascii_control(), counts)?;
            stored.http_header_config = Some(types::HttpHeaderConditionConfig {
                http_header_name: Some(name),
                values: Some(values),
                regex_values: None,
            });
        }
        "http-request-method" => {
            let values = either(
                field,
                None,
                condition.http_request_method_config.and_then(|config| config.values),
            )?;
            for value in &values {
                counts.values += 1;
                let is_method = value.chars().all(|c| c.is_ascii_uppercase() || "-_".contains(c));
                if value.is_empty() || value.len() > 40 || !is_method {
                    return Err(validation(format!("The HTTP request method '{value}' is not valid")));
                }
            }
            stored.http_request_method_config = Some(types::HttpRequestMethodConditionConfig { values: Some(values) });
        }
        "query-string" => {
            let pairs = condition
                .query_string_config
                .and_then(|config| config.values)
                .unwrap_or_default();
            if pairs.is_empty() {
                return Err(empty(field));
            }
            for pair in &pairs {
                let value = pair.value.as_deref().unwrap_or("");
                let key = pair.key.as_deref().unwrap_or("");
                if value.is_empty() || value.len() > 128 || key.len() > 128 {
                    return Err(validation("A query string condition value must be 1 to 128 characters"));
                }
                counts.add(value);
                counts.wildcards += key.chars().filter(|c| matches!(c, '*' | '?')).count();
            }
            stored.query_string_config = Some(types::QueryStringConditionConfig { values: Some(pairs) });
        }
        "source-ip" => {
            let config = condition.source_ip_config.unwrap_or_default();
            let values = either(field, None, config.values)?;
            for value in &values {
                counts.values += 1;
                if value.parse::<IpNet>().is_err() {
                    return Err(validation(format!("The source IP '{value}' is not a valid CIDR block")));
                }
            }
            stored.source_ip_config = Some(types::SourceIpConditionConfig {
                values: Some(values),
                ip_address_type: None,
            });
        }
        other => {
            return Err(validation(format!(
                "Condition field '{other}' must be one of '[path-pattern, host-header, http-request-method, http-header, query-string, source-ip]'"
            )));
        }
    }
    Ok(stored)
}

fn empty(field: &str) -> ApiError {
    validation(format!("A '{field}' condition must have at least one value"))
}

/// The values of the short form or of the long one, not of both.
fn either(field: &str, short: Option<Vec<String>>, long: Option<Vec<String>>) -> Result<Vec<String>, ApiError> {
    match (
        short.filter(|values| !values.is_empty()),
        long.filter(|values| !values.is_empty()),
    ) {
        (Some(short), Some(long)) if short != long => Err(validation(format!(
            "You cannot specify both 'Values' and a configuration for '{field}'"
        ))),
        (Some(values), _) | (None, Some(values)) => Ok(values),
        (None, None) => Err(empty(field)),
    }
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
        if value.chars().count() > 128 {
            return Err(validation(format!(
                "The '{field}' condition value cannot be longer than '128' characters"
            )));
        }
        if let Some(wrong) = value.chars().find(|c| !is_allowed(*c)) {
            return Err(validation(format!(
                "The '{field}' condition value '{value}' contains a character that is not valid: '{wrong}'"
            )));
        }
    }
    Ok(())
}
