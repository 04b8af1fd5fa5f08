//! SSH public keys of users: RSA keys, as OpenSSH writes them or in PEM. Nothing here lets anybody in with one.

use crate::model::USER;
use honmaru_base::{ApiError, Time};
use honmaru_machine::Resource;
use md5::{Digest, Md5};
use pkcs1::{RsaPublicKey, UintRef};
use serde::{Deserialize, Serialize};
use spki::der::asn1::{AnyRef, BitStringRef};
use spki::der::pem::LineEnding;
use spki::der::{Encode, EncodePem};
use spki::{AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef};
use ssh_key::public::KeyData;
use ssh_key::{Mpint, PublicKey};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::{PublicKey as Parsed, RSAPublicKey};
use x509_parser::x509::SubjectPublicKeyInfo;

/// Ref: UploadSSHPublicKey: "The minimum bit-length of the public key is 2048 bits."
const BITS_MIN: u32 = 2_048;
/// Ref: RFC 8017, A.1: rsaEncryption.
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A user's SSH public key; its key is its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SshPublicKey {
    /// `APKA...`.
    pub(crate) id: String,
    /// Row key of the user.
    pub(crate) user: String,
    /// As OpenSSH writes it, without a comment.
    pub(crate) openssh: String,
    /// As it was uploaded.
    pub(crate) body: String,
    /// Whether it may be used.
    pub(crate) active: bool,
    /// When it was uploaded.
    pub(crate) uploaded_at: Time,
}

impl Resource for SshPublicKey {
    const KIND: &'static str = "iam.ssh_public_key";
    fn index(&self, add: &mut dyn FnMut(&'static str, String)) {
        add(USER, self.user.clone());
    }
}

fn invalid() -> ApiError {
    ApiError::new(
        "InvalidPublicKeyException",
        "The public key is malformed or otherwise invalid.",
    )
}

/// Seen: in a report of a failed upload, `A client error (UnrecognizedPublicKeyEncoding) ...`.
fn unrecognized() -> ApiError {
    ApiError::new("UnrecognizedPublicKeyEncodingException", "Invalid public key uploaded.")
}

/// An RSA public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RsaKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl RsaKey {
    /// Reads a key as it is uploaded: a line of OpenSSH, or a PEM block of PKCS #1 or SubjectPublicKeyInfo.
    pub(crate) fn read(text: &str) -> Result<Self, ApiError> {
        let text = text.trim();
        let key = if text.starts_with("ssh-rsa ") {
            Self::of_openssh(text).ok_or_else(invalid)?
        } else if text.starts_with("-----BEGIN ") {
            let block = Pem::iter_from_buffer(text.as_bytes()).next();
            let block = block.and_then(Result::ok).ok_or_else(invalid)?;
            match block.label.as_str() {
                "PUBLIC KEY" => Self::of_spki(&block.contents).ok_or_else(invalid)?,
                "RSA PUBLIC KEY" => Self::of_pkcs1(&block.contents).ok_or_else(invalid)?,
                _ => return Err(unrecognized()),
            }
        } else {
            return Err(unrecognized());
        };
        if key.bits() < BITS_MIN {
            return Err(invalid());
        }
        Ok(key)
    }

    fn new(modulus: &[u8], exponent: &[u8]) -> Self {
        let unsigned = |number: &[u8]| -> Vec<u8> { number.iter().copied().skip_while(|byte| *byte == 0).collect() };
        Self {
            modulus: unsigned(modulus),
            exponent: unsigned(exponent),
        }
    }

    /// Ref: RFC 4253, section 6.6.
    fn of_openssh(line: &str) -> Option<Self> {
        match PublicKey::from_openssh(line).ok()?.key_data() {
            KeyData::Rsa(key) => Some(Self::new(key.n.as_positive_bytes()?, key.e.as_positive_bytes()?)),
            _ => None,
        }
    }

    /// Ref: RFC 5280, 4.1.
    fn of_spki(der: &[u8]) -> Option<Self> {
        let (rest, info) = SubjectPublicKeyInfo::from_der(der).ok()?;
        match info.parsed().ok()? {
            Parsed::RSA(key) if rest.is_empty() => Some(Self::new(key.modulus, key.exponent)),
            _ => None,
        }
    }

    /// Ref: RFC 8017, A.1.1.
    fn of_pkcs1(der: &[u8]) -> Option<Self> {
        let (rest, key) = RSAPublicKey::from_der(der).ok()?;
        rest.is_empty().then(|| Self::new(key.modulus, key.exponent))
    }

    fn bits(&self) -> u32 {
        let zeros = self.modulus.first().map_or(0, |byte| byte.leading_zeros());
        u32::try_from(self.modulus.len()).map_or(u32::MAX, |bytes| bytes * 8 - zeros)
    }

    fn openssh_key(&self) -> Option<PublicKey> {
        let key = ssh_key::public::RsaPublicKey {
            e: Mpint::from_positive_bytes(&self.exponent).ok()?,
            n: Mpint::from_positive_bytes(&self.modulus).ok()?,
        };
        Some(PublicKey::new(KeyData::Rsa(key), ""))
    }

    /// The line that OpenSSH takes, without a comment.
    pub(crate) fn openssh(&self) -> Result<String, ApiError> {
        let line = self.openssh_key().and_then(|key| key.to_openssh().ok());
        line.map(|line| line.trim().to_owned()).ok_or_else(invalid)
    }

    /// The same key as PEM of a SubjectPublicKeyInfo.
    pub(crate) fn pem(&self) -> Option<String> {
        let key = RsaPublicKey {
            modulus: UintRef::new(&self.modulus).ok()?,
            public_exponent: UintRef::new(&self.exponent).ok()?,
        };
        let der = key.to_der().ok()?;
        let info = SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef {
                oid: RSA_ENCRYPTION,
                parameters: Some(AnyRef::NULL),
            },
            subject_public_key: BitStringRef::from_bytes(&der).ok()?,
        };
        info.to_pem(LineEnding::LF).ok()
    }

    /// Ref: RFC 4716, section 4: MD5 of the key as it is sent, in pairs of digits.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        let bytes = self.openssh_key()?.to_bytes().ok()?;
        let pairs = Md5::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>();
        Some(pairs.join(":"))
    }
}
