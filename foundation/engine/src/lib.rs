//! The only driver of the machines: it runs commands one after the other, makes their records durable in groups,
//! and only then answers; it runs the reconcilers when what they watch has changed.
//!
//! Invariants: nobody sees a change, by an answer or by a read, before its records are durable, but for whoever asks to
//! ([`Engine::peek`]). A command that fails leaves no record. When an append fails the process must end, because memory
//! is then ahead of the log.

#![forbid(unsafe_code)]

mod clock;
mod engine;
mod reconcilers;
mod replay;
mod snapshots;
mod writer;

pub use clock::{SystemClock, system_rng};
pub use engine::{Engine, EngineConfig, EngineError, WhenFull};
pub use replay::{OpenError, replay};
