//! Listening sockets that outlive this process: whoever started it holds a second descriptor of each, so that
//! connections wait in the kernel's queue, and are not refused, while no edge runs.
//!
//! An address is the whole name of a socket: what is served there is the configuration's matter.

use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Where listening sockets are kept.
///
/// A socket that is kept holds its port, and connections to it wait for somebody who accepts: whatever is no longer
/// wanted must be released.
pub trait KeptSockets: Send + Sync {
    /// A descriptor of the socket that a former process listened with. It stays kept.
    fn take(&self, address: SocketAddr) -> Option<OwnedFd>;

    /// Keeps a socket that listens.
    fn keep(&self, address: SocketAddr, socket: BorrowedFd<'_>);

    /// Keeps a socket no longer: nobody listens there from now on, through whatever descriptor.
    fn release(&self, address: SocketAddr);

    /// Releases what a former process listened with and this one has not taken: a configuration is served now.
    fn settle(&self);

    /// This process is about to end. When no next one will follow it, nobody shall wait for it either.
    fn leave(&self);
}

/// Keeps nothing: sockets live and die with this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct NothingKept;

impl KeptSockets for NothingKept {
    fn take(&self, _: SocketAddr) -> Option<OwnedFd> {
        None
    }

    fn keep(&self, _: SocketAddr, _: BorrowedFd<'_>) {}

    fn release(&self, _: SocketAddr) {}

    fn settle(&self) {}

    fn leave(&self) {}
}
