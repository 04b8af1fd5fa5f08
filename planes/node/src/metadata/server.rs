//! The HTTP server behind 169.254.170.2:80. Who asks is known from the peer's address, which the network makes
//! trustworthy; a task sees itself and nothing else.

use super::{document, stats};
use crate::ids::runtime_id;
use crate::shared::{Shared, View};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, TcpListener as StdListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::error;

/// Connections at one time, of all tasks.
const CONNECTIONS_MAX: usize = 1_024;

/// Connections at one time of one task: it must not keep the others from their credentials.
const CONNECTIONS_OF_TASK_MAX: usize = 32;

/// How long a connection may last, and how long its headers may take.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until the agent ends.
pub(crate) async fn serve(shared: Arc<Shared>, listener: StdListener) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(failed) => return error!(err = %failed, "cannot serve task metadata"),
    };
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let seats = Arc::new(Seats::default());
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of descriptors, or the client is gone already.
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            continue;
        };
        let IpAddr::V4(peer) = peer.ip() else { continue };
        let Some(seat) = Seats::take(&seats, peer) else {
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // An error ends this connection only; its client knows.
            let _ = timeout(CONNECTION_TIMEOUT, connection(shared, stream, peer)).await;
            drop((slot, seat));
        });
    }
}

/// How many connections each task has, by its address.
#[derive(Default)]
struct Seats(Mutex<HashMap<Ipv4Addr, usize>>);

/// One connection of a task.
struct Seat {
    of: Ipv4Addr,
    seats: Arc<Seats>,
}

impl Seats {
    /// A seat, unless the task has all that it may have.
    fn take(seats: &Arc<Self>, of: Ipv4Addr) -> Option<Seat> {
        let mut taken = seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(of).or_default();
        if *count >= CONNECTIONS_OF_TASK_MAX {
            return None;
        }
        *count += 1;
        let seats = Arc::clone(seats);
        Some(Seat { of, seats })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, peer: Ipv4Addr) -> hyper::Result<()> {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(&shared, peer, &request).await) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer(shared: &Shared, peer: Ipv4Addr, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET {
        return failed(
            StatusCode::METHOD_NOT_ALLOWED,
            "InvalidMethod",
            "only GET is served here",
        );
    }
    let view = match shared.network.task_of(peer).await {
        Some(task_id) => shared.view(&task_id),
        None => None,
    };
    let Some(view) = view else {
        return failed(StatusCode::NOT_FOUND, "UnknownTask", "no task has your address");
    };
    let parts: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["v3" | "v4", id, rest @ ..] => metadata(shared, &view, id, rest).await,
        ["v2", "credentials", id] => credentials(shared, &view, id).await,
        _ => not_found(),
    }
}

async fn metadata(shared: &Shared, view: &View, id: &str, rest: &[&str]) -> Response<Full<Bytes>> {
    let task_id = &view.record.spec.task_id;
    let Some(spec) = view
        .record
        .spec
        .containers
        .iter()
        .find(|c| runtime_id(task_id, &c.name) == id)
    else {
        return not_found();
    };
    match rest {
        [] => found(&document::container(view, spec)),
        ["task"] => found(&document::task(view)),
        ["taskWithTags"] => {
            let mut task = document::task(view);
            task["TaskTags"] = json!(view.record.spec.tags);
            found(&task)
        }
        ["stats"] | ["task", "stats"] => {
            let Some(mut all) = stats::task(shared, view, &spec.name).await else {
                return failed(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "InternalServerError",
                    "the task does not run",
                );
            };
            match rest {
                ["stats"] => found(&all.remove(id).unwrap_or(Value::Null)),
                _ => found(&Value::Object(all)),
            }
        }
        _ => not_found(),
    }
}

async fn credentials(shared: &Shared, view: &View, id: &str) -> Response<Full<Bytes>> {
    let spec = &view.record.spec;
    if !spec.task_role || id != view.record.credentials_id {
        return failed(
            StatusCode::NOT_FOUND,
            "InvalidIdInRequest",
            "CredentialsV2Request: Credentials not found",
        );
    }
    match shared.credentials.get(shared, &spec.task_arn).await {
        Ok(c) => found(&json!({
            "RoleArn": c.role_arn,
            "AccessKeyId": c.access_key_id,
            "SecretAccessKey": c.secret_access_key,
            "Token": c.token,
            "Expiration": c.expiration.rfc3339(),
        })),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", &error),
    }
}

fn not_found() -> Response<Full<Bytes>> {
    failed(StatusCode::NOT_FOUND, "NotFound", "there is nothing here for this task")
}

fn found(value: &Value) -> Response<Full<Bytes>> {
    respond(StatusCode::OK, value)
}

fn failed(status: StatusCode, code: &str, message: &str) -> Response<Full<Bytes>> {
    respond(
        status,
        &json!({"code": code, "message": message, "HTTPErrorCode": status.as_u16()}),
    )
}

fn respond(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_cannot_take_the_connections_of_others() {
        let seats = Arc::new(Seats::default());
        let [one, other] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
        let mut held: Vec<Seat> = (0..CONNECTIONS_OF_TASK_MAX)
            .filter_map(|_| Seats::take(&seats, one))
            .collect();
        assert_eq!(held.len(), CONNECTIONS_OF_TASK_MAX);
        assert!(Seats::take(&seats, one).is_none() && Seats::take(&seats, other).is_some());
        held.pop();
        assert!(Seats::take(&seats, one).is_some());
        drop(held);
        assert!(seats.0.lock().unwrap().is_empty());
    }
}
