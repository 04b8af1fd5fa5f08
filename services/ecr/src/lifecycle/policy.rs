//! The text of a lifecycle policy.

use serde_json::Value;
use std::collections::BTreeSet;

/// Ref: ECR quota "rules per lifecycle policy".
const RULES_MAX: usize = 50;

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
    match value.pointer("/action/type").and_then(Value::as_str) {
        Some("expire") => {}
        Some("transition") => return Err("the action 'transition' (archive storage) is not supported".to_owned()),
        _ => return Err("action.type must be 'expire'".to_owned()),
    }
    let selection = object
        .get("selection")
        .and_then(Value::as_object)
        .ok_or("a rule has no selection")?;
    let known = [
        "tagStatus",
        "tagPrefixList",
        "tagPatternList",
        "countType",
        "countUnit",
        "countNumber",
    ];
    if let Some(other) = selection.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!(
            "a selection has the member '{other}', which is unknown or not supported"
        ));
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
    Ok(Rule {
        priority,
        select,
        count: count(selection)?,
    })
}

fn count(selection: &serde_json::Map<String, Value>) -> Result<Count, String> {
    let number = selection.get("countNumber").and_then(Value::as_i64).filter(|n| *n > 0);
    let number = number.ok_or("countNumber must be a positive number")?;
    let unit = selection.get("countUnit").and_then(Value::as_str);
    match (selection.get("countType").and_then(Value::as_str), unit) {
        (Some("imageCountMoreThan"), None) => usize::try_from(number)
            .map(Count::MoreThan)
            .map_err(|_| "countNumber is too large".to_owned()),
        (Some("sinceImagePushed"), Some("days")) => Ok(Count::SincePushedDays(number)),
        (Some("sinceImagePulled"), Some("days")) => Ok(Count::SincePulledDays(number)),
        (Some("imageCountMoreThan"), Some(_)) => Err("countUnit is for countType 'sinceImage...' only".to_owned()),
        (Some("sinceImagePushed" | "sinceImagePulled"), _) => Err("countUnit must be 'days'".to_owned()),
        _ => Err("countType must be 'imageCountMoreThan', 'sinceImagePushed' or 'sinceImagePulled'".to_owned()),
    }
}

fn check_together(rules: &[Rule]) -> Result<(), String> {
    let priorities: BTreeSet<i32> = rules.iter().map(|rule| rule.priority).collect();
    if priorities.len() != rules.len() {
        return Err("rulePriority must be unique".to_owned());
    }
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
