//! Checks an input against its model: required members, lengths, ranges, patterns, enums, unions.
//!
//! Not here: the words of the errors' codes for each service (`dialect`), and what no model says (the services).

use crate::dialect::{self, Words};
use crate::limits::{SHOWN_CHARS_MAX, VIOLATIONS_MAX};
use crate::model::{Constraints, Kind, Member, Protocol, Service, Shape};
use crate::route::Target;
use honmaru_base::ApiError;
use serde_json::Value;
use std::collections::HashSet;
use std::fmt::Write;

/// What a value fails.
enum Rule<'s> {
    NotNull,
    LengthAtLeast(f64),
    LengthAtMost(f64),
    AtLeast(f64),
    AtMost(f64),
    Pattern(&'s str),
    Enum(&'s [Box<str>]),
    Keys(String),
    Union,
    Unique,
}

impl Rule<'_> {
    /// The rule after "Member must".
    fn text(&self) -> String {
        match self {
            Self::NotNull => "not be null".to_owned(),
            Self::LengthAtLeast(min) => format!("have length greater than or equal to {min}"),
            Self::LengthAtMost(max) => format!("have length less than or equal to {max}"),
            Self::AtLeast(min) => format!("have value greater than or equal to {min}"),
            Self::AtMost(max) => format!("have value less than or equal to {max}"),
            Self::Pattern(pattern) => format!("satisfy regular expression pattern: {pattern}"),
            Self::Enum(values) => format!("satisfy enum value set: [{}]", values.join(", ")),
            Self::Keys(rules) => format!("satisfy constraint: [{rules}]"),
            Self::Union => "have exactly one member set".to_owned(),
            Self::Unique => "have unique values".to_owned(),
        }
    }
}

/// One broken rule: where, by what value, and which rule.
struct Violation<'s> {
    path: String,
    /// The value as messages show it; empty when it is secret.
    value: String,
    rule: Rule<'s>,
}

/// Checks the input of an operation; the error has the service's own code and words.
pub fn validate(target: &Target, input: &Value) -> Result<(), ApiError> {
    let service = target.service;
    let Some(shape) = target.operation.input else {
        return Ok(());
    };
    let dialect = dialect::dialect(service);
    let is_sound = is_sound(service, dialect.enums, service.shape(shape), input);
    // Every test of the wire compares the two ways.
    if is_sound && !cfg!(debug_assertions) {
        return Ok(());
    }
    let mut checker = Checker {
        service,
        enums: dialect.enums,
        form_names: target.protocol == Protocol::Ec2Query,
        path: String::new(),
        found: Vec::new(),
    };
    checker.value(service.shape(shape), input);
    debug_assert_eq!(is_sound, checker.found.is_empty(), "{input}");
    let Some(first) = checker.found.first() else {
        return Ok(());
    };
    let code = dialect::code(&dialect, &target.operation.name, matches!(first.rule, Rule::NotNull));
    Err(ApiError::new(code, message(dialect.words, first, &checker.found)))
}

/// Whether the name of a log group or of a log stream is too long.
fn is_long_log_name(violation: &Violation<'_>) -> bool {
    matches!(violation.rule, Rule::LengthAtMost(_))
        && ["logGroupName", "logStreamName"].contains(&violation.path.as_str())
}

