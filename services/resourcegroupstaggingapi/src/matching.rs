//! Which resources a question means.

use crate::types::TagFilter;
use std::collections::BTreeMap;

/// Whether an ARN is of a type such as `ecs`, `ecs:cluster` or `wafv2:regional/webacl`.
pub(crate) fn is_of_type(arn: &str, wanted: &str) -> bool {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (Some(service), Some(resource)) = (parts.next(), parts.nth(2)) else {
        return false;
    };
    match wanted.split_once(':') {
        None => service == wanted,
        Some((of, kind)) => {
            let rest = resource.strip_prefix(kind);
            service == of && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
        }
    }
}

/// Whether tags have the filter's key with one of its values; without values any value will do.
pub(crate) fn fits(tags: &BTreeMap<String, String>, filter: &TagFilter) -> bool {
    let value = filter.key.as_ref().and_then(|key| tags.get(key));
    let values = filter.values.as_deref().unwrap_or_default();
    value.is_some_and(|value| values.is_empty() || values.contains(value))
}
