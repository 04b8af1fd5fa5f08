//! Headers that answers share.

use crate::RegistryBody;
use honmaru_images::Digest;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

/// The digest of what is answered. Ref: specification, "Pulling manifests".
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
pub(crate) const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<RegistryBody> {
    let mut response = Response::new(RegistryBody::empty());
    *response.status_mut() = status;
    response
}

/// The answer to a condition that what the client has still meets. Ref: RFC 9110 section 15.4.5.
pub(crate) fn not_modified(etag: &str, digest: &Digest) -> Response<RegistryBody> {
    let mut response = empty(StatusCode::NOT_MODIFIED);
    set(response.headers_mut(), header::ETAG, etag);
    set_digest(response.headers_mut(), digest);
    response
}

/// An answer with JSON.
pub(crate) fn json(value: &impl serde::Serialize, media_type: &'static str) -> Response<RegistryBody> {
    // Answers are plain data with text keys; serde_json cannot fail on them.
    let bytes = serde_json::to_vec(value).expect("an answer is plain data");
    let mut response = Response::new(RegistryBody::full(bytes));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Sets a header whose value is known to be visible ASCII; a value that is not is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

pub(crate) fn set_digest(headers: &mut HeaderMap, digest: &Digest) {
    set(headers, CONTENT_DIGEST, digest.as_str());
}

/// Where an upload goes on, and how far it is. Ref: specification, "Pushing a blob in chunks".
pub(crate) fn set_progress(headers: &mut HeaderMap, location: &str, offset: u64) {
    set(headers, header::LOCATION, location);
    // The range is inclusive, so that nothing and one byte look the same; every registry does so.
    set(headers, header::RANGE, &format!("0-{}", offset.saturating_sub(1)));
}

/// What every answer has.
pub(crate) fn finish(mut response: Response<RegistryBody>) -> Response<RegistryBody> {
    response
        .headers_mut()
        .insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    response
}
