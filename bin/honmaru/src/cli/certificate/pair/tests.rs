//! Every mistake with the two files has a sentence, and none of them shows a key.

use super::*;
use std::os::unix::fs::PermissionsExt;

macro_rules! pem {
    ($file:literal) => {
        include_str!(concat!("../../../../../../services/iam/src/tests/pem/", $file))
    };
}

/// 2026-06-01.
const NOW_MS: i64 = 1_780_272_000_000;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn read(&self, cert: &str, key: &str) -> Result<Pair, String> {
        self.read_bytes(cert.as_bytes(), key)
    }

    fn read_bytes(&self, cert: &[u8], key: &str) -> Result<Pair, String> {
        let (cert_path, key_path) = (self.0.path().join("cert.pem"), self.0.path().join("key.pem"));
        std::fs::write(&cert_path, cert).expect("a file");
        std::fs::write(&key_path, key).expect("a file");
        std::fs::set_permissions(&key_path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
        Pair::read(&cert_path, &key_path, NOW_MS).map_err(|usage| usage.0)
    }
}

#[test]
fn a_pair_is_read_and_only_what_belongs_to_it_is_taken() {
    let files = Files::new();
    let whole = format!(
        "the leaf\n{}\nits issuer\n{}{}",
        pem!("leaf.pem"),
        pem!("between.pem"),
        pem!("root.pem")
    );
    let pair = files.read(&whole, pem!("leaf.key")).expect("a pair");
    assert_eq!(pair.facts.names, ["api.example.com"]);
    assert_eq!(pair.body_pem, pem!("leaf.pem"));
    let chain = pair.chain_pem.as_deref().expect("a chain");
    assert_eq!(chain, [pem!("between.pem"), pem!("root.pem")].concat());
    assert!(pair.key_pem().starts_with("-----BEGIN EC PRIVATE KEY-----\n"));
    assert!(!pair.key_pem().contains("PARAMETERS"), "the key alone is sent");
    assert!(!format!("{pair:?}").contains("PRIVATE"));
    assert_eq!(
        pair.sentence(NOW_MS),
        "the certificate is for api.example.com and ends on 2120-01-01"
    );
    // The chain is part of what is served.
    let alone = files.read(pem!("leaf.pem"), pem!("leaf.key")).expect("a pair");
    assert_ne!(alone.digest, pair.digest);
    assert_eq!((alone.digest.len(), alone.chain_pem), (16, None));
    // Both in one file, and traditional RSA keys.
    let both = format!("{}{}", pem!("rsa-traditional.key"), pem!("rsa.pem"));
    let pair = files.read(&both, &both).expect("a pair");
    assert_eq!(pair.key_pem(), pem!("rsa-traditional.key"));
    assert_eq!(pair.facts.names, ["shop.example.com", "*.shop.example.com"]);
    assert_eq!(pair.facts.host().as_deref(), Some("shop.example.com"));
    files.read(pem!("p384.pem"), pem!("p384.key")).expect("a pair");
}

