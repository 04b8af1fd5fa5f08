//! Other registries: a small client of the OCI distribution specification, for pulls by the node and pull-through.
//!
//! Not here: pushing, storing, unpacking. HTTPS everywhere but for registries on this machine's loopback, and for those
//! too where certificates beside the system's are trusted and they answer a handshake.
//! Invariants: nothing on this machine's loopback is asked, under whatever name, but at the ports that the limits name, and
//! of an answer that is no registry's nothing but the status is told; what is returned for a digest has that digest
//! (manifests) or is checked by the caller while it streams (blobs); credentials go only to the registry itself and to the
//! token service that it names.

mod auth;
mod error;
mod http;
mod pace;
mod reference;

pub use error::RemoteError;
pub use reference::{Reference, ReferenceError};
pub(crate) use reference::{is_repository, is_tag};

use crate::{Digest, MANIFEST_BYTES_MAX, media_type};
use ::http::{HeaderValue, StatusCode, header};
use auth::Tokens;
use bytes::Bytes;
use http::{Http, Url};
use hyper::body::Incoming;
use pace::Pace;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Limits of pulls from other registries.
#[derive(Debug, Clone)]
pub struct RemoteLimits {
    /// Until a connection stands, TLS included.
    pub connect_timeout: Duration,
    /// From a request to the head of its response.
    pub response_timeout: Duration,
    /// Without one more byte of a body.
    pub idle_timeout: Duration,
    /// How long a body may be slow: in each such span at least `window_bytes_min` come.
    pub slow_window: Duration,
    /// What a body brings in each `slow_window`, unless it ends.
    pub window_bytes_min: u64,
    /// For a whole body, whatever its pace.
    pub body_timeout: Duration,
    /// What of this machine's own may be asked.
    pub loopback: Loopback,
}

/// The ports of this machine's loopback that may be asked. Whoever names images, or the upstream of a mirror, need not be
/// one who may talk to what listens there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Loopback {
    /// None.
    #[default]
    Closed,
    /// These.
    Ports(Vec<u16>),
    /// All.
    Open,
}

impl fmt::Display for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("none"),
            Self::Ports(ports) => f.write_str(&ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",")),
            Self::Open => f.write_str("any"),
        }
    }
}

impl FromStr for Loopback {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::Closed),
            "any" => Ok(Self::Open),
            list => list
                .split(',')
                .map(|port| port.parse().ok().filter(|port| *port > 0))
                .collect::<Option<_>>()
                .map(Self::Ports)
                .ok_or_else(|| format!("`{list}` is neither `any` nor `none` nor ports, for example `5000,5001`")),
        }
    }
}

impl Loopback {
    /// The same, and that port.
    #[must_use]
    pub fn and(self, port: u16) -> Self {
        match self {
            Self::Closed => Self::Ports(vec![port]),
            Self::Ports(mut ports) => {
                ports.push(port);
                Self::Ports(ports)
            }
            Self::Open => Self::Open,
        }
    }

    fn allows(&self, port: u16) -> bool {
        match self {
            Self::Closed => false,
            Self::Ports(ports) => ports.contains(&port),
            Self::Open => true,
        }
    }
}

impl Default for RemoteLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            slow_window: Duration::from_secs(60),
            // 16 KiB a second: a 64th of a link of 1 MB/s, on which several images of several layers come at a time.
            window_bytes_min: 60 * 16 * 1024,
            // ECR's largest layer has 52,000 MiB: 15 hours at 1 MB/s.
            body_timeout: Duration::from_secs(24 * 3_600),
            loopback: Loopback::Closed,
        }
    }
}

/// Redirects that are followed for one request.
const REDIRECTS_MAX: usize = 5;
/// Of an error's body, for its message.
const ERROR_BYTES_MAX: usize = 64 * 1024;

/// The client. Clones share its connections and tokens.
#[derive(Clone)]
pub struct Remotes {
    shared: Arc<Shared>,
}

struct Shared {
    http: Http,
    tokens: Tokens,
    limits: RemoteLimits,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Base,
    Manifest,
    Blob,
}

