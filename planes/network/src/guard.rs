//! What other programs on the host take away is put back. `nft flush ruleset`, which Debian's nftables.service runs
//! whenever it starts or is reloaded, removes the tables of everybody; without ours no security group forbids anything.

use crate::names::TABLE_PREFIX;
use crate::netlink::{NFNL_SUBSYS_NFTABLES, attributes, changes, messages, zero_terminated};
use crate::{Network, NetworkError};
use honmaru_base::chain;
use netlink_sys::AsyncSocketExt;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::warn;

/// How often it is looked whether forwarding is on and addresses and routes are there: of those nobody tells.
const LOOK_PERIOD: Duration = Duration::from_secs(5);
/// How long to wait when the kernel's messages cannot be had, or the table cannot be loaded.
const RETRY: Duration = Duration::from_secs(1);
/// How long after the first of others' changes they are looked at: a firewall that is loaded changes many things.
const OTHERS_DELAY: Duration = Duration::from_millis(100);
const BUFFER_BYTES: usize = 64 * 1024;
const NFT_MSG_DELTABLE: u16 = (NFNL_SUBSYS_NFTABLES << 8) | 2;
const NFT_MSG_NEWCHAIN: u16 = (NFNL_SUBSYS_NFTABLES << 8) | 3;
const NFT_MSG_DELRULE: u16 = (NFNL_SUBSYS_NFTABLES << 8) | 8;
/// NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE.
const NFTA_TABLE: u16 = 1;

impl Network {
    /// Puts back what other programs take away, and excepts tasks from what they drop by default: the table as soon as the kernel
    /// says that it is gone; forwarding, addresses and routes within five seconds. Works until it is dropped; to be called once, after [`Network::adopt`].
    pub async fn guard(&self) {
        tokio::join!(self.guard_table(), self.guard_the_rest());
    }

    async fn guard_table(&self) {
        loop {
            let Err(error) = self.follow().await;
            warn!(err = %chain(&error), "failed to guard the nft table; trying again");
            sleep(RETRY).await;
        }
    }

    /// Loads the table whenever it was deleted, and looks at other firewalls whenever they changed.
    async fn follow(&self) -> Result<Infallible, NetworkError> {
        let unheard = |source| NetworkError::system("hear of changes of nf_tables", source);
        let socket = changes().map_err(unheard)?;
        // Both may be so since before there was somebody to be told.
        self.restore().await?;
        self.except().await?;
        let table = zero_terminated(&self.id().table());
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        let mut others: Option<Instant> = None;
        loop {
            buffer.clear();
            let received = tokio::select! {
                received = socket.recv(&mut buffer) => received,
                () = sleep_until(others.unwrap_or_else(Instant::now)), if others.is_some() => {
                    others = None;
                    self.except().await?;
                    continue;
                }
            };
            let heard = match received {
                Ok(()) => Heard::of(&buffer, &table),
                // Messages were lost, and they may have said anything.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Heard {
                    is_gone: true,
                    of_others: true,
                },
                Err(error) => return Err(unheard(error)),
            };
            if heard.is_gone {
                warn!(
                    table = self.id().table(),
                    "something deleted the nft table; loading it again"
                );
                self.restore().await?;
            }
            if heard.of_others {
                others.get_or_insert_with(|| Instant::now() + OTHERS_DELAY);
            }
        }
    }

    async fn guard_the_rest(&self) {
        let mut ticks = interval(LOOK_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // It says itself what failed, and the next look tries again.
            let _ = self.look_after().await;
        }
    }
}

/// What messages say.
#[derive(Debug, PartialEq)]
struct Heard {
    /// Our table was deleted.
    is_gone: bool,
    /// A table of somebody else got a chain, or lost a rule.
    of_others: bool,
}

impl Heard {
    fn of(bytes: &[u8], table: &[u8]) -> Self {
        let mut heard = Self {
            is_gone: false,
            of_others: false,
        };
        for (kind, body) in messages(bytes) {
            // Four bytes of nfgenmsg come first.
            let name = attributes(body.get(4..).unwrap_or_default()).find(|(kind, _)| *kind == NFTA_TABLE);
            let Some((_, name)) = name else { continue };
            match kind {
                NFT_MSG_DELTABLE => heard.is_gone |= name == table,
                NFT_MSG_NEWCHAIN | NFT_MSG_DELRULE => heard.of_others |= !name.starts_with(TABLE_PREFIX.as_bytes()),
                _ => {}
            }
        }
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{attribute, message};

    #[test]
    fn only_the_end_of_this_table_counts_and_what_others_change() {
        let told = |kind: u16, name: &str| {
            let (mut body, mut out) = (Vec::new(), Vec::new());
            attribute(&mut body, NFTA_TABLE, &zero_terminated(name));
            message(&mut out, (NFNL_SUBSYS_NFTABLES << 8) | 15, 0, 1, 0, &[]);
            message(&mut out, kind, 0, 1, 0, &body);
            out
        };
        let table = zero_terminated("honmaru_1");
        let heard = |bytes: &[u8]| {
            let heard = Heard::of(bytes, &table);
            (heard.is_gone, heard.of_others)
        };
        assert_eq!(heard(&told(NFT_MSG_DELTABLE, "honmaru_1")), (true, false));
        assert_eq!(heard(&told(NFT_MSG_DELTABLE, "honmaru_12")), (false, false));
        assert_eq!(heard(&told(NFT_MSG_DELRULE, "honmaru_1")), (false, false));
        assert_eq!(heard(&told(NFT_MSG_DELRULE, "filter")), (false, true));
        assert_eq!(heard(&told(NFT_MSG_NEWCHAIN, "filter")), (false, true));
        let whole = told(NFT_MSG_DELTABLE, "honmaru_1");
        for len in 0..whole.len() {
            assert_eq!(heard(&whole[..len]), (false, false));
        }
    }
}
