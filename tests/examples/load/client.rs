//! A signed client over plain TCP with keep-alive, and nothing more, so that the generator costs little beside what it
//! measures.

use anyhow::{Context, Result, bail, ensure};
use honmaru_base::Time;
use honmaru_identity::{Credentials, Signed, sign};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the first answer may take.
const FIRST_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An API: where, and who calls.
#[derive(Clone)]
pub struct Api {
    address: String,
    region: String,
    credentials: Credentials,
}

/// How a service is called.
#[derive(Clone, Copy)]
pub enum Dialect {
    /// awsJson 1.1 with this prefix of the target header.
    Json(&'static str),
    /// A form with this version.
    Query(&'static str),
}

/// A service: its name in the signature, and its dialect.
#[derive(Clone, Copy)]
pub struct Service(pub &'static str, pub Dialect);

pub const ECS: Service = Service("ecs", Dialect::Json("AmazonEC2ContainerServiceV20141113"));
pub const ECR: Service = Service("ecr", Dialect::Json("AmazonEC2ContainerRegistry_V20150921"));
pub const LOGS: Service = Service("logs", Dialect::Json("Logs_20140328"));
pub const EC2: Service = Service("ec2", Dialect::Query("2016-11-15"));
pub const STS: Service = Service("sts", Dialect::Query("2011-06-15"));

fn now() -> Time {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_ms(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

impl Api {
    /// From the variables that the aws CLI uses.
    pub fn from_env() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
        Ok(Self {
            address: variable("AWS_ENDPOINT_URL")?.trim_start_matches("http://").to_owned(),
            region: variable("AWS_DEFAULT_REGION")?,
            credentials: Credentials {
                access_key_id: variable("AWS_ACCESS_KEY_ID")?,
                secret_access_key: variable("AWS_SECRET_ACCESS_KEY")?,
                session_token: None,
            },
        })
    }

    /// The bytes of a signed call. `input`: JSON text, or the form's pairs after the action.
    pub fn request(&self, service: Service, operation: &str, input: &str) -> Vec<u8> {
        let Service(name, dialect) = service;
        let (body, mut headers) = match dialect {
            Dialect::Json(prefix) => {
                let target = ("x-amz-target".to_owned(), format!("{prefix}.{operation}"));
                let kind = ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned());
                (input.to_owned(), vec![target, kind])
            }
            Dialect::Query(version) => {
                let kind = (
                    "content-type".to_owned(),
                    "application/x-www-form-urlencoded".to_owned(),
                );
                let separator = if input.is_empty() { "" } else { "&" };
                (
                    format!("Action={operation}&Version={version}{separator}{input}"),
                    vec![kind],
                )
            }
        };
        headers.push(("host".to_owned(), self.address.clone()));
        let borrowed: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        let signed = Signed {
            method: "POST",
            raw_path: "/",
            raw_query: "",
            headers: &borrowed,
            body: body.as_bytes(),
        };
        let added = sign(&self.credentials, &self.region, name, now(), &signed);
        let mut out = "POST / HTTP/1.1\r\n".to_owned();
        for (name, value) in headers.iter().chain(&added) {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        out.into_bytes()
    }

    /// A connection.
    pub async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.address)
            .await
            .with_context(|| format!("connect to {}", self.address))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            buffer: Vec::with_capacity(16 * 1024),
        })
    }

    /// One call; an answer other than 200 is an error. JSON comes back as JSON, XML as text.
    pub async fn call(&self, service: Service, operation: &str, input: &str) -> Result<String> {
        let (status, body) = self
            .connect()
            .await?
            .call(&self.request(service, operation, input))
            .await?;
        let body = String::from_utf8_lossy(&body).into_owned();
        ensure!(status == 200, "{operation}: status {status}: {body}");
        Ok(body)
    }

    /// The same for JSON.
    pub async fn json(&self, service: Service, operation: &str, input: &Value) -> Result<Value> {
        let body = self.call(service, operation, &input.to_string()).await?;
        Ok(if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&body)?
        })
    }
}

/// A connection that is kept alive.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends a request and reads its answer: status and body.
    pub async fn call(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let text = std::str::from_utf8(&self.buffer[..head]).context("the head is no text")?;
        let status = text
            .get(9..12)
            .and_then(|status| status.parse().ok())
            .context("no status")?;
        let length: usize = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .context("an answer without a length")?;
        while self.buffer.len() < head + length {
            self.more().await?;
        }
        Ok((status, self.buffer[head..head + length].to_vec()))
    }

    async fn more(&mut self) -> Result<()> {
        ensure!(self.buffer.len() < ANSWER_BYTES_MAX, "the answer is too large");
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(())
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// Waits for the administrator's keys and the first signed answer with them.
pub async fn first_answer(file: &str) -> Result<Value> {
    let started = Instant::now();
    loop {
        let error = match answered(file).await {
            Ok(()) => return Ok(json!({"waited_ms": started.elapsed().as_secs_f64() * 1e3})),
            Err(error) => error,
        };
        if started.elapsed() > FIRST_TIMEOUT {
            return Err(error.context("no signed answer in time"));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn answered(file: &str) -> Result<()> {
    let keys: Value = serde_json::from_slice(&std::fs::read(file)?)?;
    let text = |name: &str| keys[name].as_str().unwrap_or_default().to_owned();
    let api = Api {
        address: text("endpoint").trim_start_matches("http://").to_owned(),
        region: text("region"),
        credentials: Credentials {
            access_key_id: text("access_key_id"),
            secret_access_key: text("secret_access_key"),
            session_token: None,
        },
    };
    api.call(STS, "GetCallerIdentity", "").await.map(drop)
}
