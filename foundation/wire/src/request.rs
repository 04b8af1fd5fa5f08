//! An HTTP request as the wire sees it.

use crate::codec::percent;
use crate::fault::{Common, WireError};
use crate::limits::GZIP_DECODED_BYTES_MAX;
use crate::model::Protocol;
use flate2::read::GzDecoder;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_ENCODING};
use std::borrow::Cow;
use std::io::Read;

/// A request whose body has been read. The signature is over the body as it came; the wire reads it decoded.
#[derive(Debug)]
pub struct Request<'a> {
    /// The method, for example `POST`.
    pub method: &'a str,
    /// The path as it came, still percent-encoded.
    pub path: &'a str,
    /// The query string without its `?`; empty when there is none.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    body: Cow<'a, [u8]>,
    /// Whether the body is still packed.
    is_gzip: bool,
}

const BAD_GZIP: &str = "The gzip body could not be decoded";
const LARGE_GZIP: &str = "The gzip body is too large when it is decoded";

impl<'a> Request<'a> {
    /// A request without its body, which could not be read: enough to tell who is to say so, and how (see
    /// [`unread`](crate::unread)).
    pub fn head(method: &'a str, path: &'a str, query: &'a str, headers: &'a HeaderMap) -> Self {
        Self {
            method,
            path,
            query,
            headers,
            body: Cow::Borrowed(&[]),
            is_gzip: false,
        }
    }

    /// A request; a body with `Content-Encoding: gzip` is unpacked.
    /// Errors: an unknown encoding, bytes that are no gzip, or more than [`GZIP_DECODED_BYTES_MAX`] of them.
    pub fn new(
        method: &'a str,
        path: &'a str,
        query: &'a str,
        headers: &'a HeaderMap,
        body: &'a [u8],
    ) -> Result<Self, WireError> {
        let mut request = Self {
            body: Cow::Borrowed(body),
            ..Self::head(method, path, query, headers)
        };
        // S3's objects keep their encodings: there the header describes the payload. `aws-chunked` is S3's as well.
        let encoding = request
            .header(CONTENT_ENCODING.as_str())
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        // Only the outermost coding is the client's compression; what is below it belongs to the payload.
        request.is_gzip = encoding.rsplit(',').next().is_some_and(|last| last.trim() == "gzip");
        if request.is_gzip && request.guess() != Protocol::RestXml {
            let refused = |(kind, message)| WireError::unrouted(request.guess(), kind, message);
            request.body = Cow::Owned(unpack(body).map_err(refused)?);
            request.is_gzip = false;
        }
        Ok(request)
    }

    /// The service in the credential scope that the request claims to be signed for, in its header or its query. Nothing
    /// of it is verified, nor that it is whole: good enough to answer in the words of that service.
    pub fn claimed_scope(&self) -> Option<String> {
        let header = self.header(AUTHORIZATION.as_str()).and_then(|text| {
            let (_, rest) = text.split_once("Credential=")?;
            rest.split([',', ' ']).next().map(Cow::Borrowed)
        });
        let credential = header.or_else(|| percent::find(self.query, "X-Amz-Credential"))?;
        // KEY/DATE/REGION/SERVICE/aws4_request; the key may hold slashes.
        let service = credential.rsplit('/').nth(1)?;
        Some(service.to_owned())
    }

    /// The body of a restXml request of another service than s3, whose compression nothing but the service's name tells
    /// from an object's own.
    pub(crate) fn unpacked(&self) -> Result<Cow<'_, [u8]>, (Common, &'static str)> {
        if self.is_gzip {
            unpack(&self.body).map(Cow::Owned)
        } else {
            Ok(Cow::Borrowed(&self.body))
        }
    }

    /// The decoded body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The content type without its parameters, in lower case.
    pub(crate) fn content_type(&self) -> String {
        let text = self.header("content-type").unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The protocol that the request seems to speak, whatever service it is for.
    pub(crate) fn guess(&self) -> Protocol {
        if self.header("smithy-protocol").is_some() {
            return Protocol::RpcV2Cbor;
        }
        match self.content_type().as_str() {
            "application/cbor" => Protocol::RpcV2Cbor,
            "application/x-amz-json-1.0" | "application/x-amz-json-1.1" => Protocol::AwsJson,
            "application/x-www-form-urlencoded" => Protocol::AwsQuery,
            "application/json" => Protocol::RestJson,
            _ if self.headers.contains_key("x-amz-target") => Protocol::AwsJson,
            _ if percent::find(self.query, "Action").is_some() => Protocol::AwsQuery,
            _ => Protocol::RestXml,
        }
    }
}

fn unpack(body: &[u8]) -> Result<Vec<u8>, (Common, &'static str)> {
    let mut decoded = Vec::new();
    // One byte more than allowed tells too much from just enough.
    let limit = GZIP_DECODED_BYTES_MAX as u64 + 1;
    GzDecoder::new(body)
        .take(limit)
        .read_to_end(&mut decoded)
        .map_err(|_| (Common::Unreadable, BAD_GZIP))?;
    if decoded.len() > GZIP_DECODED_BYTES_MAX {
        Err((Common::TooLarge, LARGE_GZIP))
    } else {
        Ok(decoded)
    }
}
