//! X.509 signing certificates of users. AWS took requests that were signed with them; nothing here does.

use crate::certificate;
use crate::model::USER;
use honmaru_base::{ApiError, Time};
use honmaru_machine::Resource;
use serde::{Deserialize, Serialize};
use x509_parser::public_key::PublicKey;

/// A user's signing certificate; its key is its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SigningCertificate {
    /// 32 letters and digits.
    pub(crate) id: String,
    /// Row key of the user.
    pub(crate) user: String,
    /// The certificate as it was uploaded, PEM.
    pub(crate) body: String,
    /// Whether it may be used.
    pub(crate) active: bool,
    /// When it was uploaded.
    pub(crate) uploaded_at: Time,
}

impl Resource for SigningCertificate {
    const KIND: &'static str = "iam.signing_certificate";
    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add(USER, self.user.clone());
    }
}

/// What a certificate is, once its text is one, and valid now.
pub(crate) fn read(text: &str, now: Time) -> Result<Vec<u8>, ApiError> {
    let der = certificate::only_one(text)?;
    let parsed = certificate::parsed(&der).ok_or_else(certificate::no_certificate)?;
    certificate::check_dates(&parsed, now)?;
    // Ref: UploadSigningCertificate, InvalidCertificate: "because the certificate is invalid".
    match parsed.public_key().parsed() {
        Ok(PublicKey::RSA(_) | PublicKey::EC(_) | PublicKey::DSA(_)) => Ok(der),
        _ => Err(ApiError::new(
            "InvalidCertificateException",
            "The public key of the certificate is of no kind that requests are signed with.",
        )),
    }
}