/// A manifest as another registry holds it.
#[derive(Debug, Clone)]
pub struct RemoteManifest {
    /// The bytes.
    pub bytes: Bytes,
    /// `Content-Type`.
    pub media_type: Option<String>,
    /// The digest of the bytes.
    pub digest: Digest,
}

/// A blob on its way here.
pub struct RemoteBlob {
    /// `Content-Length`, where the registry says it.
    pub size: Option<u64>,
    body: Incoming,
    pace: Pace,
    client: Remotes,
    host: String,
}

impl RemoteBlob {
    /// The next piece; nothing at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, RemoteError>> {
        let next = self.pace.next(&mut self.body, &self.client.shared.limits).await;
        next.map_err(|stopped| RemoteError::stopped(&self.host, stopped))
            .transpose()
    }
}

impl Remotes {
    /// A client without connections or tokens.
    pub fn new(limits: RemoteLimits) -> Self {
        Self::trusting(limits, None)
    }

    /// The same, with certificates (a PEM file) that are trusted beside the system's.
    pub fn trusting(limits: RemoteLimits, roots: Option<PathBuf>) -> Self {
        Self {
            shared: Arc::new(Shared {
                http: Http::new(limits.clone(), roots),
                tokens: Tokens::default(),
                limits,
            }),
        }
    }

    /// Gets a manifest: the one that `reference` names, or that of `digest` in its repository.
    /// `credentials` are `user:password`.
    pub async fn manifest(
        &self,
        reference: &Reference,
        digest: Option<&Digest>,
        credentials: Option<&str>,
    ) -> Result<RemoteManifest, RemoteError> {
        let named = digest.or(reference.digest());
        let tail = named.map_or_else(|| reference.tag().to_owned(), Digest::to_string);
        let url = reference.url(self.is_tls(reference).await, &format!("manifests/{tail}"));
        let response = self.get(reference, url, credentials, Wanted::Manifest).await?;
        let kind = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        // Parameters ("; charset=utf-8") are no part of a manifest's type.
        let media_type = kind.map(|kind| kind.split(';').next().unwrap_or(kind).trim().to_owned());
        let said = response
            .headers()
            .get("docker-content-digest")
            .and_then(|value| value.to_str().ok());
        let said: Option<Digest> = said.and_then(|said| said.parse().ok());
        let bytes = self
            .collect(reference.registry(), response.into_body(), MANIFEST_BYTES_MAX)
            .await?;
        let expected = named.cloned().or(said);
        let algorithm = expected.as_ref().map_or(crate::Algorithm::Sha256, Digest::algorithm);
        let actual = Digest::of(algorithm, &bytes);
        if let Some(expected) = expected
            && expected != actual
        {
            return Err(RemoteError::Digest { expected, actual });
        }
        Ok(RemoteManifest {
            bytes,
            media_type,
            digest: actual,
        })
    }