fn message(words: Words, first: &Violation<'_>, all: &[Violation<'_>]) -> String {
    let Violation { path, value, rule } = first;
    match (words, rule) {
        (Words::Ecr, Rule::Pattern(pattern)) => format!(
            "Invalid parameter at '{path}' failed to satisfy constraint: 'must satisfy regular expression '{pattern}''"
        ),
        // Seen so in the suite of getmoto/moto.
        (Words::Ecr, Rule::Enum(_)) => format!(
            "Invalid parameter at '{path}' failed to satisfy constraint: 'Member must {}'",
            rule.text()
        ),
        (Words::Ecr, rule) => {
            format!(
                "Invalid parameter at '{path}' failed to satisfy constraint: 'must {}'",
                rule.text()
            )
        }
        (Words::Ecs, Rule::NotNull) => format!("{} can not be blank.", capitalized(path)),
        (Words::Ec2, Rule::NotNull) => format!("The request must contain the parameter {path}"),
        (Words::Ec2, rule) => format!(
            "Value ({value}) for parameter {path} is invalid. It must {}.",
            rule.text()
        ),
        (Words::Iam, Rule::Pattern(r"[\w+=,.@-]+")) => format!(
            "The specified value for {path} is invalid. It must contain only alphanumeric characters and/or the \
             following: +=,.@_-"
        ),
        (Words::Logs, _) if all.iter().any(is_long_log_name) => {
            "Invalid LogGroup or LogStream, both must have length less than or equal to 512.".to_owned()
        }
        (Words::Coral | Words::Iam | Words::Ecs | Words::Logs, _) => {
            let mut text = match all.len() {
                1 => "1 validation error detected: ".to_owned(),
                n => format!("{n} validation errors detected: "),
            };
            for (at, violation) in all.iter().enumerate() {
                let Violation { path, value, rule } = violation;
                if at > 0 {
                    text.push_str("; ");
                }
                let _ = match (rule, value.as_str()) {
                    (Rule::NotNull, _) => write!(text, "Value null at '{path}'"),
                    (_, "") => write!(text, "Value at '{path}'"),
                    // CloudWatch Logs keeps these to itself: getmoto/moto, `test_arn_formats_log_group_and_stream`,
                    // which runs against AWS.
                    _ if words == Words::Logs && path.starts_with("logGroupIdentifier") => {
                        write!(text, "Value at '{path}'")
                    }
                    _ => write!(text, "Value {value} at '{path}'"),
                };
                let subject = if matches!(rule, Rule::Keys(_)) {
                    "Map keys"
                } else {
                    "Member"
                };
                let _ = write!(text, " failed to satisfy constraint: {subject} must {}", rule.text());
            }
            text
        }
    }
}

fn capitalized(path: &str) -> String {
    let mut chars = path.chars();
    chars
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(chars)
        .collect()
}

/// A value in quotes, as Java prints it, cut to [`SHOWN_CHARS_MAX`].
fn shown(value: &Value) -> String {
    let mut text = String::from("'");
    plain(value, &mut text);
    if let Some((end, _)) = text.char_indices().nth(SHOWN_CHARS_MAX) {
        text.truncate(end);
        text.push_str("...");
    }
    text.push('\'');
    text
}

fn plain(value: &Value, out: &mut String) {
    // What is cut off later need not be written.
    if out.len() > 4 * SHOWN_CHARS_MAX {
        return;
    }
    match value {
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                plain(item, out);
            }
            out.push(']');
        }
        Value::Object(object) => {
            out.push('{');
            for (at, (key, value)) in object.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                out.push_str(key);
                out.push('=');
                plain(value, out);
            }
            out.push('}');
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

/// Whether a value breaks no rule. The usual case without the paths of the messages, and without looking for each of
/// the members that may be absent: it must say no wherever [`Checker`] finds something.
fn is_sound(service: &Service, enums: bool, shape: &Shape, value: &Value) -> bool {
    let constraints = shape.constraints.as_deref();
    match (&shape.kind, value) {
        (Kind::Structure(structure), Value::Object(object)) => {
            let has = |member: &Member| object.get(&*member.name).is_some_and(|value| !value.is_null());
            structure.required().all(has)
                && (!structure.union || object.len() == 1)
                && object.iter().all(|(name, value)| {
                    value.is_null()
                        || structure
                            .by_name(name)
                            .is_none_or(|member| is_sound(service, enums, service.target(member), value))
                })
        }
        (Kind::List(element), Value::Array(items)) => {
            let target = service.target(element);
            has_length(constraints, items.len())
                && is_unique(constraints, items)
                && items
                    .iter()
                    .all(|item| !item.is_null() && is_sound(service, enums, target, item))
        }
        (Kind::Map(entry), Value::Object(object)) => {
            let (keys, values) = (service.target(&entry.0), service.target(&entry.1));
            has_length(constraints, object.len())
                && object.iter().all(|(key, below)| {
                    is_sound_text(keys.constraints.as_deref(), enums, key)
                        && !below.is_null()
                        && is_sound(service, enums, values, below)
                })
        }
        (Kind::String, Value::String(text)) => is_sound_text(constraints, enums, text),
        (Kind::Blob, Value::String(text)) => has_length(constraints, blob_bytes(text)),
        (Kind::Byte | Kind::Short | Kind::Integer | Kind::Long | Kind::Float, Value::Number(number)) => {
            let number = number.as_f64().unwrap_or_default();
            constraints.is_none_or(|rules| {
                rules.min.is_none_or(|min| number >= min) && rules.max.is_none_or(|max| number <= max)
            })
        }
        _ => true,
    }
}

fn has_length(constraints: Option<&Constraints>, length: usize) -> bool {
    let length = length as f64;
    constraints
        .is_none_or(|rules| rules.min.is_none_or(|min| length >= min) && rules.max.is_none_or(|max| length <= max))
}

