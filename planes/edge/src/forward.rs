//! Forwarding to a target, and trying another one when the first is gone.
//!
//! A request is sent again only while no byte of an answer was seen and its body can be repeated: always when the
//! target cannot have its head (no connection, or writing failed); otherwise only when the method is idempotent, first
//! on a fresh connection (the target closed the kept one while it was idle), then on another target.
//! Ref: RFC 9110, 9.2.2.

use crate::answer::Refusal;
use crate::balance;
use crate::body::{Body, RequestBody};
use crate::clock::now_ms;
use crate::connection::Served;
use crate::counters::add;
use crate::group::{Group, InFlight, Target, Version};
use crate::headers;
use crate::limits::{ATTEMPTS_MAX, CONNECT_TIMEOUT, CONNECT_TIMEOUT_WITH_ALTERNATIVE};
use crate::link::{Head, Link, LinkError};
use crate::plan::Listener;
use crate::pool::{self, DialError};
use crate::stickiness;
use crate::validate::Survey;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, header};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// What is forwarded where.
pub(crate) struct Forwarding<'a> {
    pub(crate) served: &'a Served,
    pub(crate) listener: &'a Arc<Listener>,
    pub(crate) group: &'a Arc<Group>,
    pub(crate) survey: Survey,
    /// Group stickiness in seconds, when the action has several groups and sticks.
    pub(crate) group_s: Option<u32>,
}

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection: refused, no route.
    Connect,
    /// No connection in time.
    ConnectTimeout,
    /// The connection ended before an answer.
    Reset {
        /// It was a kept one.
        is_reused: bool,
        /// The target may have the request, and may have acted on it.
        is_sent: bool,
    },
    /// The target answered, but not in HTTP.
    Malformed,
    /// No answer within the idle timeout.
    Timeout,
    /// The client broke off.
    Client,
}

impl Failure {
    pub(crate) fn refusal(&self) -> Refusal {
        match self {
            Failure::Connect | Failure::Reset { .. } | Failure::Malformed => Refusal::BadGateway,
            Failure::ConnectTimeout | Failure::Timeout => Refusal::Timeout,
            Failure::Client => Refusal::BadRequest,
        }
    }
}

/// Forwards a request and returns the target's answer.
pub(crate) async fn forward(
    forwarding: &Forwarding<'_>,
    mut parts: Parts,
    body: RequestBody,
) -> Result<Response<Body>, Refusal> {
    let Forwarding {
        served,
        listener,
        group,
        survey,
        group_s,
    } = *forwarding;
    let mut preferred = survey
        .has_cookie
        .then(|| stickiness::sticky_target(&served.edge.jar, &parts.headers, group))
        .flatten();
    headers::to_target(&mut parts, survey, &served.caller, listener, false);
    let is_idempotent = parts.method.is_idempotent();
    prepare(&mut parts, group.version)?;
    let mut tried = Vec::new();
    let mut attempts = 0;
    let mut prefers_fresh = false;
    loop {
        attempts += 1;
        let Some(target) = preferred.take().or_else(|| balance::pick(group, &tried)) else {
            return Err(if tried.is_empty() {
                Refusal::NoTarget
            } else {
                Refusal::BadGateway
            });
        };
        let has_alternative = attempts < ATTEMPTS_MAX && group.live().len() > tried.len() + 1;
        let Some(again) = body.again() else {
            return Err(Refusal::BadGateway);
        };
        let attempt = Attempt {
            forwarding,
            target: &target,
            has_alternative,
            prefers_fresh,
        };
        add(&group.numbers.requests);
        let began = now_ms();
        let failure = match attempt.send(&parts, again).await {
            Ok(mut response) => {
                target.trust();
                group
                    .numbers
                    .answered(response.status().as_u16(), now_ms().saturating_sub(began));
                if !headers::to_client(response.headers_mut()) {
                    return Err(Refusal::BadGateway);
                }
                stickiness::add_cookies(&served.edge.jar, response.headers_mut(), group, &target, group_s);
                *response.version_mut() = http::Version::HTTP_11;
                return Ok(response);
            }
            Err(failure) if body.client_failed() => {
                tracing::debug!(?failure, "client broke off");
                return Err(Refusal::BadRequest);
            }
            Err(failure) => failure,
        };
        let refusal = failure.refusal();
        match failure {
            Failure::Connect | Failure::ConnectTimeout => {
                add(&group.numbers.connection_errors);
                target.suspect();
                if !has_alternative {
                    return Err(refusal);
                }
                tried.push(target.address());
            }
            Failure::Reset { is_reused, is_sent } => {
                let may_repeat = is_idempotent || !is_sent;
                if is_reused && may_repeat && attempts < ATTEMPTS_MAX {
                    // Most likely the target closed the kept connection just now; a fresh one tells.
                    prefers_fresh = true;
                    preferred = Some(target);
                } else {
                    target.suspect();
                    if !may_repeat || !has_alternative {
                        return Err(refusal);
                    }
                    tried.push(target.address());
                }
            }
            Failure::Malformed | Failure::Timeout | Failure::Client => return Err(refusal),
        }
        add(&group.numbers.retries);
    }
}