#[test]
fn every_mistake_has_a_sentence() {
    let files = Files::new();
    let chain = |parts: &[&str]| parts.concat();
    let two_keys = pem!("rsa.key").repeat(2);
    let damaged = pem!("leaf.pem").replace("-----END", "####-----END");
    for (cert, key, what, hint) in [
        (
            pem!("rsa.pem").to_owned(),
            pem!("leaf.key"),
            "is not that of the certificate",
            "openssl x509",
        ),
        (
            pem!("leaf.key").to_owned(),
            pem!("leaf.pem"),
            "has a private key and no certificate",
            "exchanged",
        ),
        (
            pem!("leaf.pem").to_owned(),
            pem!("leaf.pem"),
            "has a certificate and no private key",
            "exchanged",
        ),
        (
            String::new(),
            pem!("leaf.key"),
            "has no certificate",
            "BEGIN CERTIFICATE",
        ),
        (
            pem!("leaf.pem").to_owned(),
            "",
            "has no private key",
            "BEGIN PRIVATE KEY",
        ),
        (damaged, pem!("leaf.key"), "is damaged", "fresh copy"),
        (
            "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n".to_owned(),
            pem!("leaf.key"),
            "is a request for a certificate",
            "authority",
        ),
        (
            pem!("rsa.pem").to_owned(),
            pem!("rsa-encrypted.key"),
            "is encrypted",
            "openssl pkey",
        ),
        (
            pem!("rsa.pem").to_owned(),
            pem!("rsa-traditional-encrypted.key"),
            "is encrypted",
            "openssl pkey",
        ),
        (
            pem!("rsa.pem").to_owned(),
            &two_keys,
            "has several private keys",
            "leave the one",
        ),
        (
            pem!("expired.pem").to_owned(),
            pem!("expired.key"),
            "ended on 2021-01-01",
            "renewed",
        ),
        (
            pem!("early.pem").to_owned(),
            pem!("early.key"),
            "is not valid before 2100-01-01",
            "clock",
        ),
        (
            chain(&[pem!("between.pem"), pem!("leaf.pem")]),
            pem!("leaf.key"),
            "belongs to certificate 2",
            "first",
        ),
        (
            chain(&[pem!("leaf.pem"), pem!("root.pem")]),
            pem!("leaf.key"),
            "`api.example.com` was issued by `Test intermediate`, but after it comes `Test root`",
            "the server's own certificate comes first",
        ),
        (
            pem!("rsa-1024.pem").to_owned(),
            pem!("rsa-1024.key"),
            "RSA key of 1024 bits cannot be served",
            "P-256",
        ),
        (
            pem!("p521.pem").to_owned(),
            pem!("p521.key"),
            "cannot be served",
            "P-384",
        ),
        (
            pem!("ed25519.pem").to_owned(),
            pem!("ed25519.key"),
            "cannot be served",
            "P-384",
        ),
        (
            pem!("nowhere.pem").to_owned(),
            pem!("nowhere.key"),
            "names no host with a dot",
            "shop.example.com",
        ),
    ] {
        let said = files.read(&cert, key).expect_err(what);
        let (said, advice) = said.split_once("\nhint: ").expect("a hint");
        assert!(said.contains(what), "wanted `{what}`: {said}");
        assert!(advice.contains(hint), "wanted `{hint}`: {advice}");
        assert!(!said.contains("-----BEGIN"), "{said}");
    }
    let said = files
        .read_bytes(&[0x30, 0x82, 0x01, 0x02], pem!("leaf.key"))
        .expect_err("DER");
    assert!(said.contains("DER"), "{said}");
    let missing = files.0.path().join("none.pem");
    let said = Pair::read(&missing, &missing, NOW_MS).expect_err("no file").0;
    assert!(
        said.contains("the certificate `") && said.contains("none.pem` cannot be read"),
        "{said}"
    );
}

#[test]
fn what_makes_clients_refuse_it_is_told() {
    let files = Files::new();
    let warnings = |cert: &str, key: &str| files.read(cert, key).expect("a pair").warnings.join("\n");
    let said = warnings(pem!("leaf.pem"), pem!("leaf.key"));
    assert!(
        said.contains("issued by `Test intermediate`") && said.contains("fullchain.pem"),
        "{said}"
    );
    let said = warnings(&[pem!("leaf.pem"), pem!("between.pem")].concat(), pem!("leaf.key"));
    assert!(!said.contains("fullchain.pem"), "{said}");
    assert!(warnings(pem!("rsa.pem"), pem!("rsa.key")).contains("is its own authority"));
    // Its last days.
    let (cert, key) = (files.0.path().join("cert.pem"), files.0.path().join("key.pem"));
    std::fs::write(&cert, pem!("expired.pem")).expect("a file");
    std::fs::write(&key, pem!("expired.key")).expect("a file");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let of_2020_12_22 = 1_608_595_200_000;
    let said = Pair::read(&cert, &key, of_2020_12_22)
        .expect("still valid")
        .warnings
        .join("\n");
    assert!(said.contains("ends in 10 days, on 2021-01-01"), "{said}");
    assert!(said.contains("(mode 644): `chmod 600"), "{said}");
}

#[test]
fn version_1_of_x509_is_refused() {
    let files = Files::new();
    let path = |name: &str| files.0.path().join(name).display().to_string();
    std::fs::write(path("leaf.key"), pem!("leaf.key")).expect("a file");
    let (request, cert, key) = (path("request.pem"), path("old.pem"), path("leaf.key"));
    for arguments in [
        [
            "req",
            "-new",
            "-subj",
            "/CN=old.example.com",
            "-key",
            &key,
            "-out",
            &request,
        ]
        .as_slice(),
        &["x509", "-req", "-in", &request, "-signkey", &key, "-out", &cert],
    ] {
        let made = std::process::Command::new("openssl").args(arguments).output();
        assert!(made.is_ok_and(|made| made.status.success()), "openssl {arguments:?}");
    }
    let old = std::fs::read_to_string(&cert).expect("a file");
    let said = files.read(&old, pem!("leaf.key")).expect_err("an old version");
    assert!(
        said.contains("is of an old version of X.509") && said.contains("-extfile"),
        "{said}"
    );
}
