//! A request to its input tree.

mod media;

use crate::codec::{Decoded, Malformed, cbor, form, json, percent, scalar, xml};
use crate::fault::{Common, common_error};
use crate::model::{Kind, Location, Member, Protocol, Service, Shape, Structure, TimestampFormat};
use crate::request::Request;
use crate::route::Target;
use base64::{Engine, engine::general_purpose::STANDARD};
use honmaru_base::ApiError;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Reads the input of an operation: an object keyed by member name; timestamps are epoch seconds, blobs base64 text.
/// Members that the model does not know are left out. Errors: SerializationException, or what the protocol calls it.
///
/// restJson1 also demands the content type of its payload and an `Accept` that the answer fits, and rpcv2Cbor its own
/// content type.
pub fn parse(target: &Target, request: &Request<'_>) -> Result<Value, ApiError> {
    media::check(target, request)?;
    let body = match target.protocol {
        Protocol::RestXml if &*target.service.name != "s3" => request
            .unpacked()
            .map_err(|(kind, message)| common_error(target.protocol, kind, message))?,
        _ => Cow::Borrowed(request.body()),
    };
    decode(target, request, &body)
        .map_err(|malformed| common_error(target.protocol, Common::Serialization, &malformed.to_string()))
}

fn decode(target: &Target, request: &Request<'_>, body: &[u8]) -> Decoded<Value> {
    let service = target.service;
    let Some(input) = target.operation.input else {
        return Ok(Value::Object(Map::new()));
    };
    let shape = service.shape(input);
    match target.protocol {
        Protocol::AwsJson => json::decode(service, shape, body, false),
        Protocol::RpcV2Cbor => cbor::decode(service, shape, body),
        Protocol::AwsQuery => form::decode(service, shape, request.query, body, false),
        Protocol::Ec2Query => form::decode(service, shape, request.query, body, true),
        Protocol::RestJson | Protocol::RestXml => {
            let mut object = Map::new();
            if let Some(structure) = shape.structure() {
                let rest = Rest {
                    target,
                    request,
                    service,
                };
                rest.bindings(structure, &mut object)?;
                rest.body(shape, structure, body, &mut object)?;
            }
            Ok(Value::Object(object))
        }
    }
}

struct Rest<'r> {
    target: &'r Target,
    request: &'r Request<'r>,
    service: &'static Service,
}

