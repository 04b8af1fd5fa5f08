//! What other programs on the host take away is put back. `nft flush ruleset`, which Debian's nftables.service runs
//! whenever it starts or is reloaded, removes the tables of everybody; without ours no security group forbids anything.

use crate::netlink::{NFNL_SUBSYS_NFTABLES, attributes, changes, messages, zero_terminated};
use crate::{Network, NetworkError};
use honmaru_base::chain;
use netlink_sys::AsyncSocketExt;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::warn;

/// How often it is looked whether forwarding is on and addresses and routes are there: of those nobody tells.
const LOOK_PERIOD: Duration = Duration::from_secs(5);
/// How long to wait when the kernel's messages cannot be had, or the table cannot be loaded.
const RETRY: Duration = Duration::from_secs(1);
const BUFFER_BYTES: usize = 64 * 1024;
const NFT_MSG_DELTABLE: u16 = (NFNL_SUBSYS_NFTABLES << 8) | 2;
const NFTA_TABLE_NAME: u16 = 1;

impl Network {
    /// Puts back what other programs take away: the table as soon as the kernel says that it is gone; forwarding,
    /// addresses and routes within five seconds. Works until it is dropped; to be called once, after [`Network::adopt`].
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

    /// Loads the table whenever it was deleted.
    async fn follow(&self) -> Result<Infallible, NetworkError> {
        let unheard = |source| NetworkError::system("hear of changes of nf_tables", source);
        let socket = changes().map_err(unheard)?;
        // It may be gone since before there was somebody to be told.
        self.restore().await?;
        let table = zero_terminated(&self.id().table());
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        loop {
            buffer.clear();
            let is_gone = match socket.recv(&mut buffer).await {
                Ok(()) => tells_of(&buffer, &table),
                // Messages were lost, and one of them may have said so.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => true,
                Err(error) => return Err(unheard(error)),
            };
            if is_gone {
                warn!(
                    table = self.id().table(),
                    "something deleted the nft table; loading it again"
                );
                self.restore().await?;
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

/// Whether there is a message among these that says that the table was deleted.
fn tells_of(bytes: &[u8], table: &[u8]) -> bool {
    messages(bytes)
        .filter(|(kind, _)| *kind == NFT_MSG_DELTABLE)
        // Four bytes of nfgenmsg come first.
        .filter_map(|(_, body)| body.get(4..))
        .any(|body| attributes(body).any(|(kind, value)| kind == NFTA_TABLE_NAME && value == table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{attribute, message};

    #[test]
    fn only_the_end_of_this_table_counts() {
        let told = |kind: u16, name: &str| {
            let (mut body, mut out) = (Vec::new(), Vec::new());
            attribute(&mut body, NFTA_TABLE_NAME, &zero_terminated(name));
            message(&mut out, (NFNL_SUBSYS_NFTABLES << 8) | 12, 0, 1, 0, &[]);
            message(&mut out, kind, 0, 1, 0, &body);
            out
        };
        let table = zero_terminated("honmaru_1");
        assert!(tells_of(&told(NFT_MSG_DELTABLE, "honmaru_1"), &table));
        assert!(!tells_of(&told(NFT_MSG_DELTABLE, "honmaru_12"), &table));
        assert!(!tells_of(&told(NFNL_SUBSYS_NFTABLES << 8, "honmaru_1"), &table));
        let whole = told(NFT_MSG_DELTABLE, "honmaru_1");
        for len in 0..whole.len() {
            assert!(!tells_of(&whole[..len], &table));
        }
    }
}
