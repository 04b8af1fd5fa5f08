//! Whole-system tests: clients, simulation, kill harness, benches.

pub mod cloud;
pub mod host;
pub mod load;
pub mod scratch;
pub mod simulation;
pub mod tls;
