//! The text of a lifecycle policy, and ECR's words about what is wrong with one.
//!
//! ECR holds the text against a JSON schema, whose validator (java-json-tools/json-schema-validator) has words of its own,
//! then against rules. Words that were recorded from AWS are AWS's: cdk-preflight's rules (measured in September 2026),
//! cloudposse/terraform-aws-ecr#158, hashicorp/terraform-provider-aws#45909. For the rest, the words are ours.

use crate::model::LifecycleAction;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Ref: ECR quota "rules per lifecycle policy".
const RULES_MAX: usize = 50;
/// Ref: ECR user guide, "Archiving an image": archived images are kept for so long at least.
const ARCHIVED_DAYS_MIN: i64 = 90;

/// Rules in the order of their priorities.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Policy {
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) priority: i32,
    pub(super) select: Select,
    pub(super) count: Count,
    /// Whether it is about archived images, or about those that can be pulled.
    pub(super) of_archived: bool,
    pub(super) action: LifecycleAction,
}

/// Which images a rule is about.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Select {
    Any,
    Untagged,
    /// Images with a tag for each of the prefixes.
    Prefixes(Vec<String>),
    /// Images with a tag for each of the patterns.
    Patterns(Vec<String>),
}

/// Which of them go.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Count {
    MoreThan(usize),
    SincePushedDays(i64),
    SincePulledDays(i64),
    SinceArchivedDays(i64),
}

/// What is wrong with a policy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum PolicyError {
    /// It is no policy at all.
    #[error("Lifecycle policy parsing failure: Could not map policyString into LifecyclePolicy.")]
    Unreadable,
    /// One that cannot be.
    #[error("Lifecycle policy validation failure: {0}")]
    Invalid(String),
}

impl From<String> for PolicyError {
    fn from(problem: String) -> Self {
        Self::Invalid(problem)
    }
}

impl From<&str> for PolicyError {
    fn from(problem: &str) -> Self {
        Self::Invalid(problem.to_owned())
    }
}

/// The schema's word for what is one of several things, and is none of them.
fn none_of(count: usize) -> String {
    format!("instance failed to match exactly one schema (matched 0 out of {count})")
}

/// Refuses members that the schema does not know, and the absence of those that it wants.
fn check_members(object: &Map<String, Value>, wanted: &[&str], optional: &[&str]) -> Result<(), String> {
    let listed = |mut names: Vec<&str>| {
        names.sort_unstable();
        names
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(",")
    };
    let known = |name: &str| wanted.contains(&name) || optional.contains(&name);
    let unknown: Vec<&str> = object.keys().map(String::as_str).filter(|name| !known(name)).collect();
    if !unknown.is_empty() {
        return Err(format!(
            "object instance has properties which are not allowed by the schema: [{}]",
            listed(unknown)
        ));
    }
    let missing: Vec<&str> = wanted
        .iter()
        .copied()
        .filter(|name| !object.contains_key(*name))
        .collect();
    if !missing.is_empty() {
        return Err(format!(
            "object has missing required properties ([{}])",
            listed(missing)
        ));
    }
    Ok(())
}

impl Policy {
    /// Reads a policy; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        let value: Value = serde_json::from_str(text).map_err(|_| PolicyError::Unreadable)?;
        let object = value.as_object().ok_or(PolicyError::Unreadable)?;
        check_members(object, &["rules"], &[])?;
        let rules = object
            .get("rules")
            .and_then(Value::as_array)
            .ok_or("the rules are no list")?;
        let found = rules.len();
        if found == 0 {
            return Err("array is too short: must have at least 1 elements but instance has 0 elements".into());
        }
        if found > RULES_MAX {
            return Err(PolicyError::Invalid(format!(
                "array is too long: must have at most {RULES_MAX} elements but instance has {found} elements"
            )));
        }
        let mut rules = rules.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
        rules.sort_by_key(|rule| rule.priority);
        check_together(&rules)?;
        Ok(Self { rules })
    }
}

