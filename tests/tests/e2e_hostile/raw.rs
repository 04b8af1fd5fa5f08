//! Bytes on a socket: what is sent is exactly what a test says, and only the head of the answer is looked at.

use crate::ANSWER_TIMEOUT;
use anyhow::{Result, bail, ensure};
use honmaru_tests::cloud::Cloud;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

pub const JSON: &str = "Content-Type: application/x-amz-json-1.1\r\n";
pub const CLUSTERS: &str = "X-Amz-Target: AmazonEC2ContainerServiceV20141113.ListClusters\r\n";
pub const QUERY: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
pub const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=AKIAX/20260101/us-east-1/ecs/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=00\r\nX-Amz-Date: 20260101T000000Z\r\n";

/// Sends bytes, says that no more will come, and returns the status of the first answer; nothing when the connection
/// was closed without one.
pub fn send(cloud: &Cloud, bytes: &[u8]) -> Result<Option<u16>> {
    let mut stream = TcpStream::connect(("127.0.0.1", cloud.port))?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    // The endpoint may have refused before everything was sent.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let (mut answer, mut part) = (Vec::new(), [0; 4_096]);
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(part.get(..read).unwrap_or_default()),
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                bail!("no answer in time, only {:?}", String::from_utf8_lossy(&answer));
            }
            Err(_) => break,
        }
        if answer.windows(4).any(|window| window == b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8_lossy(&answer);
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok());
    ensure!(answer.is_empty() || status.is_some(), "no HTTP: {head}");
    Ok(status)
}

pub fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [request.as_bytes(), body].concat()
}

/// Asks for a path with some headers and returns the status.
pub fn fetch(cloud: &Cloud, path: &str, headers: &str) -> Result<Option<u16>> {
    let mut stream = TcpStream::connect(("127.0.0.1", cloud.port))?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = String::from_utf8_lossy(&answer);
    Ok(head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok()))
}
