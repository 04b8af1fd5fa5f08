//! Filter patterns of FilterLogEvents, whole: terms, regular expressions, JSON selectors, space-delimited fields.
//! Ref: CloudWatch Logs user guide, "Filter pattern syntax for metric filters, subscription filters, filter log events".

mod expression;
mod fields;
mod json;
mod terms;
mod value;

#[cfg(test)]
mod tests;

use crate::names::invalid;
use expression::Expression;
use fields::Fields;
use honmaru_base::ApiError;
use json::Test;
use std::collections::BTreeMap;
use terms::Terms;

/// Ref: FilterLogEvents, `filterPattern`: at most 1,024 characters.
const PATTERN_CHARS_MAX: usize = 1_024;

/// A parsed pattern.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    /// Every event.
    All,
    /// Terms of plain text and regular expressions.
    Terms(Terms),
    /// `{ $.path = value && ... }`.
    Json(Expression<Test>),
    /// `[a, b = 1, ...]`.
    Fields(Fields),
}

impl Filter {
    /// Parses a pattern; `InvalidParameterException` for one that is malformed.
    pub(crate) fn parse(pattern: &str) -> Result<Self, ApiError> {
        let pattern = pattern.trim();
        if pattern.chars().count() > PATTERN_CHARS_MAX {
            return Err(invalid("The filter pattern is too long."));
        }
        let inside = |open: char, close: char| pattern.strip_prefix(open).map(|rest| rest.strip_suffix(close));
        match (inside('{', '}'), inside('[', ']')) {
            _ if pattern.is_empty() => Some(Self::All),
            (Some(inside), _) => inside.and_then(json::parse).map(Self::Json),
            (_, Some(inside)) => inside.and_then(fields::parse).map(Self::Fields),
            (None, None) => terms::parse(pattern).map(Self::Terms),
        }
        .ok_or_else(|| invalid("Invalid filter pattern"))
    }

    /// Whether a message passes.
    pub(crate) fn passes(&self, message: &str) -> bool {
        match self {
            Self::All => true,
            Self::Terms(terms) => terms.pass(message),
            Self::Json(expression) => json::passes(expression, message),
            Self::Fields(fields) => fields.pass(message),
        }
    }

    /// What a pattern takes out of a message that passes. Ref: TestMetricFilter, `extractedValues`.
    pub(crate) fn extract(&self, message: &str) -> BTreeMap<String, String> {
        match self {
            Self::All | Self::Terms(_) => BTreeMap::new(),
            Self::Json(expression) => json::extract(expression, message).into_iter().collect(),
            Self::Fields(fields) => fields.extract(message).into_iter().collect(),
        }
    }
}
