//! HTTP/1.1 over TCP and TLS for the client: connections that are used again, time-outs, bounded bodies.

use super::pace::Pace;
use super::reference::{is_here, is_loopback};
use super::{RemoteError, RemoteLimits};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Idle connections kept for each host.
const IDLE_MAX: usize = 4;
/// Where Linux distributions keep the certificates that they trust; the first that exists is used.
const ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Registries on this machine of which we remember whether they speak TLS; with more all are asked anew.
const LOCAL_MAX: usize = 64;

/// A URL that the client can get.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Url {
    uri: http::Uri,
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, RemoteError> {
        let refuse = || RemoteError::Url(text.split('?').next().unwrap_or(text).to_owned());
        let uri: http::Uri = text.parse().map_err(|_| refuse())?;
        let scheme_ok = matches!(uri.scheme_str(), Some("http" | "https"));
        // User information in a URL would be sent to a host that is easily mistaken.
        let plain = uri
            .authority()
            .is_some_and(|authority| !authority.as_str().contains('@'));
        if scheme_ok && plain {
            Ok(Self { uri })
        } else {
            Err(refuse())
        }
    }

    /// A redirect's target: absolute, or a path on the same host.
    pub(super) fn join(&self, target: &str) -> Result<Self, RemoteError> {
        if target.starts_with('/') && !target.starts_with("//") {
            return Self::parse(&format!("{}://{}{target}", self.scheme(), self.authority()));
        }
        Self::parse(target)
    }

    fn scheme(&self) -> &str {
        self.uri.scheme_str().unwrap_or("https")
    }

    fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    pub(super) fn host(&self) -> &str {
        self.uri.host().unwrap_or("").trim_matches(['[', ']'])
    }

    fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    fn is_tls(&self) -> bool {
        self.scheme() == "https"
    }

    /// TLS, or this machine.
    pub(super) fn is_secure(&self) -> bool {
        self.is_tls() || is_loopback(self.host())
    }

    /// Whether a redirect from here may lead there: never out of TLS, and from elsewhere never to this machine, whose
    /// services would take our request for one of its own.
    pub(super) fn may_lead_to(&self, target: &Self) -> bool {
        match is_loopback(self.host()) {
            true => target.is_secure() || !self.is_tls(),
            false => target.is_tls() && !is_loopback(target.host()),
        }
    }

    pub(super) fn same_origin(&self, other: &Self) -> bool {
        (self.scheme(), self.host(), self.port()) == (other.scheme(), other.host(), other.port())
    }

    /// Without the query, which may hold a signature.
    pub(super) fn shown(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.authority(), self.uri.path())
    }

    fn key(&self) -> String {
        format!("{}://{}:{}", self.scheme(), self.host(), self.port())
    }
}

type Connection = SendRequest<Empty<Bytes>>;

pub(super) struct Http {
    limits: RemoteLimits,
    /// Certificates that are trusted beside the system's.
    roots: Option<PathBuf>,
    /// Registries on this machine: whether they speak TLS.
    local: Mutex<HashMap<String, bool>>,
    tls: OnceLock<Result<TlsConnector, String>>,
    idle: Mutex<HashMap<String, Vec<Connection>>>,
}

impl Http {
    pub(super) fn limits(&self) -> &RemoteLimits {
        &self.limits
    }

    pub(super) fn new(limits: RemoteLimits, roots: Option<PathBuf>) -> Self {
        Self {
            limits,
            roots,
            local: Mutex::default(),
            tls: OnceLock::new(),
            idle: Mutex::default(),
        }
    }

