//! Upgrades (WebSocket and others): a connection of its own to the target, then bytes both ways.

use crate::answer::Refusal;
use crate::balance;
use crate::body::{Body, RequestBody};
use crate::clock::now_ms;
use crate::counters::add;
use crate::forward::{self, Forwarding};
use crate::group::InFlight;
use crate::headers;
use crate::limits::{ATTEMPTS_MAX, CONNECT_TIMEOUT, CONNECT_TIMEOUT_WITH_ALTERNATIVE, READ_BUFFER_BYTES_MAX};
use crate::pool::{self, DialError, Stream};
use crate::stickiness;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes of one copy step.
const COPY_BYTES: usize = 16 * 1024;

/// Whether a request asks for another protocol. `h2c` is not one that a load balancer hands through.
pub(crate) fn is_wanted(parts: &Parts) -> bool {
    let names_upgrade = parts
        .headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    let is_h2c = parts
        .headers
        .get(header::UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"h2c"));
    names_upgrade && !is_h2c && parts.extensions.get::<OnUpgrade>().is_some()
}

/// Forwards such a request; when the target agrees, the two connections become one.
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
    let preferred = stickiness::sticky_target(&served.edge.jar, &parts.headers, group);
    headers::to_target(&mut parts, survey, &served.caller, listener, true);
    let client = parts.extensions.remove::<OnUpgrade>().ok_or(Refusal::BadRequest)?;
    let (stream, in_flight) = connect(forwarding, preferred).await?;
    let mut request = Request::from_parts(parts, body);
    *request.version_mut() = http::Version::HTTP_11;
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = path.into();
    }
    add(&group.numbers.requests);
    let idle = Duration::from_secs(u64::from(listener.balancer.settings.idle_timeout_s));
    let began = now_ms();
    let exchange = async {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(READ_BUFFER_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        // It ends with the exchange or hands its stream over; an error reaches the sender.
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await
    };
    let mut response = match tokio::time::timeout(idle, exchange).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(forward::failure(&error).refusal()),
        Err(_) => return Err(Refusal::Timeout),
    };
    let target = in_flight.target().clone();
    group
        .numbers
        .answered(response.status().as_u16(), now_ms().saturating_sub(began));
    let is_agreed = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = response.headers().get(header::UPGRADE).cloned();
    let server = is_agreed.then(|| hyper::upgrade::on(&mut response));
    let (mut head, incoming) = response.into_parts();
    if !headers::to_client(&mut head.headers) {
        return Err(Refusal::BadGateway);
    }
    stickiness::add_cookies(&served.edge.jar, &mut head.headers, group, &target, group_s);
    let Some(server) = server else {
        head.version = http::Version::HTTP_11;
        return Ok(Response::from_parts(head, Body::of_incoming(incoming, in_flight)));
    };
    head.headers
        .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        head.headers.insert(header::UPGRADE, protocol);
    }
    let edge = served.edge.clone();
    let listener_arn = listener.arn.clone();
    tokio::spawn(async move {
        let joined = async { Ok::<_, hyper::Error>((client.await?, server.await?)) };
        match joined.await {
            Ok((client, server)) => {
                let _in_flight = in_flight;
                let _open = edge.tunnels.enter();
                join(TokioIo::new(client), TokioIo::new(server), idle).await;
            }
            Err(error) => tracing::debug!(listener = %listener_arn, err = %error, "upgrade failed"),
        }
    });
    Ok(Response::from_parts(head, Body::Empty))
}

/// Opens a stream to a target; others are tried when one refuses.
async fn connect(
    forwarding: &Forwarding<'_>,
    mut preferred: Option<Arc<crate::group::Target>>,
) -> Result<(Stream, InFlight), Refusal> {
    let Forwarding { listener, group, .. } = *forwarding;
    let mut tried: Vec<SocketAddr> = Vec::new();
    let mut refusal = Refusal::NoTarget;
    for attempt in 1..=ATTEMPTS_MAX {
        let Some(target) = preferred.take().or_else(|| balance::pick(group, &tried)) else {
            break;
        };
        let has_alternative = attempt < ATTEMPTS_MAX && group.live().len() > tried.len() + 1;
        let timeout = if has_alternative {
            CONNECT_TIMEOUT_WITH_ALTERNATIVE
        } else {
            CONNECT_TIMEOUT
        };
        let in_flight = InFlight::new(target.clone());
        match pool::dial(target.address(), listener.balancer.source, group.uses_tls, timeout).await {
            Ok(stream) => return Ok((stream, in_flight)),
            Err(error) => {
                add(&group.numbers.connection_errors);
                target.suspect();
                tried.push(target.address());
                refusal = match error {
                    DialError::Failed(_) => Refusal::BadGateway,
                    DialError::TimedOut => Refusal::Timeout,
                };
            }
        }
    }
    Err(refusal)
}

/// Copies bytes both ways until both sides ended, one failed, or nothing moved for `idle`.
pub(crate) async fn join<A, B>(a: A, b: B, idle: Duration)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let last_ms = AtomicU64::new(now_ms());
    let (mut a_read, mut a_write) = tokio::io::split(a);
    let (mut b_read, mut b_write) = tokio::io::split(b);
    let both = async {
        tokio::join!(
            copy(&mut a_read, &mut b_write, &last_ms),
            copy(&mut b_read, &mut a_write, &last_ms)
        )
    };
    let watch = async {
        loop {
            let quiet = Duration::from_millis(now_ms().saturating_sub(last_ms.load(Ordering::Relaxed)));
            match idle.checked_sub(quiet).filter(|left| !left.is_zero()) {
                Some(left) => tokio::time::sleep(left).await,
                None => return,
            }
        }
    };
    let (both, watch) = (pin!(both), pin!(watch));
    tokio::select! {
        _ = both => {}
        () = watch => {}
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    last_ms: &AtomicU64,
) -> std::io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        last_ms.store(now_ms(), Ordering::Relaxed);
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..read).unwrap_or_default()).await?;
        to.flush().await?;
    }
}
