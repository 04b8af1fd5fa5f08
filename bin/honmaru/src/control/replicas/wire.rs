//! One connection to another cloud: signed calls of its API, and requests to its registry.

use super::file::Other;
use crate::cli::connect;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use honmaru_base::{Clock, Scope};
use honmaru_engine::SystemClock;
use honmaru_identity::{Credentials, Signed, sign};
use honmaru_images::BlobReader;
use http::{HeaderMap, Request, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::io::{self, Read};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Until a connection stands, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// From a request to the end of its answer; a blob may take longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Slower than so many bytes a second no blob is sent.
const BYTES_PER_S_MIN: u64 = 32 << 10;
/// An answer at most.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Of a blob, read in one piece.
const PIECE_BYTES: usize = 256 << 10;
/// Of what the other side says, in our log.
const SAID_CHARS_MAX: usize = 300;
const USER_AGENT: &str = concat!("honmaru/", env!("CARGO_PKG_VERSION"));

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Why something could not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The other side cannot be reached: nothing can be sent there now.
    Away(String),
    /// This image cannot be sent now.
    Later(String),
    /// The other side does not want it.
    Refused {
        /// In one word.
        code: String,
        /// In its words.
        said: String,
    },
}

impl Trouble {
    /// For the log.
    pub fn text(&self) -> &str {
        match self {
            Self::Away(said) | Self::Later(said) | Self::Refused { said, .. } => said,
        }
    }
}

/// An answer that came.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// What the answer of a registry that is no success means.
    pub fn trouble(&self, doing: &str) -> Trouble {
        let parsed: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let error = &parsed["errors"][0];
        let code = error["code"].as_str().unwrap_or("UNKNOWN").to_owned();
        let said = error["message"].as_str().unwrap_or_default();
        self.judge(doing, code, said)
    }

    fn judge(&self, doing: &str, code: String, said: &str) -> Trouble {
        let said: String = format!("{doing}: {} {code} {said}", self.status)
            .trim_end()
            .chars()
            .filter(|character| !character.is_control())
            .take(SAID_CHARS_MAX)
            .collect();
        let is_busy = self.status >= 500 || matches!(self.status, 408 | 429) || code.starts_with("Throttling");
        match is_busy {
            true => Trouble::Later(said),
            false => Trouble::Refused { code, said },
        }
    }
}

struct Connected {
    sender: SendRequest<Body>,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A connection that is made when it is needed, and the destination that it is for.
pub struct Line<'a> {
    other: &'a Other,
    to: &'a Scope,
    connected: Option<Connected>,
    token: String,
}

impl<'a> Line<'a> {
    /// A line to a destination, not connected yet.
    pub fn new(other: &'a Other, to: &'a Scope) -> Self {
        Self {
            other,
            to,
            connected: None,
            token: String::new(),
        }
    }

    fn authority(&self) -> &str {
        let rest = self.other.endpoint.split_once("://").map_or("", |(_, rest)| rest);
        rest.trim_end_matches('/')
    }

    async fn connect(&mut self) -> Result<&mut Connected, Trouble> {
        if let Some(connected) = &mut self.connected
            && connected.sender.ready().await.is_err()
        {
            self.connected = None;
        }
        if self.connected.is_none() {
            let tls = self.other.endpoint.starts_with("https://");
            let dialled = async {
                let stream = connect(self.authority(), tls, self.other.ca.as_deref()).await?;
                let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                anyhow::Ok(Connected {
                    sender,
                    driver: tokio::spawn(connection),
                })
            };
            let dialled = tokio::time::timeout(CONNECT_TIMEOUT, dialled).await;
            let dialled = dialled.map_err(|_| Trouble::Away("it did not answer in time".to_owned()))?;
            self.connected = Some(dialled.map_err(|error| Trouble::Away(format!("{error:#}").replace('\n', "; ")))?);
        }
        self.connected
            .as_mut()
            .ok_or_else(|| Trouble::Away("there is no connection".to_owned()))
    }

