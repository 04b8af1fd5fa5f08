//! What a task can reach of addresses that must be closed to it: tried from within its network namespace.

use crate::Seen;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

/// Where a cloud that this machine may itself be in gives away the machine's own keys.
const INSTANCE_METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// Where a task gets its credentials.
const TASK_METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// How long a connection and an answer may take; what is dropped takes all of it.
const TIMEOUT: Duration = Duration::from_millis(400);
/// Tasks that are tried at the same time.
const AT_ONCE_MAX: usize = 32;
/// The head of an answer is not longer.
const HEAD_BYTES_MAX: usize = 1_024;
/// The credentials of nobody.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// What was tried from within a task, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Why no connection to the metadata of the machine came about; nothing: one did.
    pub instance_metadata: Option<String>,
    /// Whose credentials were asked for: another task's, or nobody's when there is no other.
    pub asked_for: String,
    /// The status of that answer.
    pub credentials: Seen<u16>,
}

/// Tries it from each of the tasks: id, and a process of it.
pub fn probes(state: &Path, proc_dir: &Path, tasks: &[(String, u32)]) -> Vec<(String, Seen<Probe>)> {
    let mut found = Vec::new();
    for some in tasks.chunks(AT_ONCE_MAX) {
        std::thread::scope(|scope| {
            let started: Vec<_> = some
                .iter()
                .map(|(id, pid)| {
                    let other = tasks.iter().map(|(other, _)| other).find(|other| *other != id);
                    let namespace = proc_dir.join(pid.to_string()).join("ns/net");
                    // A thread of its own: it ends in that namespace.
                    (id, scope.spawn(move || probe(state, &namespace, other)))
                })
                .collect();
            for (id, thread) in started {
                let probe = thread
                    .join()
                    .unwrap_or_else(|_| Err("the probe ended early".to_owned()));
                found.push((id.clone(), probe));
            }
        });
    }
    found
}

fn probe(state: &Path, namespace: &Path, other: Option<&String>) -> Seen<Probe> {
    let shown = namespace.display();
    let file = File::open(namespace).map_err(|error| format!("{shown} cannot be opened: {error}"))?;
    let (asked_for, id) = match other {
        Some(other) => (
            format!("task {}", other.get(..8).unwrap_or(other)),
            credentials_id(state, other)?,
        ),
        None => ("nobody".to_owned(), NOBODY.to_owned()),
    };
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| format!("{shown} cannot be entered: {error}"))?;
    let machine = TcpStream::connect_timeout(&SocketAddr::from((INSTANCE_METADATA, 80)), TIMEOUT);
    Ok(Probe {
        instance_metadata: machine.err().map(|error| error.to_string()),
        asked_for,
        credentials: ask(&id),
    })
}

/// The name under which a task finds its credentials.
fn credentials_id(state: &Path, task_id: &str) -> Seen<String> {
    let path = state.join("node/agent/tasks").join(format!("{task_id}.json"));
    let text = fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    let record: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    let id = record["credentials_id"].as_str().map(str::to_owned);
    id.ok_or_else(|| format!("{} names no credentials", path.display()))
}

/// Asks for credentials and reads the status alone.
fn ask(id: &str) -> Seen<u16> {
    let address = SocketAddr::from((TASK_METADATA, 80));
    let talk = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let request =
            format!("GET /v2/credentials/{id} HTTP/1.1\r\nhost: {TASK_METADATA}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut head = vec![0; HEAD_BYTES_MAX];
        let length = stream.read(&mut head)?;
        head.truncate(length);
        Ok(String::from_utf8_lossy(&head).into_owned())
    };
    let head = talk().map_err(|error| format!("{address} gave no answer: {error}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| format!("{address} answered something else than HTTP"))
}
