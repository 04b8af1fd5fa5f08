//! A call's input or output as it may be told: in logs, in the audit trail. What the model marks as sensitive is not in it.

use crate::codec::json::string;
use crate::model::{Kind, Member, Service, Shape};
use crate::route::Target;
use crate::trail::{Side, shape_of};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

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
    written(Place::top(target, side, excerpt), tree)
}

/// The same of an output that is JSON text already.
pub fn redacted_json(target: &Target, output: &RawValue, excerpt: &Excerpt) -> Box<RawValue> {
    let mut text = serde_json::Deserializer::from_str(output.get());
    written(Place::top(target, Side::Output, excerpt), &mut text)
}

/// A usual excerpt in bytes; a larger one grows.
const EXCERPT_BYTES: usize = 2_048;

fn written<'de>(place: Place<'_>, from: impl Deserializer<'de>) -> Box<RawValue> {
    let mut out = Vec::with_capacity(EXCERPT_BYTES);
    // A tree has text keys and plain values, and what a handler wrote is JSON: there is no way to fail.
    let told = Teller { place, out: &mut out }.deserialize(from);
    let text = told.ok().and_then(|()| String::from_utf8(out).ok());
    text.and_then(|text| RawValue::from_string(text).ok())
        .unwrap_or_else(|| RawValue::NULL.to_owned())
}

/// A place in a tree: what the model says of it, and how much is told below it.
#[derive(Clone, Copy)]
struct Place<'a> {
    service: &'a Service,
    /// Nothing where the model knows none.
    shape: Option<&'a Shape>,
    excerpt: &'a Excerpt,
    /// The members of this service that are hidden.
    hidden: &'static [(&'static str, &'static str)],
    /// The member that it is in.
    above: &'a str,
    depth: usize,
}

impl<'a> Place<'a> {
    fn top(target: &Target, side: Side, excerpt: &'a Excerpt) -> Place<'a> {
        Place {
            service: target.service,
            shape: shape_of(target.service, target.operation, side),
            excerpt,
            hidden: (excerpt.hidden_members)(target.service.name()),
            above: "",
            depth: excerpt.depth_max,
        }
    }

    fn kind(self) -> Option<&'a Kind> {
        self.shape.map(|shape| &shape.kind)
    }

    fn below(self, member: Option<&'a Member>) -> Self {
        Self {
            shape: member.map(|member| self.service.target(member)),
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

/// Reads a value and writes what is told of it.
struct Teller<'a, 'o> {
    place: Place<'a>,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Teller<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        let instead = if self.place.shape.is_some_and(|shape| shape.sensitive) {
            self.place.excerpt.hidden
        } else if self.place.depth == 0 {
            "..."
        } else {
            return from.deserialize_any(self);
        };
        IgnoredAny::deserialize(from)?;
        string(instead, self.out);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Teller<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<(), E> {
        self.out.extend_from_slice(if v { b"true" } else { b"false" });
        Ok(())
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<(), E> {
        serde_json::to_writer(self.out, &v).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<(), E> {
        serde_json::to_writer(self.out, &v).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<(), E> {
        serde_json::to_writer(self.out, &v).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<(), E> {
        short(v, self.place.excerpt.text_bytes_max, self.out);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { place, out } = self;
        let below = place.below(match place.kind() {
            Some(Kind::List(element)) => Some(&**element),
            _ => None,
        });
        out.push(b'[');
        for n in 0..place.excerpt.items_max {
            let before = out.len();
            if n > 0 {
                out.push(b',');
            }
            let item = Teller { place: below, out };
            if items.next_element_seed(item)?.is_none() {
                out.truncate(before);
                out.push(b']');
                return Ok(());
            }
        }
        let mut more = 0;
        while items.next_element::<IgnoredAny>()?.is_some() {
            more += 1;
        }
        if more > 0 {
            let count = place.excerpt.items_max + more;
            out.extend_from_slice(format!(",\"... ({count} items)\"").as_bytes());
        }
        out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { place, out } = self;
        out.push(b'{');
        for n in 0..place.excerpt.items_max {
            let Some(Name(name)) = members.next_key()? else {
                out.push(b'}');
                return Ok(());
            };
            if n > 0 {
                out.push(b',');
            }
            short(&name, place.excerpt.text_bytes_max, out);
            out.push(b':');
            if place.is_hidden(&name) {
                members.next_value::<IgnoredAny>()?;
                string(place.excerpt.hidden, out);
                continue;
            }
            let below = place.below(match place.kind() {
                Some(Kind::Structure(structure)) => structure.by_name(&name),
                Some(Kind::Map(entry)) => Some(&entry.1),
                _ => None,
            });
            let place = Place { above: &name, ..below };
            members.next_value_seed(Teller { place, out })?;
        }
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        out.push(b'}');
        Ok(())
    }
}

/// A key, without a copy where it stands in the text as it is.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Name(Cow::Borrowed(v)))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Name(Cow::Owned(v.to_owned())))
    }
}

/// Writes a text, cut where it is too long.
fn short(text: &str, bytes_max: usize, out: &mut Vec<u8>) {
    if text.len() <= bytes_max {
        return string(text, out);
    }
    let end = text.floor_char_boundary(bytes_max);
    let begin = text.get(..end).unwrap_or_default();
    string(&format!("{begin}... ({} bytes)", text.len()), out);
}
