//! Real sockets against an endpoint whose limits are small, so that each of them is reached within moments.

mod end;
mod http2;
mod messages;
mod patience;
mod places;

use super::{End, Limits, Peer, serve};
use crate::control::http::{AnswerBody, full};
use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// What must happen does so within this time, on a machine that does other things too.
const SOON: Duration = Duration::from_secs(60);

/// The patience of an endpoint under test. Whatever a test does well in time has as long, on a machine that may stand
/// still for a moment.
const SHORT: Duration = Duration::from_secs(1);

/// What `/big` answers: more than the kernel's buffers take.
const BIG_BYTES: usize = 64 * 1024 * 1024;

fn limits() -> Limits {
    Limits {
        connections_max: 64,
        connections_per_address_max: 64,
        head: SHORT,
        idle: SHORT,
        idle_when_full: SHORT / 2,
        farewell: Duration::from_millis(100),
        look: Duration::from_millis(20),
        linger: Duration::from_millis(300),
        drain: Duration::from_secs(30),
        ..Limits::default()
    }
}

/// An endpoint that closes nothing for being silent.
fn patient() -> Limits {
    Limits {
        head: SOON * 10,
        idle: SOON * 10,
        ..limits()
    }
}

/// Requests that are worked on, now and at most so far.
#[derive(Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
    begun: AtomicUsize,
}

struct Worked<'a>(&'a Load);

impl Drop for Worked<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Endpoint {
    address: SocketAddr,
    load: Arc<Load>,
    end: Option<oneshot::Sender<End>>,
    served: JoinHandle<bool>,
}

impl Endpoint {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let (address, load) = (listener.local_addr().expect("it is bound"), Arc::new(Load::default()));
        let (end, ending) = oneshot::channel();
        let handler = {
            let load = load.clone();
            move |request, _peer: Peer| answer(load.clone(), request)
        };
        let ending = async move { ending.await.unwrap_or(End::Last) };
        let served = async move {
            serve(listener, None, limits, handler, ending, || ())
                .await
                .expect("it serves")
        };
        Self {
            address,
            load,
            end: Some(end),
            served: tokio::spawn(served),
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// Asks on a connection of its own and returns the status. A client that the machine held up for so long that it
    /// lost its place before it had asked comes again.
    async fn ask(&self, path: &str) -> u16 {
        loop {
            let mut client = Client::new(self.connect().await);
            let connected = Instant::now();
            let asked = client.send(path).await;
            let is_late = connected.elapsed() >= SHORT / 4;
            let answer = match asked {
                Ok(()) => client.answer().await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(answer) => return answer.status,
                Err(error) => assert!(is_late, "no answer: {error}"),
            }
        }
    }

    /// Ends it; returns whether everything was answered, and how long that took.
    async fn end(mut self) -> (bool, Duration) {
        let began = Instant::now();
        let _ = self.end.take().expect("it ends once").send(End::Last);
        (self.served.await.expect("no panic"), began.elapsed())
    }
}

async fn answer(load: Arc<Load>, request: Request<Incoming>) -> Response<AnswerBody> {
    let now = load.now.fetch_add(1, Ordering::SeqCst) + 1;
    load.begun.fetch_add(1, Ordering::SeqCst);
    load.most.fetch_max(now, Ordering::SeqCst);
    let _worked = Worked(&load);
    let path = request.uri().path().to_owned();
    if let Some(ms) = path.strip_prefix("/slow/") {
        sleep(Duration::from_millis(ms.parse().expect("a number"))).await;
    }
    if path == "/big" {
        let frames = (0..BIG_BYTES / 65_536).map(|_| Ok(Frame::data(Bytes::from_static(&[b'x'; 65_536]))));
        return Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed());
    }
    if path == "/body" {
        let bytes = request
            .into_body()
            .collect()
            .await
            .map_or(0, |body| body.to_bytes().len());
        return Response::new(full(bytes.to_string()));
    }
    Response::new(full("ok"))
}

#[derive(Debug)]
struct Answer {
    status: u16,
    closes: bool,
}

/// A client of HTTP/1.1 that keeps its connection.
struct Client {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            rest: Vec::new(),
        }
    }

    async fn ask(&mut self, path: &str) -> io::Result<Answer> {
        self.send(path).await?;
        self.answer().await
    }

    async fn send(&mut self, path: &str) -> io::Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await
    }

    async fn answer(&mut self) -> io::Result<Answer> {
        let broken = |what: &str| io::Error::new(io::ErrorKind::UnexpectedEof, what.to_owned());
        let mut part = [0; 4_096];
        loop {
            if let Some(end) = self.rest.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.rest[..end]).to_lowercase();
                let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<usize>().ok());
                let length = number(head.lines().find_map(|line| line.strip_prefix("content-length:"))).unwrap_or(0);
                if self.rest.len() >= end + 4 + length {
                    self.rest.drain(..end + 4 + length);
                    let status = number(head.split(' ').nth(1)).ok_or_else(|| broken(&head))?;
                    return Ok(Answer {
                        status: u16::try_from(status).expect("three digits"),
                        closes: head.contains("connection: close"),
                    });
                }
            }
            match self.stream.read(&mut part).await? {
                0 => return Err(broken("the connection ended before the answer")),
                n => self.rest.extend_from_slice(&part[..n]),
            }
        }
    }
}

/// Waits until the other side has closed; returns what it said before.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let (mut said, mut part) = (Vec::new(), vec![0; 65_536]);
    let closed = async {
        while let Ok(n @ 1..) = stream.read(&mut part).await {
            said.extend_from_slice(&part[..n]);
        }
    };
    timeout(SOON, closed).await.expect("the connection keeps its place");
    said
}

/// A frame of HTTP/2. Ref: RFC 9113, 4.1.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("small").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// `GET http://localhost/slow/50`, all in one. Ref: RFC 7541, appendix A: indexed 2, 6, and literals of 1 and 4.
fn get() -> Vec<u8> {
    [&[0x82, 0x86, 0x41, 9][..], b"localhost", &[0x44, 8], b"/slow/50"].concat()
}

fn begin_http2() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

type Sender = hyper::client::conn::http2::SendRequest<Empty<Bytes>>;

async fn http2(endpoint: &Endpoint) -> (Sender, JoinHandle<()>) {
    let stream = TokioIo::new(endpoint.connect().await);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
        .await
        .expect("HTTP/2");
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    (sender, driver)
}
