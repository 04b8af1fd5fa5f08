//! Server certificates: a certificate, its private key and its chain, checked once when they are uploaded.
//!
//! Not here: who uses one (`elbv2`), and TLS itself (`planes/edge`).
//! Invariant: the key of a stored certificate is the one that it certifies, and its chain leads on from it.

use crate::machine::scope_of;
use crate::model::key_of;
use honmaru_base::{AccountId, ApiError, Arn, Time};
use honmaru_machine::{Resource, State};
use ring::signature::RsaKeyPair;
use serde::{Deserialize, Serialize};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::ber::BerObject;
use x509_parser::der_parser::der::parse_der;
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

/// A server certificate; its key is its lower-case name.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerCertificate {
    /// The path.
    pub path: String,
    /// The name.
    pub name: String,
    /// `ASCA...`.
    pub id: String,
    /// The ARN.
    pub arn: String,
    /// The certificate, PEM.
    pub body: String,
    /// The certificates that lead on from it, PEM.
    #[serde(default)]
    pub chain: Option<String>,
    private_key: String,
    /// What its key is, in ACM's words: `RSA_2048`, `EC_prime256v1`.
    pub key_algorithm: String,
    /// The DNS names that it is for, lower case.
    pub names: Vec<String>,
    /// When it was uploaded.
    pub uploaded_at: Time,
    /// When it ends to be valid.
    pub expires_at: Time,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<(String, String)>,
}

impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificate")
            .field("arn", &self.arn)
            .field("key_algorithm", &self.key_algorithm)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl Resource for ServerCertificate {
    const KIND: &'static str = "iam.server_certificate";
}

impl ServerCertificate {
    /// A certificate of these names and texts.
    pub(crate) fn new(named: Named, texts: Texts, checked: Checked, uploaded_at: Time) -> Self {
        Self {
            path: named.path,
            name: named.name,
            id: named.id,
            arn: named.arn,
            body: texts.body,
            chain: texts.chain,
            private_key: texts.private_key,
            key_algorithm: checked.key_algorithm,
            names: checked.names,
            uploaded_at,
            expires_at: checked.expires_at,
            tags: named.tags,
        }
    }

    /// The certificate and those that lead on from it, as a server shows them.
    pub fn chain_pem(&self) -> String {
        match &self.chain {
            Some(chain) => format!("{}\n{chain}\n", self.body),
            None => format!("{}\n", self.body),
        }
    }

    /// The private key, for whoever serves with the certificate: never for an answer.
    pub fn key_pem(&self) -> &str {
        &self.private_key
    }
}

/// The server certificate that an ARN names, in its account.
pub fn server_certificate<'a>(state: &'a State, arn: &str) -> Option<&'a ServerCertificate> {
    let parsed: Arn = arn.parse().ok()?;
    let account: AccountId = parsed.account.parse().ok()?;
    let (_, name) = parsed.resource.strip_prefix("server-certificate")?.rsplit_once('/')?;
    let row = server_certificate_of_name(state, &account, name)?;
    (row.arn == arn).then_some(row)
}

/// The server certificate of a name in an account.
pub fn server_certificate_of_name<'a>(
    state: &'a State,
    account: &AccountId,
    name: &str,
) -> Option<&'a ServerCertificate> {
    state.get(&scope_of(account), &key_of(name))
}

/// What a certificate is called.
pub(crate) struct Named {
    pub(crate) path: String,
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) tags: Vec<(String, String)>,
}

/// What is uploaded, PEM.
pub(crate) struct Texts {
    pub(crate) body: String,
    pub(crate) chain: Option<String>,
    pub(crate) private_key: String,
}

/// What a certificate says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) key_algorithm: String,
    pub(crate) names: Vec<String>,
    pub(crate) expires_at: Time,
}

/// The certificate of a PEM text that has one and nothing else.
pub(crate) fn only_one(text: &str) -> Result<Vec<u8>, ApiError> {
    let mut all = certificates(text).ok_or_else(no_certificate)?;
    match (all.pop(), all.is_empty()) {
        (Some(der), true) => Ok(der),
        _ => Err(no_certificate()),
    }
}

fn malformed(message: impl Into<String>) -> ApiError {
    ApiError::new("MalformedCertificateException", message)
}

/// Seen: vmware-archive/terraforming-aws issue 46.
pub(crate) fn no_certificate() -> ApiError {
    malformed("Unable to parse certificate. Please ensure the certificate is in PEM format.")
}

/// Seen: go-acme/lego issue 304; the index is -1 where no certificate of the chain is to blame.
fn no_chain(index: i64) -> ApiError {
    malformed(format!(
        "Unable to validate certificate chain. The certificate chain must start with the immediate signing certificate, \
         followed by any intermediaries in order. The index within the chain of the invalid certificate is: {index}"
    ))
}

fn no_key() -> ApiError {
    malformed("Unable to parse key. Please ensure the key is in PEM format.")
}

