//! A host of its own for each test: a thread in a fresh network namespace plays the host, so that tests run side by
//! side, on the real kernel, and leave nothing behind.

#![allow(dead_code, reason = "each test file uses its part")]

use honmaru_contract::node::{Peer, Protocol, SecurityGroup, SecurityRule, TaskNetwork, Vpc};
use honmaru_network::{Network, NetworkConfig, NetworkDesired};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Until something that shall work is called broken.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Until something that shall not work is called blocked. Every blocked path has a twin in the same test that works.
pub const BLOCKED: Duration = Duration::from_millis(700);

pub struct Lab {
    pub state: tempfile::TempDir,
}

/// Runs a test in a host of its own.
pub fn host<F: Future<Output = ()>>(test: impl FnOnce(Lab) -> F + Send + 'static) {
    thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("these tests need root");
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).expect("private mounts");
        ip("link set lo up");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(test(Lab {
            state: tempfile::tempdir().expect("a directory"),
        }));
    })
    .join()
    .expect("the test failed");
}

impl Lab {
    pub fn network(&self) -> Network {
        Network::new(NetworkConfig {
            state_dir: self.state.path().to_path_buf(),
        })
        .expect("a network")
    }

    /// What is left on this host: interfaces, addresses and routes, tables, mounts, parameters.
    pub fn traces(&self) -> String {
        let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").expect("mounts");
        let state = self.state.path().to_string_lossy().into_owned();
        format!(
            "{}{}{}{}{}{}",
            run("ip", "-br link"),
            run("ip", "-br -4 addr"),
            run("ip", "-4 route"),
            run("nft", "list ruleset"),
            std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").expect("a parameter"),
            mounts.lines().filter(|line| line.contains(&state)).collect::<String>(),
        )
    }
}

pub fn run(program: &str, args: &str) -> String {
    let output = Command::new(program)
        .args(args.split_whitespace())
        .output()
        .expect("a program");
    assert!(
        output.status.success(),
        "{program} {args}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until something holds.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(
            std::time::Instant::now() < deadline,
            "{what}: not so after {PATIENCE:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn ip(args: &str) {
    run("ip", args);
}

/// Runs `work` in a thread inside a namespace.
pub fn within<T: Send + 'static>(namespace: &Path, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let file = File::open(namespace).expect("a namespace");
    thread::spawn(move || {
        setns(file.as_fd(), CloneFlags::CLONE_NEWNET).expect("setns");
        work()
    })
}

/// A TCP server that says its peer's address to everyone and then echoes, until the test's process ends.
pub fn serve(listener: TcpListener) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let peer = stream.peer_addr().expect("a peer");
                let _ = writeln!(stream, "{}", peer.ip());
                let mut buffer = [0; 64];
                while let Ok(len) = stream.read(&mut buffer) {
                    if len == 0 || stream.write_all(&buffer[..len]).is_err() {
                        return;
                    }
                }
            });
        }
    });
}

pub fn serve_in(namespace: &Path, port: u16) {
    within(namespace, move || {
        serve(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("bind"))
    })
    .join()
    .expect("serve");
}

/// How often a connection of this thread's namespace was asked for again because the first packet got no answer.
pub fn lost_connects() -> u64 {
    // Two lines with one prefix: names, then values.
    let text = std::fs::read_to_string("/proc/thread-self/net/netstat").expect("counters");
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt: "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let mut both = names.split_whitespace().zip(values.split_whitespace());
    let found = both.find(|(name, _)| *name == "TCPSynRetrans").expect("the counter");
    found.1.parse().expect("a number")
}

/// Connects and reads the server's line: who it thinks we are.
pub fn who(to: SocketAddr, patience: Duration) -> io::Result<String> {
    who_from(None, to, patience)
}

pub fn who_from(from: Option<Ipv4Addr>, to: SocketAddr, patience: Duration) -> io::Result<String> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    if let Some(from) = from {
        socket.bind(&SocketAddrV4::new(from, 0).into())?;
    }
    socket.connect_timeout(&to.into(), patience)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(patience))?;
    line(&mut stream)
}

pub fn line(stream: &mut TcpStream) -> io::Result<String> {
    let mut text = String::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        text.push(char::from(byte[0]));
    }
    Ok(text)
}

pub fn who_in(namespace: &Path, to: impl Into<SocketAddr>, patience: Duration) -> io::Result<String> {
    let to = to.into();
    within(namespace, move || who(to, patience)).join().expect("a client")
}

pub fn allowed(namespace: &Path, to: (Ipv4Addr, u16), why: &str) {
    if let Err(error) = who_in(namespace, to, PATIENCE) {
        panic!("{why}: {error}\n{}", run("nft", "list ruleset"));
    }
}

pub fn blocked(namespace: &Path, to: (Ipv4Addr, u16), why: &str) {
    if let Ok(who) = who_in(namespace, to, BLOCKED) {
        panic!("{why}: {who} came through\n{}", run("nft", "list ruleset"));
    }
}

pub fn tcp(port: u16, peer: Peer) -> SecurityRule {
    SecurityRule {
        protocol: Protocol::Tcp,
        ports: Some((port.into(), port.into())),
        peer,
    }
}

pub fn all(peer: Peer) -> SecurityRule {
    SecurityRule {
        protocol: Protocol::All,
        ports: None,
        peer,
    }
}

pub fn cidr(text: &str) -> Peer {
    Peer::Cidr(text.to_owned())
}

pub fn group(text: &str) -> Peer {
    Peer::Group(text.to_owned())
}

pub fn security_group(ingress: Vec<SecurityRule>, egress: Vec<SecurityRule>) -> SecurityGroup {
    SecurityGroup {
        vpc_id: "vpc-1".to_owned(),
        ingress,
        egress,
    }
}

/// VPC 10.31.0.0/16 with these groups.
pub fn desired(groups: &[(&str, SecurityGroup)]) -> NetworkDesired {
    NetworkDesired {
        security_groups: groups.iter().map(|(id, g)| ((*id).to_owned(), g.clone())).collect(),
        vpcs: [(
            "vpc-1".to_owned(),
            Vpc {
                cidr: "10.31.0.0/16".to_owned(),
            },
        )]
        .into(),
        ..NetworkDesired::default()
    }
}

/// The interface 10.31.0.`n`.
pub fn task(n: u8, groups: &[&str]) -> TaskNetwork {
    TaskNetwork {
        address: address(n),
        subnet_cidr: "10.31.0.0/20".to_owned(),
        vpc_id: "vpc-1".to_owned(),
        dns: Ipv4Addr::new(10, 31, 0, 2),
        mac: format!("02:00:0a:1f:00:{n:02x}"),
        security_groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        egress: false,
        published: Vec::new(),
    }
}

pub fn address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 31, 0, n)
}
