//! Reads botocore's `service-2.json` into a [`Service`].
//!
//! `byte`, `short`, `uniqueItems` and `mediaType` are read too, though botocore leaves them out of the models that it
//! publishes. Ref: Smithy 2.0, "Simple types", "Constraint traits", "Protocol traits".

use super::{
    Constraints, ErrorTrait, Index, Kind, Location, Member, Namespace, Op, Protocol, Service, Shape, ShapeId,
    Structure, TimestampFormat, UriTemplate,
};
use crate::pattern::Pattern;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

/// A document that is no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// Not the JSON of a service model.
    #[error("failed to read the model as JSON")]
    Json(#[from] serde_json::Error),
    /// A reference to a shape that the model lacks.
    #[error("the model refers to the shape `{0}`, which it does not have")]
    Shape(String),
    /// More members than a structure may have here (65,535).
    #[error("the structure `{0}` has too many members")]
    Members(String),
    /// A protocol that this engine does not speak.
    #[error("the model names no protocol that is known: {0}")]
    Protocol(String),
}

#[derive(Deserialize)]
struct RawModel {
    metadata: RawMetadata,
    #[serde(default)]
    operations: IndexMap<String, RawOp>,
    #[serde(default)]
    shapes: IndexMap<String, RawShape>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMetadata {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    endpoint_prefix: String,
    signing_name: Option<String>,
    #[serde(default)]
    target_prefix: String,
    json_version: Option<String>,
    protocol: Option<String>,
    #[serde(default)]
    protocols: Vec<String>,
    xml_namespace: Option<Value>,
    aws_query_compatible: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOp {
    name: Option<String>,
    http: Option<RawHttp>,
    input: Option<RawRef>,
    output: Option<RawRef>,
    authtype: Option<String>,
    #[serde(default)]
    deprecated: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawHttp {
    method: Option<String>,
    request_uri: Option<String>,
    response_code: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRef {
    shape: String,
    location: Option<String>,
    location_name: Option<String>,
    query_name: Option<String>,
    result_wrapper: Option<String>,
    timestamp_format: Option<String>,
    xml_namespace: Option<Value>,
    #[serde(default)]
    flattened: bool,
    #[serde(default)]
    xml_attribute: bool,
    #[serde(default)]
    jsonvalue: bool,
    #[serde(default)]
    eventpayload: bool,
    #[serde(default)]
    idempotency_token: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawShape {
    r#type: String,
    #[serde(default)]
    members: IndexMap<String, RawRef>,
    #[serde(default)]
    required: Vec<String>,
    member: Option<RawRef>,
    key: Option<RawRef>,
    value: Option<RawRef>,
    payload: Option<String>,
    min: Option<f64>,
    max: Option<f64>,
    pattern: Option<String>,
    #[serde(default)]
    r#enum: Vec<String>,
    location_name: Option<String>,
    timestamp_format: Option<String>,
    xml_namespace: Option<Value>,
    error: Option<RawError>,
    #[serde(default)]
    exception: bool,
    #[serde(default)]
    fault: bool,
    #[serde(default)]
    flattened: bool,
    #[serde(default)]
    sensitive: bool,
    #[serde(default)]
    union: bool,
    #[serde(default)]
    eventstream: bool,
    #[serde(default)]
    document: bool,
    #[serde(default)]
    unique_items: bool,
    media_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawError {
    code: Option<String>,
    http_status_code: Option<u16>,
}

fn timestamp(format: Option<&str>) -> Option<TimestampFormat> {
    Some(match format? {
        "iso8601" => TimestampFormat::Iso8601,
        "rfc822" => TimestampFormat::HttpDate,
        _ => TimestampFormat::EpochSeconds,
    })
}

fn namespace(value: Option<&Value>) -> Option<Box<Namespace>> {
    match value? {
        Value::String(uri) => Some(Box::new(Namespace {
            prefix: None,
            uri: uri.as_str().into(),
        })),
        value => Some(Box::new(Namespace {
            prefix: value.get("prefix").and_then(Value::as_str).map(Into::into),
            uri: value.get("uri").and_then(Value::as_str)?.into(),
        })),
    }
}

fn differing(name: &str, other: Option<&str>) -> Option<Box<str>> {
    other.filter(|other| *other != name).map(Into::into)
}

fn capitalized(name: &str) -> String {
    let mut chars = name.chars();
    chars
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(chars)
        .collect()
}

/// Resolves references; knows which form names the service needs.
struct Loader<'m> {
    shapes: &'m IndexMap<String, RawShape>,
    ec2: bool,
}

impl Loader<'_> {
    fn id(&self, reference: &RawRef) -> Result<ShapeId, ModelError> {
        self.shapes
            .get_index_of(&reference.shape)
            .and_then(|at| u32::try_from(at).ok())
            .map(ShapeId)
            .ok_or_else(|| ModelError::Shape(reference.shape.clone()))
    }

    /// The name of a member in a form: `locationName` or the name; in ec2 `queryName`, or those with a capital.
    fn form_name(&self, name: &str, reference: &RawRef) -> Option<Box<str>> {
        let wire = reference.location_name.as_deref().unwrap_or(name);
        if self.ec2 {
            let form = reference.query_name.clone().unwrap_or_else(|| capitalized(wire));
            return differing(name, Some(&form));
        }
        differing(name, Some(wire))
    }

    fn member(&self, name: &str, reference: &RawRef, required: bool) -> Result<Member, ModelError> {
        Ok(Member {
            name: name.into(),
            target: self.id(reference)?,
            location: match reference.location.as_deref() {
                Some("header") => Location::Header,
                Some("headers") => Location::HeaderMap,
                Some("uri") => Location::Uri,
                Some("querystring") => Location::Query,
                Some("statusCode") => Location::Status,
                _ => Location::Body,
            },
            wire: reference.location_name.as_deref().map(Into::into),
            form: self.form_name(name, reference),
            flattened: reference.flattened,
            xml_attribute: reference.xml_attribute,
            required,
            json_value: reference.jsonvalue,
            event_payload: reference.eventpayload,
            timestamp: timestamp(reference.timestamp_format.as_deref()),
            namespace: namespace(reference.xml_namespace.as_ref()),
        })
    }

    fn structure(&self, name: &str, raw: &RawShape) -> Result<Structure, ModelError> {
        let members: Box<[Member]> = raw
            .members
            .iter()
            .map(|(member, reference)| self.member(member, reference, raw.required.contains(member)))
            .collect::<Result<_, _>>()?;
        let count = u16::try_from(members.len()).map_err(|_| ModelError::Members(name.to_owned()))?;
        let index = |of: fn(&Member) -> &str| Index::new(members.iter().map(of));
        let required = (0..count).filter(|at| members[usize::from(*at)].required).collect();
        Ok(Structure {
            required,
            by_name: index(|member| &member.name),
            by_wire: index(Member::wire),
            by_form: index(Member::form),
            payload: raw
                .payload
                .as_ref()
                .and_then(|payload| raw.members.get_index_of(payload))
                .and_then(|at| u16::try_from(at).ok()),
            union: raw.union,
            event_stream: raw.eventstream,
            members,
        })
    }

    fn shape(&self, name: &str, raw: &RawShape) -> Result<Shape, ModelError> {
        let need = |reference: &Option<RawRef>, member: &str| match reference {
            Some(reference) => self.member(member, reference, false),
            None => Err(ModelError::Shape(format!("{name}.{member}"))),
        };
        let kind = match raw.r#type.as_str() {
            _ if raw.document => Kind::Document,
            "structure" => Kind::Structure(self.structure(name, raw)?),
            "list" => Kind::List(Box::new(need(&raw.member, "member")?)),
            "map" => Kind::Map(Box::new((need(&raw.key, "key")?, need(&raw.value, "value")?))),
            "boolean" => Kind::Boolean,
            "byte" => Kind::Byte,
            "short" => Kind::Short,
            "integer" => Kind::Integer,
            "long" => Kind::Long,
            "float" | "double" => Kind::Float,
            "blob" => Kind::Blob,
            "timestamp" => Kind::Timestamp,
            _ => Kind::String,
        };
        let is_bounded = raw.min.is_some() || raw.max.is_some();
        let constrained = is_bounded || raw.pattern.is_some() || !raw.r#enum.is_empty() || raw.unique_items;
        let constraints = constrained.then(|| {
            Box::new(Constraints {
                min: raw.min,
                max: raw.max,
                pattern: raw.pattern.as_deref().map(Pattern::new),
                values: raw.r#enum.iter().map(|value| value.as_str().into()).collect(),
                unique: raw.unique_items,
            })
        });
        let error = (raw.exception || raw.error.is_some()).then(|| {
            Box::new(ErrorTrait {
                code: raw
                    .error
                    .as_ref()
                    .and_then(|error| error.code.as_deref())
                    .map(Into::into),
                status: raw.error.as_ref().and_then(|error| error.http_status_code),
                fault: raw.fault,
            })
        });
        Ok(Shape {
            name: name.into(),
            kind,
            constraints,
            error,
            flattened: raw.flattened,
            sensitive: raw.sensitive,
            timestamp: timestamp(raw.timestamp_format.as_deref()),
            media_type: raw.media_type.as_deref().map(Into::into),
            wire: raw.location_name.as_deref().map(Into::into),
            namespace: namespace(raw.xml_namespace.as_ref()),
        })
    }
}

impl Service {
    /// Reads a service model of botocore (`service-2.json`).
    pub fn from_json(name: &str, json: &[u8]) -> Result<Self, ModelError> {
        let raw: RawModel = serde_json::from_slice(json)?;
        let metadata = &raw.metadata;
        let named: Vec<&str> = if metadata.protocols.is_empty() {
            metadata.protocol.as_deref().into_iter().collect()
        } else {
            metadata.protocols.iter().map(String::as_str).collect()
        };
        let protocols: Vec<Protocol> = named.iter().filter_map(|name| Protocol::from_botocore(name)).collect();
        if protocols.is_empty() {
            return Err(ModelError::Protocol(named.join(", ")));
        }
        let loader = Loader {
            shapes: &raw.shapes,
            ec2: protocols.contains(&Protocol::Ec2Query),
        };
        let shapes: Vec<Shape> = raw
            .shapes
            .iter()
            .map(|(name, shape)| loader.shape(name, shape))
            .collect::<Result<_, _>>()?;
        let mut error_by_code = HashMap::new();
        for (shape, id) in shapes.iter().zip(0..) {
            if let Some(error) = &shape.error {
                error_by_code.insert(shape.name.clone(), ShapeId(id));
                if let Some(code) = &error.code {
                    error_by_code.entry(code.clone()).or_insert(ShapeId(id));
                }
            }
        }
        let mut ops = Vec::with_capacity(raw.operations.len());
        let mut op_by_name = HashMap::new();
        for ((name, op), at) in raw.operations.iter().zip(0..) {
            let wire = op.name.as_deref().unwrap_or(name);
            op_by_name.insert(name.as_str().into(), at);
            op_by_name.entry(wire.into()).or_insert(at);
            let http = op.http.as_ref();
            let shape_of = |reference: Option<&RawRef>| -> Result<Option<&Shape>, ModelError> {
                Ok(reference
                    .map(|r| loader.id(r))
                    .transpose()?
                    .and_then(|id| shapes.get(id.index())))
            };
            let input = op.input.as_ref().and_then(|reference| raw.shapes.get(&reference.shape));
            let token = input.and_then(|shape| shape.members.iter().find(|(_, member)| member.idempotency_token));
            ops.push(Op {
                name: name.as_str().into(),
                wire: wire.into(),
                method: http.and_then(|http| http.method.as_deref()).unwrap_or("POST").into(),
                uri: UriTemplate::parse(http.and_then(|http| http.request_uri.as_deref()).unwrap_or("/")),
                status: http.and_then(|http| http.response_code).unwrap_or(200),
                input: op.input.as_ref().map(|reference| loader.id(reference)).transpose()?,
                output: op.output.as_ref().map(|reference| loader.id(reference)).transpose()?,
                result_wrapper: op
                    .output
                    .as_ref()
                    .and_then(|r| r.result_wrapper.as_deref())
                    .map(Into::into),
                unsigned: op.authtype.as_deref() == Some("none"),
                deprecated: op.deprecated,
                idempotency_token: token.map(|(name, _)| name.as_str().into()),
                paging: crate::token::paging(&shapes, shape_of(op.input.as_ref())?, shape_of(op.output.as_ref())?),
            });
        }
        Ok(Self {
            name: name.into(),
            signing_name: metadata
                .signing_name
                .as_deref()
                .unwrap_or(&metadata.endpoint_prefix)
                .into(),
            version: metadata.api_version.as_str().into(),
            protocols,
            json_version: metadata.json_version.as_deref().unwrap_or("1.0").into(),
            target_prefix: metadata.target_prefix.as_str().into(),
            namespace: namespace(metadata.xml_namespace.as_ref()).map(|namespace| namespace.uri),
            query_compatible: metadata.aws_query_compatible.is_some(),
            shapes,
            ops,
            op_by_name,
            error_by_code,
        })
    }
}
