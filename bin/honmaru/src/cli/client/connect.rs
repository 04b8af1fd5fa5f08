//! A connection to an endpoint, plain or within TLS.

use crate::trust;
use anyhow::Context;
use rustls::pki_types::ServerName;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Connects to `authority` (`host`, `host:port`). With `tls` the server must be one that the system or the PEM file `ca`
/// vouches for.
pub async fn connect(authority: &str, tls: bool, ca: Option<&Path>) -> anyhow::Result<Box<dyn Duplex>> {
    let parsed: http::uri::Authority = authority
        .parse()
        .with_context(|| format!("`{authority}` is no HOST:PORT"))?;
    let port = parsed.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let host = parsed.host().trim_matches(['[', ']']).to_owned();
    let stream = TcpStream::connect((host.as_str(), port))
        .await
        .with_context(|| format!("failed to connect to {host}:{port}"))?;
    stream.set_nodelay(true)?;
    if !tls {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(host.clone()).with_context(|| format!("`{host}` is no name of a server"))?;
    let stream = trust::connector(ca)?.connect(name, stream).await.with_context(|| {
        format!(
            "{authority} is not believed to be the cloud\nhint: name the certificate that it has, or its authority's, \
             with `AWS_CA_BUNDLE=FILE`"
        )
    })?;
    Ok(Box::new(stream))
}
