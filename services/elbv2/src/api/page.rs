//! Pages of lists: a marker is the key of the first item of the next page. The wire has made sure that it is ours.

use honmaru_base::ApiError;

/// Ref: ELBv2 `PageSize`.
const PAGE_SIZE_MAX: usize = 400;

/// One page of items that are in the order of their keys, and the next page's marker.
pub(super) fn page<T>(
    items: Vec<T>,
    key: impl Fn(&T) -> String,
    marker: Option<&str>,
    size: Option<i32>,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let size = size
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(PAGE_SIZE_MAX)
        .clamp(1, PAGE_SIZE_MAX);
    let start = match marker {
        // Where that item is gone, with the one after it; lists that are not in the order of their keys do not change.
        Some(marker) => items
            .iter()
            .position(|item| key(item) == marker)
            .or_else(|| items.iter().position(|item| key(item).as_str() > marker))
            .unwrap_or(items.len()),
        None => 0,
    };
    let next = items.get(start + size).map(&key);
    Ok((items.into_iter().skip(start).take(size).collect(), next))
}
