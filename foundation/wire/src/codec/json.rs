//! JSON bodies. Reading builds the tree straight from the text: what the shape does not know is never built.

use super::{Decoded, Malformed, kind_name, scalar};
use crate::model::{Kind, Location, Member, Service, Shape, Structure, TimestampFormat};
use crate::timestamp;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Seed {
        service,
        shape,
        timestamp: shape.timestamp,
        top: true,
        strict,
    }
    .deserialize(&mut deserializer)
    .map_err(malformed)?;
    deserializer.end().map_err(malformed)?;
    Ok(match value {
        Value::Null if strict => return Err(Malformed::new("Unexpected null where a structure was expected")),
        Value::Null => Value::Object(Map::new()),
        value => value,
    })
}

fn malformed(error: serde_json::Error) -> Malformed {
    if !error.is_data() {
        return Malformed::new("Could not parse request body into json");
    }
    // serde_json adds where it was; AWS does not.
    let text = error.to_string();
    Malformed(
        text.rsplit_once(" at line ")
            .map(|(text, _)| text.to_owned())
            .unwrap_or(text),
    )
}

/// Reads one value of a shape.
struct Seed<'s> {
    service: &'s Service,
    shape: &'s Shape,
    /// The format of a timestamp, where the member or the shape names one.
    timestamp: Option<TimestampFormat>,
    /// Whether this is the input itself, where only the members bound to the body may come from it.
    top: bool,
    strict: bool,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if matches!(self.shape.kind, Kind::Document) {
            return serde::Deserialize::deserialize(deserializer);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'s> Seed<'s> {
    /// What reads a value below this one.
    fn below(&self, member: &Member) -> Seed<'s> {
        let shape = self.service.target(member);
        Seed {
            service: self.service,
            shape,
            timestamp: member.timestamp.or(shape.timestamp),
            top: false,
            strict: self.strict,
        }
    }

    /// Whether a number may be a timestamp here.
    fn takes_seconds(&self) -> bool {
        !self.strict || matches!(self.timestamp, None | Some(TimestampFormat::EpochSeconds))
    }

    fn unexpected<E: Error>(&self, found: &str) -> E {
        match self.shape.kind {
            Kind::List(_) => E::custom("Expected list or null"),
            Kind::Map(_) => E::custom("Expected map or null"),
            Kind::Structure(_) => E::custom("Unexpected value where a structure was expected"),
            _ => E::custom(format_args!(
                "{found} can not be converted to {}",
                kind_name(&self.shape.kind)
            )),
        }
    }

    fn integer<E: Error>(&self, number: Option<i64>, shown: impl fmt::Display) -> Result<Value, E> {
        match (&self.shape.kind, number) {
            (kind, Some(n)) if kind.is_whole(n) => Ok(n.into()),
            _ => Err(E::custom(format_args!(
                "{shown} can not be converted to {}",
                kind_name(&self.shape.kind)
            ))),
        }
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(kind_name(&self.shape.kind))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<Value, E> {
        match self.shape.kind {
            Kind::Boolean => Ok(Value::Bool(v)),
            _ => Err(self.unexpected(if v { "TRUE_VALUE" } else { "FALSE_VALUE" })),
        }
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<Value, E> {
        match self.shape.kind {
            Kind::Byte | Kind::Short | Kind::Integer | Kind::Long => self.integer(Some(v), v),
            Kind::Float => Ok(v.into()),
            Kind::Timestamp if self.takes_seconds() => {
                timestamp::from_number(v.into()).ok_or_else(|| self.unexpected("A number out of range"))
            }
            _ => Err(self.unexpected("NUMBER_VALUE")),
        }
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Value, E> {
        match (&self.shape.kind, i64::try_from(v)) {
            (_, Ok(v)) => self.visit_i64(v),
            (Kind::Float, Err(_)) => Ok(v.into()),
            (Kind::Byte | Kind::Short | Kind::Integer | Kind::Long, Err(_)) => self.integer(None, v),
            _ => Err(self.unexpected("NUMBER_VALUE")),
        }
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Value, E> {
        match self.shape.kind {
            Kind::Float => Ok(scalar::float_value(v)),
            Kind::Timestamp if self.takes_seconds() => Number::from_f64(v)
                .and_then(timestamp::from_number)
                .ok_or_else(|| self.unexpected("A number out of range")),
            Kind::Byte | Kind::Short | Kind::Integer | Kind::Long => self.integer(whole(v), v),
            _ => Err(self.unexpected("NUMBER_VALUE")),
        }
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Value, E> {
        match self.shape.kind {
            Kind::String => Ok(Value::from(v)),
            Kind::Blob => scalar::blob(v).map_err(E::custom),
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Kind::List(element) = &self.shape.kind else {
            return Err(A::Error::custom("Start of list found where not expected"));
        };
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.below(element))? {
            if self.strict && item.is_null() {
                return Err(A::Error::custom("Unexpected null in a list"));
            }
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        match &self.shape.kind {
            Kind::Structure(structure) => {
                let mut unknown = 0;
                while let Some(key) = entries.next_key_seed(Key {
                    structure,
                    top: self.top,
                })? {
                    let member = match key {
                        Named::Member(member) => member,
                        Named::Unknown { counts } => {
                            let Skipped { is_null } = entries.next_value()?;
                            unknown += usize::from(counts && !is_null);
                            continue;
                        }
                    };
                    let value = entries.next_value_seed(self.below(member))?;
                    if !value.is_null() && object.insert(String::from(&*member.name), value).is_some() {
                        return Err(A::Error::custom(format_args!("Duplicate key {}", member.wire())));
                    }
                }
                if structure.union && (object.len(), unknown) != (1, 0) {
                    return Err(A::Error::custom(
                        "Unexpected number of members in a union: exactly one is expected",
                    ));
                }
            }
            Kind::Map(entry) => {
                while let Some(key) = entries.next_key::<String>()? {
                    let value = entries.next_value_seed(self.below(&entry.1))?;
                    if self.strict && value.is_null() {
                        return Err(A::Error::custom("Unexpected null in a map"));
                    }
                    if object.contains_key(&key) {
                        return Err(A::Error::custom("Duplicate key in a map"));
                    }
                    object.insert(key, value);
                }
            }
            _ => return Err(A::Error::custom("Start of structure or map found where not expected.")),
        }
        Ok(Value::Object(object))
    }
}

/// A whole number within i64.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and below 2^63")]
pub(super) fn whole(v: f64) -> Option<i64> {
    (v.fract() == 0.0 && v.abs() < 9_223_372_036_854_775_807.0).then_some(v as i64)
}

/// Passes over what the shape does not know. serde's own `IgnoredAny` follows any nesting; this has the bound of the
/// values that are read, so that a nesting bomb is refused wherever it stands.
struct Skipped {
    is_null: bool,
}

impl<'de> Deserialize<'de> for Skipped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SkippedVisitor)
    }
}

struct SkippedVisitor;

const SOMETHING: Skipped = Skipped { is_null: false };

impl<'de> Visitor<'de> for SkippedVisitor {
    type Value = Skipped;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Skipped, E> {
        Ok(Skipped { is_null: true })
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Skipped, E> {
        Ok(SOMETHING)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Skipped, E> {
        Ok(SOMETHING)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Skipped, E> {
        Ok(SOMETHING)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Skipped, E> {
        Ok(SOMETHING)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Skipped, E> {
        Ok(SOMETHING)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Skipped, A::Error> {
        while items.next_element::<Skipped>()?.is_some() {}
        Ok(SOMETHING)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Skipped, A::Error> {
        while entries.next_key::<IgnoredAny>()?.is_some() {
            entries.next_value::<Skipped>()?;
        }
        Ok(SOMETHING)
    }
}

/// What a key names.
enum Named<'s> {
    Member(&'s Member),
    /// Nothing that is known; `counts` as a member of a union, as all but `__type` do.
    Unknown {
        counts: bool,
    },
}

/// Finds the member of a key without a copy of the key.
struct Key<'s> {
    structure: &'s Structure,
    top: bool,
}

impl<'de, 's> DeserializeSeed<'de> for Key<'s> {
    type Value = Named<'s>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'s> Visitor<'_> for Key<'s> {
    type Value = Named<'s>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        let member = self.structure.by_wire(name);
        Ok(
            match member.filter(|member| !self.top || member.location == Location::Body) {
                Some(member) => Named::Member(member),
                None => Named::Unknown {
                    counts: name != "__type",
                },
            },
        )
    }
}

/// Writes a value. At the top of a REST answer only the members that `keep` accepts are written.
pub(crate) fn encode(
    service: &Service,
    shape: &Shape,
    member: Option<TimestampFormat>,
    value: &Value,
    keep: &dyn Fn(&Member) -> bool,
    out: &mut Vec<u8>,
) {
    match (&shape.kind, value) {
        (Kind::Structure(structure), Value::Object(object)) => {
            out.push(b'{');
            let mut first = true;
            for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
                let Some(member) = structure.by_name(name).filter(|member| keep(member)) else {
                    continue;
                };
                separator(&mut first, out);
                string(member.wire(), out);
                out.push(b':');
                encode(service, service.target(member), member.timestamp, value, &|_| true, out);
            }
            out.push(b'}');
        }
        (Kind::List(element), Value::Array(items)) => {
            let shape = service.target(element);
            out.push(b'[');
            let mut first = true;
            for item in items {
                separator(&mut first, out);
                encode(service, shape, element.timestamp, item, &|_| true, out);
            }
            out.push(b']');
        }
        (Kind::Map(entry), Value::Object(object)) => {
            let shape = service.target(&entry.1);
            out.push(b'{');
            let mut first = true;
            for (key, value) in object {
                separator(&mut first, out);
                string(key, out);
                out.push(b':');
                encode(service, shape, entry.1.timestamp, value, &|_| true, out);
            }
            out.push(b'}');
        }
        (Kind::Timestamp, Value::Number(number)) => {
            match member.or(shape.timestamp).unwrap_or(TimestampFormat::EpochSeconds) {
                TimestampFormat::EpochSeconds => out.extend_from_slice(number.to_string().as_bytes()),
                format => string(&timestamp::format(number, format), out),
            }
        }
        (_, value) => {
            // Writing a `Value` to memory has no way to fail.
            let _ = serde_json::to_writer(out, value);
        }
    }
}

fn separator(first: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::take(first) {
        out.push(b',');
    }
}

/// Writes a text with its quotes.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, text);
}
