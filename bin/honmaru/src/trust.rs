//! Which servers are believed, and under which name our own certificate is.
//!
//! Believed is whom an authority of this system's vouches for, or one in a file that the user named; and the very
//! certificates in that file, because what people make for one machine is often its own authority.

use anyhow::{Context, bail};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// Where systems keep the certificates that they trust: Debian, Fedora, Alpine.
const SYSTEM_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// TLS that believes the system's authorities and what is in `more`, a PEM file.
pub fn connector(more: Option<&Path>) -> anyhow::Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let more = more.map(certificates).transpose()?.unwrap_or_default();
    let authorities = authorities(&provider, &more)?;
    believing(provider, Believed::Vouched { authorities, own: more })
}

/// TLS to a server that shows one certain certificate, whoever vouches for it and whatever it is called.
pub fn connector_for(leaf: CertificateDer<'static>) -> anyhow::Result<TlsConnector> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    believing(provider, Believed::Shown(leaf))
}

fn believing(provider: Arc<CryptoProvider>, believed: Believed) -> anyhow::Result<TlsConnector> {
    let verifier = Verifier {
        algorithms: provider.signature_verification_algorithms,
        believed,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The certificates of a PEM file, in its order.
pub fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let pem = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    let found = rustls_pemfile::certs(&mut pem.as_slice()).collect::<Result<Vec<_>, _>>();
    let found = found.with_context(|| format!("failed to read the certificates in {}", path.display()))?;
    if found.is_empty() {
        bail!(
            "there is no certificate in {}\nhint: a PEM file is expected",
            path.display()
        );
    }
    Ok(found)
}

/// The host in the URLs of an endpoint that listens on `listen` with a certificate: a name that the certificate is for
/// and that leads here. Nothing when there is none.
pub fn host_for(chain: &[CertificateDer<'_>], listen: SocketAddr) -> Option<String> {
    let leaf = chain.first()?;
    let parsed = ParsedCertificate::try_from(leaf).ok()?;
    let is_for =
        |name: &str| ServerName::try_from(name.to_owned()).is_ok_and(|name| verify_server_name(&parsed, &name).is_ok());
    let (ip, anywhere) = (listen.ip(), listen.ip().is_unspecified());
    if !anywhere && is_for(&ip.to_string()) {
        return Some(if ip.is_ipv6() {
            format!("[{ip}]")
        } else {
            ip.to_string()
        });
    }
    if (anywhere || ip.is_loopback()) && is_for("localhost") {
        return Some("localhost".to_owned());
    }
    let certificate = webpki::EndEntityCert::try_from(leaf).ok()?;
    let first = certificate.valid_dns_names().find(|name| is_for(name));
    first.map(str::to_owned)
}

/// Whether this system believes a server with that chain under that name, without being told.
pub fn is_believed_by_system(chain: &[CertificateDer<'static>], host: &str) -> bool {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (Some((leaf, rest)), Ok(Some(system))) = (chain.split_first(), authorities(&provider, &[])) else {
        return false;
    };
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
    name.is_ok_and(|name| {
        system
            .verify_server_cert(leaf, rest, &name, &[], UnixTime::now())
            .is_ok()
    })
}

/// The system's authorities and more of them; nothing when there is not one.
fn authorities(
    provider: &Arc<CryptoProvider>,
    more: &[CertificateDer<'static>],
) -> anyhow::Result<Option<Arc<WebPkiServerVerifier>>> {
    let mut roots = RootCertStore::empty();
    let system = SYSTEM_ROOTS.into_iter().map(Path::new).find(|path| path.exists());
    let pem = system.and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    // A root that this library cannot use is one that nobody can rely on: the others are kept.
    roots.add_parsable_certificates(rustls_pemfile::certs(&mut pem.as_slice()).filter_map(Result::ok));
    roots.add_parsable_certificates(more.iter().cloned());
    if roots.is_empty() {
        return Ok(None);
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    Ok(Some(verifier.context("the trusted certificates cannot be used")?))
}

#[derive(Debug)]
struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    believed: Believed,
}

/// Who is believed.
#[derive(Debug)]
enum Believed {
    /// Whom an authority vouches for.
    Vouched {
        authorities: Option<Arc<WebPkiServerVerifier>>,
        /// Servers' own certificates that are believed as they are.
        own: Vec<CertificateDer<'static>>,
    },
    /// Whoever shows this certificate, under any name.
    Shown(CertificateDer<'static>),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.believed {
            Believed::Vouched { own, .. } if own.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            Believed::Vouched { authorities, .. } => match authorities {
                Some(authorities) => {
                    authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                }
                None => Err(Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)),
            },
            Believed::Shown(leaf) if leaf == end_entity => Ok(ServerCertVerified::assertion()),
            Believed::Shown(_) => Err(Error::General("another certificate is shown".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