impl Rest<'_> {
    /// The members that travel in the path, the query string and the headers.
    fn bindings(&self, structure: &Structure, object: &mut Map<String, Value>) -> Decoded<()> {
        let labels = self.target.operation.uri.matches(self.request.path).unwrap_or_default();
        let query: Vec<_> = percent::pairs(self.request.query).collect::<Decoded<_>>()?;
        for member in &structure.members {
            let shape = self.service.target(member);
            let value = match member.location {
                Location::Uri => match labels.iter().find(|(label, _)| *label == member.wire()) {
                    Some((_, text)) => {
                        let text = percent::decode(text, false)?;
                        Some(self.scalar(member, shape, TimestampFormat::Iso8601, &text)?)
                    }
                    None => None,
                },
                Location::Query => self.query(member, shape, structure, &query)?,
                Location::Header => match self.request.header(member.wire()) {
                    Some(text) => Some(self.header(member, shape, text)?),
                    None => None,
                },
                Location::HeaderMap => self.headers(member),
                Location::Status | Location::Body => None,
            };
            if let Some(value) = value {
                object.insert(String::from(&*member.name), value);
            }
        }
        Ok(())
    }

    /// A simple value; `default` is the format of timestamps in this place.
    fn scalar(&self, member: &Member, shape: &Shape, default: TimestampFormat, text: &str) -> Decoded<Value> {
        if self.target.protocol == Protocol::RestJson {
            let format = member.timestamp.or(shape.timestamp).unwrap_or(default);
            scalar::from_text_strictly(shape, format, text)
        } else {
            scalar::from_text(shape, text)
        }
    }

    fn query<'q, T: AsRef<str> + 'q>(
        &self,
        member: &Member,
        shape: &Shape,
        structure: &Structure,
        pairs: &'q [(T, T)],
    ) -> Decoded<Option<Value>> {
        let mut values = pairs
            .iter()
            .filter(|(key, _)| key.as_ref() == member.wire())
            .map(|(_, value)| value.as_ref());
        match &shape.kind {
            Kind::List(element) => {
                let target = self.service.target(element);
                let list: Vec<Value> = values
                    .map(|text| self.scalar(element, target, TimestampFormat::Iso8601, text))
                    .collect::<Decoded<_>>()?;
                Ok((!list.is_empty()).then_some(Value::Array(list)))
            }
            // Every key, in restJson1 also those that other members bind. Ref: Smithy's `httpQueryParams`, and its cases
            // for servers; the cases of restXml are without the bound ones.
            Kind::Map(entry) => {
                let value_shape = self.service.target(&entry.1);
                let mut map = Map::new();
                for (key, text) in pairs {
                    let key = key.as_ref();
                    let bound = self.target.operation.uri.query.iter().any(|(bound, _)| **bound == *key)
                        || self.target.protocol == Protocol::RestXml
                            && structure
                                .members
                                .iter()
                                .any(|m| m.location == Location::Query && m.wire() == key);
                    if bound {
                        continue;
                    }
                    match &value_shape.kind {
                        Kind::List(_) => {
                            let list = map.entry(key).or_insert_with(|| Value::Array(Vec::new()));
                            if let Value::Array(list) = list {
                                list.push(text.as_ref().into());
                            }
                        }
                        _ => {
                            map.insert(key.to_owned(), text.as_ref().into());
                        }
                    }
                }
                Ok((!map.is_empty()).then_some(Value::Object(map)))
            }
            _ => values
                .next()
                .map(|text| self.scalar(member, shape, TimestampFormat::Iso8601, text))
                .transpose(),
        }
    }

    fn header(&self, member: &Member, shape: &Shape, text: &str) -> Decoded<Value> {
        match &shape.kind {
            Kind::List(element) => {
                let target = self.service.target(element);
                let format = element
                    .timestamp
                    .or(target.timestamp)
                    .unwrap_or(TimestampFormat::HttpDate);
                // An HTTP date has a comma of its own.
                let dates = matches!(target.kind, Kind::Timestamp) && format == TimestampFormat::HttpDate;
                let parts = split_header(text, if dates { 2 } else { 1 });
                let list: Decoded<Vec<Value>> = parts
                    .iter()
                    .map(|part| self.scalar(element, target, TimestampFormat::HttpDate, part))
                    .collect();
                Ok(Value::Array(list?))
            }
            // JSON in base64; the tree holds the JSON's text.
            Kind::String if member.json_value => {
                let bytes = scalar::BASE64
                    .decode(text)
                    .map_err(|_| Malformed::new("A header is not valid base64"))?;
                let text = String::from_utf8(bytes).map_err(|_| Malformed::new("A header is not valid UTF-8"))?;
                Ok(Value::String(text))
            }
            _ => self.scalar(member, shape, TimestampFormat::HttpDate, text),
        }
    }

    /// All headers that begin with the member's prefix.
    fn headers(&self, member: &Member) -> Option<Value> {
        let prefix = member.wire.as_deref().unwrap_or_default().to_ascii_lowercase();
        let map: Map<String, Value> = self
            .request
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().strip_prefix(&prefix)?, value.to_str().ok()?)))
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect();
        (!map.is_empty()).then_some(Value::Object(map))
    }

    fn body(&self, shape: &Shape, structure: &Structure, body: &[u8], object: &mut Map<String, Value>) -> Decoded<()> {
        if body.is_empty() {
            return Ok(());
        }
        let json = self.target.protocol == Protocol::RestJson;
        if let Some(member) = structure.payload() {
            let target = self.service.target(member);
            let value = match &target.kind {
                Kind::Blob => Some(Value::String(STANDARD.encode(body))),
                Kind::String => match String::from_utf8(body.to_vec()) {
                    Ok(text) => Some(Value::String(text)),
                    Err(_) => return Err(Malformed::new("The body is not valid UTF-8")),
                },
                _ if json => Some(json::decode(self.service, target, body, true)?),
                _ => xml::decode(self.service, target, Some(member), body)?,
            };
            if let Some(value) = value {
                object.insert(String::from(&*member.name), value);
            }
            return Ok(());
        }
        if !structure.members.iter().any(|member| member.location == Location::Body) {
            return Ok(());
        }
        let decoded = if json {
            Some(json::decode(self.service, shape, body, true)?)
        } else {
            xml::decode(self.service, shape, None, body)?
        };
        if let Some(Value::Object(members)) = decoded {
            object.extend(members);
        }
        Ok(())
    }
}

/// Splits a header list at every `commas`-th comma that is not quoted; quotes and backslashes are taken away.
fn split_header(text: &str, commas: usize) -> Vec<String> {
    if text.trim().is_empty() {
        return vec![];
    }
    let mut parts = vec![];
    let mut part = String::new();
    let (mut quoted, mut escaped, mut seen) = (false, false, 0);
    for c in text.chars() {
        match c {
            _ if escaped => {
                part.push(c);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                seen += 1;
                if seen == commas {
                    parts.push(std::mem::take(&mut part).trim().to_owned());
                    seen = 0;
                } else {
                    part.push(c);
                }
            }
            _ => part.push(c),
        }
    }
    parts.push(part.trim().to_owned());
    parts
}
