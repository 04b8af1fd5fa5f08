//! What can go wrong between us and the kernel's network, with what we were doing.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// A failure of the network plane.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A task id with characters that may not stand in a file name.
    #[error("`{0}` is no task id: 1 to 64 of A-Z, a-z, 0-9, `-` and `_` are expected")]
    TaskId(String),
    /// A text that is no IPv4 range.
    #[error("`{0}` is no IPv4 range")]
    Cidr(String),
    /// A text that is no MAC address.
    #[error("`{0}` is no MAC address")]
    Mac(String),
    /// Two tasks with one address.
    #[error("address {address} already belongs to task `{task_id}`")]
    AddressTaken {
        /// The address.
        address: Ipv4Addr,
        /// Its owner.
        task_id: String,
    },
    /// A host address that something else already has.
    #[error("address {0} is already on the host's loopback interface and is not ours")]
    HostAddressTaken(Ipv4Addr),
    /// A published port that another task has.
    #[error("host port {port} is already published by task `{task_id}`")]
    PortTaken {
        /// The host port.
        port: u16,
        /// Its owner.
        task_id: String,
    },
    /// A file could not be read or written.
    #[error("failed to {what} {path}")]
    File {
        /// The verb.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A system call failed.
    #[error("failed to {what}")]
    System {
        /// What we were doing.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A request over rtnetlink failed.
    #[error("failed to {what}")]
    Netlink {
        /// What we were doing.
        what: String,
        /// The cause.
        #[source]
        source: rtnetlink::Error,
    },
    /// The `nft` program refused a ruleset.
    #[error("nft refused the ruleset: {0}")]
    Nft(String),
    /// The network of this state directory is destroyed already.
    #[error("no link named `{0}`")]
    NoLink(String),
}

impl NetworkError {
    pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File {
            what,
            path: path.into(),
            source,
        }
    }

    pub(crate) fn system(what: impl Into<String>, source: io::Error) -> Self {
        Self::System {
            what: what.into(),
            source,
        }
    }

    pub(crate) fn netlink(what: impl Into<String>, source: rtnetlink::Error) -> Self {
        Self::Netlink {
            what: what.into(),
            source,
        }
    }
}
