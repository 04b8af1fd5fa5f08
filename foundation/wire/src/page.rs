//! Pages of a list. A token holds the key of the last item that was given, so it outlives a restart and is not
//! disturbed by items that come and go.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// What every token begins with, before it is encoded; another form gets another mark.
const MARK: &str = "hm1:";
/// The longest token that is looked at, in characters.
const TOKEN_CHARS_MAX: usize = 4_096;

/// A token that this list did not give. Services answer it in their own words, for example `InvalidParameterException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pagination token is not valid")]
pub struct BadToken;

/// One page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, at most as many as were asked for.
    pub items: Vec<T>,
    /// The token of the next page, when there is one.
    pub next: Option<String>,
}

/// The items after `token`, at most `max` (at least one). `items` must come sorted by `key`, each key once.
pub fn page<T>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> &str,
    token: Option<&str>,
    max: usize,
) -> Result<Page<T>, BadToken> {
    let last = token.map(decode).transpose()?;
    let mut after = items
        .into_iter()
        .skip_while(|item| last.as_ref().is_some_and(|last| key(item) <= last.as_str()));
    let items: Vec<T> = after.by_ref().take(max.max(1)).collect();
    let next = match (items.last(), after.next()) {
        (Some(last), Some(_)) => Some(encode(key(last))),
        _ => None,
    };
    Ok(Page { items, next })
}

fn encode(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{MARK}{key}"))
}

fn decode(token: &str) -> Result<String, BadToken> {
    if token.len() > TOKEN_CHARS_MAX {
        return Err(BadToken);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken)?;
    let text = String::from_utf8(bytes).map_err(|_| BadToken)?;
    text.strip_prefix(MARK).map(str::to_owned).ok_or(BadToken)
}

#[cfg(test)]
mod tests {
    use super::{BadToken, page};

    #[test]
    fn pages_cover_the_list_once_even_when_it_changes() {
        let mut names = vec!["a", "b", "c", "d", "e"];
        let first = page(names.clone(), |n| n, None, 2).unwrap();
        assert_eq!(first.items, ["a", "b"]);
        names.retain(|name| *name != "b");
        let second = page(names.clone(), |n| n, first.next.as_deref(), 2).unwrap();
        assert_eq!(second.items, ["c", "d"]);
        let third = page(names, |n| n, second.next.as_deref(), 2).unwrap();
        assert_eq!((third.items, third.next), (vec!["e"], None));
    }

    #[test]
    fn a_full_last_page_has_no_next() {
        assert_eq!(page(["a", "b"], |n| n, None, 2).unwrap().next, None);
        assert_eq!(page(Vec::<&str>::new(), |n| n, None, 0).unwrap().next, None);
    }

    #[test]
    fn foreign_tokens_are_refused() {
        for token in ["", "x", "aGVsbG8", "!!", "é"] {
            assert_eq!(page(["a"], |n| n, Some(token), 2).unwrap_err(), BadToken, "{token}");
        }
    }
}
