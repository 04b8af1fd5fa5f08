//! The errors of the distribution specification, as JSON.
//! Ref: OCI distribution specification 1.1, "Error Codes".

use crate::RegistryBody;
use honmaru_images::{DigestError, ManifestError, StoreError};
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

/// Seconds after which a client that is told "too many requests" may ask again: unfinished uploads end, and upstream's
/// limits are counted, in moments or in hours, and nobody knows which.
const RETRY_AFTER_S: u64 = 5;

/// The specification's error codes, and `TAG_INVALID`, which ECR and the distribution project have beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// A blob is not known to the repository.
    BlobUnknown,
    /// An upload could not be completed.
    BlobUploadInvalid,
    /// An upload is not known.
    BlobUploadUnknown,
    /// The digest does not match, or is malformed.
    DigestInvalid,
    /// A manifest names a blob that is not there.
    ManifestBlobUnknown,
    /// A manifest is malformed.
    ManifestInvalid,
    /// A manifest is not known to the repository.
    ManifestUnknown,
    /// A repository's name is malformed.
    NameInvalid,
    /// A repository is not known.
    NameUnknown,
    /// A length does not match.
    SizeInvalid,
    /// Authentication is needed.
    Unauthorized,
    /// The caller may not.
    Denied,
    /// The operation is not supported.
    Unsupported,
    /// Too many requests.
    TooManyRequests,
    /// A tag is malformed, or cannot be changed.
    TagInvalid,
    /// A number of results is malformed; the specification has no code of its own for it.
    PaginationNumberInvalid,
    /// A chunk's range does not fit; the specification has no code of its own for it.
    RangeInvalid,
    /// Our fault.
    Unknown,
}

impl ErrorCode {
    /// As the specification writes it, for example `BLOB_UNKNOWN`.
    pub const fn text(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid | Self::RangeInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported | Self::PaginationNumberInvalid => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::TagInvalid => "TAG_INVALID",
            Self::Unknown => "UNKNOWN",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::BlobUnknown
            | Self::BlobUploadUnknown
            | Self::ManifestUnknown
            | Self::NameUnknown
            // Ref: specification, "Pushing Manifests": 404 when a blob that the manifest names is missing.
            | Self::ManifestBlobUnknown => StatusCode::NOT_FOUND,
            Self::BlobUploadInvalid
            | Self::DigestInvalid
            | Self::ManifestInvalid
            | Self::NameInvalid
            | Self::SizeInvalid
            | Self::TagInvalid
            | Self::PaginationNumberInvalid => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::RangeInvalid => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Why a request is refused. The caller sees code, message and detail; the operator sees the cause in the log.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}: {message}", code.text())]
pub struct RegistryError {
    /// The code.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
    /// For programs; often nothing.
    pub detail: Value,
    /// The status where it is not the code's usual one.
    pub status: Option<StatusCode>,
    /// Where to go on with an upload: `Location` and the offset for `Range`.
    pub(crate) resume: Option<(String, u64)>,
}

impl RegistryError {
    /// An error with its code's usual status.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            detail: Value::Null,
            status: None,
            resume: None,
        }
    }

    /// The same with a status of its own.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// The same with a detail for programs.
    #[must_use]
    pub fn with_detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    /// There is no room for what was sent. The specification has no code for it.
    pub fn full() -> Self {
        Self::new(ErrorCode::Denied, "the registry's storage is full").with_status(StatusCode::INSUFFICIENT_STORAGE)
    }

    /// Our fault: the cause goes to the log, not to the caller.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(err = %honmaru_base::chain(error), "registry request failed");
        Self::new(ErrorCode::Unknown, "the registry could not do this; its log says why")
    }

    /// The answer to a request. It carries its [`ErrorCode`] as an extension too.
    pub fn response(&self) -> Response<RegistryBody> {
        let body = json!({"errors": [{"code": self.code.text(), "message": self.message, "detail": self.detail}]});
        let mut response = Response::new(RegistryBody::full(body.to_string()));
        *response.status_mut() = self.status.unwrap_or(self.code.status());
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            // Ref: RFC 6585 section 4. Clients that read it wait so long, those that do not wait longer and longer.
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        response.extensions_mut().insert(self.code);
        if let Some((location, offset)) = &self.resume {
            crate::response::set_progress(response.headers_mut(), location, *offset);
        }
        response
    }
}

