//! Pages of the Describe operations: `MaxResults` and `NextToken`.

use honmaru_base::ApiError;
use honmaru_wire::page;
use serde_json::{Value, json};

/// Without `MaxResults`, and at most. Ref: EC2 API reference, "Pagination": 1,000.
const PAGE_MAX: usize = 1_000;

/// One page of items in the order of their keys, and the token of the next one.
pub(super) fn paged<T>(
    mut items: Vec<T>,
    key: impl Fn(&T) -> String,
    token: Option<&str>,
    max: Option<i32>,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    items.sort_by_cached_key(|item| key(item));
    let max = max
        .and_then(|max| usize::try_from(max).ok())
        .map_or(PAGE_MAX, |max| max.clamp(1, PAGE_MAX));
    let keyed = items.into_iter().map(|item| (key(&item), item));
    let page = page(keyed, |(key, _)| key, token, max)
        .map_err(|_| ApiError::new("InvalidParameterValue", "The token is invalid"))?;
    Ok((page.items.into_iter().map(|(_, item)| item).collect(), page.next))
}

/// The answer of a list whose rows are trees by their ids: the page that the input's `MaxResults` and `NextToken` name,
/// under `member`.
pub(super) fn page_of_trees(input: &Value, found: Vec<(String, Value)>, member: &str) -> Result<Value, ApiError> {
    let max = input
        .get("MaxResults")
        .and_then(Value::as_i64)
        .and_then(|n| i32::try_from(n).ok());
    let token = input.get("NextToken").and_then(Value::as_str);
    let (found, next) = paged(found, |(id, _)| id.clone(), token, max)?;
    let trees: Vec<Value> = found.into_iter().map(|(_, tree)| tree).collect();
    let mut answer = json!({ member: trees });
    if let (Some(next), Some(members)) = (next, answer.as_object_mut()) {
        members.insert("NextToken".to_owned(), Value::String(next));
    }
    Ok(answer)
}
