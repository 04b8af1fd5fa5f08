//! STS's documented errors.

use honmaru_base::ApiError;

pub(super) fn validation(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationError", message).with_status(400)
}

pub(super) fn access_denied(message: impl Into<String>) -> ApiError {
    ApiError::new("AccessDenied", message).with_status(403)
}

pub(super) fn malformed(message: impl Into<String>) -> ApiError {
    ApiError::new("MalformedPolicyDocumentException", message)
}