fn mismatch() -> ApiError {
    ApiError::new(
        "KeyPairMismatchException",
        "Public Key Certificate and Private Key doesn't match.",
    )
}

/// Checks a certificate with its key and its chain. Ref: IAM User Guide, "Manage server certificates in IAM": valid now,
/// all in PEM, the key not encrypted.
pub(crate) fn check(texts: &Texts, now: Time) -> Result<Checked, ApiError> {
    let body = certificates(&texts.body).ok_or_else(no_certificate)?;
    let [der] = &body[..] else {
        return Err(if body.is_empty() {
            no_certificate()
        } else {
            no_chain(-1)
        });
    };
    let leaf = parsed(der).ok_or_else(no_certificate)?;
    check_dates(&leaf, now)?;
    let key_algorithm = check_key(&leaf, &texts.private_key)?;
    if let Some(chain) = &texts.chain {
        let ders = certificates(chain)
            .filter(|ders| !ders.is_empty())
            .ok_or_else(|| no_chain(-1))?;
        let chain: Option<Vec<_>> = ders.iter().map(|der| parsed(der)).collect();
        check_chain(&leaf, &chain.ok_or_else(|| no_chain(-1))?, now)?;
    }
    Ok(Checked {
        key_algorithm,
        names: names(&leaf),
        expires_at: Time::from_ms(leaf.validity().not_after.timestamp() * 1_000),
    })
}

/// The certificates of a PEM text; nothing when a block of it cannot be read or is something else.
fn certificates(text: &str) -> Option<Vec<Vec<u8>>> {
    Pem::iter_from_buffer(text.as_bytes())
        .map(|block| {
            block
                .ok()
                .filter(|block| block.label == "CERTIFICATE")
                .map(|block| block.contents)
        })
        .collect()
}

pub(crate) fn parsed(der: &[u8]) -> Option<X509Certificate<'_>> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(certificate)
}

fn is_valid_at(certificate: &X509Certificate<'_>, now: Time) -> bool {
    let (validity, now_s) = (certificate.validity(), now.as_ms().div_euclid(1_000));
    validity.not_before.timestamp() <= now_s && now_s <= validity.not_after.timestamp()
}

pub(crate) fn check_dates(certificate: &X509Certificate<'_>, now: Time) -> Result<(), ApiError> {
    if is_valid_at(certificate, now) {
        return Ok(());
    }
    let is_early = now.as_ms().div_euclid(1_000) < certificate.validity().not_before.timestamp();
    Err(malformed(if is_early {
        "Certificate is not yet valid. The 'Not Before' date restriction on the certificate has not passed."
    } else {
        "Certificate is no longer valid. The 'Not After' date restriction on the certificate has passed."
    }))
}

/// Each certificate is signed by the next one; those between are authorities and valid now. What the last one rests on is
/// for the client to know.
fn check_chain(leaf: &X509Certificate<'_>, chain: &[X509Certificate<'_>], now: Time) -> Result<(), ApiError> {
    let path = std::iter::once(leaf).chain(chain);
    for (index, (certificate, issuer)) in (0..).zip(path.zip(chain)) {
        let is_authority_now = index == 0 || (certificate.is_ca() && is_valid_at(certificate, now));
        if !is_authority_now || certificate.issuer() != issuer.subject() {
            return Err(no_chain(index));
        }
        match certificate.verify_signature(Some(issuer.public_key())) {
            // What cannot be verified here is the client's to verify.
            Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => {}
            Err(_) => return Err(no_chain(index)),
        }
    }
    Ok(())
}

/// The DNS names of the subjectAltName; without any, the subject's common name. Ref: RFC 6125, 6.4.4.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let listed = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        });
    let listed: Vec<String> = listed.collect();
    if !listed.is_empty() {
        return listed;
    }
    let common = certificate.subject().iter_common_name();
    common
        .filter_map(|name| name.as_str().ok())
        .map(str::to_ascii_lowercase)
        .collect()
}

/// A private key out of its PEM block.
enum PrivateKey<'a> {
    /// PKCS #1, with its modulus and public exponent.
    Rsa {
        der: &'a [u8],
        modulus: &'a [u8],
        exponent: &'a [u8],
    },
    /// SEC 1, with its public point. The number itself is for whoever signs with it.
    Ec { point: &'a [u8] },
}

/// Whether a text is the PEM of one RSA private key that is not encrypted.
pub(crate) fn is_rsa_key(text: &str) -> bool {
    let blocks: Result<Vec<Pem>, _> = Pem::iter_from_buffer(text.as_bytes()).collect();
    let Ok([block]) = blocks.as_deref() else {
        return false;
    };
    let key = match block.label.as_str() {
        "RSA PRIVATE KEY" if !text.contains("Proc-Type: 4,ENCRYPTED") => rsa(&block.contents),
        "PRIVATE KEY" => pkcs8(&block.contents),
        _ => None,
    };
    matches!(key, Some(PrivateKey::Rsa { .. }))
}

