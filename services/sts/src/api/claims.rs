//! What the claims of a verified web identity token mean to STS. Ref: IAM User Guide, "Pass session tags in AWS STS",
//! "Monitor and control actions taken with assumed roles", "Available keys for AWS OIDC federation".

use serde_json::Value;

const TAGS: &str = "https://aws.amazon.com/tags";
const SOURCE_IDENTITY: &str = "https://aws.amazon.com/source_identity";
/// Claims that policies rely on: found before others whose names differ in case only.
const KNOWN: [&str; 6] = ["sub", "aud", "amr", "azp", "email", "iss"];
/// Ref: STS API Reference, Tag, AssumeRole.
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;
const SOURCE_IDENTITY_CHARS: std::ops::RangeInclusive<usize> = 2..=64;

/// The values of a claim as condition keys have them: a list has several, an object none.
pub(super) fn texts(claims: &Value, name: &str) -> Vec<String> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) | Value::Null => None,
    };
    match claims.get(name) {
        Some(Value::Array(list)) => list.iter().filter_map(one).collect(),
        Some(value) => one(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The condition keys that an issuer's claims give: `ISSUER:CLAIM`. Keys do not differ in case; the first one counts.
pub(super) fn condition_keys(url: &str, claims: &Value) -> Vec<(String, Vec<String>)> {
    let names = claims.as_object().into_iter().flat_map(|claims| claims.keys());
    let others = names.map(String::as_str).filter(|name| !KNOWN.contains(name));
    let mut keys: Vec<(String, Vec<String>)> = Vec::new();
    for name in KNOWN.into_iter().chain(others) {
        let (key, values) = (format!("{url}:{name}"), texts(claims, name));
        // A known claim that is absent is absent, whatever else is there.
        let is_copy = !KNOWN.contains(&name) && KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name));
        if !values.is_empty() && !is_copy && !keys.iter().any(|(known, _)| known.eq_ignore_ascii_case(&key)) {
            keys.push((key, values));
        }
    }
    keys
}

/// Session tags of a token, and the keys of those that pass on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ClaimedTags {
    pub(super) tags: Vec<(String, String)>,
    pub(super) transitive: Vec<String>,
}

/// The tags that the token asks for, nested in one claim or flattened into several. The error says what is wrong.
pub(super) fn tags(claims: &Value) -> Result<ClaimedTags, String> {
    let mut found = ClaimedTags::default();
    if let Some(nested) = claims.get(TAGS) {
        let members = nested.as_object().ok_or_else(|| format!("{TAGS} must be an object"))?;
        for (name, value) in members {
            match name.as_str() {
                "principal_tags" => {
                    let tags = value.as_object().ok_or_else(|| format!("{name} must be an object"))?;
                    for (key, value) in tags {
                        found.tags.push(tag(key, value)?);
                    }
                }
                "transitive_tag_keys" => found.transitive = tag_keys(value)?,
                _ => {}
            }
        }
    }
    for (name, value) in claims.as_object().into_iter().flatten() {
        let Some(rest) = name.strip_prefix(TAGS).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        if let Some(key) = rest.strip_prefix("principal_tags/") {
            found.tags.push(tag(key, value)?);
        } else if rest == "transitive_tag_keys" {
            found.transitive.extend(tag_keys(value)?);
        }
    }
    Ok(found)
}