/// Whether a list that must be has no item twice.
fn is_unique(constraints: Option<&Constraints>, items: &[Value]) -> bool {
    let mut seen = HashSet::new();
    constraints.is_none_or(|rules| !rules.unique || items.iter().all(|item| seen.insert(item)))
}

fn is_sound_text(constraints: Option<&Constraints>, enums: bool, text: &str) -> bool {
    let Some(rules) = constraints else { return true };
    (rules.min.is_none() && rules.max.is_none() || has_length(constraints, text.chars().count()))
        && rules.pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
        && (!enums || rules.values.is_empty() || rules.values.iter().any(|known| **known == *text))
}

/// base64: three bytes in four characters, less the padding.
fn blob_bytes(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

/// Walks a tree; its depth is bounded by the parsers.
struct Checker<'s> {
    service: &'s Service,
    enums: bool,
    /// ec2 shows `SecurityGroup.1`, all others `securityGroups.1.member`.
    form_names: bool,
    path: String,
    found: Vec<Violation<'s>>,
}

impl<'s> Checker<'s> {
    fn fail(&mut self, shape: Option<&Shape>, value: &Value, rule: Rule<'s>) {
        let secret = shape.is_some_and(|shape| shape.sensitive);
        let value = if secret { String::new() } else { shown(value) };
        self.found.push(Violation {
            path: self.path.clone(),
            value,
            rule,
        });
    }

