//! Content types: what a body must say that it is, and what the caller takes as an answer.
//!
//! Ref: Smithy's malformed-request tests of restJson1 (content type, accept); Smithy RPC v2 CBOR. Blobs may be of any
//! type where the model does not name one (`mediaType`). A text without a type is taken, as botocore sends it so.

use crate::fault::{Common, common_error};
use crate::model::{Kind, Member, Protocol, Service, Shape};
use crate::request::Request;
use crate::route::Target;
use honmaru_base::ApiError;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const CBOR: &str = "application/cbor";

/// Refuses a body of another type than the operation takes (415), and a caller that takes no answer it can give (406).
pub(super) fn check(target: &Target, request: &Request<'_>) -> Result<(), ApiError> {
    let good = match target.protocol {
        Protocol::RpcV2Cbor => request.body().is_empty() || request.content_type() == CBOR,
        Protocol::RestJson => rest_json(target, request),
        // The target header (`route`) or the form itself tells the type; S3 and Route 53 take any.
        Protocol::AwsJson | Protocol::AwsQuery | Protocol::Ec2Query | Protocol::RestXml => return Ok(()),
    };
    if !good {
        return Err(common_error(
            target.protocol,
            Common::UnsupportedMediaType,
            "The content type is not the one of the payload",
        ));
    }
    if target.protocol == Protocol::RestJson && !accepts(target, request) {
        return Err(common_error(
            target.protocol,
            Common::NotAcceptable,
            "The answer has no form that the request accepts",
        ));
    }
    Ok(())
}

/// What a body is.
enum Body<'s> {
    None,
    Json,
    Text,
    /// What the model says that it is.
    Named(&'s str),
    Any,
}

fn body_of<'s>(service: &'s Service, shape: Option<&'s Shape>, in_body: fn(&Member) -> bool) -> Body<'s> {
    let Some(structure) = shape.and_then(Shape::structure) else {
        return Body::None;
    };
    let payload = structure.payload().map(|member| service.target(member));
    if let Some(named) = payload.and_then(|payload| payload.media_type.as_deref()) {
        return Body::Named(named);
    }
    match payload.map(|payload| &payload.kind) {
        Some(Kind::Blob) => Body::Any,
        Some(Kind::String) => Body::Text,
        Some(_) => Body::Json,
        None if structure.has(in_body) => Body::Json,
        None => Body::None,
    }
}

fn rest_json(target: &Target, request: &Request<'_>) -> bool {
    if request.body().is_empty() {
        return true;
    }
    let input = target.operation.input.map(|id| target.service.shape(id));
    let said = request.content_type();
    match body_of(target.service, input, Member::in_request_body) {
        Body::Json => said == JSON,
        Body::Text => said.is_empty() || said == TEXT,
        Body::Named(named) => said.eq_ignore_ascii_case(named),
        Body::None => said.is_empty(),
        Body::Any => true,
    }
}

fn accepts(target: &Target, request: &Request<'_>) -> bool {
    let Some(accept) = request.header("accept") else {
        return true;
    };
    let output = target.operation.output.map(|id| target.service.shape(id));
    let given = match body_of(target.service, output, Member::in_response_body) {
        Body::Json => JSON,
        Body::Text => TEXT,
        Body::Named(named) => named,
        Body::None | Body::Any => return true,
    };
    let group = given.split('/').next().unwrap_or_default();
    accept.split(',').any(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        range.eq_ignore_ascii_case(given)
            || range == "*/*"
            || range
                .strip_suffix("/*")
                .is_some_and(|of| of.eq_ignore_ascii_case(group))
    })
}