impl From<DigestError> for RegistryError {
    fn from(error: DigestError) -> Self {
        Self::new(ErrorCode::DigestInvalid, error.to_string())
    }
}

impl From<ManifestError> for RegistryError {
    fn from(error: ManifestError) -> Self {
        let refused = Self::new(ErrorCode::ManifestInvalid, honmaru_base::chain(&error));
        match error {
            ManifestError::TooLarge(_) => refused.with_status(StatusCode::PAYLOAD_TOO_LARGE),
            _ => refused,
        }
    }
}

impl From<StoreError> for RegistryError {
    fn from(error: StoreError) -> Self {
        match &error {
            full if full.is_full() => {
                tracing::warn!(err = %honmaru_base::chain(&error), "an upload was refused");
                Self::full()
            }
            StoreError::Io { .. }
            | StoreError::Full { .. }
            | StoreError::ReadOnly
            | StoreError::Live(_)
            | StoreError::Key(_) => Self::internal(&error),
            StoreError::UploadUnknown => Self::new(ErrorCode::BlobUploadUnknown, error.to_string()),
            StoreError::UploadBusy => {
                Self::new(ErrorCode::BlobUploadInvalid, error.to_string()).with_status(StatusCode::CONFLICT)
            }
            StoreError::DigestMismatch { .. } => Self::new(ErrorCode::DigestInvalid, error.to_string()),
            StoreError::SizeMismatch { .. } => Self::new(ErrorCode::SizeInvalid, error.to_string()),
            StoreError::TooLarge { .. } => {
                Self::new(ErrorCode::SizeInvalid, error.to_string()).with_status(StatusCode::PAYLOAD_TOO_LARGE)
            }
            StoreError::TooManyUploads { .. } => Self::new(ErrorCode::TooManyRequests, error.to_string()),
        }
    }
}

/// The answer to a request without valid credentials: 401 with a challenge for Basic authentication.
/// Ref: RFC 7617; ECR's registry answers so.
pub fn unauthorized(realm: &str, service: &str, message: &str) -> Response<RegistryBody> {
    let mut response = RegistryError::new(ErrorCode::Unauthorized, message).response();
    let clean = |text: &str| text.replace(['"', '\\', '\r', '\n'], "");
    let challenge = format!("Basic realm=\"{}\",service=\"{}\"", clean(realm), clean(service));
    if let Ok(value) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    crate::response::finish(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_disk_that_says_that_it_is_full_is_no_fault_of_ours() {
        let of = |kind: io::ErrorKind| {
            let (doing, path, source) = ("write", "x".into(), io::Error::from(kind));
            RegistryError::from(StoreError::Io { doing, path, source })
                .response()
                .status()
        };
        assert_eq!(of(io::ErrorKind::StorageFull), 507);
        assert_eq!(of(io::ErrorKind::QuotaExceeded), 507);
        assert_eq!(of(io::ErrorKind::PermissionDenied), 500);
    }

    #[test]
    fn whoever_asks_too_often_is_told_when_to_ask_again() {
        let waits = |error: RegistryError| error.response().headers().contains_key(header::RETRY_AFTER);
        assert!(waits(RegistryError::new(ErrorCode::TooManyRequests, "later")));
        let later = RegistryError::new(ErrorCode::Denied, "later").with_status(StatusCode::TOO_MANY_REQUESTS);
        assert!(waits(later));
        assert!(!waits(RegistryError::new(ErrorCode::Denied, "never")));
    }
}
