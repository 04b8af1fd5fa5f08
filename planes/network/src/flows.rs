//! The kernel's table of flows (connection tracking): what it remembers of an address is forgotten when the address is
//! given back. Otherwise packets of the former owner's connections would count as established for the next one, whatever
//! its security groups say: for minutes over UDP, for five days over TCP. Ref: linux/netfilter/nfnetlink_conntrack.h.
//!
//! A rule that is taken away from a group does not end a flow: as on AWS, a tracked connection lives until it ends.
//! Ref: "Security group connection tracking", EC2 user guide.

use crate::netlink::{NLA_F_NESTED, attribute, attributes, message, messages, open};
use nix::sys::socket::{MsgFlags, recv, send};
use std::collections::BTreeSet;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

/// Flows that are forgotten in one walk through the table.
const FLOWS_MAX: usize = 16_384;
/// Walks at most: the kernel's table ends at 262,144 flows unless somebody made it larger.
const WALKS_MAX: usize = 32;
/// The kernel's answers come in pieces of at most 32 KiB.
const BUFFER_BYTES: usize = 64 * 1024;

const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;
const AF_INET: u8 = 2;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;

/// Forgets every flow that one of the addresses has a part in, and says how many there were. Blocking: it walks through
/// the kernel's table, some milliseconds.
pub(crate) fn forget(addresses: &BTreeSet<Ipv4Addr>) -> io::Result<usize> {
    let socket = open()?;
    let mut forgotten = 0;
    for _ in 0..WALKS_MAX {
        // Not filtered by the kernel: a filter looks at one direction, so that it would take two walks, and the walk is
        // what costs.
        let found = find(&socket, addresses)?;
        for flow in &found {
            delete(&socket, flow)?;
        }
        forgotten += found.len();
        if found.len() < FLOWS_MAX {
            return Ok(forgotten);
        }
    }
    Err(io::Error::other("there are always more flows"))
}

/// The flows of these addresses, each as the attributes that name it.
fn find(socket: &OwnedFd, addresses: &BTreeSet<Ipv4Addr>) -> io::Result<Vec<Vec<u8>>> {
    let mut request = Vec::new();
    let kind = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET;
    message(&mut request, kind, NLM_F_DUMP, AF_INET, 0, &[]);
    send(socket.as_raw_fd(), &request, MsgFlags::empty())?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut found = Vec::new();
    loop {
        let len = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        if len == 0 {
            return Err(io::Error::other("an empty answer of ctnetlink"));
        }
        for (kind, body) in messages(buffer.get(..len).unwrap_or_default()) {
            match kind {
                NLMSG_DONE => return Ok(found),
                NLMSG_ERROR => failure(body)?,
                // The answer is read to its end, whatever is kept of it.
                _ if found.len() < FLOWS_MAX => found.extend(flow_of(body, addresses)),
                _ => {}
            }
        }
    }
}

fn delete(socket: &OwnedFd, flow: &[u8]) -> io::Result<()> {
    let mut request = Vec::new();
    let kind = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE;
    message(&mut request, kind, NLM_F_ACK, AF_INET, 0, flow);
    send(socket.as_raw_fd(), &request, MsgFlags::empty())?;
    let mut buffer = [0; 1_024];
    let len = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
    for (kind, body) in messages(buffer.get(..len).unwrap_or_default()) {
        if kind == NLMSG_ERROR {
            match failure(body) {
                // It ended by itself.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                other => other?,
            }
        }
    }
    Ok(())
}

/// The error of an answer; number 0 is an acknowledgement.
fn failure(body: &[u8]) -> io::Result<()> {
    match body.first_chunk().map(|number| i32::from_ne_bytes(*number)) {
        Some(0) => Ok(()),
        Some(number) => Err(io::Error::from_raw_os_error(-number)),
        None => Err(io::Error::other("a short answer of ctnetlink")),
    }
}

/// The attributes that name a flow, if one of the addresses has a part in it. `body` begins with the four bytes of
/// nfgenmsg.
fn flow_of(body: &[u8], addresses: &BTreeSet<Ipv4Addr>) -> Option<Vec<u8>> {
    let (mut name, mut is_wanted) = (Vec::new(), false);
    for (kind, value) in attributes(body.get(4..)?) {
        match kind {
            CTA_TUPLE_ORIG | CTA_TUPLE_REPLY => {
                is_wanted |= addresses_of(value).any(|address| addresses.contains(&address));
                if kind == CTA_TUPLE_ORIG {
                    attribute(&mut name, CTA_TUPLE_ORIG | NLA_F_NESTED, value);
                }
            }
            // The id too: another flow may have taken the place of this one meanwhile.
            CTA_ID | CTA_ZONE => attribute(&mut name, kind, value),
            _ => {}
        }
    }
    is_wanted.then_some(name)
}

fn addresses_of(tuple: &[u8]) -> impl Iterator<Item = Ipv4Addr> {
    attributes(tuple)
        .filter(|(kind, _)| *kind == CTA_TUPLE_IP)
        .flat_map(|(_, ip)| attributes(ip))
        .filter(|(kind, _)| matches!(*kind, CTA_IP_V4_SRC | CTA_IP_V4_DST))
        .filter_map(|(_, octets)| <[u8; 4]>::try_from(octets).ok().map(Ipv4Addr::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::nested;

    fn tuple(out: &mut Vec<u8>, kind: u16, from: [u8; 4], to: [u8; 4]) {
        nested(out, kind, |tuple| {
            nested(tuple, CTA_TUPLE_IP, |ip| {
                attribute(ip, CTA_IP_V4_SRC, &from);
                attribute(ip, CTA_IP_V4_DST, &to);
            });
        });
    }

    #[test]
    fn a_flow_is_known_by_either_direction() {
        // A masqueraded flow: the task is in the first direction only.
        let (task, host, far) = ([10, 31, 0, 9], [192, 0, 2, 1], [198, 51, 100, 1]);
        let mut body = vec![AF_INET, 0, 0, 0];
        tuple(&mut body, CTA_TUPLE_ORIG, task, far);
        tuple(&mut body, CTA_TUPLE_REPLY, far, host);
        attribute(&mut body, CTA_ID, &7u32.to_be_bytes());
        let mut name = Vec::new();
        tuple(&mut name, CTA_TUPLE_ORIG, task, far);
        attribute(&mut name, CTA_ID, &7u32.to_be_bytes());
        for address in [task, host, far] {
            assert_eq!(
                flow_of(&body, &[address.into()].into()),
                Some(name.clone()),
                "{address:?}"
            );
        }
        assert_eq!(flow_of(&body, &[[10, 31, 0, 8].into()].into()), None);
        // Whatever is cut off, nothing breaks.
        for len in 0..body.len() {
            let _ = flow_of(&body[..len], &[task.into()].into());
            assert_eq!(messages(&body[..len.min(15)]).count(), 0);
        }
    }
}
