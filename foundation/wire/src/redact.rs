//! A call's input or output as it may be told: in logs, in the audit trail. What the model marks as sensitive is not in it.

//!
//! It goes from text to text: an excerpt is taken of every call, and a tree of it is needed by nobody.

use crate::codec::json::string;
use crate::codec::json::text::{Begin, Cursor, NotJson, Quoted};
use crate::model::{Kind, Member, Protocol, Service, Shape};
use crate::route::Target;
use crate::trail::{Side, shape_of};
use serde_json::Value;

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

/// Writes an input or an output as JSON without what is secret in it, and no more of it than `excerpt` says. What the
/// model does not know is left out.
pub fn redacted(target: &Target, side: Side, tree: &Value, excerpt: &Excerpt) -> String {
    redacted_json(target, side, &tree.to_string(), excerpt)
}

/// The same of JSON text. Of a text that is none, `null`.
pub fn redacted_json(target: &Target, side: Side, json: &str, excerpt: &Excerpt) -> String {
    let mut teller = Teller {
        from: Cursor::new(json),
        out: Vec::with_capacity(EXCERPT_BYTES),
    };
    let told = teller.tell(Place::top(target, side, excerpt));
    // What is cut is cut between characters.
    let text = told.ok().and_then(|()| String::from_utf8(teller.out).ok());
    text.unwrap_or_else(|| "null".to_owned())
}

/// The same of the input that was read from a body.
pub fn redacted_input(target: &Target, body: &[u8], tree: &Value, excerpt: &Excerpt) -> String {
    // Of awsJson the body is the input, if the operation has one.
    let is_body = target.protocol == Protocol::AwsJson && tree.as_object().is_some_and(|tree| !tree.is_empty());
    match std::str::from_utf8(body) {
        Ok(body) if is_body => redacted_json(target, Side::Input, body, excerpt),
        _ => redacted(target, Side::Input, tree, excerpt),
    }
}

/// What every private key in PEM has in its first line (RFC 7468, 10 and 11; RFC 5915; OpenSSH's PROTOCOL.key). People
/// send one where a certificate or a public key is asked for.
const PEM_OF_PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// A usual excerpt in bytes; a larger one grows.
const EXCERPT_BYTES: usize = 2_048;

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

/// Reads values and writes what is told of them.
struct Teller<'t> {
    from: Cursor<'t>,
    out: Vec<u8>,
}

impl Teller<'_> {
    fn tell(&mut self, place: Place<'_>) -> Result<(), NotJson> {
        let instead = if place.shape.is_some_and(|shape| shape.sensitive) {
            place.excerpt.hidden
        } else if place.depth == 0 {
            "..."
        } else {
            return self.tell_openly(place);
        };
        self.from.skip()?;
        string(instead, &mut self.out);
        Ok(())
    }

    fn tell_openly(&mut self, place: Place<'_>) -> Result<(), NotJson> {
        match self.from.begin()? {
            Begin::Null => self.out.extend_from_slice(b"null"),
            Begin::True => self.out.extend_from_slice(b"true"),
            Begin::False => self.out.extend_from_slice(b"false"),
            Begin::Number => {
                let digits = self.from.number()?;
                self.out.extend_from_slice(digits.as_bytes());
            }
            Begin::Text => {
                let quoted = self.from.quoted()?;
                if quoted.said().contains(PEM_OF_PRIVATE_KEY) {
                    string(place.excerpt.hidden, &mut self.out);
                } else {
                    short(&quoted, place.excerpt.text_bytes_max, &mut self.out);
                }
            }
            Begin::List => self.tell_list(place)?,
            Begin::Object => self.tell_object(place)?,
        }
        Ok(())
    }

    fn tell_list(&mut self, place: Place<'_>) -> Result<(), NotJson> {
        let below = place.below(match place.kind() {
            Some(Kind::List(element)) => Some(&**element),
            _ => None,
        });
        self.out.push(b'[');
        let (mut items, mut first) = (0, true);
        while self.from.item(&mut first)? {
            if items < place.excerpt.items_max {
                if items > 0 {
                    self.out.push(b',');
                }
                self.tell(below)?;
            } else {
                self.from.skip()?;
            }
            items += 1;
        }
        if items > place.excerpt.items_max {
            self.out
                .extend_from_slice(format!(",\"... ({items} items)\"").as_bytes());
        }
        self.out.push(b']');
        Ok(())
    }

    fn tell_object(&mut self, place: Place<'_>) -> Result<(), NotJson> {
        self.out.push(b'{');
        let (mut told, mut first) = (0, true);
        while let Some(key) = self.from.key(&mut first)? {
            let name = key.said();
            let member = match place.kind() {
                Some(Kind::Structure(structure)) => match structure.by_name(name) {
                    Some(member) => Some(member),
                    None => {
                        self.from.skip()?;
                        continue;
                    }
                },
                Some(Kind::Map(entry)) => Some(&entry.1),
                _ => None,
            };
            if told == place.excerpt.items_max {
                self.from.skip()?;
                continue;
            }
            if told > 0 {
                self.out.push(b',');
            }
            told += 1;
            short(&key, place.excerpt.text_bytes_max, &mut self.out);
            self.out.push(b':');
            if place.is_hidden(name) {
                self.from.skip()?;
                string(place.excerpt.hidden, &mut self.out);
            } else {
                let below = place.below(member);
                self.tell(Place { above: name, ..below })?;
            }
        }
        self.out.push(b'}');
        Ok(())
    }
}

/// Writes a text, cut where it is too long.
fn short(quoted: &Quoted<'_>, bytes_max: usize, out: &mut Vec<u8>) {
    if quoted.text.len() <= bytes_max {
        out.push(b'"');
        out.extend_from_slice(quoted.text.as_bytes());
        return out.push(b'"');
    }
    let text = quoted.said();
    if text.len() <= bytes_max {
        return string(text, out);
    }
    let begin = text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default();
    string(&format!("{begin}... ({} bytes)", text.len()), out);
}