    async fn send(&mut self, request: Request<Body>, limit: Duration) -> Result<Answer, Trouble> {
        let connected = self.connect().await?;
        let exchange = async {
            let answer = connected.sender.send_request(request).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?;
            anyhow::Ok(Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                body: body.to_bytes(),
            })
        };
        let ended = match tokio::time::timeout(limit, exchange).await {
            Ok(ended) => ended.map_err(|error| Trouble::Away(format!("{error:#}"))),
            Err(_) => Err(Trouble::Away("it did not answer in time".to_owned())),
        };
        if ended.is_err() {
            self.connected = None;
        }
        ended
    }

    /// A call of ECR's API.
    pub async fn call(&mut self, operation: &str, input: &Value) -> Result<Value, Trouble> {
        let body = input.to_string().into_bytes();
        let mut headers = vec![
            ("host".to_owned(), self.authority().to_owned()),
            ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
            ("user-agent".to_owned(), USER_AGENT.to_owned()),
            (
                "x-amz-target".to_owned(),
                format!("AmazonEC2ContainerRegistry_V20150921.{operation}"),
            ),
        ];
        let raw: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        let signed = Signed {
            method: "POST",
            raw_path: "/",
            raw_query: "",
            headers: &raw,
            body: &body,
        };
        let credentials = Credentials {
            access_key_id: self.other.access_key_id.clone(),
            secret_access_key: self.other.secret_access_key.clone(),
            session_token: None,
        };
        let region = self.to.region.as_str();
        let added = sign(&credentials, region, "ecr", SystemClock.now(), &signed);
        headers.extend(added);
        let mut request = Request::builder().method("POST").uri("/");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = self.send(built(request, whole(body.into()))?, ANSWER_TIMEOUT).await?;
        let tree: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status < 300 {
            return Ok(tree);
        }
        let code = tree["__type"].as_str().unwrap_or("UnknownError");
        let code = code.rsplit('#').next().unwrap_or(code).to_owned();
        let said = tree["message"]
            .as_str()
            .or(tree["Message"].as_str())
            .unwrap_or_default();
        Err(answer.judge(operation, code, said))
    }

    /// Gets the token with which the registry lets us in.
    pub async fn log_in(&mut self) -> Result<(), Trouble> {
        let answer = self
            .call("GetAuthorizationToken", &Value::Object(serde_json::Map::new()))
            .await?;
        let token = answer["authorizationData"][0]["authorizationToken"].as_str();
        let token = token.filter(|token| STANDARD.decode(token).is_ok());
        let none = || Trouble::Later("GetAuthorizationToken answered without a token".to_owned());
        self.token = token.ok_or_else(none)?.to_owned();
        Ok(())
    }

    fn request(&self, method: &str, path: &str) -> http::request::Builder {
        // The host's name says whose registry is meant, and in which region.
        let host = honmaru_ecr::registry_host(self.to, self.authority());
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::AUTHORIZATION, format!("Basic {}", self.token))
    }

    /// A request to the registry, with a small body if any.
    pub async fn ask(&mut self, method: &str, path: &str, content: Option<(&str, Bytes)>) -> Result<Answer, Trouble> {
        let mut request = self.request(method, path);
        let body = match content {
            None => Bytes::new(),
            Some((kind, bytes)) => {
                request = request.header(header::CONTENT_TYPE, kind);
                bytes
            }
        };
        self.send(built(request, whole(body))?, ANSWER_TIMEOUT).await
    }

    /// Sends a blob to the registry as it is read.
    pub async fn put_blob(&mut self, path: &str, blob: BlobReader, bytes: u64) -> Result<Answer, Trouble> {
        let request = self
            .request("PUT", path)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, bytes);
        let limit = ANSWER_TIMEOUT + Duration::from_secs(bytes / BYTES_PER_S_MIN);
        let answer = self.send(built(request, pieces(blob))?, limit).await;
        if !answer.as_ref().is_ok_and(|answer| answer.status < 300) {
            // Whether the blob was read to its end is not known.
            self.connected = None;
        }
        answer
    }
}

fn built(request: http::request::Builder, body: Body) -> Result<Request<Body>, Trouble> {
    let wrong = |error: http::Error| Trouble::Refused {
        code: "InvalidRequest".to_owned(),
        said: error.to_string(),
    };
    request.body(body).map_err(wrong)
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn pieces(blob: BlobReader) -> Body {
    let pieces = futures_util::stream::unfold(Some(blob), |blob| async move {
        let mut blob = blob?;
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; PIECE_BYTES];
            let read = blob.read(&mut piece)?;
            piece.truncate(read);
            io::Result::Ok((blob, piece))
        });
        match read.await.map_err(io::Error::other) {
            Ok(Ok((_, piece))) if piece.is_empty() => None,
            Ok(Ok((blob, piece))) => Some((Ok(Frame::data(Bytes::from(piece))), Some(blob))),
            Ok(Err(error)) | Err(error) => Some((Err(error), None)),
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}
