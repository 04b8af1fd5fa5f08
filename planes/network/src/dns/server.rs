//! One resolver: UDP and TCP on port 53 of one address.

use super::Zone;
use super::forward::{Way, forward};
use super::zone::reply;
use crate::NetworkError;
use hickory_proto::op::{Message, ResponseCode};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Queries that one resolver works on at a time; more are dropped, and their clients ask again.
const QUERIES_MAX: usize = 512;

/// The longest answer over UDP to a client that names no size. Ref: RFC 1035, 4.2.1.
const UDP_BYTES: usize = 512;

/// How long a TCP client may be silent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// What every resolver answers from; replaced as a whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub zone: Arc<Zone>,
    pub resolvers: Arc<BTreeSet<Ipv4Addr>>,
}

/// A running resolver; it ends when it is dropped.
pub(crate) struct Resolver {
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Resolver {
    /// Binds both sockets and serves.
    pub fn start(address: Ipv4Addr, names: watch::Receiver<Names>) -> Result<Self, NetworkError> {
        let failed = |source| NetworkError::system(format!("listen on {address}:53"), source);
        let at = SocketAddr::V4(SocketAddrV4::new(address, 53));
        let udp = UdpSocket::from_std(bind(at, Type::DGRAM).map_err(failed)?.into()).map_err(failed)?;
        let tcp = TcpListener::from_std(bind(at, Type::STREAM).map_err(failed)?.into()).map_err(failed)?;
        let slots = Arc::new(Semaphore::new(QUERIES_MAX));
        let over_udp = tokio::spawn(serve_udp(Arc::new(udp), names.clone(), Arc::clone(&slots)));
        let over_tcp = tokio::spawn(serve_tcp(tcp, names, slots));
        Ok(Self {
            tasks: [over_udp, over_tcp],
        })
    }
}

fn bind(at: SocketAddr, kind: Type) -> io::Result<Socket> {
    let protocol = if kind == Type::STREAM {
        Protocol::TCP
    } else {
        Protocol::UDP
    };
    let socket = Socket::new(Domain::IPV4, kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&at.into())?;
    if kind == Type::STREAM {
        socket.listen(128)?;
    }
    Ok(socket)
}

async fn serve_udp(socket: Arc<UdpSocket>, names: watch::Receiver<Names>, slots: Arc<Semaphore>) {
    let mut buffer = vec![0; 4_096];
    loop {
        // An error here is an ICMP answer to an earlier datagram; the socket itself stays whole.
        let Ok((len, client)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            continue;
        };
        let query = buffer.get(..len).unwrap_or_default().to_vec();
        let (socket, names) = (Arc::clone(&socket), names.borrow().clone());
        tokio::spawn(async move {
            if let Some(answer) = respond(&query, Way::Udp, &names).await {
                let _ = socket.send_to(&answer, client).await;
            }
            drop(slot);
        });
    }
}

async fn serve_tcp(listener: TcpListener, names: watch::Receiver<Names>, slots: Arc<Semaphore>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            continue;
        };
        let names = names.clone();
        tokio::spawn(async move {
            let _ = serve_client(stream, &names).await;
            drop(slot);
        });
    }
}

async fn serve_client(mut stream: TcpStream, names: &watch::Receiver<Names>) -> io::Result<()> {
    loop {
        let len = tokio::time::timeout(IDLE_TIMEOUT, stream.read_u16()).await??;
        let mut query = vec![0; usize::from(len)];
        tokio::time::timeout(IDLE_TIMEOUT, stream.read_exact(&mut query)).await??;
        let current = names.borrow().clone();
        let Some(answer) = respond(&query, Way::Tcp, &current).await else {
            return Ok(());
        };
        let len = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_all(&[&len.to_be_bytes()[..], &answer].concat()).await?;
    }
}

/// The answer's bytes; nothing for what is no DNS message at all.
async fn respond(query: &[u8], way: Way, names: &Names) -> Option<Vec<u8>> {
    let message = Message::from_vec(query).ok()?;
    let answer = match names.zone.answer(&message) {
        Some(answer) => answer,
        None => match forward(query, way, &names.resolvers).await {
            Some(answer) => return Some(answer),
            None => reply(&message, ResponseCode::ServFail),
        },
    };
    let bytes = answer.to_vec().ok()?;
    let limit = message
        .edns
        .as_ref()
        .map_or(UDP_BYTES, |edns| usize::from(edns.max_payload()).max(UDP_BYTES));
    match way {
        Way::Udp if bytes.len() > limit => answer.truncate().to_vec().ok(),
        Way::Udp | Way::Tcp => Some(bytes),
    }
}
