//! Terms: all of the plain ones, none with `-`, or one of those with `?`.

use super::expression::Reader;
use regex::Regex;

/// Terms of one pattern at most.
const TERMS_MAX: usize = 64;

/// One term.
#[derive(Debug, Clone)]
enum Term {
    /// Case-sensitive text.
    Text(String),
    /// `%...%`.
    Matching(Regex),
}

impl Term {
    fn is_in(&self, message: &str) -> bool {
        match self {
            Self::Text(text) => message.contains(text.as_str()),
            Self::Matching(regex) => regex.is_match(message),
        }
    }
}

/// The terms of a pattern.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    all: Vec<Term>,
    any: Vec<Term>,
    none: Vec<Term>,
}

impl Terms {
    /// Whether a message has what it must have. Ref: "Match terms in unstructured log events": `?` terms beside
    /// others are ignored.
    pub(crate) fn pass(&self, message: &str) -> bool {
        if self.all.is_empty() && self.none.is_empty() {
            return self.any.iter().any(|term| term.is_in(message));
        }
        self.all.iter().all(|term| term.is_in(message)) && !self.none.iter().any(|term| term.is_in(message))
    }
}

pub(super) fn parse(pattern: &str) -> Option<Terms> {
    let mut reader = Reader::new(pattern);
    let mut terms = Terms::default();
    let mut count = 0;
    while !reader.is_done() {
        let list = if reader.take("?") {
            &mut terms.any
        } else if reader.take("-") {
            &mut terms.none
        } else {
            &mut terms.all
        };
        let term = if reader.starts_with('"') {
            Term::Text(reader.quoted()?)
        } else if reader.starts_with('%') {
            Term::Matching(reader.regex()?)
        } else {
            Term::Text(reader.word(|c| !c.is_whitespace())?.to_owned())
        };
        list.push(term);
        count += 1;
        if count > TERMS_MAX {
            return None;
        }
    }
    Some(terms)
}
