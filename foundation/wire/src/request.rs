//! An HTTP request as the wire sees it.

use crate::codec::{Decoded, Malformed};
use crate::fault::{Common, WireError};
use crate::limits::GZIP_DECODED_BYTES_MAX;
use crate::model::Protocol;
use flate2::read::GzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
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

impl<'a> Request<'a> {
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
            method,
            path,
            query,
            headers,
            body: Cow::Borrowed(body),
            is_gzip: false,
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
            request.body =
                Cow::Owned(unpack(body).map_err(|common| WireError::unrouted(request.guess(), common, BAD_GZIP))?);
            request.is_gzip = false;
        }
        Ok(request)
    }

    /// The body of a restXml request of another service than s3, whose compression nothing but the service's name tells
    /// from an object's own.
    pub(crate) fn unpacked(&self) -> Decoded<Cow<'_, [u8]>> {
        if self.is_gzip {
            unpack(&self.body).map(Cow::Owned).map_err(|_| Malformed::new(BAD_GZIP))
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
            _ if crate::codec::percent::find(self.query, "Action").is_some() => Protocol::AwsQuery,
            _ => Protocol::RestXml,
        }
    }
}

fn unpack(body: &[u8]) -> Result<Vec<u8>, Common> {
    let mut decoded = Vec::new();
    // One byte more than allowed tells too much from just enough.
    let limit = GZIP_DECODED_BYTES_MAX as u64 + 1;
    GzDecoder::new(body)
        .take(limit)
        .read_to_end(&mut decoded)
        .map_err(|_| Common::Serialization)?;
    if decoded.len() > GZIP_DECODED_BYTES_MAX {
        Err(Common::TooLarge)
    } else {
        Ok(decoded)
    }
}
