//! `Filters` of the Describe operations: all must hold, each holds when one of its values does; `*` and `?` are
//! wildcards. Ref: EC2 API reference, "Filter".

use crate::types::Filter;
use honmaru_base::ApiError;
use std::collections::BTreeMap;

/// Whether a resource passes. `value_of` gives the resource's values of a filter's name, or nothing when no such
/// filter exists, which is `InvalidParameterValue`.
pub(super) fn passes(
    filters: Option<&[Filter]>,
    tags: &BTreeMap<String, String>,
    value_of: impl Fn(&str) -> Option<Vec<String>>,
) -> Result<bool, ApiError> {
    for filter in filters.unwrap_or_default() {
        let name = filter.name.as_deref().unwrap_or_default();
        let have = match name.strip_prefix("tag:") {
            Some(key) => tags.get(key).cloned().into_iter().collect(),
            None if name == "tag-key" => tags.keys().cloned().collect(),
            None if name == "tag-value" => tags.values().cloned().collect(),
            None => value_of(name)
                .ok_or_else(|| ApiError::new("InvalidParameterValue", format!("The filter '{name}' is invalid")))?,
        };
        let wanted = filter.values.as_deref().unwrap_or_default();
        if !wanted
            .iter()
            .any(|pattern| have.iter().any(|value| matches(pattern, value)))
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the whole text matches the pattern, in time linear in both but for the retries of one `*`.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_by_key_by_value_and_by_both() {
        let tags = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
        for (name, value, expected) in [
            ("tag:team", "web", true),
            ("tag:team", "team", false),
            ("tag-key", "te*", true),
            ("tag-key", "web", false),
            ("tag-value", "w?b", true),
            ("tag-value", "team", false),
        ] {
            let filter = Filter {
                name: Some(name.to_owned()),
                values: Some(vec![value.to_owned()]),
            };
            assert_eq!(passes(Some(&[filter]), &tags, |_| None), Ok(expected), "{name} {value}");
        }
    }

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("default", "default", true),
            ("def*", "default", true),
            ("*a?lt", "default", true),
            ("*a?t", "default", false),
            ("*a?l*", "defaullt", true),
            ("", "x", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