/// Brings a request into the form of the target's protocol.
fn prepare(parts: &mut Parts, version: Version) -> Result<(), Refusal> {
    parts.extensions = http::Extensions::new();
    match version {
        Version::Http1 => {
            if parts.version == http::Version::HTTP_2 {
                join_cookies(parts);
            }
            if parts.uri.authority().is_some() || parts.uri.scheme().is_some() {
                let path = parts
                    .uri
                    .path_and_query()
                    .cloned()
                    .unwrap_or_else(|| PathAndQuery::from_static("/"));
                parts.uri = Uri::from(path);
            }
            parts.version = http::Version::HTTP_11;
        }
        Version::Http2 | Version::Grpc => {
            let host = parts.headers.remove(header::HOST);
            let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
            let mut uri = Uri::default().into_parts();
            uri.scheme = Some(Scheme::HTTP);
            uri.authority = Some(
                authority
                    .or_else(|| parts.uri.authority().cloned())
                    .ok_or(Refusal::BadRequest)?,
            );
            uri.path_and_query = Some(
                parts
                    .uri
                    .path_and_query()
                    .cloned()
                    .unwrap_or_else(|| PathAndQuery::from_static("/")),
            );
            parts.uri = Uri::from_parts(uri).map_err(|_| Refusal::BadRequest)?;
            parts.version = http::Version::HTTP_2;
        }
    }
    Ok(())
}

/// HTTP/2 may split cookies over several fields; HTTP/1 must not. Ref: RFC 9113, 8.2.3.
fn join_cookies(parts: &mut Parts) {
    let mut cookies = parts.headers.get_all(header::COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let all: Vec<&[u8]> = parts
        .headers
        .get_all(header::COOKIE)
        .iter()
        .map(|value| value.as_bytes())
        .collect();
    if let Ok(joined) = http::HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        parts.headers.insert(header::COOKIE, joined);
    }
}

fn compose(parts: &Parts, body: RequestBody) -> Request<RequestBody> {
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.headers_mut() = parts.headers.clone();
    *request.version_mut() = http::Version::HTTP_2;
    request
}

/// One try on one target.
struct Attempt<'a> {
    forwarding: &'a Forwarding<'a>,
    target: &'a Arc<Target>,
    has_alternative: bool,
    prefers_fresh: bool,
}

