//! The VPC's resolver: answers the names of this cloud from a map and forwards the rest to the host's resolvers.

mod forward;
mod server;
mod zone;

pub(crate) use server::{Names, Resolver};
pub use zone::Zone;
