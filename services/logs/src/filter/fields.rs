//! Space-delimited events: `[ip, user, ..., status = 4*, bytes > 1000]`.

use super::expression::{Expression, Reader};
use super::value::{Operator, Wanted};

/// Fields of one pattern at most.
const FIELDS_MAX: usize = 64;

type Test = (Operator, Wanted);

/// A field's name, and what is asked of it; nothing: that it is there.
type Field = (String, Option<Expression<Test>>);

/// The fields of a pattern.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields {
    /// Those from the begin.
    head: Vec<Field>,
    /// Those from the end, when the pattern has `...` before them.
    tail: Option<Vec<Field>>,
}

pub(super) fn parse(inside: &str) -> Option<Fields> {
    let mut reader = Reader::new(inside);
    let mut fields = Fields::default();
    let mut count = 0;
    loop {
        count += 1;
        if count > FIELDS_MAX {
            return None;
        }
        if reader.take("...") {
            if fields.tail.is_some() {
                return None;
            }
            fields.tail = Some(Vec::new());
        } else {
            let field = field(&mut reader)?;
            fields.tail.as_mut().unwrap_or(&mut fields.head).push(field);
        }
        if reader.is_done() {
            return Some(fields);
        }
        if !reader.take(",") {
            return None;
        }
    }
}

/// `name`, or tests of that name that are joined.
fn field(reader: &mut Reader<'_>) -> Option<Field> {
    let first = std::cell::RefCell::new(None::<String>);
    let test = |reader: &mut Reader<'_>| -> Option<Option<Test>> {
        let name = reader.word(|c| c.is_alphanumeric() || "_-$.@".contains(c))?;
        // A field has one name, and only its own tests.
        if *first.borrow_mut().get_or_insert_with(|| name.to_owned()) != name {
            return None;
        }
        let Some(operator) = reader.operator() else {
            return Some(None);
        };
        let wanted = reader.value()?;
        wanted.takes(operator).then_some(Some((operator, wanted)))
    };
    let asked = match reader.expression(&test, 0)? {
        Expression::One(None) => None,
        expression => Some(required(expression)?),
    };
    Some((first.into_inner()?, asked))
}

/// Every joined part has a test.
fn required(expression: Expression<Option<Test>>) -> Option<Expression<Test>> {
    Some(match expression {
        Expression::One(test) => Expression::One(test?),
        Expression::All(all) => Expression::All(all.into_iter().map(required).collect::<Option<_>>()?),
        Expression::Any(any) => Expression::Any(any.into_iter().map(required).collect::<Option<_>>()?),
    })
}

impl Fields {
    /// Whether a message has these fields: exactly these, unless the pattern has `...`.
    pub(crate) fn pass(&self, message: &str) -> bool {
        let found = split(message);
        let holds = |((_, asked), text): (&Field, &&str)| {
            asked
                .as_ref()
                .is_none_or(|expression| expression.holds(&|(operator, wanted)| wanted.holds(*operator, text)))
        };
        let tail = self.tail.as_deref().unwrap_or_default();
        let wanted = self.head.len() + tail.len();
        if found.len() < wanted || (self.tail.is_none() && found.len() > wanted) {
            return false;
        }
        let end = found.len() - tail.len();
        self.head.iter().zip(&found).all(holds) && tail.iter().zip(found.iter().skip(end)).all(holds)
    }
}

impl Fields {
    /// The fields of a message that passes: by name, or by their number where `...` stands for them.
    pub(crate) fn extract(&self, message: &str) -> Vec<(String, String)> {
        let found = split(message);
        let tail = self.tail.as_deref().unwrap_or_default();
        let end = found.len().saturating_sub(tail.len());
        let named = |at: usize| match at.checked_sub(end) {
            Some(of_tail) => tail.get(of_tail),
            None => self.head.get(at),
        };
        let fields = found.into_iter().enumerate().map(|(at, text)| {
            let name = named(at).map_or_else(|| format!("${}", at + 1), |(name, _)| format!("${name}"));
            (name, text.to_owned())
        });
        fields.collect()
    }
}

/// The fields of a message: what stands in brackets or quotes is one.
fn split(message: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    let mut rest = message.trim();
    while !rest.is_empty() {
        let close = match rest.chars().next() {
            Some('[') => Some(']'),
            Some('"') => Some('"'),
            _ => None,
        };
        let enclosed = close.and_then(|close| rest.get(1..)?.split_once(close));
        let (field, after) = enclosed.unwrap_or_else(|| rest.split_once(char::is_whitespace).unwrap_or((rest, "")));
        fields.push(field);
        rest = after.trim_start();
    }
    fields
}
