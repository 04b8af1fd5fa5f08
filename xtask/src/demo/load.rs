//! Load against a service while something happens to it: every request counts, and every failure is kept.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Clients at once.
pub const CLIENTS: usize = 4;
/// The pause between two requests of one client.
const PAUSE: Duration = Duration::from_millis(5);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

struct Shared {
    is_over: AtomicBool,
    answered: AtomicU64,
    failed: Mutex<Vec<String>>,
}

/// Running clients.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

/// What became of a load.
pub struct Outcome {
    /// Requests answered with 200.
    pub answered: u64,
    /// The others, each with its cause.
    pub failed: Vec<String>,
}

impl Load {
    /// Starts clients that ask `host` for `/` through a port of this machine.
    pub fn start(port: u16, host: &str) -> Self {
        let shared = Arc::new(Shared {
            is_over: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            failed: Mutex::new(Vec::new()),
        });
        let clients = (0..CLIENTS)
            .map(|_| {
                let (shared, host) = (shared.clone(), host.to_owned());
                std::thread::spawn(move || client(&shared, port, &host))
            })
            .collect();
        Self { shared, clients }
    }

    /// Requests answered so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many more requests were answered, or the time is over.
    pub fn wait_for(&self, more: u64, limit: Duration) -> bool {
        let (goal, deadline) = (self.answered() + more, Instant::now() + limit);
        while self.answered() < goal {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
        true
    }

    /// Ends the clients.
    pub fn stop(self) -> Outcome {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for client in self.clients {
            let _ = client.join();
        }
        let failed = self
            .shared
            .failed
            .lock()
            .map(|failed| failed.clone())
            .unwrap_or_default();
        Outcome {
            answered: self.shared.answered.load(Ordering::Relaxed),
            failed,
        }
    }
}

fn client(shared: &Shared, port: u16, host: &str) {
    while !shared.is_over.load(Ordering::Relaxed) {
        match request(port, host, "/") {
            Ok((200, _)) => {
                shared.answered.fetch_add(1, Ordering::Relaxed);
            }
            Ok((status, _)) => keep(shared, format!("status {status}")),
            Err(error) => keep(shared, error.to_string()),
        }
        std::thread::sleep(PAUSE);
    }
}

fn keep(shared: &Shared, failure: String) {
    if let Ok(mut failed) = shared.failed.lock() {
        failed.push(failure);
    }
}

/// One GET over a connection of its own: status and body.
pub fn request(port: u16, host: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: honmaru-demo\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("the connection was closed without an answer"))?;
    let body = text
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .unwrap_or_default();
    Ok((status, body))
}
