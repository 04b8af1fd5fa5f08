//! Errors: an [`ApiError`] to its HTTP answer, and the errors that every service has.

use crate::codec::{cbor, json, xml};
use crate::model::{Member, Protocol, Service, Shape, Structure};
use crate::respond::{Reply, bind};
use crate::route::Target;
use honmaru_base::ApiError;
use serde_json::{Map, Value};

/// The code of the answer to a modelled operation that has no handler. It is no AWS code: clients shall not take it for
/// a verdict of the service. Its status is 501, which SDKs do not retry.
pub const NOT_IMPLEMENTED: &str = "NotImplemented";

/// Errors that every service has, under names that differ by protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Common {
    /// The identity may not do this.
    AccessDenied,
    /// The access key is not known.
    UnknownKey,
    /// The signature is wrong or its time is.
    BadSignature,
    /// The signature lacks a part.
    IncompleteSignature,
    /// There is no signature.
    MissingSignature,
    /// The session has ended.
    ExpiredToken,
    /// Too many calls.
    Throttled,
    /// Our own failure.
    Internal,
    /// Not now: a queue is full, a plane is away.
    Unavailable,
    /// No such operation.
    UnknownOperation,
    /// The body does not fit the protocol or the shape.
    Serialization,
    /// The body could not be read or unpacked: HTTP's own framing or compression is broken.
    Unreadable,
    /// The body is larger than allowed.
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    /// A query request names no operation.
    MissingAction,
    /// The content type is not the protocol's, or not the payload's.
    UnsupportedMediaType,
    /// The answer has no form that the caller accepts.
    NotAcceptable,
}

/// Code and status of a common error. Ref: "Common errors" in the API references of ECS (awsJson), IAM (query) and
/// Lambda (restJson); EC2 API reference, "Error codes"; S3, "Error responses".
fn common(protocol: Protocol, common: Common) -> (&'static str, u16) {
    use Common::*;
    use Protocol::*;
    match (protocol, common) {
        (AwsJson | RpcV2Cbor, AccessDenied) => ("AccessDeniedException", 400),
        (AwsJson | RpcV2Cbor, UnknownKey) => ("UnrecognizedClientException", 400),
        (AwsJson | RpcV2Cbor, BadSignature) => ("InvalidSignatureException", 400),
        (AwsJson | RpcV2Cbor, IncompleteSignature) => ("IncompleteSignatureException", 400),
        (AwsJson | RpcV2Cbor, MissingSignature) => ("MissingAuthenticationTokenException", 400),
        (AwsJson | RpcV2Cbor, ExpiredToken) => ("ExpiredTokenException", 400),
        (AwsJson | RpcV2Cbor, Throttled) => ("ThrottlingException", 400),
        (AwsJson | RpcV2Cbor, UnknownOperation) => ("UnknownOperationException", 400),
        (RestJson, AccessDenied) => ("AccessDeniedException", 403),
        (RestJson, UnknownKey) => ("UnrecognizedClientException", 403),
        (RestJson, BadSignature) => ("InvalidSignatureException", 403),
        (RestJson, IncompleteSignature) => ("IncompleteSignatureException", 403),
        (RestJson, MissingSignature) => ("MissingAuthenticationTokenException", 403),
        (RestJson, ExpiredToken) => ("ExpiredTokenException", 403),
        (RestJson, Throttled) => ("TooManyRequestsException", 429),
        (RestJson | RestXml, UnknownOperation) => ("UnknownOperationException", 404),
        (AwsJson | RpcV2Cbor | RestJson, Serialization) => ("SerializationException", 400),
        (AwsJson | RpcV2Cbor | RestJson, Unavailable) => ("ServiceUnavailableException", 503),
        (AwsQuery | RestXml, AccessDenied) => ("AccessDenied", 403),
        (AwsQuery | RestXml, UnknownKey) => ("InvalidClientTokenId", 403),
        (AwsQuery | RestXml, BadSignature) => ("SignatureDoesNotMatch", 403),
        (AwsQuery | RestXml | Ec2Query, IncompleteSignature) => ("IncompleteSignature", 400),
        (AwsQuery | RestXml, MissingSignature) => ("MissingAuthenticationToken", 403),
        (AwsQuery | RestXml, ExpiredToken) => ("ExpiredToken", 403),
        (AwsQuery | RestXml, Throttled) => ("Throttling", 400),
        (AwsQuery | RestXml, Unavailable) => ("ServiceUnavailable", 503),
        (AwsQuery | Ec2Query, UnknownOperation) => ("InvalidAction", 400),
        (AwsQuery, Serialization) => ("MalformedInput", 400),
        (RestXml, Serialization) => ("MalformedXML", 400),
        (Ec2Query, AccessDenied) => ("UnauthorizedOperation", 403),
        (Ec2Query, UnknownKey | BadSignature) => ("AuthFailure", 401),
        (Ec2Query, MissingSignature) => ("MissingAuthenticationToken", 403),
        (Ec2Query, ExpiredToken) => ("RequestExpired", 400),
        (Ec2Query, Throttled) => ("RequestLimitExceeded", 503),
        (Ec2Query, Unavailable) => ("Unavailable", 503),
        (Ec2Query, Serialization) => ("InvalidQueryParameter", 400),
        (Ec2Query, Internal) => ("InternalError", 500),
        (AwsJson | RpcV2Cbor | RestJson | AwsQuery | RestXml, Internal) => ("InternalFailure", 500),
        // Ref: "Common errors" of the JSON services: MalformedHttpRequestException, RequestEntityTooLargeException,
        // RequestTimeoutException. The older pages of the query services know no such thing.
        (AwsJson | RpcV2Cbor | RestJson, Unreadable) => ("MalformedHttpRequestException", 400),
        (AwsQuery, Unreadable) => ("MalformedInput", 400),
        (RestXml, Unreadable) => ("MalformedXML", 400),
        (Ec2Query, Unreadable) => ("InvalidQueryParameter", 400),
        (AwsJson | RpcV2Cbor | RestJson, TooLarge) => ("RequestEntityTooLargeException", 413),
        (AwsQuery | Ec2Query | RestXml, TooLarge) => ("RequestEntityTooLarge", 413),
        (AwsQuery | Ec2Query | RestXml, TooSlow) => ("RequestTimeout", 408),
        (AwsJson | RpcV2Cbor | RestJson, TooSlow) => ("RequestTimeoutException", 408),
        // Ref: EC2 API reference, "Error codes"; "Common errors" of the query services.
        (_, MissingAction) => ("MissingAction", 400),
        // Ref: Smithy's malformed-request tests of restJson1; Smithy RPC v2 CBOR.
        (_, UnsupportedMediaType) => ("UnsupportedMediaTypeException", 415),
        (_, NotAcceptable) => ("NotAcceptableException", 406),
    }
}

