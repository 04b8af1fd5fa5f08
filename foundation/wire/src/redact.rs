//! A call's input or output as it may be told: in logs, in the audit trail. What the model marks as sensitive is not in it.

use crate::model::{Kind, Member, Service, Shape};
use crate::route::Target;
use crate::trail::{Side, shape_of};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// How much of a value is told.
#[derive(Debug)]
pub struct Excerpt {
    /// Longer texts are cut.
    pub text_bytes_max: usize,
    /// Items of a list, or members of a structure, that are told.
    pub items_max: usize,
    /// Deeper values are left out.
    pub depth_max: usize,
    /// The members of a service that are secret though no model marks them: a member and the one below it that is meant;
    /// nothing below it: the member itself.
    pub hidden_members: fn(&str) -> &'static [(&'static str, &'static str)],
    /// What stands for such a member, and for what the model marks as sensitive.
    pub hidden: &'static str,
}

/// Writes an input or an output as JSON without what is secret in it, and no more of it than `excerpt` says.
pub fn redacted(target: &Target, side: Side, tree: &Value, excerpt: &Excerpt) -> Box<RawValue> {
    let told = Told {
        service: target.service,
        shape: shape_of(target.service, target.operation, side),
        excerpt,
        hidden: (excerpt.hidden_members)(target.service.name()),
        above: "",
        value: tree,
        depth: excerpt.depth_max,
    };
    // Text keys and plain values: writing them to memory has no way to fail.
    to_raw_value(&told).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A value with its shape, where the model knows one.
#[derive(Clone, Copy)]
struct Told<'a> {
    service: &'a Service,
    shape: Option<&'a Shape>,
    excerpt: &'a Excerpt,
    /// The members of this service that are hidden.
    hidden: &'static [(&'static str, &'static str)],
    /// The member that it is in.
    above: &'a str,
    value: &'a Value,
    depth: usize,
}

impl<'a> Told<'a> {
    fn below(self, member: Option<&'a Member>, value: &'a Value) -> Self {
        Self {
            shape: member.map(|member| self.service.target(member)),
            value,
            depth: self.depth - 1,
            ..self
        }
    }

    fn is_hidden(self, name: &str) -> bool {
        self.hidden.iter().any(|(outer, inner)| match *inner {
            "" => *outer == name,
            inner => inner == name && *outer == self.above,
        })
    }
}

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.shape.is_some_and(|shape| shape.sensitive) {
            return to.serialize_str(self.excerpt.hidden);
        }
        if self.depth == 0 {
            return to.serialize_str("...");
        }
        let kind = self.shape.map(|shape| &shape.kind);
        match self.value {
            Value::String(text) => short(text, self.excerpt.text_bytes_max, to),
            Value::Array(items) => {
                let element = match kind {
                    Some(Kind::List(element)) => Some(&**element),
                    _ => None,
                };
                let mut list = to.serialize_seq(None)?;
                for item in items.iter().take(self.excerpt.items_max) {
                    list.serialize_element(&self.below(element, item))?;
                }
                if items.len() > self.excerpt.items_max {
                    list.serialize_element(&format_args!("... ({} items)", items.len()))?;
                }
                list.end()
            }
            Value::Object(members) => {
                let mut object = to.serialize_map(None)?;
                for (name, value) in members.iter().take(self.excerpt.items_max) {
                    let key = Short(name, self.excerpt.text_bytes_max);
                    if self.is_hidden(name) {
                        object.serialize_entry(&key, self.excerpt.hidden)?;
                        continue;
                    }
                    let member = match kind {
                        Some(Kind::Structure(structure)) => structure.by_name(name),
                        Some(Kind::Map(entry)) => Some(&entry.1),
                        _ => None,
                    };
                    let mut below = self.below(member, value);
                    below.above = name;
                    object.serialize_entry(&key, &below)?;
                }
                object.end()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => self.value.serialize(to),
        }
    }
}

/// A text that is cut.
struct Short<'a>(&'a str, usize);

impl Serialize for Short<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        short(self.0, self.1, to)
    }
}

fn short<S: Serializer>(text: &str, bytes_max: usize, to: S) -> Result<S::Ok, S::Error> {
    if text.len() <= bytes_max {
        return to.serialize_str(text);
    }
    let end = text.floor_char_boundary(bytes_max);
    let begin = text.get(..end).unwrap_or_default();
    to.collect_str(&format_args!("{begin}... ({} bytes)", text.len()))
}
