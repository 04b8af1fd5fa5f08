//! One HTTP request over a connection of its own.

use super::connect::{Duplex, connect as dial};
use crate::trust;
use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;

/// An answer at most.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A line of an answer at most.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long an answer may take; how long there may be no line of one that is read line by line.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// Sends a request to `http://host:port` or `https://host:port`, whose certificate `ca` may vouch for.
pub async fn send(
    base: &str,
    ca: Option<&Path>,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> anyhow::Result<HttpAnswer> {
    exchange(connect(base, ca), method, path, headers, body).await
}

/// One request over a connection that is made now.
async fn exchange(
    connected: impl Future<Output = anyhow::Result<Connected>>,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> anyhow::Result<HttpAnswer> {
    let exchange = async {
        let mut connected = connected.await?;
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let answer = connected.sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body
            .map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?
            .to_bytes();
        anyhow::Ok(HttpAnswer { status, body })
    };
    tokio::time::timeout(ANSWER_TIMEOUT, exchange)
        .await
        .context("the answer did not come in time")?
}

/// Sends a request without a body, and gives each line of a good answer to `each` as it comes. The answer may take as long
/// as it likes, as long as lines come.
pub async fn follow(
    base: &str,
    ca: Option<&Path>,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    mut each: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<HttpAnswer> {
    let mut connected = connect(base, ca).await?;
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let sent = connected.sender.send_request(request.body(Full::new(Bytes::new()))?);
    let late = "the answer did not come in time";
    let mut answer = tokio::time::timeout(ANSWER_TIMEOUT, sent).await.context(late)??;
    let status = answer.status().as_u16();
    let mut rest = Vec::new();
    while let Some(frame) = tokio::time::timeout(ANSWER_TIMEOUT, answer.frame())
        .await
        .context(late)?
    {
        let Ok(data) = frame.context("the answer broke off")?.into_data() else {
            continue;
        };
        if rest.len() + data.len() > LINE_BYTES_MAX {
            bail!("a line of the answer is too long");
        }
        rest.extend_from_slice(&data);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n').filter(|_| status < 300) {
            let line: Vec<u8> = rest.drain(..=end).collect();
            each(&line)?;
        }
    }
    Ok(HttpAnswer {
        status,
        body: rest.into(),
    })
}

/// A connection that ends with its value.
struct Connected {
    sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    driver: tokio::task::JoinHandle<hyper::Result<()>>,
}

impl Connected {
    async fn over(stream: impl Duplex + 'static) -> anyhow::Result<Self> {
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self {
            sender,
            driver: tokio::spawn(connection),
        })
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn connect(base: &str, ca: Option<&Path>) -> anyhow::Result<Connected> {
    let (authority, tls) = match (base.strip_prefix("http://"), base.strip_prefix("https://")) {
        (Some(authority), _) => (authority, false),
        (None, Some(authority)) => (authority, true),
        (None, None) => bail!("`{base}` is no endpoint: `http://HOST:PORT` or `https://HOST:PORT` is expected"),
    };
    Connected::over(dial(authority, tls, ca).await?).await
}

/// A GET of `http://host:port` + path with a `Host` of its own.
pub async fn get(base: &str, host: &str, path: &str) -> anyhow::Result<HttpAnswer> {
    send(base, None, "GET", path, &of_a_browser(host), Vec::new()).await
}

/// A GET through TLS to a server that must show this certificate, under the name of `authority` (`host`, `host:port`).
pub async fn get_shown(
    server: SocketAddr,
    leaf: &CertificateDer<'static>,
    authority: &str,
    path: &str,
) -> anyhow::Result<HttpAnswer> {
    let name = authority.split_once(':').map_or(authority, |(name, _)| name);
    get_shown_to(server, leaf, name, authority, path).await
}

/// The same over a connection that is made for the server `name`, whatever the request's host is.
pub async fn get_shown_to(
    server: SocketAddr,
    leaf: &CertificateDer<'static>,
    name: &str,
    authority: &str,
    path: &str,
) -> anyhow::Result<HttpAnswer> {
    let connected = async {
        let name = ServerName::try_from(name.to_owned()).with_context(|| format!("`{name}` is no name of a server"))?;
        let stream = TcpStream::connect(server).await;
        let stream = stream.with_context(|| format!("failed to connect to {server}"))?;
        Connected::over(trust::connector_for(leaf.clone())?.connect(name, stream).await?).await
    };
    exchange(connected, "GET", path, &of_a_browser(authority), Vec::new()).await
}

/// Firewalls block requests that do not say what made them: the managed rule `NoUserAgent_HEADER` does.
fn of_a_browser(host: &str) -> [(String, String); 3] {
    let agent = concat!("honmaru/", env!("CARGO_PKG_VERSION"));
    [("host", host), ("user-agent", agent), ("accept", "*/*")].map(|(name, value)| (name.to_owned(), value.to_owned()))
}