fn rule(value: &Value) -> Result<Rule, PolicyError> {
    let object = value.as_object().ok_or("a rule is no object")?;
    check_members(object, &["rulePriority", "selection", "action"], &["description"])?;
    let priority = object.get("rulePriority").and_then(Value::as_i64);
    let priority = priority.ok_or("rulePriority must be a whole number")?;
    if priority < 1 {
        return Err(PolicyError::Invalid(format!(
            "numeric instance is lower than the required minimum (minimum: 1, found: {priority})"
        )));
    }
    let priority = i32::try_from(priority).map_err(|_| "rulePriority is too large")?;
    if object.get("description").is_some_and(|text| !text.is_string()) {
        return Err("description must be a text".into());
    }
    let selection = object
        .get("selection")
        .and_then(Value::as_object)
        .ok_or("a selection is no object")?;
    check_members(
        selection,
        &["tagStatus", "countType", "countNumber"],
        &["tagPrefixList", "tagPatternList", "storageClass", "countUnit"],
    )?;
    let count = count(selection)?;
    let action = action(object.get("action"))?;
    let list = |name: &str| -> Result<Option<Vec<String>>, String> {
        let Some(list) = selection.get(name) else {
            return Ok(None);
        };
        let texts = list.as_array().and_then(|list| {
            list.iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
        });
        let texts = texts.filter(|texts| !texts.is_empty() && texts.iter().all(|text| !text.is_empty()));
        texts.map(Some).ok_or_else(|| format!("{name} must be a list of texts"))
    };
    let (prefixes, patterns) = (list("tagPrefixList")?, list("tagPatternList")?);
    let select = match (selection.get("tagStatus").and_then(Value::as_str), prefixes, patterns) {
        (Some("any"), None, None) => Select::Any,
        (Some("untagged"), None, None) => Select::Untagged,
        (Some("tagged"), Some(prefixes), None) => Select::Prefixes(prefixes),
        (Some("tagged"), None, Some(patterns)) => Select::Patterns(patterns),
        (Some("tagged"), None, None) => {
            return Err("Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.".into());
        }
        (_, Some(_), Some(_)) => {
            return Err(
                "If policy has a tagged rule, it must specify only one of tagPrefixList or tagPatternList".into(),
            );
        }
        (Some(status @ ("any" | "untagged")), prefixes, _) => {
            let list = if prefixes.is_some() {
                "tagPrefixList"
            } else {
                "tagPatternList"
            };
            return Err(PolicyError::Invalid(format!(
                "Cannot specify {list} with tagStatus {status}"
            )));
        }
        _ => return Err("tagStatus must be 'tagged', 'untagged' or 'any'".into()),
    };
    if let Select::Patterns(patterns) = &select
        && patterns.iter().any(|pattern| pattern.matches('*').count() > 4)
    {
        return Err("Invalid tag pattern provided. Total number of * must not exceed 4".into());
    }
    check_characters(&select)?;
    let of_archived = match selection.get("storageClass").map(Value::as_str) {
        None | Some(Some("standard")) => false,
        Some(Some("archive")) => true,
        Some(_) => return Err("storageClass must be 'standard' or 'archive'".into()),
    };
    check_kind(&count, of_archived, action)?;
    Ok(Rule {
        priority,
        select,
        count,
        of_archived,
        action,
    })
}

/// Refuses what no tag can have. Ref: ECR user guide, "Lifecycle policy properties"; awsdocs/amazon-ecr-user-guide#17: a
/// prefix takes the characters of a tag, and nothing else.
fn check_characters(select: &Select) -> Result<(), String> {
    let is_of_tag = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let (texts, what, allowed): (_, _, fn(char) -> bool) = match select {
        Select::Any | Select::Untagged => return Ok(()),
        Select::Prefixes(prefixes) => (prefixes, "prefix", |_| false),
        Select::Patterns(patterns) => (patterns, "pattern", |c| c == '*'),
    };
    let fits = |text: &String| text.chars().all(|c| is_of_tag(c) || allowed(c));
    match texts.iter().find(|text| !fits(text)) {
        Some(text) => Err(format!("Invalid tag {what} provided. No image tag can match '{text}'")),
        None => Ok(()),
    }
}

fn action(value: Option<&Value>) -> Result<LifecycleAction, PolicyError> {
    let action = value.and_then(Value::as_object).ok_or("an action is no object")?;
    check_members(action, &["type"], &["targetStorageClass"])?;
    let target = action.get("targetStorageClass").map(Value::as_str);
    match (action.get("type").and_then(Value::as_str), target) {
        (Some("expire"), None) => Ok(LifecycleAction::Expire),
        (Some("transition"), Some(Some("archive"))) => Ok(LifecycleAction::Archive),
        (Some("transition"), None) => Err(PolicyError::Unreadable),
        _ => Err(none_of(2).into()),
    }
}

