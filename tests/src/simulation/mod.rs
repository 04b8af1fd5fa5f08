//! A cloud in one thread under a virtual clock: the real machines and reconcilers, with a simulated node and edge.
//!
//! A seed draws the service, its versions, what is done to it and every fault. The same seed gives the same run, event
//! for event. First a phase in which things happen (and, if the seed says so, break): nothing wrong may be seen. Then a
//! quiet one: everything must come to rest, and in the end to nothing.
//!
//! Fair faults: a connection breaks and loses what was on its way; control dies between any two events and comes back
//! from its records alone; the node's agent or the edge comes back with what it had; the machine reboots and has
//! nothing; a container ends by itself. Not simulated: a log that lies, two controls at once, clocks that differ.

mod check;
mod control;
mod edge;
mod node;
mod scenario;
mod world;

pub use scenario::{Outcome, run};
