//! One HTTP request over a connection of its own.

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;

/// An answer at most.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// Sends a request to `http://host:port`.
pub async fn send(
    base: &str,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> anyhow::Result<HttpAnswer> {
    let Some(host) = base.strip_prefix("http://") else {
        bail!("`{base}` is no endpoint: `http://HOST:PORT` is expected");
    };
    let address = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let exchange = async {
        let stream = TcpStream::connect(&address)
            .await
            .with_context(|| format!("failed to connect to {address}"))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body
            .map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?
            .to_bytes();
        driver.abort();
        anyhow::Ok(HttpAnswer { status, body })
    };
    tokio::time::timeout(ANSWER_TIMEOUT, exchange)
        .await
        .context("the answer did not come in time")?
}

/// A GET of `http://host:port` + path with a `Host` of its own.
pub async fn get(base: &str, host: &str, path: &str) -> anyhow::Result<HttpAnswer> {
    // Firewalls block requests that do not say what made them: the managed rule `NoUserAgent_HEADER` does.
    let agent = concat!("honmaru/", env!("CARGO_PKG_VERSION"));
    let headers = [("host", host), ("user-agent", agent), ("accept", "*/*")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    send(base, "GET", path, &headers, Vec::new()).await
}
