//! AWS STS: caller identity and sessions.

pub mod types;
