//! Answers that are streams of events: `application/vnd.amazon.eventstream`.
//!
//! The member of the output that is the stream holds a list of events, each an object with the event's name as its only
//! key; or one such object, which is what a typed output has there. Not here: who waits for events; a stream is written as far as it is known, and further events are appended.
//!
//! Ref: Smithy, "Amazon Event Stream Specification". A message is its length, the length of its headers, a CRC-32 of
//! both, the headers, the payload, and a CRC-32 of all.

use crate::codec::{cbor, json, scalar, xml};
use crate::model::{Kind, Member, Protocol, Service, Shape, Structure};
use base64::Engine;
use flate2::Crc;
use serde_json::{Map, Value};

/// The content type of an answer that is a stream.
pub(super) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";
/// Bytes of a message besides its headers and its payload.
const FRAME_BYTES: usize = 16;
/// A message at most, in bytes. Ref: the specification: 16 MiB of payload and 128 KiB of headers.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024 + 128 * 1024 + FRAME_BYTES;
const _: () = assert!(MESSAGE_BYTES_MAX <= u32::MAX as usize);
/// The type of a header that is text.
const TEXT: u8 = 7;

/// The member of an output that is its stream.
pub(super) fn stream_of<'s>(service: &Service, output: Option<&'s Shape>) -> Option<&'s Member> {
    let mut members = output.and_then(Shape::structure)?.members.iter();
    members.find(|member| {
        let structure = service.target(member).structure();
        structure.is_some_and(|structure| structure.event_stream)
    })
}

/// Writes the messages of an answer: first, in RPC protocols, one with the members beside the stream; then the events.
/// What is no event of the model is left out, and so is an event beyond the limit of a message.
pub(super) fn encode(
    service: &Service,
    protocol: Protocol,
    output: &Shape,
    stream: &Member,
    object: &Map<String, Value>,
    out: &mut Vec<u8>,
) {
    if !protocol.is_rest() {
        let mut beside = object.clone();
        beside.remove(&*stream.name);
        let initial = payload(service, protocol, output, &Value::Object(beside));
        let headers = [
            (":event-type", "initial-response"),
            (":content-type", content_type(protocol)),
            (":message-type", "event"),
        ];
        message(&headers, &initial, out);
    }
    if let Some(list) = object.get(&*stream.name) {
        events(service, protocol, stream, list, out);
    }
}

/// Writes the events of a list, or the one event.
pub(super) fn events(service: &Service, protocol: Protocol, stream: &Member, list: &Value, out: &mut Vec<u8>) {
    let Some(structure) = service.target(stream).structure() else {
        return;
    };
    let list = list.as_array().map_or(std::slice::from_ref(list), Vec::as_slice);
    for event in list.iter().filter_map(Value::as_object) {
        for (name, value) in event.iter().filter(|(_, value)| !value.is_null()) {
            if let Some(member) = structure.by_name(name) {
                one(service, protocol, member, value, out);
            }
        }
    }
}

fn one(service: &Service, protocol: Protocol, member: &Member, value: &Value, out: &mut Vec<u8>) {
    let shape = service.target(member);
    let (kind, name) = match shape.error {
        Some(_) => ("exception", ":exception-type"),
        None => ("event", ":event-type"),
    };
    let (content_type, body) = match shape.structure() {
        Some(structure) => event(service, protocol, shape, structure, value),
        None => (None, Vec::new()),
    };
    let mut headers = vec![(":message-type", kind), (name, &*member.name)];
    headers.extend(content_type.map(|text| (":content-type", text)));
    message(&headers, &body, out);
}

/// An event's payload and its type. Headers that members are bound to are in no model that is embedded.
fn event(
    service: &Service,
    protocol: Protocol,
    shape: &Shape,
    structure: &Structure,
    value: &Value,
) -> (Option<&'static str>, Vec<u8>) {
    let Some(member) = structure.members.iter().find(|member| member.event_payload) else {
        if structure.members.is_empty() {
            return (None, Vec::new());
        }
        return (Some(content_type(protocol)), payload(service, protocol, shape, value));
    };
    let target = service.target(member);
    match (&target.kind, value.get(&*member.name)) {
        (_, None | Some(Value::Null)) => (None, Vec::new()),
        (Kind::Blob, Some(value)) => {
            let bytes = value.as_str().and_then(|text| scalar::BASE64.decode(text).ok());
            (Some("application/octet-stream"), bytes.unwrap_or_default())
        }
        (Kind::String, Some(Value::String(text))) => (Some("text/plain"), text.clone().into_bytes()),
        (_, Some(value)) => (Some(content_type(protocol)), payload(service, protocol, target, value)),
    }
}

fn content_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::AwsJson => "application/x-amz-json-1.1",
        Protocol::RestJson => "application/json",
        Protocol::RpcV2Cbor => "application/cbor",
        Protocol::AwsQuery | Protocol::Ec2Query | Protocol::RestXml => "text/xml",
    }
}

/// A value in the protocol's own form.
fn payload(service: &Service, protocol: Protocol, shape: &Shape, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match protocol {
        Protocol::AwsJson | Protocol::RestJson => json::encode(service, shape, None, value, &|_| true, &mut out),
        Protocol::RpcV2Cbor => cbor::encode(service, shape, value, &mut out),
        Protocol::AwsQuery | Protocol::Ec2Query | Protocol::RestXml => {
            let encoder = xml::Encoder {
                service,
                item: "member",
            };
            let mut text = String::new();
            let name = shape.wire.as_deref().unwrap_or(&shape.name);
            encoder.value(name, None, shape, value, &mut text);
            out = text.into_bytes();
        }
    }
    out
}

fn message(headers: &[(&str, &str)], payload: &[u8], out: &mut Vec<u8>) {
    let mut block = Vec::new();
    for (name, value) in headers {
        // Both are of the model or of this file, and short.
        let (Ok(name_bytes), Ok(value_bytes)) = (u8::try_from(name.len()), u16::try_from(value.len())) else {
            continue;
        };
        block.push(name_bytes);
        block.extend_from_slice(name.as_bytes());
        block.push(TEXT);
        block.extend_from_slice(&value_bytes.to_be_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    let total = FRAME_BYTES + block.len() + payload.len();
    let (Ok(total_u32), Ok(headers_u32)) = (u32::try_from(total), u32::try_from(block.len())) else {
        return;
    };
    if total > MESSAGE_BYTES_MAX {
        return;
    }
    let start = out.len();
    out.extend_from_slice(&total_u32.to_be_bytes());
    out.extend_from_slice(&headers_u32.to_be_bytes());
    let mut crc = Crc::new();
    crc.update(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&crc.sum().to_be_bytes());
    out.extend_from_slice(&block);
    out.extend_from_slice(payload);
    let mut crc = Crc::new();
    crc.update(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&crc.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ref: the specification's own test vectors (aws-c-event-stream): an empty message, and one with a header.
    #[test]
    fn messages_are_framed_and_summed() {
        let mut out = Vec::new();
        message(&[], b"", &mut out);
        assert_eq!(
            out,
            [
                0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff
            ]
        );
        out.clear();
        message(&[], b"{'foo':'bar'}", &mut out);
        let wanted = b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfd\x52\x8c\x5a{'foo':'bar'}\xc3\x65\x39\x36";
        assert_eq!(out, wanted);
    }
}
