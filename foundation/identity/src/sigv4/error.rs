//! Why a request is not authenticated, and the code that each protocol has for it.

use honmaru_base::ApiError;

/// How a service's protocol names errors of authentication and authorisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolFamily {
    /// awsJson 1.0 and 1.1, rpcv2Cbor: `...Exception` with status 400.
    Json,
    /// restJson1: `...Exception` with status 403.
    RestJson,
    /// awsQuery and restXml: bare codes with status 403.
    Query,
    /// ec2Query: `AuthFailure`, `UnauthorizedOperation`.
    Ec2,
    /// s3: codes of its own.
    S3,
}

/// What is wrong with a request's authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthErrorKind {
    /// The request is not signed and the operation demands it.
    Missing,
    /// A part of the signature is missing or malformed.
    Incomplete,
    /// The signature does not match, or its scope or signed headers are wrong.
    Mismatch,
    /// The request's date is too far from now, or a presigned request has expired.
    Skewed,
    /// Nobody has this access key, it is inactive, or the session token is invalid.
    UnknownKey,
    /// The session token has expired.
    ExpiredToken,
    /// The body is not the one that `x-amz-content-sha256` names.
    ContentHash,
    /// A kind of signature that is valid in AWS and is not offered here.
    Unsupported,
}

/// A request that could not be authenticated, with AWS's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?}: {message}")]
pub struct AuthError {
    /// What is wrong.
    pub kind: AuthErrorKind,
    /// The text for the caller.
    pub message: String,
}

impl AuthError {
    pub(crate) fn new(kind: AuthErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// The error of a request without any signature.
    pub fn missing() -> Self {
        Self::new(AuthErrorKind::Missing, "Request is missing Authentication Token")
    }

    /// The error of an access key that nobody has, that is inactive, or whose session token is invalid.
    pub fn unknown_key() -> Self {
        Self::new(
            AuthErrorKind::UnknownKey,
            "The security token included in the request is invalid.",
        )
    }

    /// The error of a session that is over.
    pub fn expired_token() -> Self {
        Self::new(
            AuthErrorKind::ExpiredToken,
            "The security token included in the request is expired",
        )
    }

    /// The error of a signature for another service than the one that is called.
    pub fn wrong_service(expected: &str) -> Self {
        Self::new(
            AuthErrorKind::Mismatch,
            format!("Credential should be scoped to correct service: '{expected}'."),
        )
    }

    pub(crate) fn mismatch() -> Self {
        Self::new(
            AuthErrorKind::Mismatch,
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details.",
        )
    }

    /// The documented code, text and status in a protocol. Ref: "Common Errors" of the ECS, IAM, EC2 and S3 API
    /// references.
    pub fn to_api_error(&self, family: ProtocolFamily) -> ApiError {
        use AuthErrorKind::*;
        let (code, status) = match (family, self.kind) {
            (ProtocolFamily::Json, kind) => (exception(kind), if kind == Unsupported { 501 } else { 400 }),
            (ProtocolFamily::RestJson, kind) => (exception(kind), if kind == Unsupported { 501 } else { 403 }),
            (_, Unsupported) => ("NotImplemented", 501),
            (ProtocolFamily::Query, Missing) => ("MissingAuthenticationToken", 403),
            (ProtocolFamily::Query, Incomplete) => ("IncompleteSignature", 400),
            (ProtocolFamily::Query, Mismatch | Skewed | ContentHash) => ("SignatureDoesNotMatch", 403),
            (ProtocolFamily::Query, UnknownKey) => ("InvalidClientTokenId", 403),
            (ProtocolFamily::Query, ExpiredToken) => ("ExpiredToken", 403),
            (ProtocolFamily::Ec2, Missing) => ("MissingParameter", 400),
            (ProtocolFamily::Ec2, Incomplete) => ("IncompleteSignature", 400),
            (ProtocolFamily::Ec2, Mismatch | ContentHash | UnknownKey) => ("AuthFailure", 401),
            (ProtocolFamily::Ec2, Skewed | ExpiredToken) => ("RequestExpired", 400),
            (ProtocolFamily::S3, Missing) => ("AccessDenied", 403),
            (ProtocolFamily::S3, Incomplete) => ("AuthorizationHeaderMalformed", 400),
            (ProtocolFamily::S3, Mismatch) => ("SignatureDoesNotMatch", 403),
            (ProtocolFamily::S3, Skewed) => ("RequestTimeTooSkewed", 403),
            (ProtocolFamily::S3, UnknownKey) => ("InvalidAccessKeyId", 403),
            (ProtocolFamily::S3, ExpiredToken) => ("ExpiredToken", 400),
            (ProtocolFamily::S3, ContentHash) => ("XAmzContentSHA256Mismatch", 400),
        };
        let message = match (family, self.kind) {
            (ProtocolFamily::Json | ProtocolFamily::RestJson, Missing) => "Missing Authentication Token",
            (ProtocolFamily::Ec2, Missing) => "The request must contain the parameter AWSAccessKeyId",
            (ProtocolFamily::Ec2, Mismatch | ContentHash | UnknownKey) => {
                "AWS was not able to validate the provided access credentials"
            }
            (ProtocolFamily::Ec2, Skewed | ExpiredToken) => "Request has expired.",
            (ProtocolFamily::S3, Missing) => "Access Denied",
            (ProtocolFamily::S3, Skewed) => {
                "The difference between the request time and the current time is too large."
            }
            (ProtocolFamily::S3, UnknownKey) => "The AWS Access Key Id you provided does not exist in our records.",
            (ProtocolFamily::S3, ContentHash) => {
                "The provided 'x-amz-content-sha256' header does not match what was computed."
            }
            _ => self.message.as_str(),
        };
        ApiError::new(code, message).with_status(status)
    }
}

fn exception(kind: AuthErrorKind) -> &'static str {
    match kind {
        AuthErrorKind::Missing => "MissingAuthenticationTokenException",
        AuthErrorKind::Incomplete => "IncompleteSignatureException",
        AuthErrorKind::Mismatch | AuthErrorKind::Skewed | AuthErrorKind::ContentHash => "InvalidSignatureException",
        AuthErrorKind::UnknownKey => "UnrecognizedClientException",
        AuthErrorKind::ExpiredToken => "ExpiredTokenException",
        AuthErrorKind::Unsupported => "NotImplementedException",
    }
}
