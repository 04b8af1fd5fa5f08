//! Saved queries of Logs Insights: text under a name. Not here: what a query means; a definition is not run by being saved.

use crate::model::QueryDefinition;
use crate::names::invalid;
use crate::types;
use honmaru_base::{ApiError, uuid};
use honmaru_machine::{Call, State, Tx};
use honmaru_wire::page;

/// Ref: CloudWatch Logs quotas, "Query definitions": 1,000 in a Region.
const DEFINITIONS_MAX: usize = 1_000;
/// Ref: DescribeQueryDefinitions, `maxResults`: 1 to 1,000.
const PAGE_MAX: usize = 1_000;
/// Ref: PutQueryDefinition, `queryLanguage`: what is meant without.
const LANGUAGE: &str = "CWLI";
/// Ref: StartQuery, `logGroupNames`; the text is AWS's (badmintoncryer/cdk-preflight, pf-logs-query-definition-log-groups-max).
const GROUPS_MAX: usize = 50;

fn unknown() -> ApiError {
    ApiError::new(
        "ResourceNotFoundException",
        "The specified query definition does not exist.",
    )
}

pub(super) fn put(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::PutQueryDefinitionRequest,
) -> Result<types::PutQueryDefinitionResponse, ApiError> {
    let answer = |id: &str| types::PutQueryDefinitionResponse {
        query_definition_id: Some(id.to_owned()),
    };
    let parameters = input.parameters.unwrap_or_default();
    if input
        .log_group_names
        .as_ref()
        .is_some_and(|names| names.len() > GROUPS_MAX)
    {
        return Err(invalid("Too many log groups specified"));
    }
    let mut row = QueryDefinition {
        id: String::new(),
        name: input.name,
        query: input.query_string,
        language: input.query_language.unwrap_or_else(|| LANGUAGE.to_owned()),
        groups: input.log_group_names.unwrap_or_default(),
        parameters: parameters
            .into_iter()
            .map(|p| (p.name, p.default_value, p.description))
            .collect(),
        updated_at: tx.now(),
        client_token: input.client_token,
    };
    if let Some(id) = input.query_definition_id {
        let made_by = tx
            .get::<QueryDefinition>(&call.scope, &id)
            .ok_or_else(unknown)?
            .client_token
            .clone();
        (row.id, row.client_token) = (id, made_by);
    } else {
        let same = tx
            .list::<QueryDefinition>(&call.scope)
            .find(|(_, made)| row.client_token.is_some() && made.client_token == row.client_token)
            .map(|(_, made)| made.clone());
        if let Some(made) = same {
            (row.id, row.updated_at) = (made.id.clone(), made.updated_at);
            if row != made {
                let message = "The clientToken was used before, with other parameters.";
                return Err(invalid(message));
            }
            return Ok(answer(&made.id));
        }
        if tx.list::<QueryDefinition>(&call.scope).count() >= DEFINITIONS_MAX {
            return Err(ApiError::new("LimitExceededException", "Resource limit exceeded."));
        }
        row.id = uuid(tx.rng());
    }
    let id = row.id.clone();
    tx.put(&call.scope, &id, row);
    Ok(answer(&id))
}

pub(super) fn describe(
    state: &State,
    call: &Call,
    input: types::DescribeQueryDefinitionsRequest,
) -> Result<types::DescribeQueryDefinitionsResponse, ApiError> {
    let (prefix, language) = (input.query_definition_name_prefix, input.query_language);
    let max = input
        .max_results
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(PAGE_MAX);
    let asked = state.list::<QueryDefinition>(&call.scope).filter(|(_, definition)| {
        prefix.as_ref().is_none_or(|prefix| definition.name.starts_with(prefix))
            && language
                .as_ref()
                .is_none_or(|language| definition.language == *language)
    });
    let page = page(asked, |(id, _)| id, input.next_token.as_deref(), max)
        .map_err(|_| invalid("The specified nextToken is invalid."))?;
    let view = |(_, definition): (&str, &QueryDefinition)| types::QueryDefinition {
        query_definition_id: Some(definition.id.clone()),
        name: Some(definition.name.clone()),
        query_string: Some(definition.query.clone()),
        query_language: Some(definition.language.clone()),
        last_modified: Some(definition.updated_at.as_ms()),
        log_group_names: Some(definition.groups.clone()),
        parameters: (!definition.parameters.is_empty()).then(|| {
            let parameters = definition.parameters.iter().cloned();
            let view = |(name, default_value, description)| types::QueryParameter {
                name,
                default_value,
                description,
            };
            parameters.map(view).collect()
        }),
    };
    Ok(types::DescribeQueryDefinitionsResponse {
        query_definitions: Some(page.items.into_iter().map(view).collect()),
        next_token: page.next,
    })
}

pub(super) fn delete(
    tx: &mut Tx<'_>,
    call: &Call,
    input: types::DeleteQueryDefinitionRequest,
) -> Result<types::DeleteQueryDefinitionResponse, ApiError> {
    let deleted = tx.delete::<QueryDefinition>(&call.scope, &input.query_definition_id);
    deleted.ok_or_else(unknown)?;
    Ok(types::DeleteQueryDefinitionResponse { success: Some(true) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::{call, in_tx};

    #[test]
    fn a_definition_is_made_once_changed_whole_and_deleted() {
        in_tx(|tx| {
            let made = types::PutQueryDefinitionRequest {
                name: "errors".to_owned(),
                query_string: "filter @message like /error/".to_owned(),
                log_group_names: Some(vec!["g".to_owned()]),
                client_token: Some("0123456789-0123456789-0123456789-abcdef".to_owned()),
                ..Default::default()
            };
            let put = |tx: &mut Tx<'_>, input: types::PutQueryDefinitionRequest| {
                put(tx, &call(), input).map(|made| made.query_definition_id)
            };
            let id = put(tx, made.clone()).expect("made");
            assert_eq!(put(tx, made.clone()).expect("the same"), id);
            let mut other = made.clone();
            other.name = "other".to_owned();
            assert_eq!(put(tx, other).expect_err("another").code, "InvalidParameterException");
            // Nothing of what it was stays.
            let changed = types::PutQueryDefinitionRequest {
                query_definition_id: id.clone(),
                name: "errors".to_owned(),
                query_string: "limit 1".to_owned(),
                ..Default::default()
            };
            assert_eq!(put(tx, changed).expect("changed"), id);
            let all = describe(tx, &call(), Default::default())
                .expect("all")
                .query_definitions;
            let [one] = all.as_deref().unwrap_or_default() else {
                panic!("one is due: {all:?}");
            };
            assert_eq!(one.query_string.as_deref(), Some("limit 1"));
            assert_eq!(one.log_group_names, Some(Vec::new()));
            let gone = types::DeleteQueryDefinitionRequest {
                query_definition_id: id.expect("an id"),
            };
            delete(tx, &call(), gone.clone()).expect("it is there");
            assert_eq!(
                delete(tx, &call(), gone).expect_err("gone").code,
                "ResourceNotFoundException"
            );
        });
    }
}
