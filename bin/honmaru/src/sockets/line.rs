//! What `honmaru up` and a role say to each other: packets of a few bytes, some with a socket (SCM_RIGHTS).

use rustix::cmsg_space;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    SocketType, getsockname, recvmsg, sendmsg, sockopt,
};
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;

/// The longest packet. Ours are below 100 bytes.
const PACKET_BYTES_MAX: usize = 256;

/// One packet. `honmaru up` says every socket that it has for the role, then `All`; the role says every socket that it
/// listens with, then `All`, and from then on what changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Message {
    /// Comes with a socket. Its address is not said: the kernel knows it, and does not lie.
    Socket,
    /// These were all.
    All,
    /// The socket of this address is no longer wanted.
    Drop(SocketAddr),
}

/// Sends one packet. `WouldBlock` when the other side does not take it, at once or after the line's time-out.
pub(super) fn send(line: impl AsFd, message: Message, socket: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let text = serde_json::to_vec(&message)?;
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sockets: Vec<BorrowedFd<'_>> = socket.into_iter().collect();
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other("a descriptor does not fit"));
    }
    let parts = [IoSlice::new(&text)];
    rustix::io::retry_on_intr(|| sendmsg(line.as_fd(), &parts, &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Receives one packet; nothing when the other side has ended. A packet with more than one socket, or that is not one of
/// ours, is an error, and its sockets are closed.
pub(super) fn receive(line: impl AsFd) -> io::Result<Option<(Message, Option<OwnedFd>)>> {
    let mut text = [0; PACKET_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = {
        let mut parts = [IoSliceMut::new(&mut text)];
        rustix::io::retry_on_intr(|| recvmsg(line.as_fd(), &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC))?
    };
    // The room for one descriptor may hold two: all are taken, so that all are closed.
    let mut sockets = Vec::new();
    for ancillary in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = ancillary {
            sockets.extend(some);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    let message = serde_json::from_slice(text.get(..received.bytes).unwrap_or_default())?;
    let is_expected = usize::from(message == Message::Socket);
    if sockets.len() != is_expected {
        return Err(io::Error::other(format!(
            "{message:?} came with {} descriptors",
            sockets.len()
        )));
    }
    Ok(Some((message, sockets.pop())))
}

/// The address of an internet socket.
pub(super) fn address_of(socket: impl AsFd) -> io::Result<SocketAddr> {
    Ok(SocketAddr::try_from(getsockname(socket)?)?)
}

/// The address of a TCP socket that listens; an error for everything else.
pub(super) fn listening_address(socket: impl AsFd) -> io::Result<SocketAddr> {
    let socket = socket.as_fd();
    if sockopt::socket_type(socket)? != SocketType::STREAM || !sockopt::socket_acceptconn(socket)? {
        return Err(io::Error::other("it is no socket that listens"));
    }
    address_of(socket)
}
