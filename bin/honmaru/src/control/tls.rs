//! TLS on the endpoint's own port: a connection that begins with a handshake is TLS, any other is plain HTTP.

use crate::trust;
use anyhow::Context;
use honmaru_cloudtrail::{Tls, TlsVersion};
use rustls::{ProtocolVersion, ServerConfig};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The first byte of a TLS record with a handshake. Ref: RFC 8446, 5.1. No HTTP method begins with it.
const HANDSHAKE: u8 = 0x16;
/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first: PEM.
    pub cert: PathBuf,
    /// Its private key: PEM.
    pub key: PathBuf,
}

/// A connection after its first bytes.
pub enum Opened {
    /// Plain HTTP.
    Plain(TcpStream),
    /// HTTP within TLS.
    Secure(Box<TlsStream<TcpStream>>),
}

/// What turns TLS connections into plain bytes, by ring, TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
pub fn acceptor(files: &TlsFiles) -> anyhow::Result<TlsAcceptor> {
    let chain = trust::certificates(&files.cert)?;
    let key = read(&files.key)?;
    let key = rustls_pemfile::private_key(&mut key.as_slice())
        .with_context(|| format!("failed to read the key in {}", files.key.display()))?
        .with_context(|| format!("there is no private key in {}", files.key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .with_context(|| format!("{} is not the key of {}", files.key.display(), files.cert.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))
}

/// What a connection agreed on, for the audit trail.
pub fn agreed(stream: &TlsStream<TcpStream>) -> Option<Tls> {
    let (_, connection) = stream.get_ref();
    let version = match connection.protocol_version()? {
        ProtocolVersion::TLSv1_2 => TlsVersion::V1_2,
        ProtocolVersion::TLSv1_3 => TlsVersion::V1_3,
        _ => return None,
    };
    let suite = u16::from(connection.negotiated_cipher_suite()?.suite());
    Some(Tls { version, suite })
}

/// Looks at the first byte and shakes hands where the client wants to. The caller says how long it may take.
pub async fn open(acceptor: Option<&TlsAcceptor>, stream: TcpStream) -> io::Result<Opened> {
    let Some(acceptor) = acceptor else {
        return Ok(Opened::Plain(stream));
    };
    let mut first = [0];
    match stream.peek(&mut first).await? {
        1 if first == [HANDSHAKE] => Ok(Opened::Secure(Box::new(acceptor.accept(stream).await?))),
        _ => Ok(Opened::Plain(stream)),
    }
}
