//! An output tree to its HTTP answer.

mod event_stream;
mod query_json;

pub use query_json::{asks_for_json, error_in_json, ok_in_json};

use crate::codec::{cbor, json, scalar, xml};
use crate::model::{Kind, Location, Member, Protocol, Service, Shape, Structure, TimestampFormat};
use crate::route::Target;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A usual body; a larger one grows.
const BODY_BYTES: usize = 1_024;

/// An HTTP answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers; Content-Length is left to the server.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
            headers: HeaderMap::with_capacity(4),
            body: Vec::new(),
        }
    }

    /// Sets a header; a name or value that HTTP cannot carry is left out.
    pub(crate) fn header(&mut self, name: &str, value: &str) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.headers.insert(name, value);
        }
    }

    /// Adds what every answer has.
    pub(crate) fn finish(mut self, service: Option<&Service>, protocol: Protocol, request_id: &str) -> Self {
        if !self.body.is_empty() && !self.headers.contains_key(CONTENT_TYPE) {
            let content_type = match protocol {
                Protocol::AwsJson if service.is_some_and(|service| &*service.json_version == "1.0") => {
                    "application/x-amz-json-1.0"
                }
                Protocol::AwsJson => "application/x-amz-json-1.1",
                Protocol::RestJson => "application/json",
                Protocol::RpcV2Cbor => "application/cbor",
                Protocol::RestXml => "application/xml",
                Protocol::AwsQuery => "text/xml",
                Protocol::Ec2Query => "text/xml;charset=UTF-8",
            };
            self.headers
                .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if protocol == Protocol::RpcV2Cbor {
            self.headers
                .insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
        }
        self.header("x-amzn-requestid", request_id);
        if protocol == Protocol::RestXml {
            self.header("x-amz-request-id", request_id);
        }
        self
    }
}

/// The answer of an operation that succeeded. Members that the model does not know are left out;
/// [`flaws_of_output`](crate::flaws_of_output) finds them in tests.
pub fn ok(target: &Target, output: &Value, request_id: &str) -> Reply {
    let Target {
        service,
        protocol,
        operation,
    } = *target;
    let mut reply = Reply::new(operation.status);
    let empty = Map::new();
    let object = output.as_object().unwrap_or(&empty);
    let shape = operation.output.map(|id| service.shape(id));
    if let (Some(shape), Some(stream)) = (shape, event_stream::stream_of(service, shape)) {
        if let Some(structure) = shape.structure().filter(|_| protocol.is_rest()) {
            bind(service, structure, object, &mut reply);
        }
        event_stream::encode(service, protocol, shape, stream, object, &mut reply.body);
        let content_type = HeaderValue::from_static(event_stream::CONTENT_TYPE);
        reply.headers.insert(CONTENT_TYPE, content_type);
        return reply.finish(Some(service), protocol, request_id);
    }
    match protocol {
        Protocol::AwsJson => match shape {
            Some(shape) => {
                reply.body.reserve(BODY_BYTES);
                json::encode(service, shape, None, output, &|_| true, &mut reply.body);
            }
            None => reply.body.extend_from_slice(b"{}"),
        },
        Protocol::RpcV2Cbor => {
            if let Some(shape) = shape {
                cbor::encode(service, shape, output, &mut reply.body);
            }
        }
        Protocol::AwsQuery => {
            let mut out = String::with_capacity(512);
            out.push('<');
            out.push_str(&operation.wire);
            out.push_str("Response xmlns=\"");
            xml::escape(service.namespace.as_deref().unwrap_or_default(), &mut out);
            out.push_str("\">");
            if let Some(structure) = shape.and_then(Shape::structure) {
                let wrapper = operation
                    .result_wrapper
                    .as_deref()
                    .map_or_else(|| format!("{}Result", operation.wire), Into::into);
                out.push('<');
                out.push_str(&wrapper);
                out.push('>');
                xml::Encoder {
                    service,
                    item: "member",
                }
                .members(structure, object, &mut out);
                xml::close(&wrapper, &mut out);
            }
            out.push_str("<ResponseMetadata><RequestId>");
            xml::escape(request_id, &mut out);
            out.push_str("</RequestId></ResponseMetadata></");
            out.push_str(&operation.wire);
            out.push_str("Response>");
            reply.body = out.into_bytes();
        }
        Protocol::Ec2Query => {
            let mut out = String::with_capacity(512);
            out.push_str(xml::DECLARATION);
            out.push('<');
            out.push_str(&operation.wire);
            out.push_str("Response xmlns=\"http://ec2.amazonaws.com/doc/");
            out.push_str(&service.version);
            out.push_str("/\"><requestId>");
            xml::escape(request_id, &mut out);
            out.push_str("</requestId>");
            if let Some(structure) = shape.and_then(Shape::structure) {
                xml::Encoder { service, item: "item" }.members(structure, object, &mut out);
            }
            out.push_str("</");
            out.push_str(&operation.wire);
            out.push_str("Response>");
            reply.body = out.into_bytes();
        }
        Protocol::RestJson | Protocol::RestXml => {
            if let Some(shape) = shape
                && let Some(structure) = shape.structure()
            {
                bind(service, structure, object, &mut reply);
                rest_body(service, protocol, shape, structure, output, object, &mut reply);
            }
        }
    }
    reply.finish(Some(service), protocol, request_id)
}

