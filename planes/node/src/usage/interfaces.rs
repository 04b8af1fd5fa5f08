//! The interfaces of a task's network namespace and their counters.

use honmaru_contract::node::NetworkCounters;
use std::collections::BTreeMap;
use std::fs;

/// The interface that every namespace has; what goes through it leaves no task.
const LOOPBACK: &str = "lo";
/// Interfaces of a task at most; it has one.
const INTERFACES_MAX: usize = 16;

/// What came in and went out through one interface since it exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Interface {
    pub rx: NetworkCounters,
    pub tx: NetworkCounters,
}

/// The interfaces in a process's network namespace by name, without loopback; none when the process is gone.
pub(crate) fn interfaces(pid: u32) -> BTreeMap<String, Interface> {
    parse(&fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default())
}

/// Ref: proc_pid_net(5), `dev`: a name, eight figures of what came in, eight of what went out.
fn parse(table: &str) -> BTreeMap<String, Interface> {
    let row = |line: &str| {
        let (name, figures) = line.split_once(':')?;
        let figures: Vec<u64> = figures.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let (rx, tx) = figures.split_at_checked(8)?;
        Some((
            name.trim().to_owned(),
            Interface {
                rx: counters(rx)?,
                tx: counters(tx)?,
            },
        ))
    };
    table
        .lines()
        .filter_map(row)
        .filter(|(name, _)| name != LOOPBACK)
        .take(INTERFACES_MAX)
        .collect()
}

fn counters(figures: &[u64]) -> Option<NetworkCounters> {
    match figures {
        [bytes, packets, errors, dropped, ..] => Some(NetworkCounters {
            bytes: *bytes,
            packets: *packets,
            errors: *errors,
            dropped: *dropped,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let table = "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
             lo: 9 9 0 0 0 0 0 0 9 9 0 0 0 0 0 0\n  eth0: 1267 51 1 2 0 0 0 0 3862023   41685    3    4    0     0       0          0\n";
        let found = parse(table);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["eth0"]);
        let (rx, tx) = (found["eth0"].rx, found["eth0"].tx);
        assert_eq!((rx.bytes, rx.packets, rx.errors, rx.dropped), (1_267, 51, 1, 2));
        assert_eq!((tx.bytes, tx.packets, tx.errors, tx.dropped), (3_862_023, 41_685, 3, 4));
        assert_eq!(parse("nonsense: 1 2\n"), BTreeMap::new());
        assert_eq!(interfaces(u32::MAX), BTreeMap::new());
    }
}
