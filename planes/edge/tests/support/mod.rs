//! Real sockets for the edge's tests: backends with a name and a mood, raw clients, configurations.
#![allow(dead_code, reason = "each test file uses its part")]

use honmaru_contract::edge::{
    Action, Certificate, EdgeConfig, HealthCheck, Listener, LoadBalancer, Rule, Target, TargetGroup,
};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// A small HTTP/1.1 server of raw bytes.
pub struct Backend {
    pub address: SocketAddrV4,
    pub seen: Arc<AtomicU64>,
    pub status: Arc<AtomicU16>,
    pub last: Arc<std::sync::Mutex<String>>,
    held: Arc<Semaphore>,
    task: JoinHandle<()>,
    connections: Arc<std::sync::Mutex<Vec<JoinHandle<()>>>>,
}

impl Backend {
    pub async fn start(name: &str) -> Backend {
        Self::start_at(name, SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).await
    }

    pub async fn start_at(name: &str, address: SocketAddrV4) -> Backend {
        let listener = TcpListener::bind(address).await.unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
            unreachable!()
        };
        let (seen, status) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU16::new(200)));
        let last = Arc::new(std::sync::Mutex::new(String::new()));
        let connections: Arc<std::sync::Mutex<Vec<JoinHandle<()>>>> = Arc::default();
        let (name, held) = (name.to_owned(), Arc::new(Semaphore::new(0)));
        let parts = (
            seen.clone(),
            status.clone(),
            last.clone(),
            held.clone(),
            connections.clone(),
        );
        let task = tokio::spawn(async move {
            let (seen, status, last, held, connections) = parts;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let serve = serve(
                    stream,
                    name.clone(),
                    seen.clone(),
                    status.clone(),
                    last.clone(),
                    held.clone(),
                );
                connections.lock().unwrap().push(tokio::spawn(serve));
            }
        });
        Backend {
            address,
            seen,
            status,
            last,
            held,
            task,
            connections,
        }
    }

    /// Lets one request for `/held` be answered, now or when it comes.
    pub fn release(&self) {
        self.held.add_permits(1);
    }

    /// Ends the listener and cuts every connection, as a killed container does.
    pub fn die(&self) {
        self.task.abort();
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }

    /// The same; when it returns, every connection is closed.
    pub async fn is_dead(&self) {
        let connections: Vec<_> = self.connections.lock().unwrap().drain(..).collect();
        self.task.abort();
        connections.iter().for_each(JoinHandle::abort);
        until("the listener is closed", || self.task.is_finished()).await;
        for connection in connections {
            let _ = connection.await;
        }
    }

    pub fn requests(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.die();
    }
}

async fn serve(
    mut stream: TcpStream,
    name: String,
    seen: Arc<AtomicU64>,
    status: Arc<AtomicU16>,
    last: Arc<std::sync::Mutex<String>>,
    held: Arc<Semaphore>,
) {
    let mut buffer = Vec::new();
    loop {
        let Some((head, mut body)) = read_head(&mut stream, &mut buffer).await else {
            return;
        };
        let lower = head.to_ascii_lowercase();
        let length = header(&lower, "content-length")
            .and_then(|text| text.parse::<usize>().ok())
            .unwrap_or(0);
        while body.len() < length {
            let mut chunk = [0; 65_536];
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(read) => body.extend_from_slice(&chunk[..read]),
            }
        }
        // A chunked body may come after its head: what is left of it is no further request.
        if header(&lower, "transfer-encoding").is_some() {
            while !body.ends_with(b"0\r\n\r\n") {
                let mut chunk = [0; 65_536];
                match stream.read(&mut chunk).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => body.extend_from_slice(&chunk[..read]),
                }
            }
        }
        if lower.contains("upgrade: websocket") {
            seen.fetch_add(1, Ordering::SeqCst);
            let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
            return;
        }
        let is_check = lower.contains("elb-healthchecker");
        let code = status.load(Ordering::SeqCst);
        if !is_check {
            seen.fetch_add(1, Ordering::SeqCst);
            *last.lock().unwrap() = head.clone();
        }
        let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
        if path.starts_with("/held") {
            held.acquire().await.unwrap().forget();
        }
        if path.starts_with("/never") {
            std::future::pending::<()>().await;
        }
        if path.starts_with("/cut") {
            return;
        }
        let extra = if path.starts_with("/login") {
            "Set-Cookie: app=1; Path=/\r\n"
        } else {
            ""
        };
        let text = if path.starts_with("/big") {
            "x".repeat(300_000)
        } else {
            format!("{name} {} {}", body.len(), path)
        };
        let answer = if path.starts_with("/chunked") {
            format!("HTTP/1.1 {code} OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        } else {
            format!(
                "HTTP/1.1 {code} OK\r\nContent-Length: {}\r\nX-Backend: {name}\r\n{extra}\r\n{text}",
                text.len()
            )
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
        if lower.contains("connection: close") {
            return;
        }
    }
}