/// A common error under the name and status that it has in a protocol.
pub fn common_error(protocol: Protocol, kind: Common, message: &str) -> ApiError {
    let (code, status) = common(protocol, kind);
    ApiError::new(code, message).with_status(status)
}

/// The error of an operation without a handler; it names the operation.
pub fn not_implemented(target: &Target) -> ApiError {
    let (service, operation) = (&target.service.name, &target.operation.name);
    ApiError::new(
        NOT_IMPLEMENTED,
        format!("Honmaru does not implement {service}:{operation} yet"),
    )
    .with_status(501)
}

/// An error from before there is a [`Target`]: its protocol is the request's, as far as one could tell.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct WireError {
    /// The service, when it is known.
    pub service: Option<&'static Service>,
    /// The protocol of the answer.
    pub protocol: Protocol,
    /// Which of the errors that every service has.
    pub kind: Common,
    /// The error.
    pub error: ApiError,
}

impl WireError {
    pub(crate) fn unrouted(protocol: Protocol, kind: Common, message: &str) -> Self {
        Self {
            service: None,
            protocol,
            kind,
            error: common_error(protocol, kind, message),
        }
    }

    pub(crate) fn of_service(service: &'static Service, protocol: Protocol, kind: Common, message: &str) -> Self {
        Self {
            service: Some(service),
            protocol,
            kind,
            error: common_error(protocol, kind, message),
        }
    }

    /// The answer.
    pub fn reply(&self, request_id: &str) -> Reply {
        render(self.service, self.protocol, &self.error, request_id)
    }
}

