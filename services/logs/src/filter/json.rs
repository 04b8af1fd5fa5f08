//! JSON: `{ $.path = value }` and the like, over messages that are JSON.

use super::expression::{Expression, Reader};
use super::value::{Operator, Wanted};
use serde_json::Value;

/// A step of a selector.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Name(String),
    Index(usize),
    /// `[*]`: any element.
    Each,
}

/// What is asked of a selected value.
#[derive(Debug, Clone)]
enum Question {
    Compare(Operator, Wanted),
    IsNull,
    IsTrue,
    IsFalse,
    NotExists,
}

/// A selector and what is asked.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    path: Vec<Step>,
    question: Question,
}

pub(super) fn parse(inside: &str) -> Option<Expression<Test>> {
    let mut reader = Reader::new(inside);
    let expression = reader.expression(&test, 0)?;
    reader.is_done().then_some(expression)
}

fn test(reader: &mut Reader<'_>) -> Option<Test> {
    let path = selector(reader)?;
    let question = if let Some(operator) = reader.operator() {
        let wanted = reader.value()?;
        if !wanted.takes(operator) {
            return None;
        }
        Question::Compare(operator, wanted)
    } else {
        let word = |reader: &mut Reader<'_>| reader.word(|c| c.is_ascii_alphabetic()).map(str::to_ascii_uppercase);
        match (word(reader)?.as_str(), word(reader)?.as_str()) {
            ("IS", "NULL") => Question::IsNull,
            ("IS", "TRUE") => Question::IsTrue,
            ("IS", "FALSE") => Question::IsFalse,
            ("NOT", "EXISTS") => Question::NotExists,
            _ => return None,
        }
    };
    Some(Test { path, question })
}

/// `$.a.b[0]`, `$.list[*].name`, `$['a.b']`.
fn selector(reader: &mut Reader<'_>) -> Option<Vec<Step>> {
    let mut path = Vec::new();
    if !reader.take_close("$") {
        return None;
    }
    loop {
        let dotted = reader.take_close(".");
        if reader.take_close("[") {
            path.push(
                if let Some(name) = reader.bracketed('\'').or_else(|| reader.bracketed('"')) {
                    Step::Name(name)
                } else if reader.take_close("*") {
                    Step::Each
                } else {
                    Step::Index(reader.word_close(|c| c.is_ascii_digit())?.parse().ok()?)
                },
            );
            if !reader.take_close("]") {
                return None;
            }
        } else if dotted {
            let name = reader.word_close(|c| !c.is_whitespace() && !".[]=!<>&|(){}\"%,".contains(c))?;
            path.push(Step::Name(name.to_owned()));
        } else {
            break;
        }
    }
    reader.skip();
    (!path.is_empty()).then_some(path)
}

/// A selector as it is written.
fn written(path: &[Step]) -> String {
    let mut text = String::from("$");
    for step in path {
        match step {
            Step::Name(name) if name.contains('.') => text.extend(["['", name, "']"]),
            Step::Name(name) => text.extend([".", name]),
            Step::Index(at) => text.push_str(&format!("[{at}]")),
            Step::Each => text.push_str("[*]"),
        }
    }
    text
}

/// The values that the selectors of a pattern find, the first of each.
pub(super) fn extract(expression: &Expression<Test>, message: &str) -> Vec<(String, String)> {
    let root = serde_json::from_str::<Value>(message).unwrap_or_default();
    let mut values = Vec::new();
    expression.each(&mut |test: &Test| {
        let mut found = Vec::new();
        select(&root, &test.path, &mut found);
        let text = found.first().map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        values.extend(text.map(|text| (written(&test.path), text)));
    });
    values
}

pub(super) fn passes(expression: &Expression<Test>, message: &str) -> bool {
    let Ok(root @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str::<Value>(message) else {
        return false;
    };
    expression.holds(&|test: &Test| {
        let mut found = Vec::new();
        select(&root, &test.path, &mut found);
        match &test.question {
            Question::NotExists => found.is_empty(),
            Question::IsNull => found.iter().any(|value| value.is_null()),
            Question::IsTrue => found.contains(&&Value::Bool(true)),
            Question::IsFalse => found.contains(&&Value::Bool(false)),
            Question::Compare(operator, wanted) => found.iter().any(|value| match value {
                Value::String(text) => wanted.holds(*operator, text),
                Value::Number(number) => wanted.holds(*operator, &number.to_string()),
                Value::Bool(flag) => wanted.holds(*operator, if *flag { "true" } else { "false" }),
                Value::Null | Value::Array(_) | Value::Object(_) => false,
            }),
        }
    })
}

fn select<'v>(value: &'v Value, path: &[Step], found: &mut Vec<&'v Value>) {
    let Some((step, rest)) = path.split_first() else {
        found.push(value);
        return;
    };
    match (step, value) {
        (Step::Name(name), Value::Object(members)) => {
            if let Some(inner) = members.get(name) {
                select(inner, rest, found);
            }
        }
        (Step::Index(at), Value::Array(items)) => {
            if let Some(inner) = items.get(*at) {
                select(inner, rest, found);
            }
        }
        (Step::Each, Value::Array(items)) => items.iter().for_each(|inner| select(inner, rest, found)),
        (Step::Name(_) | Step::Index(_) | Step::Each, _) => {}
    }
}