impl Attempt<'_> {
    async fn send(&self, parts: &Parts, body: RequestBody) -> Result<Response<Body>, Failure> {
        match self.forwarding.group.version {
            Version::Http1 => self.send_h1(parts, body).await,
            Version::Http2 | Version::Grpc => Box::pin(self.send_h2(compose(parts, body))).await,
        }
    }

    fn idle_timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.forwarding.listener.balancer.settings.idle_timeout_s))
    }

    async fn dial(&self) -> Result<pool::Stream, Failure> {
        let timeout = if self.has_alternative {
            CONNECT_TIMEOUT_WITH_ALTERNATIVE
        } else {
            CONNECT_TIMEOUT
        };
        let Forwarding { listener, group, .. } = self.forwarding;
        let dialled = pool::dial(self.target.address(), listener.balancer.source, group.uses_tls, timeout).await;
        dialled.map_err(|error| match error {
            DialError::Failed(error) => {
                tracing::debug!(target = %self.target.address(), %error, "target refused a connection");
                Failure::Connect
            }
            DialError::TimedOut => Failure::ConnectTimeout,
        })
    }

    async fn send_h1(&self, parts: &Parts, body: RequestBody) -> Result<Response<Body>, Failure> {
        let source = self.forwarding.listener.balancer.source;
        let kept = if self.prefers_fresh {
            None
        } else {
            std::future::poll_fn(|cx| Poll::Ready(self.target.pool.take(source, cx))).await
        };
        let mut link = match kept {
            Some(link) => link,
            // Rare: on the heap, so that the usual request's future stays small.
            None => Box::pin(async { Ok::<_, Failure>(Link::new(self.dial().await?, source)) }).await?,
        };
        let in_flight = InFlight::new(self.target.clone());
        link.begin(parts, body);
        let head = self.wait(&mut link).await?;
        let mut rest = Some((link, in_flight));
        let body = std::future::poll_fn(|cx| {
            let body = rest.take().map(|(link, in_flight)| Body::of_link(link, in_flight, cx));
            Poll::Ready(body.unwrap_or(Body::Empty))
        });
        let mut response = Response::new(body.await);
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        Ok(response)
    }

    /// Drives the link until the answer's head is there.
    async fn wait(&self, link: &mut Link) -> Result<Head, Failure> {
        let served = self.forwarding.served;
        let activity = &served.entered.activity;
        let poll = std::future::poll_fn(|cx| match link.poll_head(cx) {
            Poll::Ready(result) => Poll::Ready(result.map_err(|error| match error {
                LinkError::Closed => Failure::Reset {
                    is_reused: link.is_reused,
                    is_sent: link.has_sent_head(),
                },
                LinkError::Malformed(_) => Failure::Malformed,
                LinkError::Client(_) => Failure::Client,
            })),
            Poll::Pending if activity.is_expired() && !served.is_h2 => Poll::Ready(Err(Failure::Timeout)),
            Poll::Pending => Poll::Pending,
        });
        if served.is_h2 {
            // Streams share their connection's activity; each needs a clock of its own.
            return tokio::time::timeout(self.idle_timeout(), poll)
                .await
                .unwrap_or(Err(Failure::Timeout));
        }
        activity.begin_wait();
        let result = poll.await;
        activity.end_wait();
        result
    }

    async fn send_h2(&self, request: Request<RequestBody>) -> Result<Response<Body>, Failure> {
        let in_flight = InFlight::new(self.target.clone());
        let (mut sender, is_reused) = match self.target.pool.shared().filter(|_| !self.prefers_fresh) {
            Some(sender) => (sender, true),
            None => {
                let stream = self.dial().await?;
                let sender = self.target.pool.share(stream).await;
                (
                    sender.map_err(|_| Failure::Reset {
                        is_reused: false,
                        is_sent: false,
                    })?,
                    false,
                )
            }
        };
        let answer = async {
            sender.ready().await?;
            sender.send_request(request).await
        };
        let response = match tokio::time::timeout(self.idle_timeout(), answer).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                return Err(match failure(&error) {
                    Failure::Reset { is_sent, .. } => Failure::Reset { is_reused, is_sent },
                    failure => failure,
                });
            }
            Err(_) => return Err(Failure::Timeout),
        };
        let (parts, incoming) = response.into_parts();
        Ok(Response::from_parts(parts, Body::of_incoming(incoming, in_flight)))
    }
}

/// What an error of the client side means.
pub(crate) fn failure(error: &hyper::Error) -> Failure {
    if error.is_parse() {
        Failure::Malformed
    } else if error.is_user() {
        Failure::Client
    } else {
        Failure::Reset {
            is_reused: false,
            is_sent: true,
        }
    }
}