/// The answer of an operation that failed. The error's code is a shape name of the model (`ClusterNotFoundException`)
/// or AWS's code (`LoadBalancerNotFound`); each protocol gets the one that it speaks.
pub fn error(target: &Target, error: &ApiError, request_id: &str) -> Reply {
    render(Some(target.service), target.protocol, error, request_id)
}

/// The code of an error as XML carries it: AWS's code, whichever of the two names the error came under.
pub(crate) fn code<'e>(service: &'e Service, error: &'e ApiError) -> &'e str {
    let shape = service.error_shape(&error.code).map(|(_, shape)| shape);
    shape.map_or(&error.code, xml_code)
}

fn xml_code(shape: &Shape) -> &str {
    let traits = shape.error.as_deref();
    traits.and_then(|t| t.code.as_deref()).unwrap_or(&shape.name)
}

/// The parts of an error's answer that all protocols share.
struct Parts<'e> {
    service: Option<&'e Service>,
    shape: Option<&'e Shape>,
    /// The shape's name: what JSON and CBOR carry.
    name: &'e str,
    /// The code: what XML carries.
    code: &'e str,
    /// `Sender` or `Receiver`.
    kind: &'static str,
    message: &'e str,
    /// All members, with the message under the name that the shape gives it.
    members: Map<String, Value>,
    request_id: &'e str,
}

fn render(service: Option<&Service>, protocol: Protocol, error: &ApiError, request_id: &str) -> Reply {
    let shape = service
        .and_then(|service| service.error_shape(&error.code))
        .map(|(_, shape)| shape);
    let traits = shape.and_then(|shape| shape.error.as_deref());
    let status = error
        .status
        .or_else(|| traits.and_then(|traits| traits.status))
        .unwrap_or_else(|| match traits {
            Some(traits) if traits.fault => 500,
            Some(_) => 400,
            None => common_status(protocol, &error.code).unwrap_or(400),
        });
    let message_name = shape
        .and_then(Shape::structure)
        .and_then(|structure| {
            structure
                .members
                .iter()
                .find(|member| member.name.eq_ignore_ascii_case("message"))
        })
        .map_or("message", |member| &*member.name);
    let mut members = error.fields.clone();
    if !members.contains_key(message_name) {
        members.insert(message_name.to_owned(), Value::from(error.message.as_str()));
    }
    let parts = Parts {
        service,
        shape,
        name: shape.map_or(&*error.code, |shape| &*shape.name),
        code: shape.map_or(&error.code, xml_code),
        kind: if status >= 500 { "Receiver" } else { "Sender" },
        message: &error.message,
        members,
        request_id,
    };
    let mut reply = Reply::new(status);
    if let (Some(service), Some(structure)) = (service, shape.and_then(Shape::structure))
        && protocol.is_rest()
    {
        bind(service, structure, &parts.members, &mut reply);
    }
    if service.is_some_and(|service| service.query_compatible)
        && matches!(protocol, Protocol::AwsJson | Protocol::RpcV2Cbor)
    {
        reply.header("x-amzn-query-error", &format!("{};{}", parts.code, parts.kind));
    }
    match protocol {
        Protocol::AwsJson => parts.json(true, &mut reply.body),
        Protocol::RestJson => {
            reply.header("x-amzn-errortype", parts.name);
            parts.json(false, &mut reply.body);
        }
        Protocol::RpcV2Cbor => parts.cbor(&mut reply.body),
        Protocol::AwsQuery | Protocol::RestXml | Protocol::Ec2Query => {
            let mut out = String::with_capacity(512);
            parts.xml(protocol, &mut out);
            reply.body = out.into_bytes();
        }
    }
    reply.finish(service, protocol, request_id)
}

/// The status of a common code that a handler used by name.
fn common_status(protocol: Protocol, code: &str) -> Option<u16> {
    use Common::*;
    let all = [
        AccessDenied,
        UnknownKey,
        BadSignature,
        IncompleteSignature,
        MissingSignature,
        ExpiredToken,
        Throttled,
        Internal,
        Unavailable,
        UnknownOperation,
        Serialization,
        Unreadable,
        TooLarge,
        TooSlow,
        MissingAction,
        UnsupportedMediaType,
        NotAcceptable,
    ];
    all.into_iter()
        .map(|kind| common(protocol, kind))
        .find(|(known, _)| *known == code)
        .map(|(_, status)| status)
}