/// Which storage class and which action go with which count. Ref: ECR user guide, "Lifecycle policy properties", "Storage
/// class"; "Examples of lifecycle policies", "Filtering on last pulled time", "Filtering on archive transition time".
fn check_kind(count: &Count, of_archived: bool, action: LifecycleAction) -> Result<(), String> {
    let refuse = |text: &str| Err(text.to_owned());
    match (count, of_archived, action) {
        (Count::SinceArchivedDays(_), false, _) => {
            refuse("countType 'sinceImageTransitioned' needs storageClass 'archive'")
        }
        (Count::SinceArchivedDays(_), _, LifecycleAction::Archive) => {
            refuse("countType 'sinceImageTransitioned' must be used with action.type 'expire'")
        }
        (Count::SinceArchivedDays(days), ..) if *days < ARCHIVED_DAYS_MIN => Err(format!(
            "archived images are kept for at least {ARCHIVED_DAYS_MIN} days: countNumber must not be less"
        )),
        (Count::SinceArchivedDays(_), ..) => Ok(()),
        (_, true, _) => refuse(
            "SINCE_IMAGE_PUSHED, SINCE_IMAGE_PULLED and IMAGE_COUNT_MORE_THAN support the STANDARD storage class only",
        ),
        (Count::SincePulledDays(_), _, LifecycleAction::Expire) => {
            refuse("countType 'sinceImagePulled' must be used with action.type 'transition'")
        }
        (Count::MoreThan(_) | Count::SincePushedDays(_) | Count::SincePulledDays(_), ..) => Ok(()),
    }
}

/// The four kinds of count, each with the members that it takes.
fn count(selection: &Map<String, Value>) -> Result<Count, String> {
    let number = selection.get("countNumber").and_then(Value::as_i64).filter(|n| *n > 0);
    let number = number.ok_or_else(|| none_of(4))?;
    let unit = selection.get("countUnit").map(Value::as_str);
    match (selection.get("countType").and_then(Value::as_str), unit) {
        (Some("imageCountMoreThan"), None) => usize::try_from(number)
            .map(Count::MoreThan)
            .map_err(|_| "countNumber is too large".to_owned()),
        (Some("sinceImagePushed"), Some(Some("days"))) => Ok(Count::SincePushedDays(number)),
        (Some("sinceImagePulled"), Some(Some("days"))) => Ok(Count::SincePulledDays(number)),
        (Some("sinceImageTransitioned"), Some(Some("days"))) => Ok(Count::SinceArchivedDays(number)),
        _ => Err(none_of(4)),
    }
}

/// What rules must not have in common. Those about archived images and those about others do not touch each other.
fn check_together(rules: &[Rule]) -> Result<(), String> {
    let priorities: BTreeSet<i32> = rules.iter().map(|rule| rule.priority).collect();
    if priorities.len() != rules.len() {
        return Err("Duplicate priority in multiple rules".to_owned());
    }
    for of_archived in [false, true] {
        let rules: Vec<&Rule> = rules.iter().filter(|rule| rule.of_archived == of_archived).collect();
        check_class(&rules)?;
    }
    Ok(())
}

