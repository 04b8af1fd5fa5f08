//! Texts with wildcards (`*`, `?`) and policy variables (`${aws:username}`, `${aws:PrincipalTag/team, 'none'}`).
//! Ref: IAM User Guide, "IAM policy elements: Variables and tags".

use crate::policy::Context;
use std::borrow::Cow;

/// One piece of a compiled text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece<'a> {
    Text(Cow<'a, str>),
    /// `?`: one character.
    One,
    /// `*`: any text.
    Any,
    /// `${key}` or `${key, 'default'}`; the key is lower-case, `written` is not.
    Variable {
        key: String,
        written: String,
        default: Option<String>,
    },
}

/// A compiled text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    pieces: Vec<Piece<'static>>,
    has_variables: bool,
    /// Whether it matches nothing, because a variable stands where none may.
    is_void: bool,
}

impl Pattern {
    /// Compiles a text with wildcards; `variables` says whether `${...}` means something (version 2012-10-17).
    pub(crate) fn compile(text: &str, variables: bool, wildcards: bool) -> Self {
        let mut pieces: Vec<Piece<'static>> = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let variable = if variables { rest.strip_prefix("${") } else { None };
            if let Some((inner, after)) = variable.and_then(|rest| rest.split_once('}')) {
                rest = after;
                match inner {
                    "*" | "?" | "$" => literal.push_str(inner),
                    inner => {
                        let (key, default) = inner.split_once(',').map_or((inner, None), |(k, d)| (k, Some(d)));
                        flush(&mut literal, &mut pieces);
                        pieces.push(Piece::Variable {
                            key: key.trim().to_ascii_lowercase(),
                            written: key.trim().to_owned(),
                            default: default.map(|d| d.trim().trim_matches('\'').to_owned()),
                        });
                    }
                }
                continue;
            }
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            match c {
                '*' if wildcards => {
                    flush(&mut literal, &mut pieces);
                    // Two stars match what one matches; one is faster.
                    if pieces.last() != Some(&Piece::Any) {
                        pieces.push(Piece::Any);
                    }
                }
                '?' if wildcards => {
                    flush(&mut literal, &mut pieces);
                    pieces.push(Piece::One);
                }
                c => literal.push(c),
            }
        }
        flush(&mut literal, &mut pieces);
        let has_variables = pieces.iter().any(|piece| matches!(piece, Piece::Variable { .. }));
        Self {
            pieces,
            has_variables,
            is_void: false,
        }
    }

    /// A text with wildcards and without variables.
    pub(crate) fn literal(text: &str) -> Self {
        Self::compile(text, false, true)
    }

    /// Whether it is the single wildcard `*`.
    pub(crate) fn is_any(&self) -> bool {
        self.pieces == [Piece::Any]
    }

    /// Whether it was written as `*`, be that a wildcard or not.
    pub(crate) fn is_star(&self) -> bool {
        self.is_any() || matches!(&self.pieces[..], [Piece::Text(text)] if text == "*")
    }

    /// Whether it ends with a `*`.
    fn ends_wide(&self) -> bool {
        self.pieces.last() == Some(&Piece::Any)
    }

    /// The keys of its variables, as they were written.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable { written, .. } => Some(written.as_str()),
            Piece::Text(_) | Piece::One | Piece::Any => None,
        })
    }

    /// Splits at the first `count - 1` colons outside of variables.
    pub(crate) fn split_colons(&self, count: usize) -> Vec<Pattern> {
        let mut parts = vec![Pattern {
            pieces: Vec::new(),
            has_variables: false,
            is_void: false,
        }];
        for piece in &self.pieces {
            let mut rest: Piece<'static> = piece.clone();
            while let Piece::Text(text) = &rest
                && parts.len() < count
                && let Some((before, after)) = text.split_once(':')
            {
                let (before, after) = (before.to_owned(), after.to_owned());
                if let Some(last) = parts.last_mut()
                    && !before.is_empty()
                {
                    last.pieces.push(Piece::Text(Cow::Owned(before)));
                }
                parts.push(Pattern {
                    pieces: Vec::new(),
                    has_variables: false,
                    is_void: false,
                });
                rest = Piece::Text(Cow::Owned(after));
            }
            if matches!(&rest, Piece::Text(text) if text.is_empty()) {
                continue;
            }
            if let Some(last) = parts.last_mut() {
                last.has_variables |= matches!(rest, Piece::Variable { .. });
                last.pieces.push(rest);
            }
        }
        parts
    }

    /// Whether it matches a text, without variables.
    pub(crate) fn matches(&self, text: &str) -> bool {
        !self.has_variables && glob(&self.pieces, text)
    }

    /// Whether it matches a text with the variables of `context`. A variable without value and default matches
    /// nothing. A value's own `*` and `?` are plain characters.
    pub(crate) fn matches_in(&self, text: &str, context: &dyn Context) -> bool {
        if !self.has_variables {
            return glob(&self.pieces, text);
        }
        if self.is_void {
            return false;
        }
        let mut pieces: Vec<Piece<'_>> = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            pieces.push(match piece {
                Piece::Variable { key, default, .. } => match value_of(key, default.as_deref(), context) {
                    Some(value) => Piece::Text(Cow::Owned(value)),
                    None => return false,
                },
                Piece::Text(text) => Piece::Text(Cow::Borrowed(text)),
                Piece::One => Piece::One,
                Piece::Any => Piece::Any,
            });
        }
        glob(&pieces, text)
    }

    /// The text with its variables replaced; nothing when one has no value. Wildcards are not expected here.
    pub(crate) fn expand(&self, context: &dyn Context) -> Option<Cow<'_, str>> {
        if let [Piece::Text(text)] = &self.pieces[..] {
            return Some(Cow::Borrowed(text));
        }
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::One => out.push('?'),
                Piece::Any => out.push('*'),
                Piece::Variable { key, default, .. } => out.push_str(&value_of(key, default.as_deref(), context)?),
            }
        }
        Some(Cow::Owned(out))
    }
}

