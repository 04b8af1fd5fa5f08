//! The certificates of a file: the server's own, then each that has signed the one before.

use super::{Facts, day, facts::who, wrong};
use crate::cli::failure::Usage;
use rustls::pki_types::CertificateDer;
use x509_parser::error::X509Error;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The order that is expected, in words.
const ORDER: &str = "the server's own certificate comes first, then the one that signed it, and so on; the last one, that \
                     of the authority itself, may be left out";

/// Reads the certificates of a PEM text; whatever else is in it is passed over.
pub fn read(file: &str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Usage> {
    let found: Result<Vec<_>, _> = rustls_pemfile::certs(&mut &*text).collect();
    let found = found.map_err(|error| wrong(format!("`{file}` is damaged: {error}"), "take a fresh copy of it"))?;
    if !found.is_empty() {
        return Ok(found);
    }
    let has = |label: &str| text.windows(label.len()).any(|window| window == label.as_bytes());
    let (what, hint) = if has("BEGIN CERTIFICATE REQUEST") || has("BEGIN NEW CERTIFICATE REQUEST") {
        (
            "is a request for a certificate, not a certificate",
            "send it to an authority, and name the file that comes back",
        )
    } else if has("PRIVATE KEY-----") {
        (
            "has a private key and no certificate",
            "`--tls-cert` names the certificate, `--tls-key` its key: are they exchanged?",
        )
    } else if has("BEGIN PKCS7") {
        (
            "is in PKCS #7 form",
            "`openssl pkcs7 -print_certs -in FILE -out cert.pem` writes it as PEM",
        )
    } else if text.first() == Some(&0x30) {
        (
            "is no PEM file, but may be a certificate in DER or PKCS #12 form",
            "`openssl x509 -inform der -in FILE -out cert.pem`, or `openssl pkcs12 -in FILE -nokeys -out cert.pem`, \
             writes it as PEM",
        )
    } else {
        (
            "has no certificate",
            "a PEM file is expected; it has a line `-----BEGIN CERTIFICATE-----`",
        )
    };
    Err(wrong(format!("`{file}` {what}"), hint))
}

/// Checks that every certificate is valid now and signed by the next one. What the last one rests on is for the client to
/// know.
pub fn check(file: &str, ders: &[CertificateDer<'_>], now_ms: i64) -> Result<(), Usage> {
    let mut parsed = Vec::new();
    for (n, der) in (1..).zip(ders) {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| {
            wrong(
                format!("certificate {n} in `{file}` is damaged: {error}"),
                "take a fresh copy of it",
            )
        })?;
        parsed.push(certificate);
    }
    for (n, certificate) in (1..).zip(&parsed) {
        check_dates(&called(file, n, certificate), &Facts::new(certificate), now_ms)?;
    }
    for (n, pair) in (2..).zip(parsed.windows(2)) {
        let [certificate, issuer] = pair else { continue };
        if certificate.issuer() != issuer.subject() {
            return Err(wrong(
                format!(
                    "the certificates in `{file}` are not in order: `{}` was issued by `{}`, but after it comes `{}`",
                    who(certificate.subject()),
                    who(certificate.issuer()),
                    who(issuer.subject())
                ),
                ORDER,
            ));
        }
        let is_signed = match certificate.verify_signature(Some(issuer.public_key())) {
            // What cannot be verified here is the client's to verify.
            Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => true,
            Err(_) => false,
        };
        if !is_signed {
            return Err(wrong(
                format!(
                    "{} has not signed `{}`, though it has the name of its issuer",
                    called(file, n, issuer),
                    who(certificate.subject())
                ),
                "authorities have several certificates of the same name: take the one that came with yours",
            ));
        }
        if !issuer.is_ca() {
            return Err(wrong(
                format!("{} may not sign others: it is no authority's", called(file, n, issuer)),
                ORDER,
            ));
        }
    }
    Ok(())
}

fn called(file: &str, n: usize, certificate: &X509Certificate<'_>) -> String {
    match n {
        1 => format!("the certificate in `{file}`"),
        n => format!("certificate {n} in `{file}` (`{}`)", who(certificate.subject())),
    }
}

fn check_dates(called: &str, facts: &Facts, now_ms: i64) -> Result<(), Usage> {
    if now_ms > facts.ends_ms {
        return Err(wrong(
            format!("{called} ended on {}", day(facts.ends_ms)),
            "name a renewed one; nothing was changed",
        ));
    }
    if now_ms < facts.begins_ms {
        return Err(wrong(
            format!("{called} is not valid before {}", day(facts.begins_ms)),
            "wait until then, or set this machine's clock if it is wrong; nothing was changed",
        ));
    }
    Ok(())
}
