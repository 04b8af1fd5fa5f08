//! TLS: certificates chosen by the client's server name, and connections to targets, whose certificates are not
//! verified. Ref: ALB guide, "HTTPS listeners": "the load balancer does not validate target certificates".

use crate::error::EdgeError;
use crate::pool::Stream;
use honmaru_contract::edge::Certificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, ServerConfig, SignatureScheme};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;

fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(ring::default_provider()))
}

/// Parses a chain and its key.
pub(crate) fn certified_key(name: &str, chain_pem: &str, key_pem: &str) -> Result<Arc<CertifiedKey>, EdgeError> {
    let wrong = |source: Box<dyn std::error::Error + Send + Sync>| EdgeError::Certificate {
        name: name.to_owned(),
        source,
    };
    let chain = rustls_pemfile::certs(&mut chain_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(error.into()))?;
    let key = rustls_pemfile::private_key(&mut key_pem.as_bytes())
        .map_err(|error| wrong(error.into()))?
        .ok_or_else(|| wrong("there is no private key in it".into()))?;
    let key = CertifiedKey::from_der(chain, key, provider()).map_err(|error| wrong(error.into()))?;
    Ok(Arc::new(key))
}

/// Certificates by server name; the first one where no name fits.
#[derive(Debug)]
struct ByName {
    names: HashMap<String, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = hello.server_name().and_then(|name| {
            let name = name.to_ascii_lowercase();
            self.names.get(&name).or_else(|| {
                let (_, parent) = name.split_once('.')?;
                self.names.get(&format!("*.{parent}"))
            })
        });
        Some(found.unwrap_or(&self.default).clone())
    }
}

/// A listener's TLS configuration: TLS 1.2 and 1.3 by ring.
pub(crate) fn server_config(certificates: &[Certificate], alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, EdgeError> {
    let mut names = HashMap::new();
    let mut default = None;
    for certificate in certificates {
        let key = certified_key(&certificate.arn, &certificate.chain_pem, &certificate.key_pem)?;
        for name in key.cert.first().map(|leaf| dns_names(leaf)).unwrap_or_default() {
            names.entry(name).or_insert_with(|| key.clone());
        }
        default.get_or_insert(key);
    }
    let default = default.ok_or_else(|| EdgeError::Certificate {
        name: "default".to_owned(),
        source: "the listener has no certificate".into(),
    })?;
    let mut config = ServerConfig::builder_with_provider(provider().clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| EdgeError::Certificate {
            name: "default".to_owned(),
            source: error.into(),
        })?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ByName { names, default }));
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
}

/// The DNS names of a certificate's subjectAltName, lower case. Reads just enough DER to find them: the extension's
/// identifier 2.5.29.17, then its list of context-tagged names. Malformed input gives fewer names, never an error.
fn dns_names(der: &[u8]) -> Vec<String> {
    const SAN: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x11];
    let Some(at) = der.windows(SAN.len()).position(|window| window == SAN) else {
        return Vec::new();
    };
    let mut rest = der.get(at + SAN.len()..).unwrap_or(&[]);
    if let Some((0x01, _, tail)) = der_value(rest) {
        rest = tail; // critical BOOLEAN
    }
    let Some((0x04, octets, _)) = der_value(rest) else {
        return Vec::new();
    };
    let Some((0x30, mut list, _)) = der_value(octets) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    while let Some((tag, value, tail)) = der_value(list) {
        if tag == 0x82 {
            names.extend(std::str::from_utf8(value).ok().map(str::to_ascii_lowercase));
        }
        list = tail;
    }
    names
}

/// One DER element: its tag, its value and what follows.
fn der_value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let digits = usize::from(first & 0x7f);
        if digits == 0 || digits > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(digits)?;
        (
            digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)),
            rest,
        )
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
}

/// Accepts every certificate; signatures are still checked, so that the peer holds the key it shows.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Speaks TLS to a target.
pub(crate) async fn connect(stream: TcpStream, target: IpAddr) -> io::Result<Stream> {
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    let config = match CONFIG.get() {
        Some(config) => config,
        None => {
            let verifier = Arc::new(AnyCertificate(provider().signature_verification_algorithms));
            let config = rustls::ClientConfig::builder_with_provider(provider().clone())
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)?
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth();
            CONFIG.get_or_init(|| Arc::new(config))
        }
    };
    let connector = tokio_rustls::TlsConnector::from(config.clone());
    let stream = connector.connect(ServerName::IpAddress(target.into()), stream).await?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// TLS version and cipher suite of a connection in OpenSSL's words, for `x-amzn-tls-*` headers.
pub(crate) fn describe(connection: &rustls::ServerConnection) -> Option<(&'static str, &'static str)> {
    use rustls::CipherSuite as Suite;
    let version = match connection.protocol_version()? {
        rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3",
        rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2",
        _ => return None,
    };
    let cipher = match connection.negotiated_cipher_suite()?.suite() {
        Suite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        Suite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        Suite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => return None,
    };
    Some((version, cipher))
}
