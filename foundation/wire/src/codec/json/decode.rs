//! From a body to its tree, straight from the text: what the shape does not know is never built.

use super::text::{Begin, Cursor, NotJson};
use crate::codec::{Decoded, Malformed, kind_name, scalar};
use crate::model::{Kind, Location, Member, Service, Shape, Structure, TimestampFormat};
use crate::timestamp;
use serde_json::{Map, Number, Value};
use std::fmt;

/// Reads a body. An empty one is an object without members, and so is `null` where it is not `strict`.
///
/// `strict` is restJson1 to the letter of Smithy's malformed-request tests: timestamps in the one format that the model
/// names, and no null in lists and maps. awsJson's front ends are more lenient.
pub(crate) fn decode(service: &Service, shape: &Shape, body: &[u8], strict: bool) -> Decoded<Value> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Map::new()));
    }
    let text = std::str::from_utf8(body).map_err(|_| NotJson)?;
    let mut cursor = Cursor::new(text);
    let top = Place {
        service,
        shape,
        timestamp: shape.timestamp,
        top: true,
        strict,
    };
    let value = top.read(&mut cursor)?;
    cursor.end()?;
    Ok(match value {
        Value::Null if strict => return Err(Malformed::new("Unexpected null where a structure was expected")),
        Value::Null => Value::Object(Map::new()),
        value => value,
    })
}

impl From<NotJson> for Malformed {
    fn from(NotJson: NotJson) -> Self {
        Self::new("Could not parse request body into json")
    }
}

/// What stands at a place of the text, by the model.
struct Place<'s> {
    service: &'s Service,
    shape: &'s Shape,
    /// The format of a timestamp, where the member or the shape names one.
    timestamp: Option<TimestampFormat>,
    /// Whether this is the input itself, where only the members bound to the body may come from it.
    top: bool,
    strict: bool,
}