    /// Whether a registry on this machine speaks TLS. Asked only where certificates of its own may be trusted: everybody
    /// else speaks plain HTTP with it.
    pub(super) async fn speaks_tls(&self, authority: &str) -> bool {
        if self.roots.is_none() {
            return false;
        }
        if let Some(known) = self.local.lock().get(authority) {
            return *known;
        }
        let Ok(url) = Url::parse(&format!("https://{authority}/")) else {
            return false;
        };
        let speaks = match Box::pin(self.connect(&url)).await {
            Ok(_) => true,
            Err(RemoteError::Connect { source, .. }) => match source.get_ref().map(|inner| inner.downcast_ref()) {
                // It answers a handshake with something else, or not at all.
                Some(Some(rustls::Error::InvalidMessage(_))) => false,
                None if source.kind() == io::ErrorKind::UnexpectedEof => false,
                // A handshake that fails otherwise is one: its error is to be seen, not a password sent in the clear.
                Some(Some(_)) => true,
                // Nobody is there now.
                _ => return false,
            },
            Err(_) => return false,
        };
        let mut local = self.local.lock();
        if local.len() >= LOCAL_MAX {
            local.clear();
        }
        local.insert(authority.to_owned(), speaks);
        speaks
    }

    /// One GET, no redirects. A kept connection that turns out to be dead is replaced by a new one.
    pub(super) async fn get(&self, url: &Url, headers: HeaderMap) -> Result<Response<Incoming>, RemoteError> {
        if !url.is_secure() {
            return Err(RemoteError::Url(format!(
                "{} (plain HTTP is for this machine only)",
                url.shown()
            )));
        }
        if let Some(connection) = self.take(url)
            && let Ok(response) = self.send(connection, url, headers.clone()).await
        {
            return Ok(response);
        }
        let connection = Box::pin(self.connect(url)).await?;
        self.send(connection, url, headers).await
    }

    async fn send(
        &self,
        mut connection: Connection,
        url: &Url,
        headers: HeaderMap,
    ) -> Result<Response<Incoming>, RemoteError> {
        let path = url.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::get(path)
            .body(Empty::new())
            .map_err(|_| RemoteError::Url(url.shown()))?;
        *request.headers_mut() = headers;
        let host = HeaderValue::from_str(url.authority()).map_err(|_| RemoteError::Url(url.shown()))?;
        request.headers_mut().insert(header::HOST, host);
        request
            .headers_mut()
            .insert(header::USER_AGENT, HeaderValue::from_static("honmaru"));
        let host = || url.host().to_owned();
        let response = timeout(self.limits.response_timeout, connection.send_request(request))
            .await
            .map_err(|_| RemoteError::Timeout {
                host: host(),
                doing: "wait for an answer of",
            })?
            .map_err(|source| RemoteError::Http { host: host(), source })?;
        let mut idle = self.idle.lock();
        let kept = idle.entry(url.key()).or_default();
        kept.retain(|connection| !connection.is_closed());
        if kept.len() < IDLE_MAX {
            kept.push(connection);
        }
        Ok(response)
    }

    /// A kept connection whose last response has been read.
    fn take(&self, url: &Url) -> Option<Connection> {
        let mut idle = self.idle.lock();
        let kept = idle.get_mut(&url.key())?;
        let at = kept.iter().position(SendRequest::is_ready)?;
        Some(kept.swap_remove(at))
    }

    async fn connect(&self, url: &Url) -> Result<Connection, RemoteError> {
        let host = format!("{}:{}", url.host(), url.port());
        let connected = timeout(self.limits.connect_timeout, self.dial(url, &host)).await;
        connected.map_err(|_| RemoteError::Timeout {
            host,
            doing: "connect to",
        })?
    }

    async fn dial(&self, url: &Url, host: &str) -> Result<Connection, RemoteError> {
        let failed = |source| RemoteError::Connect {
            host: host.to_owned(),
            source,
        };
        // Names under .localhost mean this machine whatever a resolver says. Ref: RFC 6761 section 6.3.
        let named = is_loopback(url.host()) && url.host().parse::<IpAddr>().is_err();
        let name = if named { "127.0.0.1" } else { url.host() };
        let mut addresses: Vec<SocketAddr> = lookup_host((name, url.port())).await.map_err(failed)?.collect();
        // A name of anybody's domain may lead here too.
        if !self.limits.loopback.allows(url.port()) {
            addresses.retain(|address| !is_here(address.ip()));
            if addresses.is_empty() {
                return Err(RemoteError::Loopback { host: host.to_owned() });
            }
        }
        let stream = TcpStream::connect(&*addresses).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        if !url.is_tls() {
            return self.shake(TokioIo::new(stream), host).await;
        }
        let tls = self
            .tls
            .get_or_init(|| connector(self.roots.as_deref()))
            .as_ref()
            .map_err(|error| RemoteError::Roots(error.clone()))?;
        let server = rustls::pki_types::ServerName::try_from(url.host().to_owned())
            .map_err(|error| failed(io::Error::other(error)))?;
        let stream = tls.connect(server, stream).await.map_err(failed)?;
        self.shake(TokioIo::new(stream), host).await
    }

