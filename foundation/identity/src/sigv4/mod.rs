//! AWS Signature Version 4. Ref: IAM User Guide, "AWS Signature Version 4 for API requests".
//!
//! Not here: SigV4A, and the chunked bodies that occur in s3 only.

mod canonical;
mod error;
mod key;
mod parse;
mod sign;
mod verify;

pub use canonical::{Signed, canonical_request};
pub use error::{AuthError, AuthErrorKind, ProtocolFamily};
pub use key::KeyCache;
pub use parse::{EXPIRES_S_MAX, Placement, Presented, SESSION_TOKEN_BYTES_MAX, parse};
pub use sign::{Credentials, presign, sign};
pub use verify::verify;

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(crate) const TERMINATOR: &str = "aws4_request";
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Whether a signing name is one of s3's, which signs paths and payloads in its own way.
pub(crate) fn is_s3(service: &str) -> bool {
    matches!(service, "s3" | "s3express" | "s3-outposts" | "s3-object-lambda")
}

#[cfg(test)]
mod tests;