/// A tag has one value, which may stand in a list.
fn tag(key: &str, value: &Value) -> Result<(String, String), String> {
    let value = match value {
        Value::String(text) => Some(text),
        Value::Array(list) => match list.as_slice() {
            [Value::String(text)] => Some(text),
            _ => None,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    let value = value.ok_or_else(|| format!("the session tag {key} must have one text as its value"))?;
    let plain = |text: &str| {
        text.chars()
            .all(|c| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c))
    };
    let is_key = (1..=TAG_KEY_CHARS_MAX).contains(&key.chars().count()) && plain(key);
    if !is_key || value.chars().count() > TAG_VALUE_CHARS_MAX || !plain(value) {
        return Err(format!(
            "the session tag {key} is too long or has characters that tags must not have"
        ));
    }
    Ok((key.to_owned(), value.clone()))
}

fn tag_keys(value: &Value) -> Result<Vec<String>, String> {
    let wrong = || "transitive_tag_keys must be a list of texts".to_owned();
    let list = match value {
        Value::Array(list) => list.as_slice(),
        one @ Value::String(_) => std::slice::from_ref(one),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Err(wrong()),
    };
    list.iter()
        .map(|key| key.as_str().map(str::to_owned).ok_or_else(wrong))
        .collect()
}

/// The source identity that the token sets.
pub(super) fn source_identity(claims: &Value) -> Result<Option<String>, String> {
    let Some(claim) = claims.get(SOURCE_IDENTITY) else {
        return Ok(None);
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    let text = claim
        .as_str()
        .filter(|text| SOURCE_IDENTITY_CHARS.contains(&text.len()) && text.bytes().all(plain));
    text.map(|text| Some(text.to_owned()))
        .ok_or_else(|| format!("{SOURCE_IDENTITY} must match [\\w+=,.@-]{{2,64}}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tags_come_nested_or_flattened() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let nested = json!({TAGS: {"principal_tags": {"Project": ["Automation"], "Cost": "98"}, "transitive_tag_keys": ["Project"]}});
        let flat = json!({"https://aws.amazon.com/tags/principal_tags/Project": "Automation",
            "https://aws.amazon.com/tags/principal_tags/Cost": ["98"],
            "https://aws.amazon.com/tags/transitive_tag_keys": ["Project"]});
        for claims in [nested, flat] {
            let mut found = tags(&claims).unwrap();
            found.tags.sort();
            assert_eq!(found.tags, [pair("Cost", "98"), pair("Project", "Automation")]);
            assert_eq!(found.transitive, ["Project"]);
        }
        assert_eq!(tags(&json!({"sub": "x"})), Ok(ClaimedTags::default()));
        for bad in [
            json!({TAGS: "x"}),
            json!({TAGS: {"principal_tags": ["x"]}}),
            json!({TAGS: {"principal_tags": {"a": ["b", "c"]}}}),
            json!({TAGS: {"principal_tags": {"a": 1}}}),
            json!({TAGS: {"principal_tags": {"": "b"}}}),
            json!({TAGS: {"principal_tags": {"a": "b".repeat(257)}}}),
            json!({TAGS: {"principal_tags": {"a": "<b>"}}}),
            json!({TAGS: {"transitive_tag_keys": [1]}}),
        ] {
            assert!(tags(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_claim_whose_name_differs_in_case_does_not_stand_for_another() {
        let claims =
            json!({"SUB": "admin", "sub": "me", "Sub": ["x"], "email_verified": true, "amr": ["a", "b"], "o": {}});
        let keys = condition_keys("token.example", &claims);
        let of = |key: &str| {
            keys.iter()
                .filter(|(name, _)| name.eq_ignore_ascii_case(key))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of("token.example:sub"),
            [&("token.example:sub".to_owned(), vec!["me".to_owned()])]
        );
        assert_eq!(of("token.example:amr")[0].1, ["a", "b"]);
        assert_eq!(of("token.example:email_verified")[0].1, ["true"]);
        assert!(of("token.example:o").is_empty());
        assert!(condition_keys("t", &json!({"AUD": "x"})).is_empty());
    }

    #[test]
    fn a_source_identity_is_a_plain_text() {
        let of = |value: Value| source_identity(&json!({SOURCE_IDENTITY: value}));
        assert_eq!(of(json!("ada@example.com")), Ok(Some("ada@example.com".to_owned())));
        assert_eq!(source_identity(&json!({})), Ok(None));
        for bad in [
            json!("a"),
            json!("a b"),
            json!("a".repeat(65)),
            json!(7),
            json!(["ada"]),
            json!("aws:x"),
        ] {
            assert!(of(bad.clone()).is_err(), "{bad}");
        }
    }
}
