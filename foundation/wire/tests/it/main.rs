//! The wire from outside: requests as clients send them, answers as clients read them.

#![expect(missing_docs, reason = "tests")]

mod answers;
mod errors;
mod hostile;
mod malformed;
mod routing;
mod validation;

use honmaru_base::ApiError;
use honmaru_wire::{Request, Target, WireError, parse, route, validate};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

/// A request in the making.
pub struct Http<'a> {
    method: &'a str,
    uri: &'a str,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl<'a> Http<'a> {
    pub fn new(method: &'a str, uri: &'a str) -> Self {
        Self {
            method,
            uri,
            headers: HeaderMap::new(),
            body: Vec::new(),
        }
    }

    /// An awsJson 1.1 call.
    pub fn json(target: &str, body: &str) -> Self {
        Self::new("POST", "/")
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.1")
            .body(body.as_bytes())
    }

    /// A query call.
    pub fn form(body: &str) -> Self {
        Self::new("POST", "/")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(body.as_bytes())
    }

    /// An rpcv2Cbor call.
    pub fn cbor(uri: &'a str, body: &[u8]) -> Self {
        Self::new("POST", uri)
            .header("smithy-protocol", "rpc-v2-cbor")
            .header("content-type", "application/cbor")
            .body(body)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(
            HeaderName::try_from(name).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
        self
    }

    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// The request as far as it is known before its body is read.
    pub fn head(&self) -> Request<'_> {
        let (path, query) = self.uri.split_once('?').unwrap_or((self.uri, ""));
        Request::head(self.method, path, query, &self.headers)
    }

    pub fn request(&self) -> Result<Request<'_>, WireError> {
        let (path, query) = self.uri.split_once('?').unwrap_or((self.uri, ""));
        Request::new(self.method, path, query, &self.headers, &self.body)
    }

    pub fn route(&self, scope: &str) -> Result<Target, WireError> {
        route(&self.request()?, Some(scope).filter(|scope| !scope.is_empty()))
    }

    /// Routes, parses and validates. The error is the service's own.
    pub fn input(&self, scope: &str) -> Result<Value, ApiError> {
        let request = self.request().map_err(|error| error.error)?;
        let target = route(&request, Some(scope).filter(|scope| !scope.is_empty())).map_err(|error| error.error)?;
        let input = parse(&target, &request)?;
        validate(&target, &input)?;
        Ok(input)
    }
}

pub fn target(service: &str, protocol: honmaru_wire::Protocol, operation: &str) -> Target {
    let service = honmaru_wire::service(service).unwrap();
    Target {
        service,
        protocol,
        operation: service.operation(operation).unwrap(),
    }
}
