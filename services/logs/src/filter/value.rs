//! Values that patterns compare with: numbers, texts with `*`, regular expressions between `%`.

use regex::Regex;

/// A regular expression compiles to at most this, in bytes.
const REGEX_BYTES_MAX: usize = 256 * 1024;

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// The operators as they are written, longer ones first.
    pub(crate) const ALL: [(&'static str, Self); 6] = [
        ("!=", Self::Unequal),
        (">=", Self::GreaterOrEqual),
        ("<=", Self::LessOrEqual),
        ("=", Self::Equal),
        (">", Self::Greater),
        ("<", Self::Less),
    ];
}

/// What a pattern compares with.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// A number without quotes.
    Number(f64, String),
    /// Text; what stands between its parts may be anything.
    Text(Vec<String>),
    /// `%...%`.
    Matching(Regex),
}

impl Wanted {
    /// A value without quotes.
    pub(crate) fn bare(text: &str) -> Self {
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Self::Number(number, text.to_owned()),
            _ => Self::text(text),
        }
    }

    /// A value in quotes.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.split('*').map(str::to_owned).collect())
    }

    /// Whether it can be compared so: only numbers have an order.
    pub(crate) fn takes(&self, operator: Operator) -> bool {
        matches!(self, Self::Number(..)) || matches!(operator, Operator::Equal | Operator::Unequal)
    }

    /// Whether `found` stands in that relation to it.
    pub(crate) fn holds(&self, operator: Operator, found: &str) -> bool {
        let order = match self {
            Self::Number(wanted, _) => found.parse::<f64>().ok().and_then(|found| found.partial_cmp(wanted)),
            Self::Text(_) | Self::Matching(_) => None,
        };
        let equal = || match self {
            Self::Number(_, text) => order.is_some_and(|o| o.is_eq()) || found == text,
            Self::Text(parts) => is_like(parts, found),
            Self::Matching(regex) => regex.is_match(found),
        };
        match operator {
            Operator::Equal => equal(),
            Operator::Unequal => !equal(),
            Operator::Less => order.is_some_and(|o| o.is_lt()),
            Operator::LessOrEqual => order.is_some_and(|o| o.is_le()),
            Operator::Greater => order.is_some_and(|o| o.is_gt()),
            Operator::GreaterOrEqual => order.is_some_and(|o| o.is_ge()),
        }
    }
}

/// A regular expression as patterns may have it. Ref: "Supported regular expressions (regex) syntax": no parentheses,
/// no characters but ASCII's letters, digits and the listed symbols unless they are escaped.
pub(crate) fn regex(text: &str) -> Option<Regex> {
    let mut escaped = false;
    for c in text.chars() {
        let plain = c.is_ascii_alphanumeric() || " :_#=@/;,-^$?[]{}|\\*+.".contains(c);
        if !c.is_ascii() || !(escaped || plain) {
            return None;
        }
        escaped = c == '\\' && !escaped;
    }
    if text.is_empty() {
        return None;
    }
    regex::RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build().ok()
}

/// Whether `text` consists of the parts with anything between them.
fn is_like(parts: &[String], text: &str) -> bool {
    let [first, middle @ .., last] = parts else {
        return parts.first().is_some_and(|only| only == text);
    };
    let Some(mut rest) = text
        .strip_prefix(first.as_str())
        .and_then(|rest| rest.strip_suffix(last.as_str()))
    else {
        return false;
    };
    for part in middle {
        let Some(at) = rest.find(part.as_str()) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
}
