//! What operations share: scopes, pages, tags.

use crate::errors;
use crate::types::Tag;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use honmaru_base::{ApiError, Scope};
use honmaru_machine::Call;
use std::collections::{BTreeMap, BTreeSet};

/// Ref: ECR: 50 tags a resource.
const TAGS_MAX: usize = 50;
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;

/// The registry that a call means: another account's when it says so, in the call's region.
pub(super) fn scope_of(call: &Call, registry_id: Option<&str>) -> Result<Scope, ApiError> {
    match registry_id {
        None => Ok(call.scope.clone()),
        Some(id) => Scope::new(id, call.scope.region.as_str()).map_err(|_| {
            errors::invalid(
                "Invalid parameter at 'registryId' failed to satisfy constraint: 'must satisfy regular expression \
                 '[0-9]{12}''",
            )
        }),
    }
}

/// A page of items that come in the order of their keys, and the token of the next one.
pub fn page<T>(
    items: impl Iterator<Item = (String, T)>,
    token: Option<&str>,
    max: Option<i32>,
    default: usize,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let after = token.map(decode_token).transpose()?;
    let max = max
        .and_then(|max| usize::try_from(max).ok())
        .filter(|max| *max > 0)
        .unwrap_or(default);
    let mut rest = items
        .filter(|(key, _)| after.as_ref().is_none_or(|after| key > after))
        .peekable();
    let mut page = Vec::new();
    let mut last = None;
    while page.len() < max
        && let Some((key, item)) = rest.next()
    {
        page.push(item);
        last = Some(key);
    }
    let more = rest.peek().is_some();
    Ok((page, last.filter(|_| more).map(|key| STANDARD.encode(key))))
}

fn decode_token(token: &str) -> Result<String, ApiError> {
    let decoded = STANDARD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.ok_or_else(|| errors::invalid("Invalid parameter at 'nextToken' failed to satisfy constraint: 'invalid'"))
}

/// Adds tags to those that are there; `InvalidTagParameterException`, `TooManyTagsException`.
pub fn merge_tags(into: &mut BTreeMap<String, String>, tags: Vec<Tag>) -> Result<(), ApiError> {
    let invalid = |text: &str| ApiError::new("InvalidTagParameterException", text);
    let mut seen = BTreeSet::new();
    for tag in tags {
        if !seen.insert(tag.key.clone()) {
            return Err(invalid(&format!("The tag key '{}' is given more than once.", tag.key)));
        }
        if tag.key.is_empty() || tag.key.chars().count() > TAG_KEY_CHARS_MAX {
            return Err(invalid("A tag's key has 1 to 128 characters."));
        }
        if tag.value.chars().count() > TAG_VALUE_CHARS_MAX {
            return Err(invalid("A tag's value has at most 256 characters."));
        }
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid("aws: prefixed tag key names are not allowed for external use."));
        }
        into.insert(tag.key, tag.value);
    }
    if into.len() > TAGS_MAX {
        return Err(ApiError::new(
            "TooManyTagsException",
            format!("A resource may have at most {TAGS_MAX} tags."),
        ));
    }
    Ok(())
}

pub(super) fn shown_tags(tags: &BTreeMap<String, String>) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag {
            key: key.clone(),
            value: value.clone(),
        })
        .collect()
}

/// What is stored is encrypted with the cloud's own key; a key of the user's needs the key service, which is not there.
pub(super) fn check_encryption(kind: Option<&str>, key: Option<&str>) -> Result<(), ApiError> {
    match (kind, key) {
        (None, _) | (Some("AES256"), None) => Ok(()),
        (Some("AES256"), Some(_)) => Err(errors::invalid(
            "Invalid parameter at 'encryptionConfiguration' failed to satisfy constraint: 'Invalid encryption \
             configuration: Encryption key should not be set for AES256 encryption.'",
        )),
        (Some(_), _) => Err(ApiError::new(
            "KmsException",
            "Encryption with a key of AWS KMS is not available in this cloud; use encryptionType AES256",
        )),
    }
}
