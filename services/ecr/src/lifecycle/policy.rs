//! The text of a lifecycle policy.

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

impl Policy {
    /// Reads a policy; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|_| "the text is no JSON".to_owned())?;
        let object = value.as_object().ok_or("the policy is no object")?;
        if let Some(other) = object.keys().find(|key| *key != "rules") {
            return Err(format!(
                "object instance has properties which are not allowed by the schema: [\"{other}\"]"
            ));
        }
        let rules = object
            .get("rules")
            .and_then(Value::as_array)
            .ok_or("the policy has no rules")?;
        if rules.is_empty() || rules.len() > RULES_MAX {
            return Err(format!("a policy has 1 to {RULES_MAX} rules"));
        }
        let mut rules = rules.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
        rules.sort_by_key(|rule| rule.priority);
        check_together(&rules)?;
        Ok(Self { rules })
    }
}

fn rule(value: &Value) -> Result<Rule, String> {
    let object = value.as_object().ok_or("a rule is no object")?;
    if let Some(other) = object
        .keys()
        .find(|key| !["rulePriority", "description", "selection", "action"].contains(&key.as_str()))
    {
        return Err(format!("a rule has the unknown member '{other}'"));
    }
    let priority = object
        .get("rulePriority")
        .and_then(Value::as_i64)
        .and_then(|n| i32::try_from(n).ok());
    let priority = priority
        .filter(|n| *n > 0)
        .ok_or("rulePriority must be a positive number")?;
    if object.get("description").is_some_and(|text| !text.is_string()) {
        return Err("description must be a text".to_owned());
    }
    let action = action(object.get("action"))?;
    let selection = object
        .get("selection")
        .and_then(Value::as_object)
        .ok_or("a rule has no selection")?;
    let known = [
        "tagStatus",
        "tagPrefixList",
        "tagPatternList",
        "storageClass",
        "countType",
        "countUnit",
        "countNumber",
    ];
    if let Some(other) = selection.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("a selection has the unknown member '{other}'"));
    }
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
        (Some("tagged"), ..) => {
            return Err("tagStatus 'tagged' needs either tagPrefixList or tagPatternList".to_owned());
        }
        (Some("any" | "untagged"), ..) => return Err("tag lists need tagStatus 'tagged'".to_owned()),
        _ => return Err("tagStatus must be 'tagged', 'untagged' or 'any'".to_owned()),
    };
    if let Select::Patterns(patterns) = &select
        && patterns.iter().any(|pattern| pattern.matches('*').count() > 4)
    {
        return Err("a pattern may have at most 4 wildcards".to_owned());
    }
    let count = count(selection)?;
    let of_archived = match selection.get("storageClass").map(Value::as_str) {
        None | Some(Some("standard")) => false,
        Some(Some("archive")) => true,
        Some(_) => return Err("storageClass must be 'standard' or 'archive'".to_owned()),
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

fn action(value: Option<&Value>) -> Result<LifecycleAction, String> {
    let action = value.and_then(Value::as_object).ok_or("a rule has no action")?;
    if let Some(other) = action
        .keys()
        .find(|key| !["type", "targetStorageClass"].contains(&key.as_str()))
    {
        return Err(format!("an action has the unknown member '{other}'"));
    }
    let target = action.get("targetStorageClass").map(Value::as_str);
    match (action.get("type").and_then(Value::as_str), target) {
        (Some("expire"), None) => Ok(LifecycleAction::Expire),
        (Some("expire"), Some(_)) => Err("targetStorageClass is for action.type 'transition' only".to_owned()),
        (Some("transition"), Some(Some("archive"))) => Ok(LifecycleAction::Archive),
        (Some("transition"), _) => {
            Err("action.type 'transition' needs targetStorageClass, which must be 'archive'".to_owned())
        }
        _ => Err("action.type must be 'expire' or 'transition'".to_owned()),
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
        (_, true, _) => refuse("storageClass 'archive' needs countType 'sinceImageTransitioned'"),
        (Count::SincePulledDays(_), _, LifecycleAction::Expire) => {
            refuse("countType 'sinceImagePulled' must be used with action.type 'transition'")
        }
        (Count::MoreThan(_) | Count::SincePushedDays(_) | Count::SincePulledDays(_), ..) => Ok(()),
    }
}

fn count(selection: &Map<String, Value>) -> Result<Count, String> {
    let number = selection.get("countNumber").and_then(Value::as_i64).filter(|n| *n > 0);
    let number = number.ok_or("countNumber must be a positive number")?;
    let unit = selection.get("countUnit").and_then(Value::as_str);
    match (selection.get("countType").and_then(Value::as_str), unit) {
        (Some("imageCountMoreThan"), None) => usize::try_from(number)
            .map(Count::MoreThan)
            .map_err(|_| "countNumber is too large".to_owned()),
        (Some("sinceImagePushed"), Some("days")) => Ok(Count::SincePushedDays(number)),
        (Some("sinceImagePulled"), Some("days")) => Ok(Count::SincePulledDays(number)),
        (Some("sinceImageTransitioned"), Some("days")) => Ok(Count::SinceArchivedDays(number)),
        (Some("imageCountMoreThan"), Some(_)) => Err("countUnit is for countType 'sinceImage...' only".to_owned()),
        (Some("sinceImagePushed" | "sinceImagePulled" | "sinceImageTransitioned"), _) => {
            Err("countUnit must be 'days'".to_owned())
        }
        _ => Err(
            "countType must be 'imageCountMoreThan', 'sinceImagePushed', 'sinceImagePulled' or 'sinceImageTransitioned'"
                .to_owned(),
        ),
    }
}

/// What rules must not have in common. Those about archived images and those about others do not touch each other.
fn check_together(rules: &[Rule]) -> Result<(), String> {
    let priorities: BTreeSet<i32> = rules.iter().map(|rule| rule.priority).collect();
    if priorities.len() != rules.len() {
        return Err("rulePriority must be unique".to_owned());
    }
    for of_archived in [false, true] {
        let rules: Vec<&Rule> = rules.iter().filter(|rule| rule.of_archived == of_archived).collect();
        check_class(&rules)?;
    }
    Ok(())
}

fn check_class(rules: &[&Rule]) -> Result<(), String> {
    let any = rules.iter().position(|rule| rule.select == Select::Any);
    if any.is_some_and(|at| at + 1 != rules.len()) {
        return Err(
            "a rule with tagStatus 'any' must have the highest rulePriority, and there may be one only".to_owned(),
        );
    }
    if rules.iter().filter(|rule| rule.select == Select::Untagged).count() > 1 {
        return Err("only one rule may select untagged images".to_owned());
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
