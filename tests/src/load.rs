//! Load against a service while something happens to it: every request counts, and every failure is kept.

use anyhow::{Result, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Clients at once.
const CLIENTS: usize = 4;
/// The pause between two requests of one client.
const PAUSE: Duration = Duration::from_millis(5);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Default)]
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

impl Outcome {
    /// Fails when more requests failed than clients can have had in flight at one moment, or when one was refused.
    pub fn only_what_was_in_flight_failed(&self) -> Result<()> {
        let refused: Vec<&String> = self.failed.iter().filter(|cause| is_refusal(cause)).collect();
        ensure!(refused.is_empty(), "connections were refused: {refused:?}");
        ensure!(
            self.failed.len() <= CLIENTS,
            "{} requests failed, and only {CLIENTS} can have been in flight: {:?}",
            self.failed.len(),
            self.failed
        );
        ensure!(self.answered > 0, "no request was sent");
        Ok(())
    }

    /// Fails when a request failed.
    pub fn nothing_failed(&self) -> Result<()> {
        let (failed, answered) = (&self.failed, self.answered);
        ensure!(
            failed.is_empty(),
            "{} requests failed beside {answered} answered ones, the first: {:?}",
            failed.len(),
            failed.first()
        );
        ensure!(answered > 0, "no request was sent");
        Ok(())
    }
}

impl Load {
    /// Starts clients that ask `host` for `/` through a port of this machine.
    pub fn start(port: u16, host: &str) -> Self {
        let shared = Arc::new(Shared::default());
        let start = |_| {
            let (shared, host) = (Arc::clone(&shared), host.to_owned());
            std::thread::spawn(move || client(&shared, port, &host))
        };
        let clients = (0..CLIENTS).map(start).collect();
        Self { shared, clients }
    }

    /// Waits until so many more requests were answered.
    pub fn wait_for(&self, more: u64, limit: Duration) -> Result<()> {
        let answered = || self.shared.answered.load(Ordering::Relaxed);
        let (goal, deadline) = (answered() + more, Instant::now() + limit);
        while answered() < goal {
            ensure!(
                Instant::now() < deadline,
                "only {} more requests were answered within {} s, not {more}; the last failure: {:?}",
                (answered() + more).saturating_sub(goal),
                limit.as_secs(),
                self.failed().last()
            );
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn failed(&self) -> Vec<String> {
        self.shared
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ends the clients.
    pub fn stop(mut self) -> Outcome {
        self.end();
        Outcome {
            answered: self.shared.answered.load(Ordering::Relaxed),
            failed: self.failed(),
        }
    }

    fn end(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a cause says that nobody listened.
fn is_refusal(cause: &str) -> bool {
    cause.contains("refused")
}

fn client(shared: &Shared, port: u16, host: &str) {
    let started = Instant::now();
    while !shared.is_over.load(Ordering::Relaxed) {
        let failure = match request(port, host, "/") {
            Ok((200, _)) => {
                shared.answered.fetch_add(1, Ordering::Relaxed);
                None
            }
            Ok((status, body)) => Some(format!("status {status}: {}", body.trim())),
            Err(error) => Some(error.to_string()),
        };
        if let Some(failure) = failure {
            let at = started.elapsed().as_secs_f64();
            let mut failed = shared.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.push(format!("after {at:.2} s: {failure}"));
        }
        std::thread::sleep(PAUSE);
    }
}

/// One GET over a connection of its own: status and body.
pub fn request(port: u16, host: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: honmaru-tests\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("the connection was closed without an answer"))?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    Ok((status, body.unwrap_or_default()))
}
