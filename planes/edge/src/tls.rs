//! TLS: certificates chosen by the client's server name, and connections to targets, whose certificates are not
//! verified. Ref: ALB guide, "HTTPS listeners": "the load balancer does not validate target certificates".

use crate::error::EdgeError;
use crate::plan::pattern_of;
use crate::pool::Stream;
use honmaru_contract::edge::Certificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    DigitallySignedStruct, Error, ServerConfig, SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion,
};
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
    let key = provider()
        .key_provider
        .load_private_key(key)
        .map_err(|error| wrong(error.into()))?;
    let key = CertifiedKey::new(chain, key);
    match key.keys_match() {
        // What the library cannot read, X.509 of version 1 for example, is for clients to read: it is served.
        Ok(()) | Err(Error::InvalidCertificate(_)) => Ok(Arc::new(key)),
        Err(error) => Err(wrong(error.into())),
    }
}

/// Certificates by server name; the default one where no name fits.
#[derive(Debug)]
struct ByName {
    /// The best of a name comes first.
    names: HashMap<String, Vec<Arc<CertifiedKey>>>,
    default: Arc<CertifiedKey>,
}

impl ByName {
    /// The first one is the default; it is taken by name only where it stands among the others, too. Ref: ALB guide,
    /// "Certificate list".
    fn new(certificates: &[Certificate]) -> Result<Self, EdgeError> {
        let key = |it: &Certificate| certified_key(&it.arn, &it.chain_pem, &it.key_pem);
        let (default, listed) = certificates.split_first().ok_or_else(|| EdgeError::Certificate {
            name: "default".to_owned(),
            source: "the listener has no certificate".into(),
        })?;
        let mut names: HashMap<String, Vec<Arc<CertifiedKey>>> = HashMap::new();
        for certificate in listed {
            let key = key(certificate)?;
            for name in &certificate.names {
                names.entry(name.clone()).or_default().push(key.clone());
            }
        }
        for keys in names.values_mut() {
            // Ref: the same, criteria: ECDSA before RSA.
            keys.sort_by_key(|key| key.key.algorithm() != SignatureAlgorithm::ECDSA);
        }
        Ok(Self {
            names,
            default: key(default)?,
        })
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| {
            let name = name.to_ascii_lowercase();
            let covered = || self.names.get(&pattern_of(&name)?);
            self.names.get(&name).or_else(covered)
        });
        // The best one that the client can do with; rustls tells only schemes that fit its suites.
        let found = named
            .into_iter()
            .flatten()
            .find(|key| key.key.choose_scheme(hello.signature_schemes()).is_some());
        Some(found.unwrap_or(&self.default).clone())
    }
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spoken<'a> {
    /// `TLSv1.2`, `TLSv1.3`; none said: both.
    pub(crate) versions: &'a [String],
    /// What is offered by ALPN, the preferred first.
    pub(crate) alpn: &'a [&'a [u8]],
}

/// The suites of TLS 1.2 are those that AWS's policies and rustls have in common; TLS 1.3 has all of its own.
fn server_provider() -> &'static Arc<CryptoProvider> {
    use rustls::CipherSuite as Suite;
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let mut provider = ring::default_provider();
        provider.cipher_suites.retain(|suite| {
            !matches!(
                suite.suite(),
                Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
                    | Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
            )
        });
        Arc::new(provider)
    })
}

/// A listener's TLS, with what it was made of.
pub(crate) struct Secured {
    certificates: Vec<Certificate>,
    versions: Vec<String>,
    alpn: Vec<Vec<u8>>,
    pub(crate) config: Arc<ServerConfig>,
}

impl Secured {
    /// The earlier one is taken over where nothing of it changed: no key is read anew when a target comes or goes, and
    /// clients can resume their sessions.
    pub(crate) fn new(
        certificates: &[Certificate],
        spoken: Spoken<'_>,
        earlier: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, EdgeError> {
        let is_same = |earlier: &&Arc<Self>| {
            earlier.certificates == certificates && earlier.versions == spoken.versions && earlier.alpn == spoken.alpn
        };
        if let Some(earlier) = earlier.filter(is_same) {
            return Ok(earlier.clone());
        }
        Ok(Arc::new(Self {
            certificates: certificates.to_vec(),
            versions: spoken.versions.to_vec(),
            alpn: spoken.alpn.iter().map(|protocol| protocol.to_vec()).collect(),
            config: server_config(certificates, spoken)?,
        }))
    }

    /// Whether one of the certificates is for that name.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let pattern = pattern_of(&name);
        let mut names = self.certificates.iter().flat_map(|certificate| &certificate.names);
        names.any(|it| *it == name || Some(it) == pattern.as_ref())
    }
}

/// A listener's TLS configuration, by ring.
pub(crate) fn server_config(certificates: &[Certificate], spoken: Spoken<'_>) -> Result<Arc<ServerConfig>, EdgeError> {
    let names = ByName::new(certificates)?;
    let is_spoken = |version: &str| spoken.versions.is_empty() || spoken.versions.iter().any(|it| it == version);
    let versions: Vec<&SupportedProtocolVersion> = [("TLSv1.3", &TLS13), ("TLSv1.2", &TLS12)]
        .into_iter()
        .filter_map(|(name, version)| is_spoken(name).then_some(version))
        .collect();
    let mut config = ServerConfig::builder_with_provider(server_provider().clone())
        .with_protocol_versions(&versions)
        .map_err(|error| EdgeError::Certificate {
            name: "default".to_owned(),
            source: error.into(),
        })?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(names));
    // Ref: ALB guide, "Security policies": the first cipher on the server's list that matches.
    config.ignore_client_order = true;
    config.alpn_protocols = spoken.alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(Arc::new(config))
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
