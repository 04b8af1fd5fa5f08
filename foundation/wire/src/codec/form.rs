//! Forms (awsQuery and ec2Query requests): `Listeners.member.1.Port=80&...`.
//!
//! The pairs are sorted so that everything below one prefix is one slice; there is no tree of nodes to build, to
//! bound or to drop.

use super::{Decoded, Malformed, percent, scalar};
use crate::limits::{DEPTH_MAX, FORM_PAIRS_MAX};
use crate::model::{Kind, Member, Service, Shape};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::cmp::Ordering;

type Pair<'t> = (Cow<'t, str>, Cow<'t, str>);

/// Reads the input of an operation from the pairs of the query string and the body.
pub(crate) fn decode(service: &Service, shape: &Shape, query: &str, body: &[u8], ec2: bool) -> Decoded<Value> {
    let body = std::str::from_utf8(body).map_err(|_| Malformed::new("The request is not valid UTF-8"))?;
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    for pair in percent::pairs(query).chain(percent::pairs(body)) {
        if pairs.len() >= FORM_PAIRS_MAX {
            return Err(Malformed::new("The request has too many parameters"));
        }
        pairs.push(pair?);
    }
    // Every level of a list has two segments, its element and its number.
    let segments_max = 2 * DEPTH_MAX;
    let is_deep = |key: &str| key.len() > segments_max && key.split('.').count() > segments_max;
    if pairs.iter().any(|(key, _)| is_deep(key)) {
        return Err(Malformed::too_deep());
    }
    pairs.sort_by(|a, b| by_segments(&a.0, &b.0));
    // The same pair in query string and body is one pair; the same key with two values is neither.
    if pairs
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a.0 == b.0 && a.1 != b.1))
    {
        return Err(Malformed::new("A parameter is given twice"));
    }
    let decoder = Decoder { service, ec2 };
    decoder.value(shape, false, Node { pairs: &pairs, from: 0 }, 0)
}

/// Byte order with `.` before everything: `a`, `a.b`, `a-b` and not `a`, `a-b`, `a.b`.
fn by_segments(a: &str, b: &str) -> Ordering {
    let rank = |byte: u8| if byte == b'.' { 0 } else { u16::from(byte) + 1 };
    a.bytes().map(rank).cmp(b.bytes().map(rank))
}

/// All pairs below a prefix; their next segments begin at the byte `from`.
#[derive(Clone, Copy)]
struct Node<'f> {
    pairs: &'f [Pair<'f>],
    from: usize,
}

impl<'f> Node<'f> {
    fn rest(pair: &'f Pair<'f>, from: usize) -> Option<&'f str> {
        pair.0.get(from..)
    }

    /// The value of the prefix itself.
    fn text(self) -> Option<&'f str> {
        let own = self
            .pairs
            .iter()
            .take_while(|pair| Self::rest(pair, self.from).is_none());
        own.last().map(|pair| &*pair.1)
    }

    /// The next segments and what is below each.
    fn children(self) -> impl Iterator<Item = (&'f str, Node<'f>)> {
        let own = self
            .pairs
            .iter()
            .take_while(|pair| Self::rest(pair, self.from).is_none())
            .count();
        let mut left = self.pairs.get(own..).unwrap_or_default();
        std::iter::from_fn(move || {
            let segment = Self::segment(left.first()?, self.from)?;
            let count = left
                .iter()
                .take_while(|pair| Self::segment(pair, self.from) == Some(segment))
                .count();
            let (here, after) = left.split_at_checked(count)?;
            left = after;
            Some((
                segment,
                Node {
                    pairs: here,
                    from: self.from + segment.len() + 1,
                },
            ))
        })
    }

    fn segment(pair: &'f Pair<'f>, from: usize) -> Option<&'f str> {
        Self::rest(pair, from)?.split('.').next()
    }

    fn child(self, name: &str) -> Option<Node<'f>> {
        self.children()
            .find(|(segment, _)| *segment == name)
            .map(|(_, node)| node)
    }

    /// The numbered children in the order of their numbers; gaps are allowed.
    fn numbered(self) -> Decoded<Vec<Node<'f>>> {
        let mut items = Vec::new();
        for (segment, node) in self.children() {
            let number: u32 = segment
                .parse()
                .map_err(|_| Malformed::new(format!("'{segment}' is not a valid index of a list parameter")))?;
            items.push((number, node));
        }
        items.sort_by_key(|(number, _)| *number);
        Ok(items.into_iter().map(|(_, node)| node).collect())
    }
}

struct Decoder<'s> {
    service: &'s Service,
    ec2: bool,
}

impl Decoder<'_> {
    fn member(&self, member: &Member, node: Node<'_>, depth: usize) -> Decoded<Value> {
        self.value(self.service.target(member), member.flattened, node, depth + 1)
    }

    fn value(&self, shape: &Shape, flattened: bool, node: Node<'_>, depth: usize) -> Decoded<Value> {
        if depth > DEPTH_MAX {
            return Err(Malformed::too_deep());
        }
        let flat = flattened || shape.flattened;
        let complex = matches!(shape.kind, Kind::Structure(_) | Kind::List(_) | Kind::Map(_));
        // `Name=` says that a list is empty.
        if depth > 0 && complex && node.text().is_some_and(|text| !text.is_empty()) {
            return Err(Malformed::new(
                "Unexpected value where a structure, list or map was expected",
            ));
        }
        match &shape.kind {
            Kind::Structure(structure) => {
                let mut object = Map::new();
                for (segment, child) in node.children() {
                    if let Some(member) = structure.by_form(segment) {
                        object.insert(String::from(&*member.name), self.member(member, child, depth)?);
                    }
                }
                Ok(Value::Object(object))
            }
            Kind::List(element) => {
                let items = if flat || self.ec2 {
                    Some(node)
                } else {
                    node.child(element.wire.as_deref().unwrap_or("member"))
                };
                let items = items.map(Node::numbered).transpose()?.unwrap_or_default();
                let list: Decoded<Vec<Value>> = items
                    .into_iter()
                    .map(|item| self.member(element, item, depth))
                    .collect();
                Ok(Value::Array(list?))
            }
            Kind::Map(entry) => {
                let (key, value) = &**entry;
                let entries = if flat { Some(node) } else { node.child("entry") };
                let mut object = Map::new();
                for entry in entries.map(Node::numbered).transpose()?.unwrap_or_default() {
                    let name = entry.child(key.wire()).and_then(Node::text);
                    if let (Some(name), Some(below)) = (name, entry.child(value.wire())) {
                        object.insert(name.to_owned(), self.member(value, below, depth)?);
                    }
                }
                Ok(Value::Object(object))
            }
            _ => match node.text() {
                Some(text) => scalar::from_text(shape, text),
                None => Err(Malformed::new(
                    "Unexpected complex element where a simple value was expected",
                )),
            },
        }
    }
}
