//! Controllers: pure functions that move the state on.

mod drain;

pub use drain::Draining;