impl Parts<'_> {
    /// Whether there is a message that no member of the shape carries: most errors of CloudWatch Logs have no members at
    /// all in the model, and answer with a `message` all the same.
    fn is_mute(&self) -> bool {
        let structure = self.shape.and_then(Shape::structure);
        let is_member =
            |structure: &Structure| structure.members.iter().any(|m| m.name.eq_ignore_ascii_case("message"));
        !self.message.is_empty() && structure.is_some_and(|structure| !is_member(structure))
    }

    fn json(&self, typed: bool, out: &mut Vec<u8>) {
        let mut inner = Vec::new();
        match (self.service, self.shape) {
            (Some(service), Some(shape)) => {
                json::encode(
                    service,
                    shape,
                    None,
                    &Value::Object(self.members.clone()),
                    &Member::in_response_body,
                    &mut inner,
                );
            }
            _ => {
                let _ = serde_json::to_writer(&mut inner, &self.members);
            }
        }
        if self.is_mute() {
            let empty = inner.pop() == Some(b'}') && inner.len() <= 1;
            inner.extend_from_slice(if empty { b"\"message\":" } else { b",\"message\":" });
            let _ = serde_json::to_writer(&mut inner, self.message);
            inner.push(b'}');
        }
        if !typed {
            out.append(&mut inner);
            return;
        }
        out.extend_from_slice(b"{\"__type\":");
        let _ = serde_json::to_writer(&mut *out, self.name);
        // `{}` or `{"message":...}`: an object always.
        if inner.len() > 2 {
            out.push(b',');
        }
        out.extend(inner.into_iter().skip(1));
    }

    fn cbor(&self, out: &mut Vec<u8>) {
        cbor::start_map(out);
        cbor::text("__type", out);
        cbor::text(self.name, out);
        match (self.service, self.shape.and_then(Shape::structure)) {
            (Some(service), Some(structure)) => {
                for (name, value) in self.members.iter().filter(|(_, value)| !value.is_null()) {
                    if let Some(member) = structure.by_name(name) {
                        cbor::text(member.wire(), out);
                        cbor::encode(service, service.target(member), value, out);
                    }
                }
                if self.is_mute() {
                    cbor::text("message", out);
                    cbor::text(self.message, out);
                }
            }
            _ => {
                cbor::text("message", out);
                cbor::text(self.message, out);
            }
        }
        cbor::end_map(out);
    }

    fn xml(&self, protocol: Protocol, out: &mut String) {
        // S3 has neither the wrapper nor the type.
        let bare = self.service.is_some_and(|service| &*service.name == "s3");
        let ec2 = protocol == Protocol::Ec2Query;
        match (ec2, bare) {
            (true, _) => {
                out.push_str(xml::DECLARATION);
                out.push_str("<Response><Errors><Error>");
            }
            (false, true) => {
                out.push_str(xml::DECLARATION);
                out.push_str("<Error>");
            }
            (false, false) => {
                out.push_str("<ErrorResponse xmlns=\"");
                let namespace = self.service.and_then(|service| service.namespace.as_deref());
                xml::escape(
                    namespace.unwrap_or("http://webservices.amazon.com/AWSFault/2005-15-09"),
                    out,
                );
                out.push_str("\"><Error><Type>");
                out.push_str(self.kind);
                out.push_str("</Type>");
            }
        }
        out.push_str("<Code>");
        xml::escape(self.code, out);
        out.push_str("</Code><Message>");
        xml::escape(self.message, out);
        out.push_str("</Message>");
        if let (Some(service), Some(structure)) = (self.service, self.shape.and_then(Shape::structure)) {
            let others: Map<String, Value> = self
                .members
                .iter()
                .filter(|(name, _)| !name.eq_ignore_ascii_case("message"))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            xml::Encoder {
                service,
                item: if ec2 { "item" } else { "member" },
            }
            .members(structure, &others, out);
        }
        let (before, after) = match (ec2, bare) {
            (true, _) => ("</Error></Errors><RequestID>", "</RequestID></Response>"),
            (false, true) => ("<RequestId>", "</RequestId></Error>"),
            (false, false) => ("</Error><RequestId>", "</RequestId></ErrorResponse>"),
        };
        out.push_str(before);
        xml::escape(self.request_id, out);
        out.push_str(after);
    }
}