impl<'s> Place<'s> {
    /// The place below this one.
    fn below(&self, member: &Member) -> Place<'s> {
        let shape = self.service.target(member);
        Place {
            service: self.service,
            shape,
            timestamp: member.timestamp.or(shape.timestamp),
            top: false,
            strict: self.strict,
        }
    }

    fn read(&self, cursor: &mut Cursor<'_>) -> Decoded<Value> {
        if matches!(self.shape.kind, Kind::Document) {
            return Ok(serde_json::from_str(cursor.raw()?).map_err(|_| NotJson)?);
        }
        match cursor.begin()? {
            Begin::Null => Ok(Value::Null),
            Begin::True => self.boolean(true),
            Begin::False => self.boolean(false),
            Begin::Text => {
                let quoted = cursor.quoted()?;
                match self.shape.kind {
                    Kind::String => Ok(Value::String(quoted.into_said().into_owned())),
                    _ => self.text(quoted.said()),
                }
            }
            Begin::Number => self.number(cursor.number()?),
            Begin::List => self.list(cursor),
            Begin::Object => match &self.shape.kind {
                Kind::Structure(structure) => self.structure(structure, cursor),
                Kind::Map(entry) => self.map(&entry.1, cursor),
                _ => Err(Malformed::new("Start of structure or map found where not expected.")),
            },
        }
    }

    /// Whether a number may be a timestamp here.
    fn takes_seconds(&self) -> bool {
        !self.strict || matches!(self.timestamp, None | Some(TimestampFormat::EpochSeconds))
    }

    fn unexpected(&self, found: impl fmt::Display) -> Malformed {
        match self.shape.kind {
            Kind::List(_) => Malformed::new("Expected list or null"),
            Kind::Map(_) => Malformed::new("Expected map or null"),
            Kind::Structure(_) => Malformed::new("Unexpected value where a structure was expected"),
            _ => self.unconverted(found),
        }
    }

    fn unconverted(&self, found: impl fmt::Display) -> Malformed {
        let kind = kind_name(&self.shape.kind);
        Malformed(format!("{found} can not be converted to {kind}"))
    }

    fn boolean(&self, v: bool) -> Decoded<Value> {
        match self.shape.kind {
            Kind::Boolean => Ok(Value::Bool(v)),
            _ => Err(self.unexpected(if v { "TRUE_VALUE" } else { "FALSE_VALUE" })),
        }
    }

    fn number(&self, digits: &str) -> Decoded<Value> {
        if let Ok(v) = digits.parse::<i64>()
            && digits != "-0"
        {
            return self.whole(v);
        }
        if let Ok(v) = digits.parse::<u64>() {
            return match self.shape.kind {
                Kind::Float => Ok(v.into()),
                Kind::Byte | Kind::Short | Kind::Integer | Kind::Long => Err(self.unconverted(v)),
                _ => Err(self.unexpected("NUMBER_VALUE")),
            };
        }
        let v: f64 = digits.parse().map_err(|_| NotJson)?;
        match self.shape.kind {
            Kind::Float => Ok(scalar::float_value(v)),
            Kind::Timestamp if self.takes_seconds() => Number::from_f64(v)
                .and_then(timestamp::from_number)
                .ok_or_else(|| self.unexpected("A number out of range")),
            Kind::Byte | Kind::Short | Kind::Integer | Kind::Long => match whole(v) {
                Some(n) if self.shape.kind.is_whole(n) => Ok(n.into()),
                _ => Err(self.unconverted(v)),
            },
            _ => Err(self.unexpected("NUMBER_VALUE")),
        }
    }

    fn whole(&self, v: i64) -> Decoded<Value> {
        match &self.shape.kind {
            kind @ (Kind::Byte | Kind::Short | Kind::Integer | Kind::Long) if kind.is_whole(v) => Ok(v.into()),
            Kind::Byte | Kind::Short | Kind::Integer | Kind::Long => Err(self.unconverted(v)),
            Kind::Float => Ok(v.into()),
            Kind::Timestamp if self.takes_seconds() => {
                timestamp::from_number(v.into()).ok_or_else(|| self.unexpected("A number out of range"))
            }
            _ => Err(self.unexpected("NUMBER_VALUE")),
        }
    }

    fn text(&self, v: &str) -> Decoded<Value> {
        match self.shape.kind {
            Kind::String => Ok(Value::from(v)),
            Kind::Blob => scalar::blob(v),
            Kind::Timestamp => match self.timestamp {
                // Seconds are a number in JSON, never a text.
                None | Some(TimestampFormat::EpochSeconds) if self.strict => None,
                Some(format) if self.strict => timestamp::parse_as(v, format),
                _ => timestamp::parse(v),
            }
            .ok_or_else(|| self.unexpected("STRING_VALUE")),
            Kind::Float if matches!(v, "NaN" | "Infinity" | "-Infinity") => Ok(Value::from(v)),
            _ => Err(self.unexpected("STRING_VALUE")),
        }
    }

    fn list(&self, cursor: &mut Cursor<'_>) -> Decoded<Value> {
        let Kind::List(element) = &self.shape.kind else {
            return Err(Malformed::new("Start of list found where not expected"));
        };
        let below = self.below(element);
        let (mut list, mut first) = (Vec::new(), true);
        while cursor.item(&mut first)? {
            let item = below.read(cursor)?;
            if self.strict && item.is_null() {
                return Err(Malformed::new("Unexpected null in a list"));
            }
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn structure(&self, structure: &Structure, cursor: &mut Cursor<'_>) -> Decoded<Value> {
        let mut object = Map::new();
        let (mut unknown, mut first) = (0, true);
        while let Some(key) = cursor.key(&mut first)? {
            let member = structure.by_wire(key.said());
            let Some(member) = member.filter(|member| !self.top || member.location == Location::Body) else {
                let is_null = cursor.skip()?;
                // What an SDK adds to say its type is no member.
                unknown += usize::from(!is_null && key.said() != "__type");
                continue;
            };
            let value = self.below(member).read(cursor)?;
            if !value.is_null() && object.insert(String::from(&*member.name), value).is_some() {
                return Err(Malformed(format!("Duplicate key {}", member.wire())));
            }
        }
        if structure.union && (object.len(), unknown) != (1, 0) {
            return Err(Malformed::new(
                "Unexpected number of members in a union: exactly one is expected",
            ));
        }
        Ok(Value::Object(object))
    }

    fn map(&self, value: &Member, cursor: &mut Cursor<'_>) -> Decoded<Value> {
        let below = self.below(value);
        let (mut object, mut first) = (Map::new(), true);
        while let Some(key) = cursor.key(&mut first)? {
            let value = below.read(cursor)?;
            if self.strict && value.is_null() {
                return Err(Malformed::new("Unexpected null in a map"));
            }
            if object.insert(key.into_said().into_owned(), value).is_some() {
                return Err(Malformed::new("Duplicate key in a map"));
            }
        }
        Ok(Value::Object(object))
    }
}

/// A whole number within i64.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and below 2^63")]
pub(crate) fn whole(v: f64) -> Option<i64> {
    (v.fract() == 0.0 && v.abs() < 9_223_372_036_854_775_807.0).then_some(v as i64)
}