    /// Begins to get a blob of `reference`'s repository. The caller checks its digest.
    pub async fn blob(
        &self,
        reference: &Reference,
        digest: &Digest,
        credentials: Option<&str>,
    ) -> Result<RemoteBlob, RemoteError> {
        let url = reference.url(self.is_tls(reference).await, &format!("blobs/{digest}"));
        let response = self.get(reference, url, credentials, Wanted::Blob).await?;
        let length = response
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok());
        Ok(RemoteBlob {
            size: length.and_then(|length| length.parse().ok()),
            body: response.into_body(),
            pace: Pace::default(),
            client: self.clone(),
            host: reference.registry().to_owned(),
        })
    }

    /// Whether a registry lets us in with these credentials, or without any: `registry` is its host and port.
    pub async fn ping(&self, registry: &str, credentials: Option<&str>) -> Result<(), RemoteError> {
        // The name only completes the reference; it is no part of the request.
        let reference: Reference = format!("{registry}/none").parse().map_err(RemoteError::Reference)?;
        let url = reference.base(self.is_tls(&reference).await);
        let response = self.get(&reference, url, credentials, Wanted::Base).await?;
        // Read to its end, so that the connection can be used again.
        let read = self.collect(registry, response.into_body(), ERROR_BYTES_MAX).await;
        read.map(drop)
    }

    async fn is_tls(&self, reference: &Reference) -> bool {
        !reference.is_loopback() || self.shared.http.speaks_tls(reference.registry()).await
    }

    /// A GET with authentication and redirects; only a success is returned.
    async fn get(
        &self,
        reference: &Reference,
        url: String,
        credentials: Option<&str>,
        wanted: Wanted,
    ) -> Result<::http::Response<Incoming>, RemoteError> {
        let first = Url::parse(&url)?;
        let mut url = first.clone();
        let mut authorization = match wanted {
            // Whether the credentials are good now is the question.
            Wanted::Base => None,
            Wanted::Manifest | Wanted::Blob => self.shared.tokens.known(reference, credentials),
        };
        let mut asked = false;
        let mut redirects = 0;
        loop {
            let mut headers = ::http::HeaderMap::new();
            if wanted == Wanted::Manifest {
                let types = [
                    media_type::OCI_INDEX,
                    media_type::OCI_MANIFEST,
                    media_type::DOCKER_LIST,
                    media_type::DOCKER_MANIFEST,
                ];
                for kind in types {
                    headers.append(header::ACCEPT, HeaderValue::from_static(kind));
                }
            }
            // What a redirect leads to has its own authorisation in its URL; ours is the registry's alone.
            if let Some(value) = authorization.as_ref().filter(|_| url.same_origin(&first)) {
                headers.insert(header::AUTHORIZATION, value.clone());
            }
            let response = self.shared.http.get(&url, headers).await?;
            let status = response.status();
            match status {
                status if status.is_success() => return Ok(response),
                StatusCode::UNAUTHORIZED if !asked && url.same_origin(&first) => {
                    asked = true;
                    let challenge = response
                        .headers()
                        .get_all(header::WWW_AUTHENTICATE)
                        .iter()
                        .cloned()
                        .collect();
                    let tokens = &self.shared.tokens;
                    authorization = Some(
                        tokens
                            .obtain(&self.shared.http, reference, challenge, credentials, wanted)
                            .await?,
                    );
                }
                status if status.is_redirection() && redirects < REDIRECTS_MAX => {
                    redirects += 1;
                    let target = response
                        .headers()
                        .get(header::LOCATION)
                        .and_then(|value| value.to_str().ok());
                    url = url.join(target.ok_or(RemoteError::Redirect)?)?;
                    if !first.may_lead_to(&url) {
                        return Err(RemoteError::Redirect);
                    }
                }
                status if status.is_redirection() => return Err(RemoteError::Redirect),
                status => {
                    let body = self.collect(url.host(), response.into_body(), ERROR_BYTES_MAX).await;
                    let message = error_message(status, &body.unwrap_or_default());
                    return Err(RemoteError::Status {
                        url: url.shown(),
                        status: status.as_u16(),
                        message,
                    });
                }
            }
        }
    }

    async fn collect(&self, host: &str, body: Incoming, bytes_max: usize) -> Result<Bytes, RemoteError> {
        http::collect(host, body, bytes_max, &self.shared.limits).await
    }
}

/// The message of a registry's error body, or what its status means: what is no registry's error is not for whoever
/// made us ask.
fn error_message(status: StatusCode, body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<Item>,
    }
    #[derive(serde::Deserialize)]
    struct Item {
        code: Option<String>,
        message: Option<String>,
    }
    match serde_json::from_slice::<Errors>(body) {
        Ok(Errors { errors }) => errors
            .into_iter()
            .map(|item| match (item.code, item.message) {
                (Some(code), Some(message)) => format!("{}: {message}", code.to_lowercase()),
                (code, message) => code.or(message).unwrap_or_default(),
            })
            .collect::<Vec<_>>()
            .join("; "),
        Err(_) => status.canonical_reason().unwrap_or("no registry's error").to_owned(),
    }
}