fn flush(literal: &mut String, pieces: &mut Vec<Piece<'static>>) {
    if !literal.is_empty() {
        pieces.push(Piece::Text(Cow::Owned(std::mem::take(literal))));
    }
}

/// Variables take single-valued keys only.
fn value_of(key: &str, default: Option<&str>, context: &dyn Context) -> Option<String> {
    let mut values = context.values(key).unwrap_or_default();
    match values.len() {
        1 => values.pop(),
        _ => default.map(str::to_owned),
    }
}

/// Matches the whole of `text`. Remembers the last star only: at most length of text times number of pieces steps.
fn glob(pieces: &[Piece<'_>], text: &str) -> bool {
    let (mut at, mut rest) = (0, text);
    let mut star: Option<(usize, &str)> = None;
    loop {
        let step = match pieces.get(at) {
            None if rest.is_empty() => return true,
            None => None,
            Some(Piece::Any) => {
                if at + 1 == pieces.len() {
                    return true;
                }
                star = Some((at + 1, rest));
                Some(rest)
            }
            Some(Piece::One) => skip_char(rest),
            Some(Piece::Text(text)) => rest.strip_prefix(text.as_ref()),
            Some(Piece::Variable { .. }) => None,
        };
        match (step, star) {
            (Some(after), _) => {
                rest = after;
                at += 1;
            }
            (None, Some((after_star, from))) => {
                let Some(from) = skip_char(from) else { return false };
                star = Some((after_star, from));
                (at, rest) = (after_star, from);
            }
            (None, None) => return false,
        }
    }
}

fn skip_char(text: &str) -> Option<&str> {
    let c = text.chars().next()?;
    text.get(c.len_utf8()..)
}

/// A pattern for ARNs: each of the first five parts is matched on its own, so that no wildcard crosses a colon
/// before the resource part. Ref: "IAM JSON policy elements: Condition operators", ARN condition operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArnPattern {
    /// The whole text. With fewer than six parts it is no ARN; of those, `*` alone matches anything.
    whole: Pattern,
    parts: Vec<Pattern>,
    /// Whether a `*` at the end of a part reaches over the colon after it.
    is_wide: bool,
}

