//! Goal: whatever a target's answer looks like, the client gets all of it or a clear error, requests are done at most
//! once unless they may be repeated, and a connection is used again only when that is safe.
//! Method: a target that plays from a script of raw bytes; its health check goes to another server.

mod support;

use honmaru_edge::{Edge, run_fixed};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const OWN: Ipv4Addr = Ipv4Addr::new(127, 0, 94, 1);

/// What the target does after it has read a request's head.
enum Act {
    /// Answers and waits for the next request.
    Answer(String),
    /// Answers and closes.
    Last(String),
    /// Reads on until it has seen this text, then answers.
    After(&'static str, String),
}

/// Everything that the target read, by connection.
type Seen = Arc<Mutex<Vec<String>>>;

struct Stage {
    edge: Arc<Edge>,
    shared: SocketAddr,
    seen: Seen,
    _health: Backend,
}

impl Stage {
    async fn new(acts: Vec<Act>) -> Stage {
        let health = Backend::start("health").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
            unreachable!()
        };
        let seen = Seen::default();
        let acts = Arc::new(Mutex::new(VecDeque::from(acts)));
        tokio::spawn({
            let seen = seen.clone();
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(String::new());
                        seen.len() - 1
                    };
                    tokio::spawn(play(stream, acts.clone(), seen.clone(), number));
                }
            }
        });
        let (edge, shared) = edge(address, &health).await;
        Stage {
            edge,
            shared,
            seen,
            _health: health,
        }
    }

    fn connections(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// How often the target read that text.
    fn count(&self, text: &str) -> usize {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|seen| seen.matches(text).count())
            .sum()
    }
}

async fn edge(address: SocketAddrV4, health: &Backend) -> (Arc<Edge>, SocketAddr) {
    let mut config = config(1, OWN, free_port(OWN), &[address]);
    config.target_groups.get_mut(GROUP).unwrap().health_check.port = Some(health.address.port());
    let (edge, shared) = run_fixed(config, Some("127.0.0.1:0".parse().unwrap())).await.unwrap();
    until_health(&edge, "healthy").await;
    (edge, shared.unwrap())
}

