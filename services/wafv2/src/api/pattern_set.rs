//! Regex pattern sets.

use super::entities::{New, begin, find, locked, store, tags};
use crate::error;
use crate::model::RegexPatternSet as Row;
use crate::types::{
    CreateRegexPatternSetRequest, CreateRegexPatternSetResponse, GetRegexPatternSetRequest, GetRegexPatternSetResponse,
    Regex, RegexPatternSet, RegexPatternSetSummary, UpdateRegexPatternSetRequest, UpdateRegexPatternSetResponse,
};
use honmaru_base::ApiError;
use honmaru_firewall::check_pattern;
use honmaru_machine::{Call, State, Tx};

/// Ref: WAFv2 quotas: patterns of a set.
const PATTERNS_MAX: usize = 10;
/// Ref: WAFv2 API, `Regex.RegexString`.
const PATTERN_LEN_MAX: usize = 512;

fn check(given: Vec<Regex>) -> Result<Vec<String>, ApiError> {
    const FIELD: &str = "REGEX_PATTERN_SET";
    if given.len() > PATTERNS_MAX {
        return Err(error::limit_of("NUM_PATTERNS_IN_REGEX_PATTERN_SET"));
    }
    let mut patterns = Vec::new();
    for regex in given {
        let pattern = regex.regex_string.unwrap_or_default();
        if pattern.is_empty() || pattern.len() > PATTERN_LEN_MAX {
            return Err(error::invalid(
                FIELD,
                &pattern,
                "The regex string needs 1 to 512 characters",
            ));
        }
        check_pattern(&pattern).map_err(|wrong| error::invalid(FIELD, &pattern, &wrong.reason))?;
        patterns.push(pattern);
    }
    Ok(patterns)
}

pub(super) fn create(
    tx: &mut Tx<'_>,
    call: &Call,
    input: CreateRegexPatternSetRequest,
) -> Result<CreateRegexPatternSetResponse, ApiError> {
    let patterns = check(input.regular_expression_list)?;
    let new = New {
        name: input.name,
        scope: input.scope,
        description: input.description,
        tags: tags(input.tags.unwrap_or_default())?,
    };
    let entity = begin::<Row>(tx, call, new)?;
    let summary = RegexPatternSetSummary {
        name: Some(entity.name.clone()),
        id: Some(entity.id.clone()),
        description: Some(entity.description.clone().unwrap_or_default()),
        lock_token: Some(entity.lock_token.clone()),
        arn: Some(entity.arn.clone()),
    };
    store(tx, &call.scope, Row { entity, patterns });
    Ok(CreateRegexPatternSetResponse { summary: Some(summary) })
}

pub(super) fn get(
    state: &State,
    call: &Call,
    input: GetRegexPatternSetRequest,
) -> Result<GetRegexPatternSetResponse, ApiError> {
    let row = find::<Row>(state, call, &input.scope, &input.name, &input.id)?;
    let patterns = row.patterns.iter().map(|pattern| Regex {
        regex_string: Some(pattern.clone()),
    });
    Ok(GetRegexPatternSetResponse {
        regex_pattern_set: Some(RegexPatternSet {
            name: Some(row.entity.name.clone()),
            id: Some(row.entity.id.clone()),
            arn: Some(row.entity.arn.clone()),
            description: Some(row.entity.description.clone().unwrap_or_default()),
            regular_expression_list: Some(patterns.collect()),
        }),
        lock_token: Some(row.entity.lock_token.clone()),
    })
}

pub(super) fn update(
    tx: &mut Tx<'_>,
    call: &Call,
    input: UpdateRegexPatternSetRequest,
) -> Result<UpdateRegexPatternSetResponse, ApiError> {
    let mut row: Row = locked(tx, call, (&input.scope, &input.name, &input.id), &input.lock_token)?;
    row.patterns = check(input.regular_expression_list)?;
    row.entity.description = input.description;
    let next_lock_token = Some(row.entity.lock_token.clone());
    store(tx, &call.scope, row);
    Ok(UpdateRegexPatternSetResponse { next_lock_token })
}
