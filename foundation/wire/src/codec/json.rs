//! JSON bodies.

mod decode;
pub(crate) mod text;

pub(crate) use decode::{decode, whole};

use crate::model::{Kind, Member, Service, Shape, TimestampFormat};
use crate::timestamp;
use serde_json::Value;

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
