//! Rules.

use super::actions::{self, Place};
use super::limits::{RULES_DESCRIBED_MAX, RULES_MAX};
use super::page::page;
use super::{conditions, listeners, load_balancers, tags};
use crate::error::{self, unsupported, validation};
use crate::machine::rules_by_priority;
use crate::model::{Listener, Rule};
use crate::names;
use crate::types;
use honmaru_base::{ApiError, Scope};
use honmaru_machine::{Call, State, Tx};
use honmaru_wire::tree::Tree;
use std::collections::BTreeMap;

/// Ref: CreateRule `Priority`.
const PRIORITY_MAX: i32 = 50_000;

fn check_priority(priority: i32) -> Result<u32, ApiError> {
    error::check_range("priority", priority, 1, PRIORITY_MAX)?;
    Ok(priority.unsigned_abs())
}

fn in_use(priority: u32) -> ApiError {
    ApiError::new("PriorityInUse", format!("Priority '{priority}' is currently in use"))
}

fn check_transforms(transforms: Option<Vec<types::RuleTransform>>) -> Result<(), ApiError> {
    match transforms.is_some_and(|transforms| !transforms.is_empty()) {
        true => Err(unsupported("transforms are not supported")),
        false => Ok(()),
    }
}

fn default_rule<'a>(state: &'a State, scope: &Scope, arn: &str) -> Option<&'a Listener> {
    state
        .list::<Listener>(scope)
        .map(|(_, listener)| listener)
        .find(|listener| listener.default_rule_arn == arn)
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::CreateRuleInput,
) -> Result<types::CreateRuleOutput, ApiError> {
    let scope = &call.scope;
    let listener = listeners::get(tx, call, &input.listener_arn)?.clone();
    let balancer = load_balancers::get(tx, call, &listener.load_balancer_arn)?.clone();
    if balancer.kind != "application" {
        return Err(validation(
            "Rules are not supported for listeners of this load balancer",
        ));
    }
    check_transforms(input.transforms)?;
    let priority = check_priority(input.priority)?;
    let conditions = conditions::normalize(input.conditions)?;
    let place = Place {
        scope,
        balancer: &balancer,
        protocol: &listener.protocol,
        instead_of: None,
    };
    let actions = actions::normalize(tx, &place, input.actions)?;
    let tags = tags::from_input(input.tags)?;
    let rules = rules_by_priority(tx, scope, &listener.arn);
    if rules.iter().any(|rule| rule.priority == priority) {
        return Err(in_use(priority));
    }
    let all: usize = tx
        .find::<Listener>(scope, "load_balancer", &balancer.arn)
        .map(|(arn, _)| tx.find::<Rule>(scope, "listener", arn).count())
        .sum();
    if all >= RULES_MAX {
        return Err(ApiError::new(
            "TooManyRules",
            "The maximum number of rules has been reached",
        ));
    }
    let arn = names::arn(
        scope,
        format!("listener-rule/{}/{}", names::path(&listener.arn), names::id(tx.rng())),
    );
    let row = Rule {
        arn: arn.clone(),
        listener_arn: listener.arn,
        priority,
        conditions,
        actions,
        tags,
    };
    let view = view(&row);
    tx.put(scope, &arn, row);
    Ok(types::CreateRuleOutput {
        rules: Some(vec![view]),
    })
}

pub(super) fn modify(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::ModifyRuleInput,
) -> Result<types::ModifyRuleOutput, ApiError> {
    let scope = &call.scope;
    check_transforms(input.transforms)?;
    if default_rule(tx, scope, &input.rule_arn).is_some() {
        return Err(error::not_permitted(format!(
            "Default rule '{}' cannot be modified",
            input.rule_arn
        )));
    }
    let mut row = tx
        .get::<Rule>(scope, &input.rule_arn)
        .ok_or_else(error::rule_not_found)?
        .clone();
    if let Some(wanted) = input.conditions {
        row.conditions = conditions::normalize(wanted)?;
    }
    if let Some(wanted) = input.actions {
        let listener = listeners::get(tx, call, &row.listener_arn)?.clone();
        let balancer = load_balancers::get(tx, call, &listener.load_balancer_arn)?.clone();
        let place = Place {
            scope,
            balancer: &balancer,
            protocol: &listener.protocol,
            instead_of: Some(&input.rule_arn),
        };
        row.actions = actions::normalize(tx, &place, wanted)?;
    }
    let view = view(&row);
    tx.put(scope, &input.rule_arn, row);
    Ok(types::ModifyRuleOutput {
        rules: Some(vec![view]),
    })
}

