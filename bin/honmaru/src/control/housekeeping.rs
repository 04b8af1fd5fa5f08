//! `honmaru registry gc|verify|usage`: no API of AWS's has these, so they have a path of their own on the endpoint.
//!
//! Requests are signed as those of the AWS APIs are, for the service `honmaru`. Whoever asks must be of this cloud's own
//! account, because the answer covers all accounts, and must be allowed `honmaru:GetRegistryUsage`,
//! `honmaru:VerifyRegistry` or `honmaru:CollectRegistryGarbage` on `*`: an administrator is.

use super::audit::{Head, What};
use super::http::{AnswerBody, Received, text};
use super::listener::Peer;
use super::{Control, caller};
use crate::registry_report::{Line, Outcome, SIGNING_NAME};
use ::http::{Method, Response, StatusCode, header};
use bytes::Bytes;
use honmaru_base::{ApiError, Clock, Scope, Time};
use honmaru_cloudtrail::Who;
use honmaru_engine::SystemClock;
use honmaru_identity::{AuthError, ProtocolFamily, Signed};
use honmaru_machine::{Access, Call, Principal};
use honmaru_registry::{HousekeepingError, VerifyEvent};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

pub use crate::registry_report::PATH;

/// A client hears of us so often, that it can tell work from silence.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Lines that wait for a slow client; then the work waits.
const LINES_MAX: usize = 64;
/// How long a blob lies between its upload and its manifest at most, unless the operator knows better.
const GRACE_DEFAULT: Duration = Duration::from_secs(3_600);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Usage,
    Verify,
    Gc { grace: Duration, idle: Duration },
}

impl Wish {
    const fn action(self) -> &'static str {
        match self {
            Self::Usage => "honmaru:GetRegistryUsage",
            Self::Verify => "honmaru:VerifyRegistry",
            Self::Gc { .. } => "honmaru:CollectRegistryGarbage",
        }
    }
}

/// Answers a request under [`PATH`].
pub async fn answer(control: &Arc<Control>, received: &Received) -> Response<AnswerBody> {
    let wish = match wish(received) {
        Ok(wish) => wish,
        Err((status, message)) => return text(status, message),
    };
    let (at, began) = (SystemClock.now(), Instant::now());
    let asked = allowed(control, received, wish).await;
    record(control, received, wish, &asked, at, began.elapsed());
    let principal = match asked {
        Ok(principal) => principal,
        Err(error) => {
            let status = error.status.and_then(|status| StatusCode::from_u16(status).ok());
            let status = status.unwrap_or(StatusCode::BAD_REQUEST);
            return text(status, format!("{}: {}\n", error.code, error.message));
        }
    };
    tracing::info!(?wish, by = %principal.arn, "the operator asks of the registry");
    let (lines, body) = mpsc::channel(LINES_MAX);
    tokio::spawn(work(control.clone(), wish, lines));
    let mut response = Response::new(Lines(body).boxed());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/x-ndjson"),
    );
    response
}

fn wish(received: &Received) -> Result<Wish, (StatusCode, &'static str)> {
    let seconds = |name: &str| {
        let found = form_urlencoded::parse(received.query.as_bytes()).find(|(key, _)| key == name);
        let wrong = (StatusCode::BAD_REQUEST, "`grace_s` and `idle_s` are whole seconds\n");
        found.map_or(Ok(GRACE_DEFAULT), |(_, value)| {
            value.parse().map(Duration::from_secs).map_err(|_| wrong)
        })
    };
    let (wish, method) = match received.path.strip_prefix(PATH) {
        Some("usage") => (Wish::Usage, Method::GET),
        Some("verify") => (Wish::Verify, Method::POST),
        Some("gc") => {
            let (grace, idle) = (seconds("grace_s")?, seconds("idle_s")?);
            (Wish::Gc { grace, idle }, Method::POST)
        }
        _ => return Err((StatusCode::NOT_FOUND, "there is `usage`, `verify` and `gc`\n")),
    };
    if received.method != method {
        return Err((
            StatusCode::METHOD_NOT_ALLOWED,
            "`usage` is a GET, `verify` and `gc` are POSTs\n",
        ));
    }
    Ok(wish)
}

/// Notes in the audit trail who asked for what, and whether they might; how it went on is in the answer.
fn record(
    control: &Control,
    received: &Received,
    wish: Wish,
    asked: &Result<Principal, ApiError>,
    at: Time,
    took: Duration,
) {
    let peer = Peer {
        address: received.peer,
        secure: received.secure,
        tls: received.tls,
    };
    let head = Head::of(&received.method, &received.path, &received.headers, peer);
    let what = What {
        service: SIGNING_NAME,
        source: SIGNING_NAME.to_owned(),
        name: wish.action().strip_prefix("honmaru:").unwrap_or(wish.action()),
        input: match wish {
            Wish::Gc { grace, idle } => serde_json::json!({"graceS": grace.as_secs(), "idleS": idle.as_secs()}),
            Wish::Usage | Wish::Verify => serde_json::Value::Null,
        },
        resources: Vec::new(),
    };
    let scope = Scope {
        account: control.home.account.clone(),
        region: control.home.region.clone(),
    };
    let (who, status, error) = match asked {
        Ok(principal) => (Who::of(principal), 200, None),
        Err(error) => {
            let said = Some((error.code.as_str(), error.message.as_str()));
            (Who::unknown(None), error.status.unwrap_or(400), said)
        }
    };
    let id = super::api::request_id();
    control
        .audit
        .record(head.record(scope, who, what, &id, status, error, at, took));
}

