//! Real sockets against an endpoint whose limits are small, so that each of them is reached within moments.

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_for_nothing_loses_its_place() {
    let endpoint = Endpoint::start(limits()).await;
    let openings: [&[u8]; 6] = [
        b"",
        b"P",
        b"PRI * HTTP/2.0\r\n\r\nS",
        b"POST / HTTP/1.1\r\nHost: loc",
        &begin_http2(),
        // Headers that never end: END_HEADERS is missing.
        &[begin_http2(), frame(HEADERS, 0, 1, &get())].concat(),
    ];
    futures_util::future::join_all(openings.map(|opening| {
        let endpoint = &endpoint;
        async move {
            let began = Instant::now();
            let mut stream = endpoint.connect().await;
            stream.write_all(opening).await.expect("it is open");
            until_closed(&mut stream).await;
            let took = began.elapsed();
            assert!(took >= SHORT / 2, "{opening:?} was closed after {took:?} already");
        }
    }))
    .await;
    assert_eq!(endpoint.load.begun.load(Ordering::SeqCst), 0, "nobody has asked yet");
    assert_eq!(endpoint.ask("/").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_trickles_its_head_loses_its_place() {
    let endpoint = Endpoint::start(limits()).await;
    let (mut from, mut to) = endpoint.connect().await.into_split();
    let trickle = tokio::spawn(async move {
        let _ = to.write_all(b"GET / HTTP/1.1\r\n").await;
        for n in 0..10_000 {
            if to.write_all(format!("X-{n}: y\r\n").as_bytes()).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut said = Vec::new();
    let closed = timeout(SOON, from.read_to_end(&mut said)).await;
    assert!(closed.is_ok(), "it is never done and keeps its place");
    trickle.abort();
    assert_eq!(endpoint.load.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_closed_after_their_time() {
    let endpoint = Endpoint::start(limits()).await;
    let mut client = Client::new(endpoint.connect().await);
    let mut last = Instant::now();
    for _ in 0..3 {
        match client.ask("/").await {
            Ok(answer) => assert_eq!(answer.status, 200),
            // The machine stood still for longer than a connection may be idle.
            Err(error) => {
                assert!(last.elapsed() >= SHORT / 2, "{error}");
                client = Client::new(endpoint.connect().await);
            }
        }
        last = Instant::now();
        sleep(Duration::from_millis(100)).await;
    }
    assert!(until_closed(&mut client.stream).await.is_empty());
    // HTTP/2, with pings that are no work.
    let mut stream = endpoint.connect().await;
    stream.write_all(&begin_http2()).await.expect("it is open");
    stream
        .write_all(&frame(HEADERS, 5, 1, &get()))
        .await
        .expect("it is open");
    let (mut from, mut to) = stream.into_split();
    let pings = tokio::spawn(async move {
        while to.write_all(&frame(PING, 0, 0, &[0; 8])).await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    let mut said = Vec::new();
    let closed = timeout(SOON, from.read_to_end(&mut said)).await;
    assert!(closed.is_ok(), "pings keep a place");
    pings.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_call_is_not_idle() {
    let endpoint = Endpoint::start(limits()).await;
    let mut client = Client::new(endpoint.connect().await);
    let answer = client.ask("/slow/2500").await.expect("an answer");
    // Its connection may stay: it is idle from here on only.
    assert!(answer.status == 200 && !answer.closes, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_takes_is_given_up_and_a_slow_reader_gets_all() {
    let limits = Limits {
        idle: Duration::from_secs(2),
        ..limits()
    };
    let endpoint = Endpoint::start(limits.clone()).await;
    let ask = b"GET /big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut stuck = endpoint.connect().await;
    stuck.write_all(ask).await.expect("it is open");
    let mut slow = endpoint.connect().await;
    slow.write_all(ask).await.expect("it is open");
    let (began, mut read, mut part) = (Instant::now(), 0, vec![0; 1024 * 1024]);
    // At least 64 reads.
    while let n @ 1.. = slow.read(&mut part).await.expect("the answer goes on") {
        read += n;
        sleep(Duration::from_millis(70)).await;
    }
    assert!(read >= BIG_BYTES, "only {read} bytes came");
    assert!(
        began.elapsed() > 2 * limits.idle,
        "it was not slow enough to show anything"
    );
    // By now the other one was given up: only what the kernel had taken comes.
    sleep(Duration::from_secs(1)).await;
    assert!(until_closed(&mut stuck).await.len() < BIG_BYTES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_takes_is_given_up_on_http2_too() {
    let endpoint = Endpoint::start(limits()).await;
    let mut stream = endpoint.connect().await;
    let path = [&[0x82, 0x86, 0x41, 9][..], b"localhost", &[0x44, 4], b"/big"].concat();
    let ask = [begin_http2(), frame(HEADERS, 5, 1, &path)].concat();
    stream.write_all(&ask).await.expect("it is open");
    // No window is ever opened beyond the first 64 KiB, though everything is read.
    let said = until_closed(&mut stream).await;
    assert!(said.len() > 60_000 && said.len() < 100_000, "{} bytes", said.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_places_are_taken_idle_connections_make_room() {
    let limits = Limits {
        connections_max: 4,
        idle: Duration::from_secs(3_600),
        head: Duration::from_secs(3_600),
        idle_when_full: SHORT * 2,
        ..limits()
    };
    let endpoint = Endpoint::start(limits).await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut client = Client::new(endpoint.connect().await);
        assert_eq!(client.ask("/").await.expect("an answer").status, 200);
        idle.push(client);
    }
    let asked = timeout(SOON, endpoint.ask("/")).await;
    assert_eq!(asked.expect("nobody made room"), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_places_are_busy_a_further_client_waits_and_is_answered_later() {
    let limits = Limits {
        connections_max: 4,
        idle_when_full: SHORT * 10,
        ..limits()
    };
    let endpoint = Arc::new(Endpoint::start(limits).await);
    let began = Instant::now();
    let busy: Vec<_> = (0..20)
        .map(|_| {
            let endpoint = endpoint.clone();
            tokio::spawn(async move { endpoint.ask("/slow/200").await })
        })
        .collect();
    for task in busy {
        assert_eq!(
            timeout(SOON, task).await.expect("it waits for ever").expect("no panic"),
            200
        );
    }
    assert!(endpoint.load.most.load(Ordering::SeqCst) <= 4);
    assert!(began.elapsed() >= Duration::from_millis(800), "they did not wait");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_cannot_take_all_places() {
    let limits = Limits {
        connections_per_address_max: 3,
        idle_when_full: SOON * 10,
        ..patient()
    };
    let endpoint = Endpoint::start(limits).await;
    let from = async |host: u8| {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, host], 0).into()).expect("it is loopback");
        Client::new(socket.connect(endpoint.address).await.expect("it listens"))
    };
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut client = from(2).await;
        assert_eq!(client.ask("/").await.expect("an answer").status, 200);
        kept.push(client);
    }
    assert!(from(2).await.ask("/").await.is_err(), "a fourth is answered");
    assert_eq!(from(3).await.ask("/").await.expect("another's answer").status, 200);
    kept.pop();
    let freed = async {
        while from(2).await.ask("/").await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, freed)
        .await
        .expect("a place that is left is not given again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_make_room_for_others_of_their_address() {
    let limits = Limits {
        connections_per_address_max: 3,
        ..patient()
    };
    let endpoint = Endpoint::start(limits).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut client = Client::new(endpoint.connect().await);
        assert_eq!(client.ask("/").await.expect("an answer").status, 200);
        idle.push(client);
    }
    let asked = async {
        while Client::new(endpoint.connect().await).ask("/").await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, asked).await.expect("nobody made room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_request_in_chunks_is_no_request() {
    let endpoint = Endpoint::start(limits()).await;
    // Whoever goes by the length sees one request here, whoever goes by the chunks two.
    for length in ["Content-Length: 40\r\n", ""] {
        let head = format!("POST /body HTTP/1.1\r\nHost: a\r\n{length}Transfer-Encoding: chunked\r\n\r\n");
        let both = format!("{head}2\r\nab\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut stream = endpoint.connect().await;
        stream.write_all(both.as_bytes()).await.expect("it is open");
        let said = String::from_utf8_lossy(&until_closed(&mut stream).await).to_lowercase();
        assert!(
            said.contains("connection: close") && said.ends_with("\r\n\r\n2"),
            "{said}"
        );
        assert_eq!(said.matches("http/1.1 200").count(), 1, "{said}");
    }
    assert_eq!(endpoint.load.begun.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_have_a_limit() {
    let endpoint = Endpoint::start(limits()).await;
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-A: a\r\n".repeat(5_000));
    for head in [long, many] {
        let mut stream = endpoint.connect().await;
        // It may be refused before everything was sent.
        let _ = stream.write_all(head.as_bytes()).await;
        let said = until_closed(&mut stream).await;
        assert!(
            said.is_empty() || said.starts_with(b"HTTP/1.1 431"),
            "{}",
            String::from_utf8_lossy(&said)
        );
    }
    let (mut sender, _driver) = http2(&endpoint).await;
    let large = Request::get("http://localhost/")
        .header("x-a", "a".repeat(100_000))
        .body(Empty::<Bytes>::new())
        .expect("a request");
    let answered = timeout(SOON, sender.send_request(large)).await.expect("an end");
    assert!(answered.map_or(true, |answer| answer.status()
        == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    assert_eq!(endpoint.load.begun.load(Ordering::SeqCst), 0);
    assert_eq!(endpoint.ask("/").await, 200);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_at_once_have_a_limit_and_all_are_answered() {
    let limits = Limits {
        streams_max: 8,
        ..limits()
    };
    let endpoint = Endpoint::start(limits).await;
    let (mut sender, _driver) = http2(&endpoint).await;
    // With the first answer the client knows the limit.
    let first = Request::get("http://localhost/").body(Empty::new()).expect("a request");
    sender.send_request(first).await.expect("an answer");
    let asked: Vec<_> = (0..100)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                sender.ready().await.expect("it is open");
                let request = Request::get("http://localhost/slow/20")
                    .body(Empty::new())
                    .expect("a request");
                let answer = sender.send_request(request).await.expect("an answer");
                assert_eq!(answer.version(), Version::HTTP_2);
                answer.status().as_u16()
            })
        })
        .collect();
    for task in asked {
        assert_eq!(timeout(SOON, task).await.expect("an answer").expect("no panic"), 200);
    }
    assert!(endpoint.load.most.load(Ordering::SeqCst) <= 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let endpoint = Endpoint::start(limits()).await;
    let mut frames = Vec::new();
    for n in 0..20_000 {
        let stream = 2 * n + 1;
        frames.extend(frame(HEADERS, 5, stream, &get()));
        frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    let said = flood(&endpoint, frames).await;
    let begun = endpoint.load.begun.load(Ordering::SeqCst);
    assert!(begun < 5_000, "{begun} of 20,000 requests were begun");
    // 11: ENHANCE_YOUR_CALM, in a GOAWAY, unless the reset of the connection overtook it.
    let calm = said
        .windows(17)
        .any(|window| window[3] == GOAWAY && window[13..17] == 11_u32.to_be_bytes());
    assert!(calm || said.len() < 4_096, "{said:?}");
    assert_eq!(endpoint.ask("/").await, 200);
}

/// Sends frames of HTTP/2 after the preface, and waits until the connection is ended; returns what was said.
async fn flood(endpoint: &Endpoint, frames: Vec<u8>) -> Vec<u8> {
    let (mut from, mut to) = endpoint.connect().await.into_split();
    let flooding = tokio::spawn(async move {
        let _ = to.write_all(&[begin_http2(), frames].concat()).await;
        // It stays open from here.
        sleep(SOON).await;
    });
    let (mut said, mut part) = (Vec::new(), [0; 4_096]);
    let ended = async {
        while let Ok(n @ 1..) = from.read(&mut part).await {
            said.extend_from_slice(&part[..n]);
        }
    };
    timeout(SOON, ended).await.expect("it is not ended");
    flooding.abort();
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_never_ends_is_given_up_on_http2() {
    let endpoint = Endpoint::start(patient()).await;
    // Each frame is sound and none is the last: what they hold must not be kept, however many come.
    let field = [&[0, 3][..], b"x-a", &[127, 0x81, 0x7e], &[b'a'; 16_256]].concat();
    let mut frames = frame(HEADERS, 1, 1, &get());
    frames.extend(frame(CONTINUATION, 0, 1, &field).repeat(200));
    flood(&endpoint, frames).await;
    // The same with nothing in them.
    let mut frames = frame(HEADERS, 1, 1, &get());
    frames.extend(frame(CONTINUATION, 0, 1, &[]).repeat(50_000));
    flood(&endpoint, frames).await;
    assert_eq!(endpoint.load.begun.load(Ordering::SeqCst), 0);
    assert_eq!(endpoint.ask("/").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_head_that_unpacks_to_a_large_one_begins_nothing() {
    let endpoint = Endpoint::start(limits()).await;
    // A field of 4,000 bytes goes into the table, and is then meant 12,000 times by one byte each: 48 MB.
    let field = [&[0x40, 1][..], b"x", &[127, 0xa1, 0x1e], &[b'a'; 4_000]].concat();
    let head = [get(), field, vec![0xbe; 12_000]].concat();
    let (first, rest) = head.split_at(16_000);
    let mut frames = frame(HEADERS, 1, 1, first);
    frames.extend(frame(CONTINUATION, 4, 1, rest));
    frames.extend(frame(PING, 0, 0, &[7; 8]));
    let mut stream = endpoint.connect().await;
    let sent = [begin_http2(), frames].concat();
    stream.write_all(&sent).await.expect("it is open");
    let said = until_closed(&mut stream).await;
    // Refused, or the connection was ended.
    assert!(said.len() < 4_096, "{} bytes", said.len());
    assert_eq!(endpoint.load.begun.load(Ordering::SeqCst), 0);
    assert_eq!(endpoint.ask("/").await, 200);
}

/// Streams that the client makes the server reset: its own count of resets does not see them. Ref: CVE-2025-8671.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_the_server_has_to_reset_end_the_connection() {
    let endpoint = Endpoint::start(patient()).await;
    let mut frames = Vec::new();
    for n in 0..20_000 {
        let stream = 2 * n + 1;
        frames.extend(frame(HEADERS, 5, stream, &get()));
        frames.extend(frame(WINDOW_UPDATE, 0, stream, &[0; 4]));
    }
    flood(&endpoint, frames).await;
    let begun = endpoint.load.begun.load(Ordering::SeqCst);
    assert!(begun < 5_000, "{begun} of 20,000 requests were begun");
    assert_eq!(endpoint.ask("/").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_pings_and_settings_end_with_their_connection() {
    let endpoint = Endpoint::start(limits()).await;
    for kind in [PING, SETTINGS] {
        let payload: &[u8] = if kind == PING { &[0; 8] } else { &[0, 4, 0, 0, 255, 255] };
        let flood = frame(kind, 0, 0, payload).repeat(10_000);
        let mut stream = endpoint.connect().await;
        stream.write_all(&begin_http2()).await.expect("it is open");
        // Never read: the answers fill the kernel's buffers, then nothing more is taken.
        let flooded = async { while stream.write_all(&flood).await.is_ok() {} };
        let other = async {
            for _ in 0..20 {
                assert_eq!(endpoint.ask("/").await, 200);
            }
        };
        let ended = timeout(SOON, async { tokio::join!(flooded, other) }).await;
        assert!(ended.is_ok(), "a flood of frames {kind} keeps its place");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_under_load_fails_no_request() {
    // The end is what is tested: nobody loses its place before for being slow, and whoever keeps a connection has some
    // time for its next request.
    let limits = Limits {
        head: SOON,
        idle: SOON,
        linger: Duration::from_secs(3),
        ..limits()
    };
    let endpoint = Endpoint::start(limits.clone()).await;
    let (address, is_over) = (endpoint.address, Arc::new(AtomicBool::new(false)));
    let mut clients = Vec::new();
    for n in 0..12 {
        let is_over = is_over.clone();
        // Half of them keep their connections, half open one for each request.
        clients.push(tokio::spawn(async move {
            let (keeps, mut answered) = (n % 2 == 0, 0);
            let mut kept: Option<Client> = None;
            loop {
                let mut client = match kept.take() {
                    Some(client) => client,
                    None => match TcpStream::connect(address).await {
                        Ok(stream) => Client::new(stream),
                        Err(error) => {
                            assert!(is_over.load(Ordering::SeqCst), "refused too early: {error}");
                            return answered;
                        }
                    },
                };
                let answer = client.ask(&format!("/slow/{}", n * 3)).await.expect("a request failed");
                assert_eq!(answer.status, 200);
                answered += 1;
                if keeps && !answer.closes {
                    kept = Some(client);
                }
            }
        }));
    }
    let loaded = async {
        while endpoint.load.begun.load(Ordering::SeqCst) <= 100 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, loaded).await.expect("there is no load");
    let long = {
        let mut client = Client::new(endpoint.connect().await);
        tokio::spawn(async move { client.ask("/slow/1500").await.map(|answer| answer.status) })
    };
    let begun = endpoint.load.begun.load(Ordering::SeqCst);
    let more = async {
        while endpoint.load.begun.load(Ordering::SeqCst) < begun + 40 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, more).await.expect("the load goes on");
    is_over.store(true, Ordering::SeqCst);
    let load = endpoint.load.clone();
    let (all, took) = endpoint.end().await;
    assert!(all && took < limits.drain, "{all} after {took:?}");
    assert_eq!(long.await.expect("no panic").expect("the long request failed"), 200);
    let mut answered = 1;
    for client in clients {
        answered += timeout(SOON, client).await.expect("it ends").expect("no panic");
    }
    assert_eq!(
        answered,
        load.begun.load(Ordering::SeqCst),
        "whoever was heard was answered"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_comes_in_time_though_a_request_does_not() {
    let limits = Limits {
        drain: Duration::from_millis(800),
        ..limits()
    };
    let endpoint = Endpoint::start(limits).await;
    let mut client = Client::new(endpoint.connect().await);
    let hangs = tokio::spawn(async move { client.ask("/slow/60000").await.is_err() });
    while endpoint.load.begun.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let (all, took) = endpoint.end().await;
    assert!(!all, "it cannot have been answered");
    assert!(
        took >= Duration::from_millis(700) && took < Duration::from_secs(40),
        "{took:?}"
    );
    hangs.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_http2_is_told_to_go_and_its_requests_are_answered() {
    let endpoint = Endpoint::start(limits()).await;
    let (mut sender, driver) = http2(&endpoint).await;
    let request = Request::get("http://localhost/slow/600")
        .body(Empty::new())
        .expect("a request");
    let asked = tokio::spawn(async move { sender.send_request(request).await.map(|answer| answer.status()) });
    while endpoint.load.begun.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let (all, took) = endpoint.end().await;
    assert!(all && took < limits().drain, "{all} after {took:?}");
    assert_eq!(asked.await.expect("no panic").expect("an answer"), StatusCode::OK);
    timeout(SOON, driver)
        .await
        .expect("the connection ends")
        .expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_is_taken_as_it_comes() {
    let endpoint = Endpoint::start(limits()).await;
    let stream = TokioIo::new(endpoint.connect().await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.expect("HTTP/1.1");
    let driver = tokio::spawn(connection);
    let request = Request::post("/body")
        .header(header::HOST, "localhost")
        .body(Full::new(Bytes::from(vec![b'x'; 1_000_000])))
        .expect("a request");
    let answer = sender.send_request(request).await.expect("an answer");
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(body.as_ref(), b"1000000");
    driver.abort();
}
