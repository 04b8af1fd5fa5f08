//! Listening sockets that outlive the roles: `honmaru up` holds a second descriptor of each ([`Store`]), a role gets
//! them back when it starts again ([`Keeper`]). While no process accepts, connections wait in the kernel's queue; they
//! are not refused. See docs/decisions/0015.
//!
//! What always holds: a socket goes back to the role that it came from, and to no other; what a role no longer wants
//! listens no more, whoever has a descriptor of it.

mod keeper;
mod line;
mod store;

pub use keeper::Keeper;
pub use store::Store;

/// Sockets kept for each role at most. A further one works like the others and dies with its process.
pub const KEPT_MAX: usize = 4_096;
