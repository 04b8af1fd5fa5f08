//! Task interfaces, addresses, security groups, DNS: one network namespace per task, joined to the host by a routed /32
//! veth pair, and one nftables table that decides what may pass.
//!
//! Not here: what runs in a namespace (`honmaru-runtime`), which addresses tasks get (control), load balancing (`edge`).
//!
//! Invariants:
//! - What no security group allows is dropped, from the moment a task's interface exists until it is gone.
//! - The ruleset changes in one transaction that touches only what differs: there is no moment without one, no packet
//!   between two, and established connections live on.
//! - What another program takes away of it is put back ([`Network::guard`]).
//! - Everything that this crate makes on the host carries the instance's id, so that instances live side by side and
//!   [`Network::destroy`] finds all of it without any memory of its own.

mod cidr;
mod claim;
mod dns;
mod elements;
mod error;
mod files;
mod flows;
mod guard;
mod links;
mod listing;
mod model;
mod names;
mod namespace;
mod neighbours;
mod netlink;
mod network;
mod nft;
mod rules;
mod ruleset;
mod sysctl;

pub use cidr::{host_routes, overlapping, vpc_ranges};
pub use claim::Claim;
pub use dns::Zone;
pub use error::NetworkError;
pub use model::NetworkDesired;
pub use names::{InstanceId, interface_name};
pub use network::{METADATA_ADDRESS, METADATA_PORT, Network, NetworkConfig};
