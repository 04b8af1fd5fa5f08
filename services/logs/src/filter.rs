//! Filter patterns of FilterLogEvents: terms, quoted phrases, `?` for any of, `-` for none of, and one JSON comparison.
//! Ref: CloudWatch Logs user guide, "Filter pattern syntax for metric filters, subscription filters, filter log events".

use crate::names::invalid;
use honmaru_base::ApiError;
use serde_json::Value;

/// Terms of one pattern at most.
const TERMS_MAX: usize = 64;

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Filter {
    /// Every event.
    All,
    /// Terms, each of them case-sensitive text.
    Terms {
        /// All of these.
        all: Vec<String>,
        /// And one of these, if there are any.
        any: Vec<String>,
        /// And none of these.
        none: Vec<String>,
    },
    /// `{ $.path = value }`, or another comparison.
    Json {
        path: Vec<String>,
        operator: String,
        value: String,
    },
}

impl Filter {
    /// Parses a pattern; `InvalidParameterException` for one that is malformed or of a kind that is not supported.
    pub(crate) fn parse(pattern: &str) -> Result<Self, ApiError> {
        let pattern = pattern.trim();
        if pattern.is_empty() {
            return Ok(Self::All);
        }
        if let Some(inside) = pattern.strip_prefix('{') {
            let inside = inside
                .strip_suffix('}')
                .ok_or_else(|| invalid("Invalid filter pattern"))?;
            return json(inside.trim());
        }
        if pattern.starts_with('[') || pattern.starts_with('%') {
            return Err(invalid(
                "Filter patterns with space-delimited fields or regular expressions are not supported.",
            ));
        }
        terms(pattern)
    }

    /// Whether a message passes.
    pub(crate) fn passes(&self, message: &str) -> bool {
        match self {
            Self::All => true,
            Self::Terms { all, any, none } => {
                all.iter().all(|term| message.contains(term))
                    && (any.is_empty() || any.iter().any(|term| message.contains(term)))
                    && !none.iter().any(|term| message.contains(term))
            }
            Self::Json { path, operator, value } => {
                let Ok(root) = serde_json::from_str::<Value>(message) else {
                    return false;
                };
                let mut at = Some(&root);
                for step in path {
                    at = at.and_then(|at| match at {
                        Value::Array(items) => step.parse::<usize>().ok().and_then(|n| items.get(n)),
                        other => other.get(step),
                    });
                }
                compare(at, operator, value)
            }
        }
    }
}

fn terms(pattern: &str) -> Result<Filter, ApiError> {
    let (mut all, mut any, mut none) = (Vec::new(), Vec::new(), Vec::new());
    let mut rest = pattern;
    while !rest.is_empty() {
        let (sign, after) = match rest.chars().next() {
            Some(sign @ ('?' | '-')) => (Some(sign), rest.get(1..).unwrap_or_default()),
            _ => (None, rest),
        };
        let (term, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted
                .split_once('"')
                .ok_or_else(|| invalid("Invalid filter pattern"))?,
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        match sign {
            Some('?') => any.push(term.to_owned()),
            Some(_) => none.push(term.to_owned()),
            None => all.push(term.to_owned()),
        }
        if all.len() + any.len() + none.len() > TERMS_MAX {
            return Err(invalid("The filter pattern has too many terms."));
        }
        rest = next.trim_start();
    }
    Ok(Filter::Terms { all, any, none })
}

fn json(inside: &str) -> Result<Filter, ApiError> {
    if inside.contains("&&") || inside.contains("||") {
        return Err(invalid(
            "JSON filter patterns with more than one comparison are not supported.",
        ));
    }
    let unsupported = || invalid("Invalid filter pattern");
    let operator = ["!=", ">=", "<=", "=", ">", "<"]
        .into_iter()
        .find(|o| inside.contains(o))
        .ok_or_else(unsupported)?;
    let (path, value) = inside.split_once(operator).ok_or_else(unsupported)?;
    let path = path.trim().strip_prefix("$.").ok_or_else(unsupported)?;
    let path = path
        .split(['.', '[', ']'])
        .filter(|step| !step.is_empty())
        .map(str::to_owned)
        .collect();
    let value = value.trim().trim_matches('"').to_owned();
    Ok(Filter::Json {
        path,
        operator: operator.to_owned(),
        value,
    })
}

fn compare(found: Option<&Value>, operator: &str, wanted: &str) -> bool {
    let Some(found) = found else { return false };
    let text = match found {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let equal = match wanted.split_once('*') {
        Some((before, after)) => {
            text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
        }
        None => text == wanted,
    };
    let ordering = match (text.parse::<f64>(), wanted.parse::<f64>()) {
        (Ok(found), Ok(wanted)) => found.partial_cmp(&wanted),
        _ => None,
    };
    match operator {
        "=" => equal || ordering.is_some_and(|o| o.is_eq()),
        "!=" => !(equal || ordering.is_some_and(|o| o.is_eq())),
        ">" => ordering.is_some_and(|o| o.is_gt()),
        "<" => ordering.is_some_and(|o| o.is_lt()),
        ">=" => ordering.is_some_and(|o| o.is_ge()),
        _ => ordering.is_some_and(|o| o.is_le()),
    }
}

#[cfg(test)]
mod tests {
    use super::Filter;

    #[test]
    fn patterns() {
        for (pattern, message, expected) in [
            ("", "anything", true),
            ("ERROR", "an ERROR here", true),
            ("ERROR", "an error here", false),
            ("GET 200", "200 for GET", true),
            ("GET 404", "200 for GET", false),
            ("?WARN ?ERROR", "WARN only", true),
            ("ERROR -timeout", "ERROR: timeout", false),
            ("\"two words\"", "these two words", true),
            ("{ $.status = 404 }", "{\"status\": 404}", true),
            ("{ $.status >= 500 }", "{\"status\": 404}", false),
            ("{ $.user.name = \"a*\" }", "{\"user\": {\"name\": \"ann\"}}", true),
            ("{ $.x = 1 }", "no json", false),
        ] {
            let filter = Filter::parse(pattern).expect(pattern);
            assert_eq!(filter.passes(message), expected, "{pattern} on {message}");
        }
        for bad in ["{ $.a", "\"open", "[a, b]", "{ a = 1 }"] {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
    }
}