/// The same, where the output is JSON text with the members' names and without nulls. It is the body as it is where the
/// protocol is JSON.
pub fn ok_json(target: &Target, output: Box<RawValue>, request_id: &str) -> Reply {
    if target.protocol != Protocol::AwsJson || cfg!(debug_assertions) {
        let tree: Value = serde_json::from_str(output.get()).unwrap_or_default();
        let reply = ok(target, &tree, request_id);
        if target.protocol != Protocol::AwsJson {
            return reply;
        }
        // What the model does not know would be told.
        let said = serde_json::from_slice::<Value>(&reply.body).ok();
        debug_assert_eq!(said.as_ref(), Some(&tree), "{}", target.operation.name());
    }
    let mut reply = Reply::new(target.operation.status);
    reply.body = Box::<str>::from(output).into_string().into_bytes();
    reply.finish(Some(target.service), target.protocol, request_id)
}

/// Further events of an answer that is a stream and has begun: a list as the output's stream is. Nothing when the
/// operation answers with no stream.
pub fn further_events(target: &Target, events: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let service = target.service;
    let shape = target.operation.output.map(|id| service.shape(id));
    if let Some(stream) = event_stream::stream_of(service, shape) {
        event_stream::events(service, target.protocol, stream, events, &mut out);
    }
    out
}

/// Writes the members that travel in headers and in the status.
pub(crate) fn bind(service: &Service, structure: &Structure, object: &Map<String, Value>, reply: &mut Reply) {
    for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        let Some(member) = structure.by_name(name) else {
            continue;
        };
        match member.location {
            Location::Header => reply.header(member.wire(), &header_text(service, member, value)),
            Location::HeaderMap => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let prefix = member.wire.as_deref().unwrap_or_default();
                    reply.header(&format!("{prefix}{key}"), value.as_str().unwrap_or_default());
                }
            }
            Location::Status => {
                let status = value.as_u64().and_then(|status| u16::try_from(status).ok());
                if let Some(status) = status.and_then(|status| StatusCode::from_u16(status).ok()) {
                    reply.status = status;
                }
            }
            Location::Body | Location::Uri | Location::Query => {}
        }
    }
}

fn header_text(service: &Service, member: &Member, value: &Value) -> String {
    let shape = service.target(member);
    match (&shape.kind, value) {
        (Kind::List(element), Value::Array(items)) => {
            let target = service.target(element);
            let texts: Vec<String> = items
                .iter()
                .map(|item| {
                    let text = scalar::to_text(target, element.timestamp, TimestampFormat::HttpDate, item);
                    if matches!(target.kind, Kind::String) && text.contains([',', '"']) {
                        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
                    } else {
                        text.into_owned()
                    }
                })
                .collect();
            texts.join(", ")
        }
        (_, Value::String(text)) if member.json_value => STANDARD.encode(text),
        (_, value) if member.json_value => STANDARD.encode(value.to_string()),
        _ => scalar::to_text(shape, member.timestamp, TimestampFormat::HttpDate, value).into_owned(),
    }
}

fn rest_body(
    service: &Service,
    protocol: Protocol,
    shape: &Shape,
    structure: &Structure,
    output: &Value,
    object: &Map<String, Value>,
    reply: &mut Reply,
) {
    let json = protocol == Protocol::RestJson;
    let encoder = xml::Encoder {
        service,
        item: "member",
    };
    if let Some(member) = structure.payload() {
        let target = service.target(member);
        match (&target.kind, object.get(&*member.name).filter(|value| !value.is_null())) {
            // A union has no empty form: it is absent. Ref: Smithy, RestJsonHttpPayloadWithUnsetUnion.
            (Kind::Structure(structure), None) if json && !structure.union => reply.body.extend_from_slice(b"{}"),
            (_, None) => {}
            (Kind::Blob, Some(Value::String(base64))) => {
                reply.body = scalar::BASE64.decode(base64).unwrap_or_default();
                let named = target.media_type.as_deref().and_then(|named| named.parse().ok());
                reply
                    .headers
                    .entry(CONTENT_TYPE)
                    .or_insert(named.unwrap_or(HeaderValue::from_static("application/octet-stream")));
            }
            (Kind::String, Some(Value::String(text))) => {
                reply.body = text.clone().into_bytes();
                reply
                    .headers
                    .entry(CONTENT_TYPE)
                    .or_insert(HeaderValue::from_static("text/plain"));
            }
            (_, Some(value)) if json => {
                json::encode(service, target, member.timestamp, value, &|_| true, &mut reply.body);
            }
            (_, Some(value)) => {
                let mut out = xml::DECLARATION.to_owned();
                encoder.value(service.xml_name(member), Some(member), target, value, &mut out);
                reply.body = out.into_bytes();
            }
        }
    } else if json {
        json::encode(service, shape, None, output, &Member::in_response_body, &mut reply.body);
    } else if structure.members.iter().any(Member::in_response_body) {
        let mut out = xml::DECLARATION.to_owned();
        let name = shape.wire.as_deref().unwrap_or(&shape.name);
        let own = shape.namespace.as_deref();
        let of_service = own.is_none().then_some(service.namespace.as_deref()).flatten();
        match of_service {
            Some(uri) => {
                let namespace = crate::model::Namespace {
                    prefix: None,
                    uri: uri.into(),
                };
                encoder.open(name, Some(&namespace), Some((structure, object)), &mut out);
            }
            None => encoder.open(name, own, Some((structure, object)), &mut out),
        }
        encoder.members(structure, object, &mut out);
        xml::close(name, &mut out);
        reply.body = out.into_bytes();
    }
}