async fn play(mut stream: TcpStream, acts: Arc<Mutex<VecDeque<Act>>>, seen: Seen, number: usize) {
    let mut unread = String::new();
    loop {
        let mut chunk = [0; 65_536];
        while !unread.contains("\r\n\r\n") {
            let Ok(read @ 1..) = stream.read(&mut chunk).await else {
                return;
            };
            let text = String::from_utf8_lossy(&chunk[..read]);
            seen.lock().unwrap()[number].push_str(&text);
            unread.push_str(&text);
        }
        let Some(act) = acts.lock().unwrap().pop_front() else {
            return;
        };
        let (text, is_last) = match act {
            Act::Answer(text) => (text, false),
            Act::Last(text) => (text, true),
            Act::After(wanted, text) => {
                while !unread.contains(wanted) {
                    let Ok(read @ 1..) = stream.read(&mut chunk).await else {
                        return;
                    };
                    let more = String::from_utf8_lossy(&chunk[..read]);
                    seen.lock().unwrap()[number].push_str(&more);
                    unread.push_str(&more);
                }
                (text, false)
            }
        };
        unread.clear();
        if stream.write_all(text.as_bytes()).await.is_err() || is_last {
            return;
        }
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Everything that comes until the connection ends.
async fn rest(client: &mut Client) -> String {
    let mut all = Vec::new();
    let read = client.stream().read_to_end(&mut all);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(10), read)
        .await
        .expect("an end");
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_every_shape() {
    let stage = Stage::new(vec![
        Act::Answer(ok("one")),
        Act::Answer(format!(
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n{}",
            ok("two")
        )),
        Act::Answer("HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n".into()),
        Act::Answer("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".into()),
        Act::Answer(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nfour\r\n0\r\nX-Sum: 4\r\n\r\n".into(),
        ),
        Act::Answer(ok("five")),
    ])
    .await;
    let mut client = Client::connect(stage.shared).await;
    assert_eq!(client.get("web.localhost", "/1").await.unwrap().body, "one");
    assert_eq!(
        client.get("web.localhost", "/2").await.unwrap().body,
        "two",
        "after interim answers"
    );
    let third = client.get("web.localhost", "/3").await.unwrap();
    assert_eq!((third.status, third.header("x-a")), (204, Some("b")));
    client.send(b"GET /4 HTTP/1.1\r\nHost: web.localhost\r\n\r\n").await;
    let mut head = [0; 4_096];
    let read = client.stream().read(&mut head).await.unwrap();
    assert!(
        head[..read].starts_with(b"HTTP/1.1 304 "),
        "{}",
        head[..read].escape_ascii()
    );
    let fourth = client.get("web.localhost", "/4").await.unwrap();
    assert!(fourth.body.contains("four") && fourth.header("transfer-encoding") == Some("chunked"));
    assert_eq!(client.get("web.localhost", "/5").await.unwrap().body, "five");
    assert_eq!(
        stage.connections(),
        1,
        "one connection carried all of them: {:?}",
        stage.seen
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_must_not_be_used_again() {
    for (name, first) in [
        (
            "it says so",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none".to_owned(),
        ),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none".to_owned()),
        (
            "more than was asked for",
            ok("one") + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        ),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n"
                .to_owned(),
        ),
    ] {
        let stage = Stage::new(vec![Act::Answer(first), Act::Answer(ok("two"))]).await;
        let mut client = Client::connect(stage.shared).await;
        let one = client.get("web.localhost", "/1").await.unwrap();
        assert!(
            one.body.contains("one") && !one.body.contains("evil"),
            "{name}: {one:?}"
        );
        assert_eq!(client.get("web.localhost", "/2").await.unwrap().body, "two", "{name}");
        assert_eq!(stage.connections(), 2, "{name}");
    }
    let stage = Stage::new(vec![Act::Last("HTTP/1.1 200 OK\r\n\r\nuntil the end".into())]).await;
    let mut client = Client::connect(stage.shared).await;
    client
        .send(b"GET / HTTP/1.1\r\nHost: web.localhost\r\nConnection: close\r\n\r\n")
        .await;
    assert!(rest(&mut client).await.contains("until the end"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_not_http_or_not_whole() {
    for text in [
        "nonsense\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n".to_owned(),
        "HTTP/1.1 101 Switching\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(200_000)),
    ] {
        let stage = Stage::new(vec![Act::Answer(text.clone()), Act::Answer(ok("next"))]).await;
        let answer = get(stage.shared, "web.localhost", "/").await;
        assert_eq!(answer.status, 502, "{}", &text[..20]);
        assert_eq!(get(stage.shared, "web.localhost", "/").await.body, "next");
        assert_eq!(stage.connections(), 2);
    }
    // The head may be out when the body breaks: the client must see that the answer is not whole.
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n",
    ] {
        let stage = Stage::new(vec![Act::Last(text.to_owned())]).await;
        let mut client = Client::connect(stage.shared).await;
        client.send(b"GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n").await;
        let all = rest(&mut client).await;
        assert!(
            all.is_empty() || all.starts_with("HTTP/1.1 200") && !all.ends_with("0\r\n\r\n"),
            "{all}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_repeated_only_when_they_may_be() {
    // The target takes the second request of a kept connection and closes without an answer.
    let stage = Stage::new(vec![
        Act::Answer(ok("1")),
        Act::Last(String::new()),
        Act::Answer(ok("2")),
    ])
    .await;
    let mut client = Client::connect(stage.shared).await;
    client.get("web.localhost", "/1").await.unwrap();
    assert_eq!(client.get("web.localhost", "/2").await.unwrap().body, "2");
    assert_eq!(stage.count("GET /2 "), 2, "GET is sent again");

    let stage = Stage::new(vec![
        Act::Answer(ok("1")),
        Act::Last(String::new()),
        Act::Answer(ok("2")),
    ])
    .await;
    let mut client = Client::connect(stage.shared).await;
    client.get("web.localhost", "/1").await.unwrap();
    client
        .send(b"POST /pay HTTP/1.1\r\nHost: web.localhost\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    assert_eq!(client.answer().await.unwrap().status, 502);
    assert_eq!(stage.count("POST /pay "), 1, "the target may have acted on it");
    assert_eq!(stage.edge.counters().load_balancers[BALANCER].elb_5xx, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads() {
    let stage = Stage::new(vec![
        Act::After("0\r\n\r\n", ok("chunks")),
        Act::Answer("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig".into()),
        Act::Answer(ok("next")),
    ])
    .await;
    // Chunks that come one by one stay chunks, and the length that the target sees is ours.
    let mut client = Client::connect(stage.shared).await;
    client
        .send(b"POST /c HTTP/1.1\r\nHost: web.localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    for part in ["5\r\nhello\r\n", "6\r\n world\r\n", "0\r\n\r\n"] {
        client.send(part.as_bytes()).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer().await.unwrap().body, "chunks");
    let seen = stage.seen.lock().unwrap()[0].clone();
    assert!(
        seen.contains("hello") && seen.contains(" world") && seen.ends_with("0\r\n\r\n"),
        "{seen}"
    );
    assert_eq!(seen.matches("transfer-encoding: chunked").count(), 1);

    // An answer before the whole request was sent: it comes through, and the connection is not used again.
    let mut client = Client::connect(stage.shared).await;
    client
        .send(b"POST /d HTTP/1.1\r\nHost: web.localhost\r\nContent-Length: 100000\r\n\r\nbegin")
        .await;
    let early = client.answer().await.unwrap();
    assert_eq!((early.status, early.body.as_str()), (413, "big"));
    assert_eq!(get(stage.shared, "web.localhost", "/").await.body, "next");
    assert_eq!(stage.connections(), 2);

    // A client that breaks off in its body is no reason to avoid the target.
    let stage = Stage::new(vec![Act::After("never", ok("x")), Act::Answer(ok("fine"))]).await;
    let mut client = Client::connect(stage.shared).await;
    client
        .send(b"POST /e HTTP/1.1\r\nHost: web.localhost\r\nContent-Length: 100000\r\n\r\nbegin")
        .await;
    until("the target has the begin", || stage.count("begin") == 1).await;
    drop(client);
    assert_eq!(get(stage.shared, "web.localhost", "/").await.body, "fine");
}
