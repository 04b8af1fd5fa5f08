//! CBOR bodies (rpcv2Cbor). Ref: RFC 8949; Smithy RPC v2 CBOR.

use super::{Decoded, Malformed, json::whole, scalar};
use crate::limits::DEPTH_MAX;
use crate::model::{Kind, Service, Shape};
use crate::timestamp;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Number, Value};

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;
const BREAK: u8 = 0xff;
const INDEFINITE: u8 = 31;
/// `null` and `undefined`.
const NULLS: [u8; 2] = [SIMPLE << 5 | 22, SIMPLE << 5 | 23];

/// Reads a body; an empty one is an object without members.
pub(crate) fn decode(service: &Service, shape: &Shape, body: &[u8]) -> Decoded<Value> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let mut decoder = Decoder { service, rest: body };
    let value = decoder.value(shape, 0)?;
    if !decoder.rest.is_empty() {
        return Err(Malformed::new("Unexpected bytes after the CBOR value"));
    }
    Ok(if value.is_null() {
        Value::Object(Map::new())
    } else {
        value
    })
}

struct Decoder<'s, 'b> {
    service: &'s Service,
    rest: &'b [u8],
}

fn end() -> Malformed {
    Malformed::new("Unexpected end of the CBOR body")
}

fn invalid() -> Malformed {
    Malformed::new("Could not parse request body into CBOR")
}

/// Ref: RFC 8949, section 5.6: a map with duplicate keys is not valid.
fn duplicate() -> Malformed {
    Malformed::new("Duplicate key in a CBOR map")
}

fn mismatch(shape: &Shape) -> Malformed {
    Malformed::new(format!("Unexpected CBOR type for {}", shape.name))
}

/// The first byte of an item, in its two parts, and the number that follows. `None` is an indefinite length.
struct Head {
    major: u8,
    minor: u8,
    argument: Option<u64>,
}