pub(super) fn delete(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteRuleInput,
) -> Result<types::DeleteRuleOutput, ApiError> {
    if default_rule(tx, &call.scope, &input.rule_arn).is_some() {
        return Err(error::not_permitted(format!(
            "Default rule '{}' cannot be deleted",
            input.rule_arn
        )));
    }
    tx.delete::<Rule>(&call.scope, &input.rule_arn)
        .ok_or_else(error::rule_not_found)?;
    Ok(types::DeleteRuleOutput {})
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeRulesInput,
) -> Result<types::DescribeRulesOutput, ApiError> {
    let scope = &call.scope;
    let arns = input.rule_arns.unwrap_or_default();
    // Seen: FeLvi-zzz/tentez pull request 28.
    if arns.len() > RULES_DESCRIBED_MAX {
        return Err(validation(format!(
            "You cannot describe more than '{RULES_DESCRIBED_MAX}' listener rules at a time"
        )));
    }
    let mut rules = Vec::new();
    match (&input.listener_arn, arns.is_empty()) {
        (Some(_), false) => {
            return Err(validation(
                "A listener ARN and rule ARNs cannot be specified at the same time",
            ));
        }
        (Some(arn), true) => {
            let listener = listeners::get(state, call, arn)?;
            rules.extend(rules_by_priority(state, scope, arn).into_iter().map(view));
            rules.push(default_view(listener));
        }
        (None, false) => {
            for arn in &arns {
                let rule = match state.get::<Rule>(scope, arn) {
                    Some(rule) => view(rule),
                    None => default_rule(state, scope, arn)
                        .map(default_view)
                        .ok_or_else(error::rule_not_found)?,
                };
                rules.push(rule);
            }
        }
        (None, true) => {
            return Err(validation(
                "You must specify either listener rule ARNs or a listener ARN",
            ));
        }
    }
    let key = |rule: &types::Rule| rule.rule_arn.clone().unwrap_or_default();
    let (rules, next_marker) = page(rules, key, input.marker.as_deref(), input.page_size)?;
    Ok(types::DescribeRulesOutput {
        rules: Some(rules),
        next_marker,
    })
}

/// Ref: SetRulePriorities: priorities that are not named stay; none may be used twice afterwards.
pub(super) fn set_priorities(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::SetRulePrioritiesInput,
) -> Result<types::SetRulePrioritiesOutput, ApiError> {
    let scope = &call.scope;
    let mut wanted: BTreeMap<String, u32> = BTreeMap::new();
    for pair in input.rule_priorities {
        let arn = pair.rule_arn.unwrap_or_default();
        if default_rule(tx, scope, &arn).is_some() {
            return Err(error::not_permitted(format!(
                "The priority of default rule '{arn}' cannot be set"
            )));
        }
        if tx.get::<Rule>(scope, &arn).is_none() {
            return Err(error::rule_not_found());
        }
        let priority = check_priority(pair.priority.unwrap_or(0))?;
        if wanted.insert(arn, priority).is_some() {
            return Err(validation("A rule can only be specified once"));
        }
    }
    let mut changed: Vec<Rule> = Vec::with_capacity(wanted.len());
    for (arn, priority) in &wanted {
        let row = tx.get::<Rule>(scope, arn).ok_or_else(error::rule_not_found)?;
        let is_taken = rules_by_priority(tx, scope, &row.listener_arn)
            .iter()
            .any(|other| other.arn != *arn && wanted.get(&other.arn).copied().unwrap_or(other.priority) == *priority);
        if is_taken {
            return Err(in_use(*priority));
        }
        changed.push(Rule {
            priority: *priority,
            ..row.clone()
        });
    }
    changed.sort_by_key(|rule| rule.priority);
    let rules = changed.iter().map(view).collect();
    for row in changed {
        let arn = row.arn.clone();
        tx.put(scope, &arn, row);
    }
    Ok(types::SetRulePrioritiesOutput { rules: Some(rules) })
}

fn view(row: &Rule) -> types::Rule {
    types::Rule {
        rule_arn: Some(row.arn.clone()),
        priority: Some(row.priority.to_string()),
        conditions: Some(
            row.conditions
                .iter()
                .cloned()
                .map(types::RuleCondition::from_tree)
                .collect(),
        ),
        actions: Some(row.actions.iter().cloned().map(types::Action::from_tree).collect()),
        is_default: Some(false),
        transforms: Some(Vec::new()),
    }
}

fn default_view(listener: &Listener) -> types::Rule {
    types::Rule {
        rule_arn: Some(listener.default_rule_arn.clone()),
        priority: Some("default".to_owned()),
        conditions: Some(Vec::new()),
        actions: Some(
            listener
                .default_actions
                .iter()
                .cloned()
                .map(types::Action::from_tree)
                .collect(),
        ),
        is_default: Some(true),
        transforms: Some(Vec::new()),
    }
}
