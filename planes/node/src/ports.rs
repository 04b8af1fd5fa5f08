//! Which of a task's declared ports nobody listens on.

use std::collections::BTreeSet;
use std::fs;

/// Ref: include/net/tcp_states.h, TCP_LISTEN.
const TCP_LISTEN: &str = "0A";

/// The declared ports that no socket in the process's network namespace serves. A socket on a loopback address serves
/// nobody outside. Nothing when the process is gone.
pub(crate) fn silent(pid: u32, declared: &BTreeSet<u16>) -> Option<Vec<u16>> {
    if declared.is_empty() {
        return Some(Vec::new());
    }
    let mut heard = BTreeSet::new();
    for (name, state) in [
        ("tcp", Some(TCP_LISTEN)),
        ("tcp6", Some(TCP_LISTEN)),
        ("udp", None),
        ("udp6", None),
    ] {
        match fs::read_to_string(format!("/proc/{pid}/net/{name}")) {
            Ok(table) => heard.extend(listening(&table, state)),
            // A kernel or namespace without IPv6 has no such table.
            Err(_) if name.ends_with('6') => {}
            Err(_) => return None,
        }
    }
    Some(declared.difference(&heard).copied().collect())
}

/// The ports of sockets in `state` (any, if none is given) on addresses that can be reached from outside.
fn listening(table: &str, state: Option<&str>) -> BTreeSet<u16> {
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (address, port) = fields.next()?.split_once(':')?;
            let found = fields.nth(1)?;
            let wanted = state.is_none_or(|state| state == found) && !is_loopback(address);
            u16::from_str_radix(port, 16).ok().filter(|_| wanted)
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
        let declared = BTreeSet::from(ports);
        assert_eq!(silent(std::process::id(), &declared), Some(vec![ports[1]]));
        assert_eq!(silent(u32::MAX, &declared), None);
    }

    #[test]
    fn reads_the_tables_of_ipv6() {
        let header = "  sl  local_address remote_address st\n";
        let row = |address: &str| format!("{header}   0: {address}:1F90 00000000000000000000000000000000:0000 0A 0\n");
        assert_eq!(
            listening(&row("00000000000000000000000000000000"), Some("0A")),
            BTreeSet::from([8080])
        );
        if cfg!(target_endian = "little") {
            assert!(
                listening(&row("00000000000000000000000001000000"), Some("0A")).is_empty(),
                "::1"
            );
            assert!(
                listening(&row("0000000000000000FFFF00000100007F"), Some("0A")).is_empty(),
                "::ffff:127.0.0.1"
            );
        }
    }
}
