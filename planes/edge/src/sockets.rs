//! Sockets with the options that the edge needs: listeners on addresses that may not exist yet, connections to
//! targets that come from a load balancer's own address.

use crate::kept::KeptSockets;
use crate::limits::BACKLOG;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Opens a listener: with the socket that a former process left, where there is one.
pub(crate) fn open(kept: &dyn KeptSockets, address: SocketAddr) -> io::Result<TcpListener> {
    if let Some(socket) = kept.take(address) {
        match adopt(socket) {
            Ok(listener) => {
                tracing::info!(%address, "goes on with a kept socket");
                return Ok(listener);
            }
            Err(error) => {
                tracing::warn!(%address, %error, "a kept socket is of no use");
                kept.release(address);
            }
        }
    }
    let listener = listen(address)?;
    kept.keep(listener.local_addr()?, listener.as_fd());
    Ok(listener)
}

fn adopt(socket: OwnedFd) -> io::Result<TcpListener> {
    let socket = Socket::from(socket);
    if !socket.is_listener()? {
        return Err(io::Error::other("it does not listen"));
    }
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Stops listening at once, whoever else has a descriptor of the socket: who waits in its queue, and who comes now, is
/// refused. Merely closing ours would leave them waiting for nobody.
pub(crate) fn close(kept: &dyn KeptSockets, listener: &TcpListener) {
    // Ref: Linux, inet_shutdown: SHUT_RD takes a socket out of the state LISTEN. One that is out already is no matter.
    let _ = SockRef::from(listener).shutdown(Shutdown::Read);
    if let Ok(address) = listener.local_addr() {
        kept.release(address);
    }
}

/// Listens. The address need not be on an interface yet (IP_FREEBIND).
///
/// Not SO_REUSEPORT: with two sockets of one address, of which one is kept and nobody accepts from it, the kernel would
/// send it half of the connections. Without the option the second one cannot be.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    match address.ip() {
        IpAddr::V4(_) => socket.set_freebind_v4(true)?,
        IpAddr::V6(_) => socket.set_freebind_v6(true)?,
    }
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Connects to a target, from `source` when it is given.
pub(crate) async fn connect(target: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let socket = if target.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_nodelay(true)?;
    if let (Some(source), true) = (source, target.is_ipv4()) {
        bind_late(&socket)?;
        match socket.bind(SocketAddr::from((source, 0))) {
            // The node has not added the load balancer's address yet; the host's own address does meanwhile.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
            bound => bound?,
        }
    }
    socket.connect(target).await
}

/// Leaves the choice of the port to `connect`, so that one source address has all ports for each target
/// (IP_BIND_ADDRESS_NO_PORT).
fn bind_late(socket: &TcpSocket) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let on: libc::c_int = 1;
    // Needed: no safe wrapper has this option.
    // SAFETY: the descriptor is open for the whole call; the value is an int and its size is passed.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Accepts one connection. Errors of single connections are skipped; when the process has no descriptors left it
/// waits a little, so that the loop does not spin.
pub(crate) async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Small answers must not wait for an acknowledgement; failing means that the peer is gone already.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            Err(error) => {
                if !matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    }
}