async fn read_head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let rest = buffer.split_off(end + 4);
            buffer.clear();
            return Some((head, rest));
        }
        let mut chunk = [0; 65_536];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => buffer.extend_from_slice(&chunk[..read]),
        }
    }
}

pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (have, value) = line.split_once(':')?;
        have.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// An answer: status, head, body.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

/// A client connection of raw bytes.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Client {
        Client {
            stream: TcpStream::connect(address).await.unwrap(),
            buffer: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Reads one answer; nothing when the connection ends before it.
    pub async fn answer(&mut self) -> Option<Answer> {
        let read = async {
            let (head, mut body) = read_head(&mut self.stream, &mut self.buffer).await?;
            let status = head.split(' ').nth(1)?.parse().ok()?;
            match header(&head, "content-length").and_then(|text| text.parse::<usize>().ok()) {
                Some(length) => {
                    while body.len() < length {
                        let mut chunk = [0; 65_536];
                        match self.stream.read(&mut chunk).await {
                            Ok(0) | Err(_) => return None,
                            Ok(read) => body.extend_from_slice(&chunk[..read]),
                        }
                    }
                    self.buffer = body.split_off(length);
                }
                None if header(&head, "transfer-encoding").is_some() => {
                    while !body.ends_with(b"0\r\n\r\n") {
                        let mut chunk = [0; 65_536];
                        match self.stream.read(&mut chunk).await {
                            Ok(0) | Err(_) => return None,
                            Ok(read) => body.extend_from_slice(&chunk[..read]),
                        }
                    }
                }
                None => {}
            }
            Some(Answer {
                status,
                head,
                body: String::from_utf8_lossy(&body).into_owned(),
            })
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("an answer within a minute")
    }

    pub async fn get(&mut self, host: &str, path: &str) -> Option<Answer> {
        self.get_with(host, path, "").await
    }

    pub async fn get_with(&mut self, host: &str, path: &str, headers: &str) -> Option<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
        self.stream.write_all(request.as_bytes()).await.ok()?;
        self.answer().await
    }
}

/// One request on a connection of its own.
pub async fn get(address: SocketAddr, host: &str, path: &str) -> Answer {
    Client::connect(address).await.get(host, path).await.expect("an answer")
}

pub async fn raw(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut client = Client::connect(address).await;
    client.send(bytes).await;
    client.answer().await
}

pub const GROUP: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/1";
pub const GROUP_B: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web-b/2";
pub const BALANCER: &str = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/web/1";

pub fn target(address: SocketAddrV4) -> Target {
    Target {
        address: *address.ip(),
        port: address.port(),
        draining_since: None,
    }
}

pub fn group(targets: &[SocketAddrV4]) -> TargetGroup {
    TargetGroup {
        name: "web".into(),
        protocol: "HTTP".into(),
        protocol_version: "HTTP1".into(),
        attributes: BTreeMap::new(),
        health_check: HealthCheck {
            enabled: true,
            protocol: "HTTP".into(),
            port: None,
            path: "/health".into(),
            interval_s: 1,
            timeout_s: 1,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            matcher: "200".into(),
        },
        targets: targets.iter().map(|address| target(*address)).collect(),
    }
}