/// Who asks, if they may.
async fn allowed(control: &Arc<Control>, received: &Received, wish: Wish) -> Result<Principal, ApiError> {
    let family = ProtocolFamily::Json;
    let headers = received
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let headers: Vec<(&str, &[u8])> = headers.collect();
    let presented = honmaru_identity::parse(&Signed {
        method: received.method.as_str(),
        raw_path: &received.path,
        raw_query: &received.query,
        headers: &headers,
        body: &received.body,
    });
    let presented = presented
        .and_then(|presented| presented.ok_or_else(AuthError::missing))
        .map_err(|error| error.to_api_error(family))?;
    if presented.service != SIGNING_NAME {
        return Err(AuthError::wrong_service(SIGNING_NAME).to_api_error(family));
    }
    let now = SystemClock.now();
    let authorized = control.engine.read(|state| {
        let principal =
            caller::authenticate(control, state, &presented, now).map_err(|error| error.to_api_error(family))?;
        if principal.account != control.options.account {
            let message = format!("the registry is kept by account {}", control.options.account);
            return Err(ApiError::new("AccessDeniedException", message).with_status(403));
        }
        let call = Call {
            scope: Scope {
                account: principal.account.clone(),
                region: control.options.region.clone(),
            },
            principal: principal.clone(),
            request_id: super::api::request_id(),
            now,
            source_ip: Some(received.peer.ip()),
            user_agent: received.header("user-agent").unwrap_or_default().to_owned(),
            referer: received.header("referer").unwrap_or_default().to_owned(),
            host: received.host().unwrap_or_default().to_owned(),
            secure: received.secure,
        };
        honmaru_iam::authorize(state, &call, &[Access::any(wish.action())], family)?;
        Ok(principal)
    });
    authorized.await.map_err(|error| {
        tracing::error!(%error, "the state could not be read");
        ApiError::new("ServerException", "the state could not be read").with_status(500)
    })?
}

/// Does it, and tells how it goes. A collection goes on when the client goes away; the others end.
async fn work(control: Arc<Control>, wish: Wish, lines: mpsc::Sender<Bytes>) {
    let (tell, mut told) = mpsc::channel(LINES_MAX);
    let runtime = tokio::runtime::Handle::current();
    // On a thread that may block: these futures hold closures that the compiler does not see to be `Send`.
    let mut done = tokio::task::spawn_blocking(move || runtime.block_on(outcome(&control, wish, tell)));
    let mut heart = interval(HEARTBEAT);
    heart.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut bytes, mut of) = (0, 0);
    let mut is_open = true;
    let ended = loop {
        let line = tokio::select! {
            event = told.recv(), if is_open => match event {
                Some(VerifyEvent::Finding(finding)) => Line::Finding(finding),
                Some(VerifyEvent::Progress { bytes: now, of: all }) => {
                    (bytes, of) = (now, all);
                    continue;
                }
                None => {
                    is_open = false;
                    continue;
                }
            },
            // Only once nothing more is told: findings come before the end.
            ended = &mut done, if !is_open => break ended,
            _ = heart.tick() => Line::Progress { bytes, of },
        };
        // Closing `told` ends a verification; whoever collects does not look at it.
        if send(&lines, &line).await.is_err() {
            return;
        }
    };
    let last = match ended {
        Ok(Ok(outcome)) => Line::Done(outcome),
        Ok(Err(error)) => {
            tracing::warn!(err = %honmaru_base::chain(&error), "the registry's housekeeping failed");
            Line::Failed {
                message: honmaru_base::chain(&error),
            }
        }
        Err(error) => {
            tracing::error!(%error, "the registry's housekeeping panicked");
            Line::Failed {
                message: "it ended unexpectedly; control's log says why".to_owned(),
            }
        }
    };
    // Whoever went away misses it.
    let _ = send(&lines, &last).await;
}

async fn outcome(control: &Control, wish: Wish, tell: mpsc::Sender<VerifyEvent>) -> Result<Outcome, HousekeepingError> {
    let front = &control.registry;
    Ok(match wish {
        Wish::Usage => Outcome::Usage(Box::new(front.registry().usage().await?)),
        Wish::Verify => Outcome::Verify(front.registry().verify(&tell).await?),
        Wish::Gc { grace, idle } => Outcome::Gc(front.collect_now(&control.engine, grace, idle).await?),
    })
}

async fn send(lines: &mpsc::Sender<Bytes>, line: &Line) -> Result<(), ()> {
    let mut text = serde_json::to_vec(line).map_err(|error| tracing::error!(%error, "a line cannot be written"))?;
    text.push(b'\n');
    lines.send(text.into()).await.map_err(|_| ())
}

/// Lines as they come.
struct Lines(mpsc::Receiver<Bytes>);

impl Body for Lines {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
