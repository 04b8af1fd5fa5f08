//! A certificate and its private key, out of two files.

use super::{Facts, chain, end_words, key, wrong};
use crate::cli::failure::Usage;
use crate::trust;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A file at most.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Bits of a mode that let everybody read or write.
const EVERYBODY: u32 = 0o006;
/// Ref: RFC 7468, section 2: lines have 64 characters.
const PEM_LINE_CHARACTERS: usize = 64;
/// Characters of a digest that tell the certificates of an app apart.
const DIGEST_CHARACTERS: usize = 16;

/// A certificate with its key that can be served.
pub struct Pair {
    /// The server's own certificate.
    pub body_pem: String,
    /// Those that lead on from it.
    pub chain_pem: Option<String>,
    key_pem: String,
    /// What tells it from another one: the digest of the whole chain.
    pub digest: String,
    /// What it says of itself.
    pub facts: Facts,
    /// What its owner should know.
    pub warnings: Vec<String>,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

impl Pair {
    /// Reads and checks a pair. Each mistake is told with what to do about it.
    pub fn read(cert: &Path, key: &Path, now_ms: i64) -> Result<Self, Usage> {
        let (cert_file, key_file) = (cert.display().to_string(), key.display().to_string());
        let ders = chain::read(&cert_file, &contents("certificate", cert)?)?;
        let private = key::read(&key_file, &contents("private key", key)?)?;
        key::check((&cert_file, &key_file), &ders, &private)?;
        chain::check(&cert_file, &ders, now_ms)?;
        let Some((leaf, rest)) = ders.split_first() else {
            return Err(wrong(
                format!("`{cert_file}` has no certificate"),
                "a PEM file is expected",
            ));
        };
        let facts =
            Facts::of(leaf).ok_or_else(|| wrong(format!("`{cert_file}` is damaged"), "take a fresh copy of it"))?;
        let Some(host) = facts.host().filter(|host| host.contains('.')) else {
            return Err(wrong(
                format!("the certificate in `{cert_file}` names no host with a dot in it"),
                "it must be for a name like `shop.example.com`, in its subjectAltName",
            ));
        };
        let pem_of =
            |ders: &[CertificateDer<'_>]| -> String { ders.iter().map(|der| pem("CERTIFICATE", der)).collect() };
        let digest = ders.iter().fold(Sha256::new(), |digest, der| digest.chain_update(der));
        let mut digest = hex::encode(digest.finalize());
        digest.truncate(DIGEST_CHARACTERS);
        let mut warnings: Vec<String> = open_key(key).into_iter().collect();
        warnings.extend(doubts(&cert_file, &facts, &ders, &host, now_ms));
        Ok(Self {
            body_pem: pem_of(std::slice::from_ref(leaf)),
            chain_pem: Some(pem_of(rest)).filter(|pem| !pem.is_empty()),
            key_pem: key::pem(&private),
            digest,
            facts,
            warnings,
        })
    }

    /// The private key, for IAM and nobody else.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// What it is, in a sentence.
    pub fn sentence(&self, now_ms: i64) -> String {
        format!(
            "the certificate is for {} and {}",
            self.facts.names.join(", "),
            end_words(self.facts.ends_ms, now_ms)
        )
    }
}

/// One block of PEM.
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(PEM_LINE_CHARACTERS) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

fn contents(what: &str, path: &Path) -> Result<Vec<u8>, Usage> {
    let shown = path.display();
    let file = std::fs::File::open(path);
    let mut bytes = Vec::new();
    let read = file.and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let hint = match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                "run the command as somebody who may read it, with `sudo` for example"
            }
            _ => "name a PEM file",
        };
        return Err(wrong(format!("the {what} `{shown}` cannot be read: {error}"), hint));
    }
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("`{shown}` is too large for a {what}"), "name a PEM file"));
    }
    Ok(bytes)
}

/// What to say of a key that everybody may read.
fn open_key(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.mode();
    (mode & EVERYBODY != 0).then(|| {
        format!(
            "every user of this machine may read or change the private key `{0}` (mode {1:03o}): `chmod 600 {0}`",
            path.display(),
            mode & 0o777
        )
    })
}

/// What makes clients refuse a certificate that can be served.
fn doubts(file: &str, facts: &Facts, ders: &[CertificateDer<'static>], host: &str, now_ms: i64) -> Vec<String> {
    let mut doubts = Vec::new();
    let is_trusted = trust::is_believed_by_system(ders, host);
    if facts.is_own_issuer && !is_trusted {
        doubts.push(format!(
            "the certificate in `{file}` is its own authority: nobody trusts it but who was given it"
        ));
    } else if !facts.is_listed {
        doubts.push(format!(
            "the certificate in `{file}` has its name as common name only: browsers look at the subjectAltName and refuse it"
        ));
    } else if !is_trusted {
        let more = match ders {
            [_] => "; if there is a file with the whole chain (`fullchain.pem`), name that one",
            _ => "",
        };
        doubts.push(format!(
            "no authority that this machine trusts vouches for the certificate in `{file}`, issued by `{}`: clients that \
             do not know that authority refuse it{more}",
            facts.issuer
        ));
    }
    if super::ends_soon(facts.ends_ms, now_ms) {
        doubts.push(format!(
            "the certificate in `{file}` {}: deploy with a renewed one before",
            end_words(facts.ends_ms, now_ms)
        ));
    }
    doubts
}

#[cfg(test)]
mod tests;
