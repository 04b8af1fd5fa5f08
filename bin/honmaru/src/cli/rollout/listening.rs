//! What a task listens on, read inside of it: the cause behind a refused connection. An image in which nothing can read
//! a file tells nothing.

use crate::cli::app::App;
use crate::cli::client::Client;
use crate::cli::exec;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long the look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// Ref: proc_net_tcp(5): the state of a socket that listens.
const LISTENS: &str = "0A";

/// Ports that somebody in a task listens on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Open {
    /// For everybody, or on the task's own address.
    pub to_all: BTreeSet<u16>,
    /// On loopback addresses.
    pub to_itself: BTreeSet<u16>,
}

/// Programs that print the tables: images without a shell have at least the one that runs the app.
const READERS: [&[&str]; 3] = [
    &["cat", "/proc/net/tcp", "/proc/net/tcp6"],
    &[
        "python3",
        "-c",
        "print(open('/proc/net/tcp').read(), open('/proc/net/tcp6').read())",
    ],
    &[
        "node",
        "-e",
        "const {readFileSync: r} = require('fs'); console.log(r('/proc/net/tcp') + '\\n' + r('/proc/net/tcp6'))",
    ],
];

/// Looks into a task.
pub async fn in_task(client: &Client, app: &App, task: &str) -> Option<Open> {
    for reader in READERS {
        let command: Vec<String> = reader.iter().map(|word| (*word).to_owned()).collect();
        let said = tokio::time::timeout(LOOK_TIMEOUT, exec::output_of(client, app, task, &command)).await;
        if let Ok(Ok(said)) = said
            && !said.is_empty()
        {
            return Some(read(&String::from_utf8_lossy(&said)));
        }
    }
    None
}

/// Reads the kernel's tables. Ref: proc_net_tcp(5): the address is in the machine's byte order, the port is not.
fn read(tables: &str) -> Open {
    let mut open = Open::default();
    for line in tables.lines() {
        let mut fields = line.split_whitespace().skip(1);
        let (Some(local), Some(state)) = (fields.next(), fields.nth(1)) else {
            continue;
        };
        let Some((address, port)) = local.split_once(':') else {
            continue;
        };
        let (LISTENS, Ok(port)) = (state, u16::from_str_radix(port, 16)) else {
            continue;
        };
        // The platform's own: credentials and metadata at 169.254.170.2.
        if address.len() == 8 && address.ends_with("FEA9") {
            continue;
        }
        let is_loopback = match address.len() {
            8 => address.ends_with("7F"),
            32 => {
                address == "00000000000000000000000001000000"
                    || address.starts_with("0000000000000000FFFF0000") && address.ends_with("7F")
            }
            _ => continue,
        };
        if is_loopback {
            open.to_itself.insert(port);
        } else {
            open.to_all.insert(port);
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let tables = "  sl  local_address rem_address   st tx_queue\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65534 0 1 1\n\
            1: 00000000:270F 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65534 0 1 1\n\
            2: 0100007F:1F91 0100007F:C350 01 00000000:00000000 00:00000000 00000000 65534 0 1 1\n\
            3: 02AAFEA9:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1\n\
            0: 00000000000000000000000001000000:0BB8 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 1 1\n\
            1: 00000000000000000000000000000000:0BB9 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 1 1\n";
        let open = read(tables);
        assert_eq!(open.to_itself.into_iter().collect::<Vec<_>>(), [3_000, 8_080]);
        assert_eq!(open.to_all.into_iter().collect::<Vec<_>>(), [3_001, 9_999]);
    }
}
