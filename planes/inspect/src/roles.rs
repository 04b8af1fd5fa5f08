//! The processes of the cloud itself: who they are, where they listen, who may read what they keep.

use crate::{Seen, process};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The roles that have a process each.
const ROLES: [&str; 3] = ["control", "edge", "node"];
/// What lies in a state directory and matters to whoever may read it, from the state directory on.
const ROOMS: [&str; 14] = [
    "",
    "bin",
    "control",
    "control/blobs.key",
    "control/credentials.json",
    "edge",
    "images",
    "lock",
    "logs",
    "node",
    "run",
    "run/planes.sock",
    "tasks",
    "up.sock",
];
/// Ref: linux/net/tcp_states.h, TCP_LISTEN.
const LISTENING: &str = "0A";

/// A directory, file or socket of the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// From the state directory on; empty for itself.
    pub name: String,
    /// On the host.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// Whether it is a socket.
    pub is_socket: bool,
}

/// A process of the cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    /// For example `control`.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its capabilities.
    pub cap_eff: u64,
    /// Where it waits for connections.
    pub listens: Vec<Listen>,
    /// The binary that it runs, as the kernel shows it.
    pub binary: String,
}

/// An address where somebody may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listen {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

/// What is there of the state directory.
pub fn rooms(state: &Path) -> Vec<Room> {
    let room = |name: &&str| {
        let path = if name.is_empty() {
            state.to_owned()
        } else {
            state.join(name)
        };
        // Through links: the key of the blobs may lie elsewhere, and its own mode counts.
        let found = fs::metadata(&path).ok()?;
        Some(Room {
            name: (*name).to_owned(),
            path,
            mode: found.mode() & 0o7777,
            uid: found.uid(),
            is_socket: found.file_type().is_socket(),
        })
    };
    ROOMS.iter().filter_map(room).collect()
}

/// The roles that run, by their lock files.
pub fn roles(state: &Path, proc_dir: &Path) -> Seen<Vec<Role>> {
    let mut found = Vec::new();
    for name in ROLES {
        let path = state.join("lock").join(format!("{name}.lock"));
        let Ok(text) = fs::read(&path) else { continue };
        let holder: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let (Some(pid), Some(binary)) = (holder["pid"].as_u64(), holder["binary"].as_str()) else {
            continue;
        };
        let dir = proc_dir.join(pid.to_string());
        // A lock file outlives its process, whose number may be somebody else's by now.
        let exe = fs::read_link(dir.join("exe")).unwrap_or_default().display().to_string();
        if !exe.starts_with(binary) {
            continue;
        }
        let status = fs::read_to_string(dir.join("status")).map_err(|error| format!("process {pid}: {error}"))?;
        let status = process::status(&status)?;
        found.push(Role {
            name: name.to_owned(),
            pid: u32::try_from(pid).unwrap_or_default(),
            uid: status.uid,
            cap_eff: status.cap_eff,
            listens: listens(&dir),
            binary: exe,
        });
    }
    Ok(found)
}

/// The listening TCP sockets that a process holds.
fn listens(dir: &Path) -> Vec<Listen> {
    let mut inodes = BTreeSet::new();
    for entry in fs::read_dir(dir.join("fd")).into_iter().flatten().flatten() {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let target = target.to_string_lossy().into_owned();
        if let Some(inode) = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) {
            inodes.insert(inode.to_owned());
        }
    }
    let read = |name: &str| fs::read_to_string(dir.join("net").join(name)).unwrap_or_default();
    let mut all = listening(&read("tcp"));
    all.extend(listening(&read("tcp6")));
    let own: BTreeSet<Listen> = all
        .into_iter()
        .filter(|(inode, _)| inodes.contains(inode))
        .map(|(_, listen)| listen)
        .collect();
    own.into_iter().collect()
}

/// The listening sockets of `/proc/net/tcp`, by inode.
fn listening(text: &str) -> BTreeMap<String, Listen> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (*fields.get(1)?, *fields.get(3)?, *fields.get(9)?);
        let (address, port) = local.split_once(':')?;
        let listen = Listen {
            address: address_of(address)?,
            port: u16::from_str_radix(port, 16).ok()?,
        };
        (state == LISTENING).then(|| (inode.to_owned(), listen))
    };
    text.lines().skip(1).filter_map(row).collect()
}

/// Words of 32 bits, each in the machine's own order.
fn address_of(hex: &str) -> Option<IpAddr> {
    let mut octets = Vec::new();
    for at in (0..hex.len()).step_by(8) {
        let word = u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?;
        octets.extend(word.to_ne_bytes());
    }
    if let Ok(four) = <[u8; 4]>::try_from(octets.as_slice()) {
        return Some(Ipv4Addr::from(four).into());
    }
    let sixteen = <[u8; 16]>::try_from(octets.as_slice()).ok()?;
    Some(Ipv6Addr::from(sixteen).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listening_socket_is_seen() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = socket.local_addr().expect("bound").port();
        let wanted = Listen {
            address: Ipv4Addr::LOCALHOST.into(),
            port,
        };
        assert!(listens(Path::new("/proc/self")).contains(&wanted));
        drop(socket);
        assert!(!listens(Path::new("/proc/self")).contains(&wanted));
    }

    #[test]
    fn modes_are_seen() {
        let state = tempfile::tempdir().expect("a directory");
        fs::create_dir(state.path().join("control")).expect("made");
        let names: Vec<String> = rooms(state.path()).into_iter().map(|room| room.name).collect();
        assert_eq!(names, ["", "control"]);
    }
}
