//! Certificates of tests.

use crate::cloud::{bounded, text};
use anyhow::{Result, ensure};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long openssl may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Makes a certificate for `localhost` and 127.0.0.1 that is its own authority, and its key: what people make for one
/// machine. Both as PEM; valid for two days.
pub fn self_signed(cert: &Path, key: &Path) -> Result<()> {
    self_signed_for("localhost", "DNS:localhost,IP:127.0.0.1", cert, key)
}

/// The same for another name, and the names of its subjectAltName in openssl's words.
pub fn self_signed_for(name: &str, names: &str, cert: &Path, key: &Path) -> Result<()> {
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "2", "-subj", &format!("/CN={name}")])
        .args(["-addext", &format!("subjectAltName={names}"), "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(cert);
    run(&mut openssl)
}

/// Makes a certificate for names (in openssl's words) that an authority has signed, and its key. Valid for that many days.
pub fn issued(authority: (&Path, &Path), names: &str, days: u32, cert: &Path, key: &Path) -> Result<()> {
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-CA",
        ])
        .arg(authority.0)
        .arg("-CAkey")
        .arg(authority.1)
        .args(["-nodes", "-days", &days.to_string(), "-subj", "/CN=issued"])
        .args(["-addext", &format!("subjectAltName={names}"), "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(cert);
    run(&mut openssl)
}

fn run(openssl: &mut Command) -> Result<()> {
    let made = bounded(openssl, TIMEOUT)?;
    ensure!(made.status.success(), "openssl failed: {}", text(&made.stderr));
    Ok(())
}