impl ArnPattern {
    pub(crate) fn compile(text: &str, variables: bool) -> Self {
        let whole = Pattern::compile(text, variables, true);
        let parts = whole.split_colons(6);
        Self {
            whole,
            parts: if parts.len() == 6 { parts } else { Vec::new() },
            is_wide: false,
        }
    }

    /// A Resource element's text. Ref: "IAM JSON policy elements: Resource": an incomplete ARN is completed with `*`, and
    /// a `*` at the end of a part may stand for the parts that follow, too; "IAM policy elements: Variables and tags", Resource element: no variable stands for a part before the fifth colon.
    pub(crate) fn of_resource(text: &str, variables: bool) -> Self {
        let mut pattern = Self::compile(text, variables);
        let parts = pattern.whole.split_colons(6);
        if text.starts_with("arn:") && (3..6).contains(&parts.len()) {
            pattern.parts = parts;
            pattern.parts.resize_with(6, || Pattern::literal("*"));
        }
        for part in pattern.parts.iter_mut().take(5) {
            part.is_void = part.has_variables;
            pattern.is_wide |= part.ends_wide();
        }
        pattern
    }

    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.whole.variables()
    }

    pub(crate) fn matches(&self, arn: &str, context: &dyn Context) -> bool {
        if self.parts.is_empty() {
            return self.whole.is_any();
        }
        let mut texts = arn.splitn(6, ':');
        self.parts
            .iter()
            .all(|part| texts.next().is_some_and(|text| part.matches_in(text, context)))
            && texts.next().is_none()
            || self.is_wide && self.matches_wide(arn, context)
    }

    /// Matches with a `*` at the end of a part reaching over colons, which needs more colons than six parts have.
    fn matches_wide(&self, arn: &str, context: &dyn Context) -> bool {
        let texts: Vec<&str> = arn.split(':').collect();
        let (Some(resource), true) = (self.parts.get(5), texts.len() > 6) else {
            return false;
        };
        // Where the part that is looked at may begin.
        let mut begins = vec![false; texts.len() + 1];
        begins[0] = true;
        for part in self.parts.iter().take(5) {
            let mut next = vec![false; texts.len() + 1];
            for (at, text) in texts.iter().enumerate() {
                if begins[at] && part.matches_in(text, context) {
                    let last = if part.ends_wide() { texts.len() } else { at + 1 };
                    next[at + 1..=last].fill(true);
                }
            }
            begins = next;
        }
        let mut rest = Some(arn);
        for begin in begins.iter().take(texts.len()) {
            let Some(text) = rest else { return false };
            if *begin && resource.matches_in(text, context) {
                return true;
            }
            rest = text.split_once(':').map(|(_, after)| after);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("a?c", "aéc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab", "aab", true),
            ("a*b?d*", "axxbcdzz", true),
            ("**", "anything", true),
            ("?*?", "a", false),
        ] {
            assert_eq!(Pattern::literal(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_star_does_not_cross_a_colon_before_the_resource() {
        let context: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let check = |pattern: &str, arn: &str| ArnPattern::compile(pattern, true).matches(arn, &context);
        assert!(check(
            "arn:aws:ecs:*:*:cluster/*",
            "arn:aws:ecs:us-east-1:123456789012:cluster/a/b:c"
        ));
        assert!(!check(
            "arn:aws:ecs:*:cluster/*",
            "arn:aws:ecs:us-east-1:123456789012:cluster/a"
        ));
        assert!(!check("arn:aws:s3:*:::x", "arn:aws:s3:a:b:c:x"));
        assert!(check("*", "arn:aws:ecs:us-east-1:123456789012:cluster/a"));
    }

    #[test]
    fn a_hostile_pattern_is_not_slow() {
        let pattern = "*a".repeat(2_000);
        assert!(!Pattern::literal(&pattern).matches(&"a".repeat(1_999)));
    }
}