    async fn shake<T>(&self, io: T, host: &str) -> Result<Connection, RemoteError>
    where
        T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        let shaken = handshake(io).await;
        let (sender, connection) = shaken.map_err(|source| RemoteError::Http {
            host: host.to_owned(),
            source,
        })?;
        // It ends when the sender is dropped and the last body read, or when the other side closes.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(err = %honmaru_base::chain(&error), "connection to a registry ended");
            }
        });
        Ok(sender)
    }
}

/// Reads a small body.
pub(super) async fn collect(
    host: &str,
    mut body: Incoming,
    bytes_max: usize,
    limits: &RemoteLimits,
) -> Result<Bytes, RemoteError> {
    let (mut bytes, mut pace) = (Vec::new(), Pace::default());
    loop {
        let next = pace.next(&mut body, limits).await;
        let Some(data) = next.map_err(|stopped| RemoteError::stopped(host, stopped))? else {
            return Ok(bytes.into());
        };
        if bytes.len() + data.len() > bytes_max {
            return Err(RemoteError::TooLarge {
                host: host.to_owned(),
                max: bytes_max,
            });
        }
        bytes.extend_from_slice(&data);
    }
}

/// TLS that trusts the system's roots and those of `more`.
fn connector(more: Option<&Path>) -> Result<TlsConnector, String> {
    let system = ROOTS.iter().find_map(|path| std::fs::read(path).ok());
    let more = match more {
        None => None,
        Some(path) => Some(std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?),
    };
    if system.is_none() && more.is_none() {
        return Err(format!("none of {} can be read", ROOTS.join(", ")));
    }
    let mut roots = rustls::RootCertStore::empty();
    for bundle in system.iter().chain(&more) {
        let mut bundle = bundle.as_slice();
        // A root that this library cannot use is one that nobody can rely on: the others are kept.
        roots.add_parsable_certificates(rustls_pemfile::certs(&mut bundle).filter_map(Result::ok));
    }
    if roots.is_empty() {
        return Err("the bundle holds no certificate".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_in_tls_and_away_from_this_machine() {
        let may = |from: &str, to: &str| Url::parse(from).unwrap().may_lead_to(&Url::parse(to).unwrap());
        for to in ["https://cdn.example/blob?x=y", "https://registry.example:8443/"] {
            assert!(may("https://registry.example/v2/", to), "{to}");
        }
        for to in [
            "http://cdn.example/",
            "http://127.0.0.1:4566/?Action=DeleteCluster",
            "https://127.0.0.1/",
            "http://localhost:4566/",
            "http://x.localhost/",
            "http://[::1]:4566/",
            "http://169.254.169.254/latest/meta-data/",
        ] {
            assert!(!may("https://registry.example/v2/", to), "{to}");
        }
        for to in ["http://127.0.0.1:5001/", "http://localhost/", "https://cdn.example/"] {
            assert!(may("http://127.0.0.1:5000/v2/", to), "{to}");
        }
        assert!(!may("https://localhost:5000/v2/", "http://cdn.example/"));
    }

    #[test]
    fn redirects_are_absolute_or_paths_and_name_no_user() {
        let from = Url::parse("https://registry.example:8443/v2/a/blobs/x").unwrap();
        assert_eq!(from.join("/b?c").unwrap().shown(), "https://registry.example:8443/b");
        assert_eq!(from.join("https://cdn.example/b").unwrap().host(), "cdn.example");
        for bad in [
            "//cdn.example/b",
            "file:///etc/passwd",
            "https://registry.example@evil.example/",
            "b",
            "",
        ] {
            assert!(from.join(bad).is_err(), "{bad}");
        }
    }
}
