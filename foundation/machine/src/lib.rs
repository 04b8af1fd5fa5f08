//! What every service is made of: typed tables ([`State`]), changes to them ([`Tx`]), the operations of an API
//! ([`Operation`]) and the controllers that move the state on ([`Reconciler`]).
//!
//! All of it is pure: no I/O, no clock, no randomness of its own. `engine` drives it; a simulation can drive it too.
//! Invariant: the tables are a function of the records. Replaying the records of a log gives the same durable rows.

#![forbid(unsafe_code)]

mod operation;
mod reconcile;
mod record;
mod state;
mod table;
mod tx;

pub use operation::{
    Access, AsyncHandler, BoxFuture, Call, Handler, Operation, Principal, PrincipalKind, SessionContext, SessionIssuer,
};
pub use reconcile::Reconciler;
pub use record::{RECORD_FORMAT, Record, RecordError};
pub use state::{State, Tables};
pub use table::Resource;
pub use tx::Tx;