pub fn forward(groups: &[(&str, u32)]) -> Action {
    let groups = groups
        .iter()
        .map(|(arn, weight)| ((*arn).to_owned(), *weight))
        .collect();
    Action::Forward {
        groups,
        stickiness_s: None,
    }
}

pub fn rule(action: Action) -> Rule {
    Rule {
        arn: "rule".into(),
        conditions: Vec::new(),
        actions: vec![action],
    }
}

/// A load balancer `web` on 127.0.0.x with one HTTP listener that forwards to [`GROUP`].
pub fn config(generation: u64, own: Ipv4Addr, port: u16, targets: &[SocketAddrV4]) -> EdgeConfig {
    let listener = Listener {
        arn: "listener".into(),
        protocol: "HTTP".into(),
        port,
        rules: vec![rule(forward(&[(GROUP, 1)]))],
        certificates: Vec::new(),
        tls_versions: Vec::new(),
        alpn_protocols: Vec::new(),
    };
    let balancer = LoadBalancer {
        name: "web".into(),
        dns_name: "web-1.us-east-1.elb.localhost".into(),
        addresses: vec![own],
        attributes: BTreeMap::new(),
        listeners: vec![listener],
        web_acl: None,
    };
    EdgeConfig {
        generation,
        load_balancers: BTreeMap::from([(BALANCER.to_owned(), balancer)]),
        target_groups: BTreeMap::from([(GROUP.to_owned(), group(targets))]),
        ..EdgeConfig::default()
    }
}

/// A certificate for a name that is its own authority, on the curve P-256.
pub async fn certificate(dir: &Path, name: &str) -> Certificate {
    certificate_of(dir, name, &["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]).await
}

pub async fn certificate_of(dir: &Path, name: &str, new_key: &[&str]) -> Certificate {
    let alternative = format!("subjectAltName=DNS:{name}");
    made(dir, name, &[new_key, &["-addext", &alternative]].concat()).await
}

pub async fn made(dir: &Path, name: &str, more: &[&str]) -> Certificate {
    let (cert, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    let made = tokio::process::Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "2", "-newkey"])
        .args(more)
        .args(["-subj", &format!("/CN={name}")])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .await
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    Certificate {
        arn: name.into(),
        chain_pem: read(&cert),
        key_pem: read(&key),
        names: vec![name.into()],
    }
}

pub async fn curl(arguments: &[&str]) -> String {
    let made = tokio::process::Command::new("curl")
        .args(["-s", "-S", "-m", "60"])
        .args(arguments)
        .output();
    let made = made.await.unwrap();
    assert!(
        made.status.success(),
        "curl {arguments:?}: {}",
        String::from_utf8_lossy(&made.stderr)
    );
    String::from_utf8_lossy(&made.stdout).into_owned()
}

/// What openssl's client sees of a server: its words, whether there was a handshake or not.
pub async fn s_client(server: SocketAddr, arguments: &[&str]) -> String {
    let made = tokio::process::Command::new("openssl")
        .args(["s_client", "-connect", &server.to_string()])
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output();
    let made = made.await.unwrap();
    String::from_utf8_lossy(&[made.stdout, made.stderr].concat()).into_owned()
}

/// Until something that shall happen is called broken: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a condition.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "did not happen: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until every target is in that state.
pub async fn until_health(edge: &honmaru_edge::Edge, state: &str) {
    until(&format!("all targets are {state}"), || {
        let health = edge.health();
        !health.is_empty() && health.iter().all(|target| target.state == state)
    })
    .await;
}

/// A port that is free on that address now. Not one that the kernel gives to whoever asks for any: those of this
/// process's own, so that tests that run beside it take none before it is used.
pub fn free_port(address: Ipv4Addr) -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let own = 12_000 + u16::try_from(std::process::id() % 1_000).unwrap() * 20;
    loop {
        let port = own + TAKEN.fetch_add(1, Ordering::SeqCst);
        if std::net::TcpListener::bind((address, port)).is_ok() {
            return port;
        }
    }
}
