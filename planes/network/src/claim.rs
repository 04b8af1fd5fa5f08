//! A range that one cloud has for itself among all clouds of a host, also while no route of it is there yet.

use ipnet::Ipv4Net;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// A range that no other cloud in this network namespace takes as long as this lives.
///
/// It is the name of a socket in the abstract namespace (unix(7)), which each network namespace has for itself, as it has
/// its routes: the kernel gives a name to one process only, and takes it back when that ends, however it ends.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "the name is there as long as the socket is open")] UnixDatagram);

impl Claim {
    /// Claims a range; nothing when another cloud has it.
    ///
    /// # Errors
    ///
    /// What the kernel says when there is no socket to be had.
    pub fn take(range: Ipv4Net) -> io::Result<Option<Self>> {
        let name = SocketAddr::from_abstract_name(format!("honmaru-vpc-{range}"))?;
        match UnixDatagram::bind_addr(&name) {
            Ok(socket) => Ok(Some(Self(socket))),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Claim;

    #[test]
    fn one_has_it_until_it_goes() {
        // TEST-NET-3 (RFC 5737): no cloud has it.
        let range = "203.0.113.0/24".parse().expect("a range");
        let first = Claim::take(range).expect("a socket").expect("it is free");
        assert!(Claim::take(range).expect("a socket").is_none());
        drop(first);
        assert!(Claim::take(range).expect("a socket").is_some());
    }
}