fn check_class(rules: &[&Rule]) -> Result<(), String> {
    let count = |select: &Select| rules.iter().filter(|rule| rule.select == *select).count();
    if count(&Select::Any) > 1 {
        return Err("Only one rule can specify tagStatus=ANY per storage class".to_owned());
    }
    if rules
        .split_last()
        .is_some_and(|(_, others)| others.iter().any(|rule| rule.select == Select::Any))
    {
        return Err("Rule for tagStatus=ANY must have the lowest priority per storage class".to_owned());
    }
    if count(&Select::Untagged) > 1 {
        return Err("Only one rule can select Untagged images per storage class".to_owned());
    }
    let mut seen = BTreeSet::new();
    for rule in rules {
        if let Select::Prefixes(texts) | Select::Patterns(texts) = &rule.select {
            let mut texts = texts.clone();
            texts.sort();
            if !seen.insert(texts) {
                return Err("the tag lists of rules must be unique".to_owned());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, problem: &str) {
        let error = Policy::parse(text).expect_err(problem).to_string();
        assert_eq!(error, format!("Lifecycle policy {problem}"), "{text}");
    }

    fn rule(members: &str) -> String {
        format!(r#"{{"rules":[{{"rulePriority":1,"action":{{"type":"expire"}},{members}}}]}}"#)
    }

    fn selection(members: &str) -> String {
        rule(&format!(r#""selection":{{{members}}}"#))
    }

    #[test]
    fn what_is_wrong_is_said_in_ecrs_words() {
        let unreadable = "parsing failure: Could not map policyString into LifecyclePolicy.";
        check("{", unreadable);
        check("[]", unreadable);
        check(
            "{}",
            r#"validation failure: object has missing required properties (["rules"])"#,
        );
        check(
            r#"{"rules":[]}"#,
            "validation failure: array is too short: must have at least 1 elements but instance has 0 elements",
        );
        check(
            &format!(r#"{{"rules":[{}]}}"#, vec!["{}"; 51].join(",")),
            "validation failure: array is too long: must have at most 50 elements but instance has 51 elements",
        );
        check(
            r#"{"rules":[{"rulePriority":1}]}"#,
            r#"validation failure: object has missing required properties (["action","selection"])"#,
        );
        check(
            &rule(r#""selection":{},"extra":1"#),
            r#"validation failure: object instance has properties which are not allowed by the schema: ["extra"]"#,
        );
        check(
            &rule(r#""selection":{}"#).replace("\"rulePriority\":1", "\"rulePriority\":0"),
            "validation failure: numeric instance is lower than the required minimum (minimum: 1, found: 0)",
        );
        check(
            &selection(r#""tagStatus":"any""#),
            r#"validation failure: object has missing required properties (["countNumber","countType"])"#,
        );
    }

    #[test]
    fn what_is_wrong_with_a_count_or_with_tags() {
        let count = r#""countType":"imageCountMoreThan","countNumber":1"#;
        for members in [
            r#""countType":"imageCountMoreThan","countNumber":1,"countUnit":"days""#,
            r#""countType":"imageCountMoreThan","countNumber":1,"countUnit":null"#,
            r#""countType":"imageCountMoreThan","countNumber":0"#,
            r#""countType":"sinceImagePushed","countNumber":1"#,
            r#""countType":"sinceImagePushed","countNumber":1,"countUnit":"weeks""#,
            r#""countType":"sinceYesterday","countNumber":1,"countUnit":"days""#,
        ] {
            check(
                &selection(&format!(r#""tagStatus":"any",{members}"#)),
                "validation failure: instance failed to match exactly one schema (matched 0 out of 4)",
            );
        }
        for (tags, problem) in [
            (
                r#""tagStatus":"tagged""#,
                "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.",
            ),
            (
                r#""tagStatus":"tagged","tagPrefixList":["a"],"tagPatternList":["a*"]"#,
                "If policy has a tagged rule, it must specify only one of tagPrefixList or tagPatternList",
            ),
            (
                r#""tagStatus":"untagged","tagPrefixList":["a"]"#,
                "Cannot specify tagPrefixList with tagStatus untagged",
            ),
            (
                r#""tagStatus":"any","tagPatternList":["a"]"#,
                "Cannot specify tagPatternList with tagStatus any",
            ),
            (
                r#""tagStatus":"tagged","tagPatternList":["a*b*c*d*e*"]"#,
                "Invalid tag pattern provided. Total number of * must not exceed 4",
            ),
            (
                r#""tagStatus":"tagged","tagPrefixList":["v1","release/1"]"#,
                "Invalid tag prefix provided. No image tag can match 'release/1'",
            ),
            (
                r#""tagStatus":"tagged","tagPrefixList":["v*"]"#,
                "Invalid tag prefix provided. No image tag can match 'v*'",
            ),
            (
                r#""tagStatus":"tagged","tagPatternList":["v[0-9]*"]"#,
                "Invalid tag pattern provided. No image tag can match 'v[0-9]*'",
            ),
        ] {
            check(
                &selection(&format!("{tags},{count}")),
                &format!("validation failure: {problem}"),
            );
        }
    }
}
