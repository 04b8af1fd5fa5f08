//! Ports that are taken: found before a role fails on them, with the name of whoever has them.

use anyhow::bail;
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Fails with a sentence when somebody listens on an address that a role needs.
pub(super) fn check_free(address: SocketAddr, option: &str) -> anyhow::Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let holder = holder(address.port())
                .map(|(name, pid)| format!(" by `{name}` (pid {pid})"))
                .unwrap_or_default();
            let other = SocketAddr::new(address.ip(), address.port().wrapping_add(1).max(1_024));
            bail!(
                "port {} is already taken{holder}\nhint: choose another with `{option} {other}`",
                address.port()
            )
        }
        Err(error) => {
            bail!("cannot listen on {address}: {error}\nhint: choose an address of this machine with `{option}`")
        }
    }
}

/// The program and process that listens on a TCP port. Ref: proc_net_tcp(5), proc_pid_fd(5).
fn holder(port: u16) -> Option<(String, u32)> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|table| {
            table
                .lines()
                .filter_map(|line| listening(line, port))
                .collect::<Vec<_>>()
        })
        .collect();
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(descriptors) = std::fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let mut targets = descriptors
            .flatten()
            .filter_map(|fd| std::fs::read_link(fd.path()).ok());
        if targets.any(|target| links.iter().any(|link| target.as_os_str() == link.as_str())) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((name.trim().to_owned(), pid));
        }
    }
    None
}

/// The inode of a line of /proc/net/tcp when it is a socket that listens on the port.
fn listening(line: &str, port: u16) -> Option<String> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?;
    let (_, hex) = local.rsplit_once(':')?;
    // 0A: TCP_LISTEN. Ref: Linux, include/net/tcp_states.h.
    (state == "0A" && u16::from_str_radix(hex, 16) == Ok(port)).then(|| inode.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_its_holder() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let error = check_free(address, "--http").expect_err("it is taken").to_string();
        assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
        assert!(error.contains("hint: choose another with `--http"), "{error}");
        drop(listener);
        assert!(check_free(address, "--http").is_ok());
    }
}
