//! Which of a task's declared ports nobody outside can reach, and what the task listens on instead. Read in the kernel's
//! tables from the host: an image needs no program for it.

use honmaru_contract::node::Listener;
use std::collections::BTreeSet;
use std::fs;

/// Ref: include/net/tcp_states.h, TCP_LISTEN.
const TCP_LISTEN: &str = "0A";
/// Sockets that are told: enough for a cause, whatever a task opens.
const LISTENERS_MAX: usize = 16;

/// What a look at a task's sockets shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Declared ports that no socket serves. One on a loopback address serves nobody outside.
    pub silent: Vec<u16>,
    /// The TCP sockets that listen, while there are silent ports.
    pub listening: Vec<Listener>,
}

/// Looks at the sockets in a process's network namespace. Nothing when the process is gone.
pub(crate) fn look(pid: u32, declared: &BTreeSet<u16>) -> Option<Heard> {
    if declared.is_empty() {
        return Some(Heard::default());
    }
    let (mut tcp, mut udp) = (BTreeSet::new(), BTreeSet::new());
    for (names, state, found) in [
        (["tcp", "tcp6"], Some(TCP_LISTEN), &mut tcp),
        (["udp", "udp6"], None, &mut udp),
    ] {
        for name in names {
            match fs::read_to_string(format!("/proc/{pid}/net/{name}")) {
                Ok(table) => found.extend(sockets(&table, state)),
                // A kernel or namespace without IPv6 has no such table.
                Err(_) if name.ends_with('6') => {}
                Err(_) => return None,
            }
        }
    }
    let reached = tcp.iter().chain(&udp).filter(|socket| !socket.loopback);
    let reached: BTreeSet<u16> = reached.map(|socket| socket.port).collect();
    let silent: Vec<u16> = declared.difference(&reached).copied().collect();
    let listening = if silent.is_empty() {
        Vec::new()
    } else {
        tcp.into_iter().take(LISTENERS_MAX).collect()
    };
    Some(Heard { silent, listening })
}

/// The sockets in `state`; in any, if none is given.
fn sockets(table: &str, state: Option<&str>) -> BTreeSet<Listener> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (address, port) = fields.next()?.split_once(':')?;
            let found = fields.nth(1)?;
            let port = u16::from_str_radix(port, 16).ok()?;
            state.is_none_or(|state| state == found).then(|| Listener {
                loopback: is_loopback(address),
                port,
            })
        })
        .collect()
}

/// Whether an address is 127.0.0.0/8 or ::1. The tables show 32-bit words in the machine's byte order.
fn is_loopback(address: &str) -> bool {
    let bytes = |text: &str| u32::from_str_radix(text, 16).map(u32::to_ne_bytes).unwrap_or_default();
    match address.len() {
        8 => bytes(address)[0] == 127,
        32 => {
            let words: Vec<[u8; 4]> = (0..4)
                .filter_map(|n| address.get(n * 8..n * 8 + 8))
                .map(bytes)
                .collect();
            matches!(
                words.as_slice(),
                [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
            ) || matches!(
                words.as_slice(),
                [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0xff, 0xff], [127, ..]]
            )
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn sees_listeners_but_not_on_loopback() {
        let open = TcpListener::bind("0.0.0.0:0").expect("bind");
        let hidden = TcpListener::bind("127.0.0.1:0").expect("bind");
        let datagrams = UdpSocket::bind("0.0.0.0:0").expect("bind");
        let ports =
            [open.local_addr(), hidden.local_addr(), datagrams.local_addr()].map(|a| a.expect("an address").port());
        let heard = look(std::process::id(), &BTreeSet::from(ports)).expect("this process lives");
        assert_eq!(heard.silent, [ports[1]]);
        let heard = look(std::process::id(), &BTreeSet::from([ports[0]])).expect("this process lives");
        assert_eq!(heard, Heard::default(), "nothing is silent, so nothing is told");
        assert_eq!(look(u32::MAX, &BTreeSet::from(ports)), None);
    }

    #[test]
    fn reads_the_tables_of_ipv4_and_ipv6() {
        let header = "  sl  local_address remote_address st\n";
        let row = |address: &str| format!("{header}   0: {address}:1F90 00000000000000000000000000000000:0000 0A 0\n");
        let found = |address: &str| sockets(&row(address), Some(TCP_LISTEN)).into_iter().next();
        let listener = |loopback| Some(Listener { loopback, port: 8_080 });
        assert_eq!(found("00000000000000000000000000000000"), listener(false));
        assert_eq!(found("00000000"), listener(false));
        if cfg!(target_endian = "little") {
            assert_eq!(found("0100007F"), listener(true), "127.0.0.1");
            assert_eq!(found("00000000000000000000000001000000"), listener(true), "::1");
            assert_eq!(
                found("0000000000000000FFFF00000100007F"),
                listener(true),
                "::ffff:127.0.0.1"
            );
        }
        let connected = row("00000000").replace(" 0A ", " 01 ");
        assert_eq!(sockets(&connected, Some(TCP_LISTEN)), BTreeSet::new());
        assert_eq!(sockets(&connected, None).len(), 1);
    }
}