    fn value(&mut self, shape: &'s Shape, value: &Value) {
        if self.found.len() >= VIOLATIONS_MAX {
            return;
        }
        let service = self.service;
        let constraints = shape.constraints.as_deref();
        match (&shape.kind, value) {
            (Kind::Structure(structure), Value::Object(object)) => {
                for member in &structure.members {
                    let given = object.get(&*member.name).filter(|value| !value.is_null());
                    if given.is_none() && !member.required {
                        continue;
                    }
                    let end = self.path.len();
                    self.push_member(if self.form_names { member.form() } else { &member.name });
                    match given {
                        Some(value) => self.value(service.target(member), value),
                        None => self.fail(None, &Value::Null, Rule::NotNull),
                    }
                    self.path.truncate(end);
                }
                if structure.union && object.len() != 1 {
                    self.fail(Some(shape), value, Rule::Union);
                }
            }
            (Kind::List(element), Value::Array(items)) => {
                self.length(shape, constraints, items.len(), value);
                if !is_unique(constraints, items) {
                    self.fail(Some(shape), value, Rule::Unique);
                }
                let target = service.target(element);
                for (at, item) in items.iter().enumerate() {
                    let end = self.path.len();
                    let suffix = if self.form_names { "" } else { ".member" };
                    let _ = write!(self.path, ".{}{suffix}", at + 1);
                    match item {
                        Value::Null => self.fail(None, item, Rule::NotNull),
                        item => self.value(target, item),
                    }
                    self.path.truncate(end);
                }
            }
            (Kind::Map(entry), Value::Object(object)) => {
                self.length(shape, constraints, object.len(), value);
                let (keys, values) = (service.target(&entry.0), service.target(&entry.1));
                for (key, below) in object {
                    self.key(shape, keys, key, value);
                    let end = self.path.len();
                    let _ = write!(self.path, ".{key}.member");
                    match below {
                        Value::Null => self.fail(None, below, Rule::NotNull),
                        below => self.value(values, below),
                    }
                    self.path.truncate(end);
                }
            }
            (Kind::String, Value::String(text)) => self.text(shape, constraints, text, value),
            (Kind::Blob, Value::String(text)) => self.length(shape, constraints, blob_bytes(text), value),
            (Kind::Byte | Kind::Short | Kind::Integer | Kind::Long | Kind::Float, Value::Number(number)) => {
                let number = number.as_f64().unwrap_or_default();
                match constraints {
                    Some(Constraints { min: Some(min), .. }) if number < *min => {
                        self.fail(Some(shape), value, Rule::AtLeast(*min));
                    }
                    Some(Constraints { max: Some(max), .. }) if number > *max => {
                        self.fail(Some(shape), value, Rule::AtMost(*max));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// The member's name as Coral shows it, with a small first letter; ec2 shows the parameter's own.
    fn push_member(&mut self, name: &str) {
        if !self.path.is_empty() {
            self.path.push('.');
        }
        let mut chars = name.chars();
        if let Some(first) = chars.next() {
            self.path.push(if self.form_names {
                first
            } else {
                first.to_ascii_lowercase()
            });
        }
        self.path.push_str(chars.as_str());
    }

    fn length(&mut self, shape: &'s Shape, constraints: Option<&'s Constraints>, length: usize, value: &Value) {
        let Some(constraints) = constraints else { return };
        let length = length as f64;
        if let Some(min) = constraints.min.filter(|min| length < *min) {
            self.fail(Some(shape), value, Rule::LengthAtLeast(min));
        } else if let Some(max) = constraints.max.filter(|max| length > *max) {
            self.fail(Some(shape), value, Rule::LengthAtMost(max));
        }
    }

    fn text(&mut self, shape: &'s Shape, constraints: Option<&'s Constraints>, text: &str, value: &Value) {
        let Some(constraints) = constraints else { return };
        if constraints.min.is_some() || constraints.max.is_some() {
            self.length(shape, Some(constraints), text.chars().count(), value);
        }
        // A text beyond its length is not worth a pattern's time.
        let within = constraints.max.is_none_or(|max| text.len() as f64 <= 4.0 * max);
        if let Some(pattern) = constraints
            .pattern
            .as_ref()
            .filter(|pattern| within && !pattern.matches(text))
        {
            self.fail(Some(shape), value, Rule::Pattern(&pattern.text));
        }
        let known = constraints.values.is_empty() || constraints.values.iter().any(|known| **known == *text);
        if self.enums && !known {
            self.fail(Some(shape), value, Rule::Enum(&constraints.values));
        }
    }

    /// A map's key: its violations are told as one of the map.
    fn key(&mut self, map: &'s Shape, keys: &'s Shape, key: &str, value: &Value) {
        let Some(constraints) = keys.constraints.as_deref() else {
            return;
        };
        let before = self.found.len();
        self.text(keys, Some(constraints), key, &Value::Null);
        let rules: Vec<String> = self
            .found
            .drain(before..)
            .map(|v| format!("Member must {}", v.rule.text()))
            .collect();
        if !rules.is_empty() {
            self.fail(Some(map), value, Rule::Keys(rules.join(", ")));
        }
    }
}

/// What is wrong with an answer, for the tests of a service: a required member that is missing, a member that the
/// model does not know (it would be left out in silence), a value of another type, a union without exactly one member.
/// Each text is the path and the flaw; an empty list is a sound answer.
pub fn flaws_of_output(target: &Target, output: &Value) -> Vec<String> {
    let mut found = Vec::new();
    match target.operation.output {
        Some(id) => flaws(target.service, target.service.shape(id), output, "$", &mut found),
        None if output.as_object().is_none_or(|object| !object.is_empty()) => {
            found.push("$: the operation has no output".to_owned());
        }
        None => {}
    }
    found
}

fn flaws(service: &Service, shape: &Shape, value: &Value, path: &str, found: &mut Vec<String>) {
    match (&shape.kind, value) {
        (Kind::Structure(structure), Value::Object(object)) => {
            for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
                match structure.by_name(name) {
                    Some(member) => flaws(service, service.target(member), value, &format!("{path}.{name}"), found),
                    None => found.push(format!("{path}.{name}: the shape {} has no such member", shape.name)),
                }
            }
            for member in structure.members.iter().filter(|member| member.required) {
                if object.get(&*member.name).is_none_or(Value::is_null) {
                    found.push(format!("{path}.{}: required, but missing", member.name));
                }
            }
            if structure.union && object.values().filter(|value| !value.is_null()).count() != 1 {
                found.push(format!("{path}: a union has exactly one member"));
            }
        }
        (Kind::List(element), Value::Array(items)) => {
            for (at, item) in items.iter().enumerate() {
                flaws(service, service.target(element), item, &format!("{path}[{at}]"), found);
            }
        }
        (Kind::Map(entry), Value::Object(object)) => {
            for (key, below) in object {
                flaws(
                    service,
                    service.target(&entry.1),
                    below,
                    &format!("{path}[{key}]"),
                    found,
                );
            }
        }
        (Kind::Document, _)
        | (Kind::String | Kind::Blob, Value::String(_))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Float | Kind::Timestamp, Value::Number(_)) => {}
        (Kind::Float, Value::String(text)) if matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity") => {}
        (kind, Value::Number(n)) if n.as_i64().is_some_and(|n| kind.is_whole(n)) => {}
        _ => found.push(format!("{path}: {value} does not fit the shape {}", shape.name)),
    }
}
