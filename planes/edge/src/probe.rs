//! One health check of one target. Ref: ALB guide, "Health checks for target groups".

use crate::group::{Reason, Version};
use crate::limits::CHECK_ANSWER_BYTES_MAX;
use crate::pool::{self, DialError, Stream};
use bytes::Bytes;
use honmaru_contract::edge::HealthCheck;
use http::{Request, Response, header};
use http_body_util::Empty;
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

/// Checks a target once: nothing when it is well, else the reason.
pub(crate) async fn check(
    check: &HealthCheck,
    version: Version,
    target: SocketAddr,
    source: Option<Ipv4Addr>,
) -> Result<(), Reason> {
    let address = SocketAddr::new(target.ip(), check.port.unwrap_or(target.port()));
    let timeout = Duration::from_secs(u64::from(check.timeout_s.max(1)));
    let all = async {
        let stream = match pool::dial(address, source, check.protocol == "HTTPS", timeout).await {
            Ok(stream) => stream,
            Err(DialError::TimedOut) => return Err(timed_out()),
            Err(DialError::Failed(_)) => return Err(failed()),
        };
        match (check.protocol.as_str(), version) {
            ("HTTP" | "HTTPS", Version::Http1) => http1_check(check, stream, address).await,
            ("HTTP" | "HTTPS", Version::Http2 | Version::Grpc) => http2_check(check, version, stream, address).await,
            // A connection that was made is all that a TCP check asks for.
            _ => Ok(()),
        }
    };
    tokio::time::timeout(timeout, all)
        .await
        .unwrap_or_else(|_| Err(timed_out()))
}

fn timed_out() -> Reason {
    Reason {
        code: Some("Target.Timeout"),
        description: Some("Request timed out".to_owned()),
    }
}

fn failed() -> Reason {
    Reason {
        code: Some("Target.FailedHealthChecks"),
        description: Some("Health checks failed".to_owned()),
    }
}

fn mismatch(code: u16) -> Reason {
    Reason {
        code: Some("Target.ResponseCodeMismatch"),
        description: Some(format!("Health checks failed with these codes: [{code}]")),
    }
}

async fn http1_check(check: &HealthCheck, stream: Stream, address: SocketAddr) -> Result<(), Reason> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| failed())?;
    let request = Request::get(if check.path.is_empty() { "/" } else { &check.path })
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .header(header::USER_AGENT, "ELB-HealthChecker/2.0")
        .header(header::ACCEPT_ENCODING, "gzip, compressed")
        .body(Empty::<Bytes>::new())
        .map_err(|_| failed())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|_| failed())?;
        let status = response.status().as_u16();
        // The answer is read so that the target can close in peace.
        drain(response).await;
        if matches(&check.matcher, "200", status) {
            Ok(())
        } else {
            Err(mismatch(status))
        }
    };
    alongside(connection, exchange).await
}

async fn http2_check(check: &HealthCheck, version: Version, stream: Stream, address: SocketAddr) -> Result<(), Reason> {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|_| failed())?;
    let is_grpc = version == Version::Grpc;
    let path = match check.path.as_str() {
        "" if is_grpc => "/AWS.ALB/healthcheck",
        "" => "/",
        path => path,
    };
    let mut request = Request::builder()
        .method(if is_grpc { "POST" } else { "GET" })
        .uri(format!("http://{address}{path}"))
        .header(header::USER_AGENT, "ELB-HealthChecker/2.0");
    if is_grpc {
        request = request
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers");
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|_| failed())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|_| failed())?;
        let status = response.status().as_u16();
        let mut grpc = grpc_status(response.headers());
        let trailers = drain(response).await;
        if !is_grpc {
            return if matches(&check.matcher, "200", status) {
                Ok(())
            } else {
                Err(mismatch(status))
            };
        }
        if grpc.is_none() {
            grpc = trailers.as_ref().and_then(grpc_status);
        }
        match grpc {
            Some(code) if matches(&check.matcher, "12", code) => Ok(()),
            Some(code) => Err(mismatch(code)),
            None => Err(failed()),
        }
    };
    alongside(connection, exchange).await
}

fn grpc_status(headers: &http::HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// Runs an exchange while its connection moves.
async fn alongside<T>(
    connection: impl Future<Output = Result<(), hyper::Error>>,
    exchange: impl Future<Output = Result<T, Reason>>,
) -> Result<T, Reason> {
    let (mut connection, mut exchange) = (pin!(connection), pin!(exchange));
    tokio::select! {
        biased;
        result = &mut exchange => result,
        _ = &mut connection => exchange.await,
    }
}

/// Reads an answer to its end, up to a limit; returns its trailers.
async fn drain(response: Response<Incoming>) -> Option<http::HeaderMap> {
    let mut body = response.into_body();
    let mut bytes = 0;
    while bytes < CHECK_ANSWER_BYTES_MAX {
        match std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await {
            Some(Ok(frame)) => {
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if let Ok(trailers) = frame.into_trailers() {
                    return Some(trailers);
                }
            }
            Some(Err(_)) | None => return None,
        }
    }
    None
}

/// Whether a code is in a matcher such as `200`, `200,202` or `200-299`.
pub(crate) fn matches(matcher: &str, default: &str, code: u16) -> bool {
    let matcher = if matcher.trim().is_empty() { default } else { matcher };
    matcher.split(',').any(|part| match part.trim().split_once('-') {
        Some((low, high)) => {
            low.trim().parse().is_ok_and(|low: u16| low <= code)
                && high.trim().parse().is_ok_and(|high: u16| code <= high)
        }
        None => part.trim().parse() == Ok(code),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers() {
        assert!(matches("200", "200", 200) && !matches("200", "200", 201));
        assert!(matches("200,202", "200", 202) && !matches("200,202", "200", 201));
        assert!(matches("200-299", "200", 250) && !matches("200-299", "200", 300));
        assert!(matches("200-204,301", "200", 301) && matches("", "200", 200) && !matches("x-y", "200", 200));
    }
}