/// The algorithm of the key, once it is the one that the certificate is for.
fn check_key(leaf: &X509Certificate<'_>, text: &str) -> Result<String, ApiError> {
    // Ref: RFC 1421, 4.6.1.1, as OpenSSL writes traditional keys; RFC 5958 for the others.
    if text.contains("Proc-Type: 4,ENCRYPTED") || text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        return Err(malformed("Unable to parse key; the body is encrypted."));
    }
    let blocks: Result<Vec<Pem>, _> = Pem::iter_from_buffer(text.as_bytes()).collect();
    let blocks = blocks.map_err(|_| no_key())?;
    // Ref: OpenSSL writes the curve before the key.
    let mut keys = blocks.iter().filter(|block| block.label != "EC PARAMETERS");
    let (Some(block), None) = (keys.next(), keys.next()) else {
        return Err(no_key());
    };
    let key = match block.label.as_str() {
        "RSA PRIVATE KEY" => rsa(&block.contents),
        "EC PRIVATE KEY" => ec(&block.contents),
        "PRIVATE KEY" => pkcs8(&block.contents),
        _ => None,
    };
    let key = key.ok_or_else(no_key)?;
    let public = leaf.public_key();
    let certified = public.parsed().map_err(|_| no_certificate())?;
    match (key, certified) {
        (PrivateKey::Rsa { der, modulus, exponent }, PublicKey::RSA(certified)) => {
            if (modulus, exponent) != (without_sign(certified.modulus), without_sign(certified.exponent)) {
                return Err(mismatch());
            }
            let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
            // Ref: ring takes RSA keys of 2,047 to 4,096 bits; it looks whether the parts of the key belong together.
            if (2_047..=4_096).contains(&bits) && RsaKeyPair::from_der(der).is_err() {
                return Err(no_key());
            }
            Ok(format!("RSA_{bits}"))
        }
        (PrivateKey::Ec { point }, PublicKey::EC(certified)) => {
            let parameters = public.algorithm.parameters.as_ref();
            let curve = parameters
                .and_then(|any| any.as_oid().ok())
                .map(|oid| oid.to_id_string());
            // Ref: RFC 5480, 2.1.1.1.
            let algorithm = match curve.as_deref() {
                Some("1.2.840.10045.3.1.7") => "EC_prime256v1",
                Some("1.3.132.0.34") => "EC_secp384r1",
                Some("1.3.132.0.35") => "EC_secp521r1",
                _ => return Err(no_key()),
            };
            match point == certified.data() {
                true => Ok(algorithm.to_owned()),
                false => Err(mismatch()),
            }
        }
        _ => Err(mismatch()),
    }
}

/// A number of DER without the zero that only says that it is positive.
fn without_sign(number: &[u8]) -> &[u8] {
    match number {
        [0, rest @ ..] => rest,
        number => number,
    }
}

fn members<'a, 'o>(object: &'o BerObject<'a>) -> Option<&'o [BerObject<'a>]> {
    object.as_sequence().ok().map(Vec::as_slice)
}

fn bytes<'a>(object: &BerObject<'a>) -> Option<&'a [u8]> {
    use x509_parser::der_parser::ber::BerObjectContent::{BitString, Integer, OctetString};
    match &object.content {
        Integer(number) => Some(number),
        OctetString(octets) => Some(octets),
        BitString(_, bits) => Some(bits.data),
        _ => None,
    }
}

/// Ref: RFC 8017, A.1.2: version, modulus, public exponent, then the secret numbers.
fn rsa(der: &[u8]) -> Option<PrivateKey<'_>> {
    let (_, object) = parse_der(der).ok()?;
    match members(&object)? {
        [_, modulus, exponent, _, _, _, _, _, _] => Some(PrivateKey::Rsa {
            der,
            modulus: without_sign(bytes(modulus)?),
            exponent: without_sign(bytes(exponent)?),
        }),
        _ => None,
    }
}

/// Ref: RFC 5915, section 3: version, number, `[0]` curve, `[1]` public point. ring, with which the edge signs, wants the
/// point, too.
fn ec(der: &[u8]) -> Option<PrivateKey<'_>> {
    let (_, object) = parse_der(der).ok()?;
    let tagged = members(&object)?.iter().skip(2);
    let tagged = tagged.into_iter().find(|member| member.header.tag().0 == 1)?;
    let (_, point) = parse_der(tagged.as_slice().ok()?).ok()?;
    Some(PrivateKey::Ec { point: bytes(&point)? })
}

/// Ref: RFC 5958, section 2: version, algorithm, key. RFC 3279 and RFC 5480 have the algorithms.
fn pkcs8(der: &[u8]) -> Option<PrivateKey<'_>> {
    let (_, object) = parse_der(der).ok()?;
    let members = members(&object)?;
    let algorithm = self::members(members.get(1)?)?.first()?.as_oid().ok()?.to_id_string();
    let key = bytes(members.get(2)?)?;
    match algorithm.as_str() {
        "1.2.840.113549.1.1.1" => rsa(key),
        "1.2.840.10045.2.1" => ec(key),
        _ => None,
    }
}
