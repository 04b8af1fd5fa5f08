//! Passing a query on to the host's resolvers, as it came.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Ref: resolv.conf(5), MAXNS.
const RESOLVERS_MAX: usize = 3;

/// How long one resolver may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Which way the query came, and so goes on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Udp,
    Tcp,
}

/// The first answer of the host's resolvers, or nothing. Addresses of our own are not asked: that would be a circle.
pub(super) async fn forward(query: &[u8], way: Way, ours: &BTreeSet<Ipv4Addr>) -> Option<Vec<u8>> {
    let text = tokio::fs::read_to_string("/etc/resolv.conf").await.ok()?;
    for resolver in resolvers(&text, ours) {
        let answer = match way {
            Way::Udp => timeout(ANSWER_TIMEOUT, ask_udp(query, resolver)).await,
            Way::Tcp => timeout(ANSWER_TIMEOUT, ask_tcp(query, resolver)).await,
        };
        if let Ok(Ok(answer)) = answer {
            return Some(answer);
        }
    }
    None
}

fn resolvers(text: &str, ours: &BTreeSet<Ipv4Addr>) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("nameserver")?
                .split_whitespace()
                .next()?
                .parse::<IpAddr>()
                .ok()
        })
        .filter(|address| !matches!(address, IpAddr::V4(v4) if ours.contains(v4)))
        .take(RESOLVERS_MAX)
        .map(|address| SocketAddr::new(address, 53))
        .collect()
}

/// The socket is connected, so only the resolver can answer; the port is random, the id checked.
async fn ask_udp(query: &[u8], resolver: SocketAddr) -> std::io::Result<Vec<u8>> {
    let any: SocketAddr = if resolver.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(resolver).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; 65_535];
    loop {
        let len = socket.recv(&mut buffer).await?;
        if len >= 12 && buffer.get(..2) == query.get(..2) {
            buffer.truncate(len);
            return Ok(buffer);
        }
    }
}

async fn ask_tcp(query: &[u8], resolver: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(resolver).await?;
    let len = u16::try_from(query.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&len.to_be_bytes()[..], query].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_resolv_conf_and_leaves_itself_out() {
        let ours = BTreeSet::from([Ipv4Addr::new(172, 31, 0, 2)]);
        let text =
            "# nameserver 9.9.9.9\nsearch lan\nnameserver 172.31.0.2\nnameserver 10.0.0.1 # home\nnameserver ::1\n";
        let found = resolvers(text, &ours);
        assert_eq!(
            found,
            ["10.0.0.1:53".parse().expect("v4"), "[::1]:53".parse().expect("v6")]
        );
    }
}
