//! A private key out of its file.

use super::wrong;
use crate::cli::failure::Usage;
use rustls::SignatureAlgorithm;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_pemfile::Item;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::X509Version;

const KINDS: &str = "keys are RSA of 2048, 3072 or 4096 bits, or on the curves P-256 (prime256v1) or P-384 (secp384r1)";

/// Reads the one key of a PEM text.
pub fn read(file: &str, text: &[u8]) -> Result<PrivateKeyDer<'static>, Usage> {
    let has = |label: &str| text.windows(label.len()).any(|window| window == label.as_bytes());
    if has("BEGIN ENCRYPTED PRIVATE KEY") || has("Proc-Type: 4,ENCRYPTED") {
        return Err(wrong(
            format!("the private key in `{file}` is encrypted, and nobody could give its password when it is needed"),
            "`openssl pkey -in FILE -out plain.pem` writes it without one; keep that file from others",
        ));
    }
    // The library's own words might quote what it read.
    let items: Result<Vec<Item>, _> = rustls_pemfile::read_all(&mut &*text).collect();
    let items = items.map_err(|_| wrong(format!("`{file}` is damaged"), "take a fresh copy of it"))?;
    let mut keys = items.into_iter().filter_map(|item| match item {
        Item::Pkcs1Key(key) => Some(key.into()),
        Item::Pkcs8Key(key) => Some(key.into()),
        Item::Sec1Key(key) => Some(PrivateKeyDer::from(key)),
        _ => None,
    });
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(key),
        (Some(_), Some(_)) => Err(wrong(
            format!("`{file}` has several private keys"),
            "leave the one of the certificate in it",
        )),
        (None, _) if has("BEGIN CERTIFICATE-----") => Err(wrong(
            format!("`{file}` has a certificate and no private key"),
            "`--tls-key` names the key, `--tls-cert` the certificate: are they exchanged?",
        )),
        (None, _) => Err(wrong(
            format!("`{file}` has no private key"),
            "a PEM file is expected; it has a line `-----BEGIN PRIVATE KEY-----`",
        )),
    }
}

/// The key as PEM and nothing else, whatever stood around it.
pub fn pem(key: &PrivateKeyDer<'_>) -> String {
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    super::pair::pem(label, key.secret_der())
}

/// Checks that the key can be served with, and that the first of the certificates is its own.
pub fn check(
    (cert_file, key_file): (&str, &str),
    ders: &[CertificateDer<'_>],
    key: &PrivateKeyDer<'_>,
) -> Result<(), Usage> {
    let unsupported = |what: String| wrong(format!("{what} cannot be served"), KINDS);
    let signing = any_supported_type(key)
        .ok()
        .filter(|key| matches!(key.algorithm(), SignatureAlgorithm::RSA | SignatureAlgorithm::ECDSA));
    let is_of = |der: &CertificateDer<'_>| {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            return false;
        };
        let public = signing.as_ref().and_then(|key| key.public_key());
        public.is_some_and(|public| public.as_ref() == certificate.public_key().raw)
    };
    let leaf = ders.first().and_then(|der| X509Certificate::from_der(der).ok());
    let leaf = leaf.map(|(_, leaf)| leaf);
    if leaf.as_ref().is_some_and(|leaf| leaf.version() != X509Version::V3) {
        return Err(wrong(
            format!(
                "the certificate in `{cert_file}` is of an old version of X.509, which names its host nowhere clients look"
            ),
            "`openssl x509 -req` makes a new one with `-extfile FILE`, in which is `subjectAltName=DNS:NAME`",
        ));
    }
    if let Some(leaf) = &leaf
        && let Ok(PublicKey::RSA(public)) = leaf.public_key().parsed()
        && !matches!(public.key_size(), 2_048 | 3_072 | 4_096)
    {
        return Err(unsupported(format!(
            "a certificate with an RSA key of {} bits",
            public.key_size()
        )));
    }
    if signing.is_none() {
        return Err(unsupported(format!("the private key in `{key_file}`")));
    }
    match ders.iter().position(is_of) {
        Some(0) => Ok(()),
        Some(n) => Err(wrong(
            format!(
                "the private key belongs to certificate {} in `{cert_file}`, not to the first one",
                n + 1
            ),
            "put the server's own certificate first, then the one that signed it, and so on",
        )),
        None => Err(wrong(
            format!("the private key in `{key_file}` is not that of the certificate in `{cert_file}`"),
            "`openssl x509 -noout -pubkey -in CERT` and `openssl pkey -pubout -in KEY` print the same for a pair",
        )),
    }
}
