//! The query services' other form: JSON, for callers that ask for it.
//!
//! No SDK does. Who reads the answer of somebody else's presigned GetCallerIdentity does: aws-iam-authenticator, and
//! what else trusts such a call. EC2 has no such form.

use super::Reply;
use crate::codec::json;
use crate::fault;
use crate::model::{Protocol, Shape};
use crate::request::Request;
use crate::route::Target;
use honmaru_base::ApiError;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

const JSON: &str = "application/json";

/// Whether the answer shall be JSON where the protocol's own is XML: what the call accepts first is.
pub fn asks_for_json(target: &Target, request: &Request<'_>) -> bool {
    let first = |accept: &str| {
        let range = accept.split([',', ';']).next().unwrap_or_default();
        range.trim().eq_ignore_ascii_case(JSON)
    };
    target.protocol == Protocol::AwsQuery && request.header("accept").is_some_and(first)
}

/// The answer of an operation that succeeded, for whom [`asks_for_json`].
/// Ref: aws-iam-authenticator, `pkg/token/token.go`, `getCallerIdentityWrapper`: the members of the XML, timestamps as
/// seconds.
pub fn ok_in_json(target: &Target, output: &Value, request_id: &str) -> Reply {
    let Target { service, operation, .. } = *target;
    let mut body = format!("{{\"{}Response\":{{", operation.wire).into_bytes();
    if let Some(shape) = operation.output.map(|id| service.shape(id))
        && shape.structure().is_some()
    {
        match operation.result_wrapper.as_deref() {
            Some(wrapper) => body.extend_from_slice(format!("\"{wrapper}\":").as_bytes()),
            None => body.extend_from_slice(format!("\"{}Result\":", operation.wire).as_bytes()),
        }
        encode(target, shape, output, &mut body);
        body.push(b',');
    }
    body.extend_from_slice(format!("\"ResponseMetadata\":{}}}}}", json!({"RequestId": request_id})).as_bytes());
    finish(target, operation.status, body, request_id)
}

/// The answer of an operation that failed, for whom [`asks_for_json`].
pub fn error_in_json(target: &Target, error: &ApiError, request_id: &str) -> Reply {
    let xml = fault::error(target, error, request_id);
    let kind = if xml.status.is_server_error() {
        "Receiver"
    } else {
        "Sender"
    };
    let code = fault::code(target.service, error);
    let said = json!({"Error": {"Code": code, "Message": error.message, "Type": kind}, "RequestId": request_id});
    finish(target, xml.status.as_u16(), said.to_string().into_bytes(), request_id)
}

fn encode(target: &Target, shape: &Shape, output: &Value, body: &mut Vec<u8>) {
    if output.is_object() {
        json::encode(target.service, shape, None, output, &|_| true, body);
    } else {
        body.extend_from_slice(b"{}");
    }
}

fn finish(target: &Target, status: u16, body: Vec<u8>, request_id: &str) -> Reply {
    let mut reply = Reply::new(status);
    reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    reply.body = body;
    reply.finish(Some(target.service), target.protocol, request_id)
}
