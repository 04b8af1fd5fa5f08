//! Elements of nft sets and maps, and adding and deleting them over raw nf_tables netlink: some microseconds each,
//! where a run of `nft` takes milliseconds. Ref: linux/netfilter/nf_tables.h.

use crate::netlink::{NFNL_SUBSYS_NFTABLES, attribute, message, nested, open, zero_terminated};
use nix::sys::socket::{MsgFlags, recv, send};
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

/// The most elements in one batch; more are cheaper as a whole ruleset.
pub(crate) const BATCH_ELEMENTS_MAX: usize = 256;

const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_DELSETELEM: u16 = 14;
const NFPROTO_INET: u8 = 1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_CREATE: u16 = 0x400;
const NLMSG_ERROR: u16 = 2;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_VERDICT_CHAIN: u16 = 2;
const NFT_JUMP: i32 = -3;

/// One element's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Address(Ipv4Addr),
    Port(u16),
    Interface(String, Ipv4Addr),
}

/// What a map gives for a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Data {
    None,
    Jump(String),
    Endpoint(Ipv4Addr, u16),
}

/// An element of a set or map of our table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Element {
    pub set: String,
    pub key: Key,
    pub data: Data,
}

impl fmt::Display for Element {
    /// The element in the nft language.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Key::Address(address) => write!(f, "{address}")?,
            Key::Port(port) => write!(f, "{port}")?,
            Key::Interface(name, address) => write!(f, "\"{name}\" . {address}")?,
        }
        match &self.data {
            Data::None => Ok(()),
            Data::Jump(chain) => write!(f, " : jump {chain}"),
            Data::Endpoint(address, port) => write!(f, " : {address} . {port}"),
        }
    }
}

impl Key {
    /// The bytes in the kernel's registers: every field of a concatenation is padded to four bytes.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Address(address) => address.octets().to_vec(),
            Self::Port(port) => port.to_be_bytes().to_vec(),
            Self::Interface(name, address) => {
                let mut bytes = name.as_bytes().to_vec();
                bytes.resize(libc::IFNAMSIZ, 0);
                bytes.extend(address.octets());
                bytes
            }
        }
    }
}

/// Deletes and adds elements in one transaction: all of it happens or nothing.
pub(crate) fn change(table: &str, delete: &[&Element], add: &[&Element]) -> io::Result<()> {
    let socket = open()?;
    let batch = batch(table, delete, add);
    send(socket.as_raw_fd(), &batch, MsgFlags::empty())?;
    let mut answers = delete.len() + add.len();
    let mut buffer = vec![0u8; 64 * 1024];
    while answers > 0 {
        let len = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let seen = acknowledged(buffer.get(..len).unwrap_or_default())?;
        if seen == 0 {
            return Err(io::Error::other("an empty answer of nf_tables"));
        }
        answers = answers.saturating_sub(seen);
    }
    Ok(())
}

fn batch(table: &str, delete: &[&Element], add: &[&Element]) -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, NFNL_MSG_BATCH_BEGIN, 0, 0, NFNL_SUBSYS_NFTABLES, &[]);
    let ty = |message: u16| (NFNL_SUBSYS_NFTABLES << 8) | message;
    for element in delete {
        let body = element_body(table, element, false);
        message(&mut out, ty(NFT_MSG_DELSETELEM), NLM_F_ACK, NFPROTO_INET, 0, &body);
    }
    for element in add {
        let body = element_body(table, element, true);
        message(
            &mut out,
            ty(NFT_MSG_NEWSETELEM),
            NLM_F_ACK | NLM_F_CREATE,
            NFPROTO_INET,
            0,
            &body,
        );
    }
    message(&mut out, NFNL_MSG_BATCH_END, 0, 0, NFNL_SUBSYS_NFTABLES, &[]);
    out
}

fn element_body(table: &str, element: &Element, with_data: bool) -> Vec<u8> {
    let mut body = Vec::new();
    attribute(&mut body, NFTA_SET_ELEM_LIST_TABLE, &zero_terminated(table));
    attribute(&mut body, NFTA_SET_ELEM_LIST_SET, &zero_terminated(&element.set));
    nested(&mut body, NFTA_SET_ELEM_LIST_ELEMENTS, |list| {
        nested(list, NFTA_LIST_ELEM, |item| {
            nested(item, NFTA_SET_ELEM_KEY, |key| {
                attribute(key, NFTA_DATA_VALUE, &element.key.bytes())
            });
            match &element.data {
                Data::Jump(chain) if with_data => nested(item, NFTA_SET_ELEM_DATA, |data| {
                    nested(data, NFTA_DATA_VERDICT, |verdict| {
                        attribute(verdict, NFTA_VERDICT_CODE, &NFT_JUMP.to_be_bytes());
                        attribute(verdict, NFTA_VERDICT_CHAIN, &zero_terminated(chain));
                    });
                }),
                Data::Endpoint(address, port) if with_data => nested(item, NFTA_SET_ELEM_DATA, |data| {
                    let mut bytes = address.octets().to_vec();
                    bytes.extend(port.to_be_bytes());
                    bytes.extend([0, 0]);
                    attribute(data, NFTA_DATA_VALUE, &bytes);
                }),
                Data::None | Data::Jump(_) | Data::Endpoint(..) => {}
            }
        });
    });
    body
}

/// How many messages of the batch this answer acknowledges; the first error ends it.
fn acknowledged(mut answer: &[u8]) -> io::Result<usize> {
    let short = || io::Error::other("a short answer of nf_tables");
    let field = |bytes: &[u8], at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).ok_or_else(short);
    let mut count = 0;
    while answer.len() >= 16 {
        let len = u32::from_ne_bytes(field(answer, 0)?) as usize;
        let kind = u16::from_ne_bytes([answer[4], answer[5]]);
        if len < 16 || len > answer.len() {
            return Err(short());
        }
        if kind == NLMSG_ERROR {
            match i32::from_ne_bytes(field(answer, 16)?) {
                0 => count += 1,
                error => return Err(io::Error::from_raw_os_error(-error)),
            }
        }
        answer = answer.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(count)
}