impl<'b> Decoder<'_, 'b> {
    fn take(&mut self, count: usize) -> Decoded<&'b [u8]> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or_else(end)?;
        self.rest = tail;
        Ok(head)
    }

    fn big_endian(&mut self, count: usize) -> Decoded<u64> {
        Ok(self
            .take(count)?
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn head(&mut self) -> Decoded<Head> {
        let first = *self.take(1)?.first().ok_or_else(end)?;
        let (major, minor) = (first >> 5, first & 0x1f);
        let argument = match minor {
            0..=23 => Some(u64::from(minor)),
            24 => Some(self.big_endian(1)?),
            25 => Some(self.big_endian(2)?),
            26 => Some(self.big_endian(4)?),
            27 => Some(self.big_endian(8)?),
            INDEFINITE => None,
            _ => return Err(invalid()),
        };
        Ok(Head { major, minor, argument })
    }

    /// Whether an item follows: counts a definite length down, or looks for the break.
    fn more(&mut self, left: &mut Option<u64>) -> Decoded<bool> {
        match left {
            Some(0) => Ok(false),
            Some(count) => {
                *count -= 1;
                Ok(true)
            }
            None if self.rest.first() == Some(&BREAK) => {
                self.take(1)?;
                Ok(false)
            }
            None => Ok(true),
        }
    }

    /// A byte or text string, in one piece or in several; pieces do not nest.
    fn string(&mut self, head: &Head) -> Decoded<Vec<u8>> {
        let length = |length: u64| usize::try_from(length).map_err(|_| end());
        if let Some(count) = head.argument {
            return Ok(self.take(length(count)?)?.to_vec());
        }
        let mut whole = Vec::new();
        let mut left = None;
        while self.more(&mut left)? {
            let piece = self.head()?;
            let count = piece
                .argument
                .filter(|_| piece.major == head.major)
                .ok_or_else(invalid)?;
            whole.extend_from_slice(self.take(length(count)?)?);
        }
        Ok(whole)
    }

    fn text(&mut self, head: &Head) -> Decoded<String> {
        String::from_utf8(self.string(head)?).map_err(|_| Malformed::new("The request is not valid UTF-8"))
    }

    fn key(&mut self) -> Decoded<String> {
        let head = self.head()?;
        if head.major == TEXT {
            self.text(&head)
        } else {
            Err(invalid())
        }
    }

    /// The float of a simple head, half to double precision.
    fn float(head: &Head) -> Option<f64> {
        let bits = head.argument?;
        match head.minor {
            25 => Some(half(u16::try_from(bits).ok()?)),
            26 => Some(f64::from(f32::from_bits(u32::try_from(bits).ok()?))),
            27 => Some(f64::from_bits(bits)),
            _ => None,
        }
    }

    /// Any number as a float, integers with their full range.
    fn number(head: &Head) -> Option<f64> {
        match head.major {
            UNSIGNED => head.argument.map(|n| n as f64),
            NEGATIVE => head.argument.map(|n| -1.0 - n as f64),
            SIMPLE => Self::float(head),
            _ => None,
        }
    }

    /// A whole number within i64.
    fn integer(head: &Head) -> Option<i64> {
        match head.major {
            UNSIGNED => i64::try_from(head.argument?).ok(),
            NEGATIVE => i64::try_from(head.argument?).ok().map(|n| -1 - n),
            SIMPLE => whole(Self::float(head)?),
            _ => None,
        }
    }

    fn value(&mut self, shape: &Shape, depth: usize) -> Decoded<Value> {
        if depth > DEPTH_MAX {
            return Err(Malformed::too_deep());
        }
        let head = self.head()?;
        // `null` and `undefined`.
        if head.major == SIMPLE && matches!(head.minor, 22 | 23) {
            return Ok(Value::Null);
        }
        // A tag tells what the shape knows already (1: a time).
        if head.major == TAG {
            return self.value(shape, depth + 1);
        }
        let service = self.service;
        match (&shape.kind, head.major) {
            (Kind::Structure(structure), MAP) => {
                let mut object = Map::new();
                let mut unknown = 0;
                let mut left = head.argument;
                while self.more(&mut left)? {
                    let key = self.key()?;
                    let Some(member) = structure.by_wire(&key) else {
                        unknown += usize::from(!NULLS.contains(self.rest.first().unwrap_or(&0)));
                        self.skip(depth + 1)?;
                        continue;
                    };
                    let value = self.value(service.target(member), depth + 1)?;
                    if !value.is_null() && object.insert(String::from(&*member.name), value).is_some() {
                        return Err(duplicate());
                    }
                }
                if structure.union && (object.len(), unknown) != (1, 0) {
                    return Err(Malformed::new(
                        "Unexpected number of members in a union: exactly one is expected",
                    ));
                }
                Ok(Value::Object(object))
            }
            (Kind::Map(entry), MAP) => {
                let target = service.target(&entry.1);
                let mut object = Map::new();
                let mut left = head.argument;
                while self.more(&mut left)? {
                    let key = self.key()?;
                    let value = self.value(target, depth + 1)?;
                    if object.insert(key, value).is_some() {
                        return Err(duplicate());
                    }
                }
                Ok(Value::Object(object))
            }
            (Kind::List(element), ARRAY) => {
                let target = service.target(element);
                let mut list = Vec::new();
                let mut left = head.argument;
                while self.more(&mut left)? {
                    list.push(self.value(target, depth + 1)?);
                }
                Ok(Value::Array(list))
            }
            (Kind::String, TEXT) => Ok(Value::String(self.text(&head)?)),
            (Kind::Blob, BYTES) => Ok(Value::String(STANDARD.encode(self.string(&head)?))),
            (Kind::Boolean, SIMPLE) if head.minor == 20 => Ok(Value::Bool(false)),
            (Kind::Boolean, SIMPLE) if head.minor == 21 => Ok(Value::Bool(true)),
            (kind @ (Kind::Byte | Kind::Short | Kind::Integer | Kind::Long), _) => Self::integer(&head)
                .filter(|number| kind.is_whole(*number))
                .map(Value::from)
                .ok_or_else(|| mismatch(shape)),
            (Kind::Float, _) => match (Self::integer(&head), Self::number(&head)) {
                (Some(number), _) if head.major != SIMPLE => Ok(number.into()),
                (_, Some(number)) => Ok(scalar::float_value(number)),
                _ => Err(mismatch(shape)),
            },
            (Kind::Timestamp, TEXT) => {
                let text = self.text(&head)?;
                timestamp::parse(&text).ok_or_else(|| mismatch(shape))
            }
            (Kind::Timestamp, _) => {
                let number = Self::integer(&head)
                    .map(Number::from)
                    .or_else(|| Self::number(&head).and_then(Number::from_f64));
                number.and_then(timestamp::from_number).ok_or_else(|| mismatch(shape))
            }
            _ => Err(mismatch(shape)),
        }
    }

    /// Passes over an item that the shape does not know.
    fn skip(&mut self, depth: usize) -> Decoded<()> {
        if depth > DEPTH_MAX {
            return Err(Malformed::too_deep());
        }
        let head = self.head()?;
        match head.major {
            UNSIGNED | NEGATIVE if head.argument.is_some() => Ok(()),
            BYTES | TEXT => self.string(&head).map(|_| ()),
            ARRAY | MAP => {
                let mut left = head.argument;
                while self.more(&mut left)? {
                    if head.major == MAP {
                        self.skip(depth + 1)?;
                    }
                    self.skip(depth + 1)?;
                }
                Ok(())
            }
            TAG => self.skip(depth + 1),
            SIMPLE if head.argument.is_some() => Ok(()),
            _ => Err(invalid()),
        }
    }
}

/// A half-precision float. Ref: RFC 8949, appendix D.
fn half(bits: u16) -> f64 {
    let mantissa = f64::from(bits & 0x3ff);
    let magnitude = match bits >> 10 & 0x1f {
        0 => mantissa * 2_f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1.0 + mantissa / 1_024.0) * 2_f64.powi(i32::from(exponent) - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

/// Writes a value. Structures and maps are of indefinite length: absent members need no counting.
pub(crate) fn encode(service: &Service, shape: &Shape, value: &Value, out: &mut Vec<u8>) {
    match (&shape.kind, value) {
        (Kind::Structure(structure), Value::Object(object)) => {
            start_map(out);
            for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
                if let Some(member) = structure.by_name(name) {
                    text(member.wire(), out);
                    encode(service, service.target(member), value, out);
                }
            }
            end_map(out);
        }
        (Kind::Map(entry), Value::Object(object)) => {
            let target = service.target(&entry.1);
            start_map(out);
            for (key, value) in object {
                text(key, out);
                encode(service, target, value, out);
            }
            end_map(out);
        }
        (Kind::List(element), Value::Array(items)) => {
            let target = service.target(element);
            head(ARRAY, items.len() as u64, out);
            for item in items {
                encode(service, target, item, out);
            }
        }
        (Kind::Blob, Value::String(base64)) => {
            let bytes = scalar::BASE64.decode(base64).unwrap_or_default();
            head(BYTES, bytes.len() as u64, out);
            out.extend_from_slice(&bytes);
        }
        (Kind::Timestamp, Value::Number(time)) => {
            head(TAG, 1, out);
            number(time, out);
        }
        (Kind::Float, Value::Number(number)) => float(number.as_f64().unwrap_or_default(), out),
        (Kind::Float, Value::String(name)) => float(
            match name.as_str() {
                "Infinity" => f64::INFINITY,
                "-Infinity" => f64::NEG_INFINITY,
                _ => f64::NAN,
            },
            out,
        ),
        (_, Value::Number(n)) => number(n, out),
        (_, Value::Bool(false)) => out.push(SIMPLE << 5 | 20),
        (_, Value::Bool(true)) => out.push(SIMPLE << 5 | 21),
        (_, Value::String(content)) => text(content, out),
        (_, Value::Null | Value::Array(_) | Value::Object(_)) => out.push(SIMPLE << 5 | 22),
    }
}

pub(crate) fn start_map(out: &mut Vec<u8>) {
    out.push(MAP << 5 | INDEFINITE);
}

pub(crate) fn end_map(out: &mut Vec<u8>) {
    out.push(BREAK);
}

pub(crate) fn text(content: &str, out: &mut Vec<u8>) {
    head(TEXT, content.len() as u64, out);
    out.extend_from_slice(content.as_bytes());
}

fn float(number: f64, out: &mut Vec<u8>) {
    out.push(SIMPLE << 5 | 27);
    out.extend_from_slice(&number.to_be_bytes());
}

fn number(number: &Number, out: &mut Vec<u8>) {
    match (number.as_u64(), number.as_i64()) {
        (Some(n), _) => head(UNSIGNED, n, out),
        (None, Some(n)) => head(NEGATIVE, n.unsigned_abs() - 1, out),
        (None, None) => float(number.as_f64().unwrap_or_default(), out),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "each arm's range fits its width")]
fn head(major: u8, argument: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    match argument {
        0..=23 => out.push(major | argument as u8),
        24..=0xff => out.extend_from_slice(&[major | 24, argument as u8]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&(argument as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend_from_slice(&(argument as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&argument.to_be_bytes());
        }
    }
}
