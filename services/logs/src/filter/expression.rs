//! `a && b || (c && d)` over tests of whatever kind, and the reader of its parts.

use super::value::{Operator, Wanted, regex};

/// Tests in one pattern at most, and how deep parentheses nest.
const TESTS_MAX: usize = 64;
const DEPTH_MAX: usize = 16;
/// Ref: "Filter pattern syntax", quotas: regular expressions in one pattern.
const REGEXES_MAX: usize = 2;

/// Tests that are joined.
#[derive(Debug, Clone)]
pub(crate) enum Expression<T> {
    /// One.
    One(T),
    /// Every one.
    All(Vec<Expression<T>>),
    /// One of them.
    Any(Vec<Expression<T>>),
}

impl<T> Expression<T> {
    /// Whether it holds when its tests hold as `test` says.
    pub(crate) fn holds(&self, test: &impl Fn(&T) -> bool) -> bool {
        match self {
            Self::One(one) => test(one),
            Self::All(all) => all.iter().all(|inner| inner.holds(test)),
            Self::Any(any) => any.iter().any(|inner| inner.holds(test)),
        }
    }
}

impl<T> Expression<T> {
    /// Looks at every test.
    pub(crate) fn each(&self, look: &mut impl FnMut(&T)) {
        match self {
            Self::One(one) => look(one),
            Self::All(inner) | Self::Any(inner) => inner.iter().for_each(|inner| inner.each(look)),
        }
    }
}

/// What of a pattern is still to be read.
pub(crate) struct Reader<'a> {
    rest: &'a str,
    tests: usize,
    regexes: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            rest: text.trim_start(),
            tests: 0,
            regexes: 0,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn starts_with(&self, c: char) -> bool {
        self.rest.starts_with(c)
    }

    /// Takes `text` and the white space after it, if it comes next.
    pub(crate) fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    /// Takes `text`, if it comes next; white space after it stays.
    pub(crate) fn take_close(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes white space.
    pub(crate) fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes characters while they are wanted; white space after them goes too.
    pub(crate) fn word(&mut self, wanted: impl Fn(char) -> bool) -> Option<&'a str> {
        let word = self.word_close(wanted);
        self.skip();
        word
    }

    /// Takes characters while they are wanted.
    pub(crate) fn word_close(&mut self, wanted: impl Fn(char) -> bool) -> Option<&'a str> {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    /// Takes a name between two of `quote`.
    pub(crate) fn bracketed(&mut self, quote: char) -> Option<String> {
        let (name, rest) = self.rest.strip_prefix(quote)?.split_once(quote)?;
        self.rest = rest;
        Some(name.to_owned())
    }

    /// Takes a text in quotes, in which `\"` and `\\` stand for themselves.
    pub(crate) fn quoted(&mut self) -> Option<String> {
        let inside = self.rest.strip_prefix('"')?;
        let mut text = String::new();
        let mut chars = inside.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = inside.get(at + 1..)?.trim_start();
                    return Some(text);
                }
                '\\' => match chars.next()? {
                    (_, c @ ('"' | '\\')) => text.push(c),
                    (_, c) => text.extend(['\\', c]),
                },
                c => text.push(c),
            }
        }
        None
    }

    /// Takes what stands between percent signs, of which `\%` is none.
    pub(crate) fn regex(&mut self) -> Option<regex::Regex> {
        let inside = self.rest.strip_prefix('%')?;
        let mut escaped = false;
        let end = inside.find(|c| {
            let is_end = c == '%' && !escaped;
            escaped = c == '\\' && !escaped;
            is_end
        })?;
        self.regexes += 1;
        if self.regexes > REGEXES_MAX {
            return None;
        }
        self.rest = inside.get(end + 1..)?.trim_start();
        regex(inside.get(..end)?)
    }

    pub(crate) fn operator(&mut self) -> Option<Operator> {
        let found = Operator::ALL.into_iter().find(|(text, _)| self.take(text));
        found.map(|(_, operator)| operator)
    }

    /// Takes a value: in quotes, between percent signs, or bare.
    pub(crate) fn value(&mut self) -> Option<Wanted> {
        match self.rest.chars().next()? {
            '"' => self.quoted().map(|text| Wanted::text(&text)),
            '%' => self.regex().map(Wanted::Matching),
            _ => {
                let end = |c: char| c.is_whitespace() || "&|(),{}\"".contains(c);
                self.word(|c| !end(c)).map(Wanted::bare)
            }
        }
    }

    /// Takes an expression over tests that `test` reads.
    pub(crate) fn expression<T>(
        &mut self,
        test: &impl Fn(&mut Self) -> Option<T>,
        depth: usize,
    ) -> Option<Expression<T>> {
        if depth > DEPTH_MAX {
            return None;
        }
        let mut any = Vec::new();
        loop {
            let mut all = Vec::new();
            loop {
                all.push(if self.take("(") {
                    let inner = self.expression(test, depth + 1)?;
                    if !self.take(")") {
                        return None;
                    }
                    inner
                } else {
                    self.tests += 1;
                    if self.tests > TESTS_MAX {
                        return None;
                    }
                    Expression::One(test(self)?)
                });
                if !self.take("&&") {
                    break;
                }
            }
            any.push(one_or(all, Expression::All)?);
            if !self.take("||") {
                return one_or(any, Expression::Any);
            }
        }
    }
}

fn one_or<T>(mut list: Vec<Expression<T>>, many: fn(Vec<Expression<T>>) -> Expression<T>) -> Option<Expression<T>> {
    if list.len() == 1 { list.pop() } else { Some(many(list)) }
}
