//! Simple values as text, in forms, XML, headers, paths and queries.

use super::{Decoded, Malformed};
use crate::model::{Kind, Shape, TimestampFormat};
use crate::timestamp;
use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Number, Value};
use std::borrow::Cow;

/// base64 with its padding, as AWS's front ends demand it (Ref: Smithy's malformed-request tests of blobs); bits
/// beyond the last byte are passed over.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// Reads a simple value from text.
pub(crate) fn from_text(shape: &Shape, text: &str) -> Decoded<Value> {
    match &shape.kind {
        Kind::String => Ok(Value::from(text)),
        Kind::Blob => blob(text),
        Kind::Boolean if text.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
        Kind::Boolean if text.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
        Kind::Boolean => Err(Malformed::new(format!("'{text}' can not be converted to a Boolean"))),
        Kind::Byte | Kind::Short | Kind::Integer | Kind::Long => match text.trim().parse::<i64>() {
            Ok(number) if shape.kind.is_whole(number) => Ok(number.into()),
            Ok(_) | Err(_) => Err(Malformed::new(format!(
                "'{text}' can not be converted to {}",
                super::kind_name(&shape.kind)
            ))),
        },
        Kind::Float => {
            float(text.trim()).ok_or_else(|| Malformed::new(format!("'{text}' can not be converted to a Double")))
        }
        Kind::Timestamp => timestamp::parse(text)
            .ok_or_else(|| Malformed::new(format!("'{text}' can not be converted to a timestamp"))),
        Kind::Document | Kind::Structure(_) | Kind::List(_) | Kind::Map(_) => Err(Malformed::new(
            "Unexpected text where a structure, list or map was expected",
        )),
    }
}

/// Reads a simple value of restJson1 from text: booleans in lower case only, numbers without blanks, and timestamps in
/// the one format that they must have. Ref: Smithy's malformed-request tests.
pub(crate) fn from_text_strictly(shape: &Shape, format: TimestampFormat, text: &str) -> Decoded<Value> {
    let refused = || Malformed::new(format!("'{text}' can not be converted to {}", shape.name));
    match &shape.kind {
        Kind::Boolean if !matches!(text, "true" | "false") => Err(refused()),
        Kind::Byte | Kind::Short | Kind::Integer | Kind::Long | Kind::Float if text.trim() != text => Err(refused()),
        Kind::Timestamp => timestamp::parse_as(text, format).ok_or_else(refused),
        _ => from_text(shape, text),
    }
}

/// Checked base64 text.
pub(crate) fn blob(text: &str) -> Decoded<Value> {
    let text = text.trim();
    match BASE64.decode(text) {
        Ok(_) => Ok(Value::from(text)),
        Err(_) => Err(Malformed::new("A blob is not valid base64")),
    }
}

/// A float in decimal, or one of the three texts that no number can say.
pub(crate) fn float(text: &str) -> Option<Value> {
    if matches!(text, "NaN" | "Infinity" | "-Infinity") {
        return Some(Value::from(text));
    }
    // Rust's parser also knows `inf` and `nan`; AWS's does not.
    let decimal = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    let number = decimal.then(|| text.parse::<f64>().ok())??;
    Number::from_f64(number).map(Value::Number)
}

/// A float as a tree value.
pub(crate) fn float_value(number: f64) -> Value {
    match Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => Value::from("NaN"),
        None if number.is_sign_positive() => Value::from("Infinity"),
        None => Value::from("-Infinity"),
    }
}

/// Writes a simple value as text; structures and lists, which have none, as JSON.
pub(crate) fn to_text<'v>(
    shape: &Shape,
    member: Option<TimestampFormat>,
    default: TimestampFormat,
    value: &'v Value,
) -> Cow<'v, str> {
    match (&shape.kind, value) {
        (Kind::Timestamp, Value::Number(number)) => {
            Cow::Owned(timestamp::format(number, member.or(shape.timestamp).unwrap_or(default)))
        }
        (_, Value::String(text)) => Cow::Borrowed(text),
        (_, value) => Cow::Owned(value.to_string()),
    }
}
