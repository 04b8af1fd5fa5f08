//! Whole-system tests: clients, simulation, kill harness, benches.

pub mod simulation;
